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
TORCHVISION = "0.28.0"
"""The one that belongs to it."""
LINTERS = ("ruff", "mypy")


class NotInstalledError(Exception):
    """The environment can't be made, for the reason that it says."""


def requirements() -> list[str]:
    """PyTorch, what its databases need, and what the project's tests need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    listed = [*project["dependencies"], *(r for n in extras if n != "all" for r in extras[n])]
    return [
        f"torch=={TORCH}",
        f"torchvision=={TORCHVISION}",
        "expecttest",
        *(r for r in listed if not r.startswith(LINTERS)),
    ]


def python() -> Path:
    """The interpreter of the environment, which is made if it isn't there."""
    return _kept(f"torch-{TORCH}", [requirements()])


def for_programs(libraries: list[str], vision: str, alias: bool) -> Path:
    """An interpreter with libraries and torchvision: PyTorch's, or where Argand has its name.

    torchvision asks for the PyTorch that it was built for, so it comes without what it asks for.
    """
    first = [["--editable", str(ROOT)]] if alias else [[f"torch=={TORCH}"]]
    steps = [*first, libraries, ["--no-deps", vision]]
    return _kept("programs-as-torch" if alias else f"programs-torch-{TORCH}", steps, alias)


def _kept(name: str, steps: list[list[str]], alias: bool = False) -> Path:
    """The interpreter of an environment in which `pip install` was run with these words."""
    text = "\n".join([sys.version, *(word for words in steps for word in words)])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "argand" / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs of the tests make it once
        if not (folder / "complete").exists():
            _make(folder, steps, alias)
            (folder / "complete").touch()
    return folder / "bin" / "python"


def _make(folder: Path, steps: list[list[str]], alias: bool) -> None:
    venv.create(folder, with_pip=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--disable-pip-version-check"]
    for number, words in enumerate(steps):
        done = subprocess.run([*pip, *words], capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]
            raise NotInstalledError(f"pip can't install {' '.join(words)[:90]}: {last}")
        if alias and number == 0:
            subprocess.run([folder / "bin" / "argand", "as-torch"], check=True)
