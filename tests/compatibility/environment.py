"""A virtual environment with PyTorch, made once and kept in the user's cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TORCH = "2.13.0"
"""The release that everything is compared with."""
LINTERS = ("ruff", "mypy")


class NotInstalledError(Exception):
    """The environment can't be made, for the reason that it says."""


def requirements() -> list[str]:
    """PyTorch, what its databases need, and what the project's tests need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    listed = [*project["dependencies"], *(r for n in extras if n != "all" for r in extras[n])]
    return [f"torch=={TORCH}", "expecttest", *(r for r in listed if not r.startswith(LINTERS))]


def python() -> Path:
    """The interpreter of the environment, which is made if it isn't there."""
    wanted = requirements()
    text = "\n".join([sys.version, *wanted])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "argand" / f"torch-{TORCH}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    found = folder / "bin" / "python"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs of the tests make it once
        if not (folder / "complete").exists():
            _make(folder, found, wanted)
            (folder / "complete").touch()
    return found


def _make(folder: Path, interpreter: Path, wanted: list[str]) -> None:
    venv.create(folder, with_pip=True)
    words = [interpreter, "-m", "pip", "install", "--disable-pip-version-check", *wanted]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]
        raise NotInstalledError(f"pip can't install torch {TORCH}: {last}")
