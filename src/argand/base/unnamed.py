"""Files without a name: memory that processes share, which ends with the last that has it open."""

from __future__ import annotations

import os
import tempfile


def unnamed_file() -> int:
    """The descriptor of a new file without a name, in memory where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("argand")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
