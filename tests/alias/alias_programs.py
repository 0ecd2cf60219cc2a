"""Programs run in processes of their own: the alias is one of a whole process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import argand

SOURCE = Path(argand.__file__).parents[1]


def run(text: str, *folders: Path | str) -> str:
    """What a program prints after `ag.install_as_torch()`; `folders` are searched for modules."""
    whole = "import argand as ag\nag.install_as_torch()\n" + textwrap.dedent(text)
    return python("-c", whole, folders=folders)


def python(*words: str | Path, folders: tuple[Path | str, ...] = (), status: int = 0) -> str:
    """What Python prints, errors behind output, with an exit status that is checked."""
    path = os.pathsep.join(str(folder) for folder in (*folders, SOURCE))
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr
