"""``python -m argand`` is the `argand` command."""

import sys

from argand.cli.main import main

sys.exit(main())
