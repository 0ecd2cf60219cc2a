"""Entries of caches on disk: files that appear whole or not at all, and JSON with a checksum.

A folder that is missing or can't be written to, and an entry that is damaged, are misses: a cache
never makes a call fail.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["keep_entry", "keep_file", "kept_entry"]


def kept_entry(folder: Path, key: str) -> Any:
    """What was kept under a name; None where it isn't there and whole."""
    try:
        data = json.loads((folder / f"{key}.json").read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(data, dict) or data.get("sum") != _checksum(key, data.get("entry")):
        return None
    return data["entry"]


def keep_entry(folder: Path, key: str, entry: Any) -> None:
    """Keep what JSON can say under a name, where that is possible."""
    data = json.dumps({"entry": entry, "sum": _checksum(key, entry)})
    keep_file(folder / f"{key}.json", [data.encode()])


def keep_file(path: Path, parts: Iterable[Any]) -> bool:
    """Write buffers one behind the other into a file; False where that is not possible."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
        os.replace(temporary, path)
    except OSError:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        return False
    return True


def _checksum(key: str, entry: Any) -> str:
    """Of an entry and its name, so that one under another's name is refused too."""
    return hashlib.sha256(json.dumps([key, entry], sort_keys=True).encode()).hexdigest()
