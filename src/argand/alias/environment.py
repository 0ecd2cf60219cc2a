"""`argand as-torch`: an alias package and its metadata in a virtual environment.

pip and other installers then take PyTorch for installed. The version is one that the newest
libraries ask for; where a library asks for another one, the environment's `pip.conf` names a
constraint, so that pip looks for a release of the library that fits, in place of fetching PyTorch.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from argand.alias.install import SITE, is_alias
from argand.alias.pip_conf import with_constraint, without_constraint
from argand.alias.release import VERSION
from argand.base.errors import ArgandError

_INSTALLER = "argand as-torch"
_UNFINISHED = ".argand-as-torch-"
_WHEEL = f"""Wheel-Version: 1.0
Generator: {_INSTALLER}
Root-Is-Purelib: true
Tag: py3-none-any
"""


class PlaceError(ArgandError, OSError):
    """The alias can't be put here; nothing was changed."""


class Environment:
    """A virtual environment: its folder of packages and its settings of pip."""

    def __init__(self, prefix: Path, site: Path) -> None:
        self.prefix, self.site = prefix, site
        self.package = site / "torch"
        self.info = site / f"torch-{VERSION}.dist-info"
        self.constraint = prefix / "argand-torch-constraint.txt"
        self.pip_conf = prefix / "pip.conf"

    def add(self) -> None:
        """Put the alias there, in the place of an older one."""
        self._check()
        self._take_away()
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=self.site) as folder:
            package, info = Path(folder, "torch"), Path(folder, "info")
            shutil.copytree(Path(SITE, "torch"), package, ignore=lambda *_: ["__pycache__"])
            info.mkdir()
            for name, text in self._metadata().items():
                (info / name).write_text(text)
            try:
                self._constrain()
                package.rename(self.package)
                info.rename(self.info)
            except BaseException:
                self._take_away()
                raise

    def remove(self) -> bool:
        """Take the alias away; whether there was one."""
        self._check_writable()
        return self._take_away()

    def _metadata(self) -> dict[str, str]:
        files = ["METADATA", "WHEEL", "INSTALLER", "RECORD", "top_level.txt"]
        record = ["torch/__init__.py", *(f"{self.info.name}/{name}" for name in files)]
        lines = "".join(f"{name},,\n" for name in record)
        metadata = Path(SITE, self.info.name, "METADATA").read_text()
        texts = (metadata, _WHEEL, f"{_INSTALLER}\n", lines, "torch\n")
        return dict(zip(files, texts, strict=True))

    def _check(self) -> None:
        if not (self.prefix / "pyvenv.cfg").exists() and self.prefix.parent.name != "envs":
            raise PlaceError(
                f"{self.prefix} is no virtual environment, and the system's Python stays as it is: "
                "make one with  python -m venv FOLDER,  or run one program with  argand run"
            )
        self._check_writable()
        real = next(self._real(), None)
        if real is not None:
            raise PlaceError(
                f"PyTorch is installed, at {real}: it keeps its name; use an environment without "
                "it, or uninstall it first:  pip uninstall torch"
            )

    def _check_writable(self) -> None:
        for folder in (self.site, self.prefix):
            if not os.access(folder, os.W_OK):
                raise PlaceError(f"{folder} can't be written to; nothing was changed")

    def _real(self) -> Iterator[Path]:
        """What belongs to PyTorch itself."""
        yield from (info for info in self._infos() if not _is_ours(info))
        if self.package.exists() and not is_alias(str(self.package / "__init__.py")):
            yield self.package

    def _infos(self) -> Iterator[Path]:
        yield from self.site.glob("torch-*.dist-info")
        yield from self.site.glob("torch-*.egg-info")

    def _take_away(self) -> bool:
        """Remove what is ours of an alias, whole or not."""
        found = [info for info in self._infos() if _is_ours(info)]
        found += [self.package] if is_alias(str(self.package / "__init__.py")) else []
        for folder in found:  # whole, so that a part is never taken for PyTorch's
            folder.rename(self.site / f"{_UNFINISHED}{folder.name}-{os.getpid()}")
        for folder in self.site.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(folder)
        if self.pip_conf.exists():
            before = self.pip_conf.read_text()
            text = without_constraint(before, self.constraint.as_uri())
            if not text:
                self.pip_conf.unlink()
            elif text != before:
                _write(self.pip_conf, text)
        for file in (self.constraint, *map(_part_of, (self.constraint, self.pip_conf))):
            file.unlink(missing_ok=True)
        return bool(found)

    def _constrain(self) -> None:
        _write(self.constraint, f"torch=={VERSION}\n")
        before = self.pip_conf.read_text() if self.pip_conf.exists() else ""
        _write(self.pip_conf, with_constraint(before, self.constraint.as_uri()))


def here() -> Environment:
    """The environment that this Python runs in."""
    return Environment(Path(sys.prefix), Path(sysconfig.get_path("purelib")))


def _is_ours(info: Path) -> bool:
    installer = info / "INSTALLER"
    return installer.is_file() and installer.read_text().strip() == _INSTALLER


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = _part_of(path)
    part.write_text(text)
    part.replace(path)


def _part_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.argand-part")
