"""Folders that a process makes for its time, those of killed ones removed by the next."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

try:
    import fcntl

    _locks: Any = fcntl
except ImportError:  # Windows
    _locks = None

_PREFIX: Final = "argand-serve-"
_LOCK: Final = ".lock"  # hidden, so no model
_YOUNG: Final = 60.0  # seconds in which a folder may not be locked yet


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that is removed at the end of the block, or where the process is killed in it, by
    the next one that makes such a folder."""
    _sweep()
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        folder = Path(name)
        with open(folder / _LOCK, "wb") as lock:
            _locked(lock)
            yield folder


def _sweep() -> None:
    """Remove the folders that no process holds."""
    if _locks is None:
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime < _YOUNG:
                continue
            with open(folder / _LOCK, "r+b") as lock:
                if _locked(lock):
                    shutil.rmtree(folder, ignore_errors=True)


def _locked(file: Any) -> bool:
    """Lock a file until it is closed; False where another process has."""
    if _locks is None:
        return True
    try:
        _locks.flock(file, _locks.LOCK_EX | _locks.LOCK_NB)
    except OSError:
        return False
    return True


__all__ = ["scratch_folder"]
