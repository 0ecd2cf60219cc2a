"""Compiled programs on disk: JSON beside the objects, read with suspicion."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import argand.backends
from argand.base.settings import settings
from argand.loops.target import Target

# The rooms whose code decides what a program becomes.
_ROOMS = ("ir", "ops", "loops", "passes", "kernels", "codegen", "backends", "runtime")


class Store:
    """Entries of one target. A missing or read-only folder, or a damaged entry, is a miss."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.folder = Path(settings.cache_dir) / "programs" if settings.cache else None

    def key(self, text: str) -> str:
        """The name of a program's entry."""
        parts = (text, repr(self.target), sources_digest())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def load(self, key: str) -> dict[str, Any] | None:
        """The entry, if it is there and whole."""
        if self.folder is None:
            return None
        try:
            data = json.loads((self.folder / f"{key}.json").read_bytes())
        except (OSError, ValueError):
            return None
        if not isinstance(data, dict) or data.get("sum") != _checksum(key, data.get("entry")):
            return None
        entry = data["entry"]
        return entry if isinstance(entry, dict) else None

    def save(self, key: str, entry: dict[str, Any]) -> None:
        """Keep an entry, atomically; without a writable folder nothing is kept."""
        if self.folder is None:
            return
        data = json.dumps({"entry": entry, "sum": _checksum(key, entry)})
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder)
            try:
                with os.fdopen(handle, "w") as file:
                    file.write(data)
                os.replace(name, self.folder / f"{key}.json")
            except OSError:
                os.unlink(name)
                raise


def _checksum(key: str, entry: Any) -> str:
    """Of an entry and its name, so that one under another's name is refused too."""
    return hashlib.sha256(json.dumps([key, entry], sort_keys=True).encode()).hexdigest()


@functools.cache
def sources_digest() -> str:
    """Changes whenever a file of the compiler does, so no entry outlives the code that made it."""
    root = Path(argand.backends.__file__).parent.parent
    facts = []
    for room in _ROOMS:
        for file in sorted((root / room).rglob("*.py")):
            stat = file.stat()
            facts.append((str(file.relative_to(root)), stat.st_size, stat.st_mtime_ns))
    return hashlib.sha256(repr(facts).encode()).hexdigest()
