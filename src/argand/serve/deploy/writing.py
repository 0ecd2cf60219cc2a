"""Writes the files of a deployment: each appears whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from argand.base.errors import ArgumentError
from argand.io.replacing import replacing
from argand.serve.deploy.targets import Files


def write(files: Files, folder: Path, *, force: bool = False) -> list[Path]:
    """Write files below a folder, and give their paths. Files that are there are left, and none is
    written, unless `force` is given; others in the folder stay as they are.

    Raises ArgumentError where files are there.
    """
    paths = {folder / name: source for name, source in files.items()}
    there = [str(path) for path in paths if path.exists() or path.is_symlink()]
    if there and not force:
        raise ArgumentError(
            f"{', '.join(there[:3])}{' ...' if there[3:] else ''} would be overwritten; give "
            "--force, or another --output"
        )
    for path, source in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            if isinstance(source, Path):
                shutil.copyfile(source, temporary)
            else:
                Path(temporary).write_text(source, encoding="utf-8")
    return list(paths)


__all__ = ["write"]
