"""`argand as-torch`: the name `torch` for Argand, in a whole virtual environment."""

from __future__ import annotations

import argparse

from argand.alias.environment import here
from argand.alias.release import VERSION


def run(options: argparse.Namespace) -> int:
    """Put the alias into this environment, or take it away; returns the exit status."""
    environment = here()
    if options.remove:
        found = environment.remove()
        print(f"torch is {'no longer Argand' if found else 'no alias'} in {environment.prefix}")
        return 0
    environment.add()
    print(
        f"torch {VERSION} is Argand in {environment.prefix}; pip keeps it. For uv, set "
        f"UV_CONSTRAINT={environment.constraint}. Undo it with  argand as-torch --remove"
    )
    return 0
