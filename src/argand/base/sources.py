"""What the files of the package hold, as a digest: the cache of compiled code is keyed on it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

__all__ = ["PACKAGE", "files_of", "sources_digest"]

PACKAGE = Path(__file__).parents[1]


def files_of(rooms: Iterable[str], root: Path = PACKAGE) -> list[Path]:
    """The Python files of some rooms, in a fixed order; ValueError for a room without any."""
    found = []
    for room in rooms:
        files = sorted((root / room).rglob("*.py"))
        if not files:
            raise ValueError(f"no Python file in {root / room}")
        found += files
    return found


def sources_digest(rooms: Iterable[str], root: Path = PACKAGE) -> str:
    """Changes whenever a file of these rooms gets other content, is added, removed or renamed.

    By content alone: an installer may give any file any time, and an edit may keep the size.
    """
    digest = hashlib.sha256()
    for file in files_of(rooms, root):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
