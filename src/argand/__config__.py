"""What Argand computes with: the names of `torch.__config__`."""

from __future__ import annotations

import importlib.metadata
import os
import platform

import numpy as np

from argand.base.settings import settings
from argand.version import __version__


def show() -> str:
    """A text about the versions that Argand computes with, and the machine.

    >>> ag.__config__.show().startswith("Argand")
    True
    """
    lines = (
        f"Argand {__version__}",
        f"Python {platform.python_version()}, NumPy {np.__version__}",
        f"kernels by LLVM, through llvmlite {importlib.metadata.version('llvmlite')}",
        f"{platform.machine()}, {os.cpu_count()} cores",
    )
    return "\n  - ".join(lines) + "\n"


def parallel_info() -> str:
    """A text about threads.

    >>> ag.__config__.parallel_info().startswith("threads of kernels:")
    True
    """
    return f"threads of kernels: {settings.threads}\ncores: {os.cpu_count()}\n"
