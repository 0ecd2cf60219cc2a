"""`argand.version`: what this is a version of, and which libraries of GPUs it was built with: none.

>>> ag.version.cuda is None
True
"""

from __future__ import annotations

__version__ = "0.1.0"
cuda = hip = rocm = xpu = None
debug = False
