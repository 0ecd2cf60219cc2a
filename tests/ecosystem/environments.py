"""Virtual environments in which `torch` is Argand, with libraries from the registry."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class NotInstalledError(Exception):
    """The environment can't be made, for the reason that it says."""


def python(*libraries: str) -> Path:
    """The interpreter of the environment, which is made if it isn't there, with these libraries."""
    text = "\n".join([sys.version, str(ROOT)])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "argand" / f"as-torch-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    installed = folder / "installed.txt"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs of the tests make it once
        if not installed.exists():
            venv.create(folder, with_pip=True, clear=False)
            run(folder / "bin" / "pip", "install", "--editable", ROOT)
            run(folder / "bin" / "argand", "as-torch")
            installed.touch()
        known = installed.read_text().split()
        missing = [library for library in libraries if library not in known]
        if missing:
            run(folder / "bin" / "pip", "install", *missing)
            installed.write_text("\n".join([*known, *missing]))
    return folder / "bin" / "python"


def run(*words: str | Path) -> str:
    """What a command prints; NotInstalledError where it fails."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        raise NotInstalledError(f"{words[0]}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout
