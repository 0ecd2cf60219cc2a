"""Files of datasets: their checksums, and how they come from where they are kept."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import tarfile
import urllib.error
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from argand.base.errors import ArgandError, ArgumentError, FormatError, did_you_mean
from argand.io.fetching import CHUNK, transfer
from argand.io.replacing import replacing


class DatasetNotFoundError(ArgandError, RuntimeError, FileNotFoundError):
    """The files of a dataset are not where they should be; the error says where, and what to do."""


class DownloadError(ArgandError, RuntimeError, OSError):
    """A file could not be fetched from any of its addresses; the error says how to get it."""


def md5_of(path: Path) -> str:
    """The MD5 checksum of a file."""
    found = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def is_whole(path: Path, md5: str | None = None) -> bool:
    """Whether a file is there, and is the one that its checksum says."""
    return path.is_file() and (md5 is None or md5_of(path) == md5)


def check(path: Path, md5: str | None) -> None:
    """Raise FormatError where a file is not the one that its checksum says."""
    if md5 is not None and (found := md5_of(path)) != md5:
        raise FormatError(
            f"{path}: its MD5 checksum is {found}, expected {md5}: the file is damaged or another "
            "one; delete it and fetch it again"
        )


def choice(value: Any, name: str, choices: Sequence[str]) -> str:
    """A word that must be one of some."""
    if value not in choices:
        told = ", ".join(map(repr, choices))
        raise ArgumentError(
            f"Unknown value {value!r} for argument {name}{did_you_mean(str(value), choices)}; "
            f"valid values are {told}"
        )
    return str(value)


# -- fetching --------------------------------------------------------------------------------------


def fetch(urls: Sequence[str], path: Path, md5: str | None = None) -> None:
    """Bring a file from the first address that has it, unless it is there.

    It is written to ``<name>.part`` and renamed when its checksum is right; what a broken transfer
    left is continued. Raises DownloadError, which names the file, the addresses, and where to put
    it by hand.
    """
    if path.is_file():
        check(path, md5)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    failures = []
    for url in urls:
        try:
            transfer(url, part)
            check(part, md5)
        except (urllib.error.URLError, OSError, FormatError) as error:
            if isinstance(error, FormatError):
                part.unlink(missing_ok=True)
            failures.append(f"  {url}: {getattr(error, 'reason', None) or error}")
            continue
        os.replace(part, path)
        return
    told = "\n".join(failures)
    raise DownloadError(
        f"{path.name} could not be downloaded:\n{told}\nFetch it from one of these addresses by "
        f"other means, and put it into {path.parent}"
    )


# -- unpacking -------------------------------------------------------------------------------------

DAMAGED = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error)
"""What reading a damaged packed file raises."""
_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def opened(path: Path) -> Any:
    """A file, or where it isn't there the packed one of that name, open to be read as bytes."""
    if path.is_file():
        return open(path, "rb")
    for suffix, opener in _OPENERS.items():
        packed = path.with_name(path.name + suffix)
        if packed.is_file():
            return opener(packed, "rb")
    raise DatasetNotFoundError(f"{path}: there is no such file, nor one packed as .gz")


def exists(path: Path) -> bool:
    """Whether a file is there, packed or not."""
    return any(path.with_name(path.name + suffix).is_file() for suffix in ("", *_OPENERS))


def unpack(path: Path) -> None:
    """Unpack a .gz, .bz2 or .xz file beside itself, without the ending."""
    with (
        _OPENERS[path.suffix](path, "rb") as packed,
        replacing(path.with_suffix("")) as temporary,
        open(temporary, "wb") as file,
    ):
        while chunk := packed.read(CHUNK):
            file.write(chunk)


def extract(archive: Path, folder: Path) -> None:
    """Unpack a tar or zip archive into a folder; nothing in it may lead outside."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(folder)
            return
        with tarfile.open(archive) as tape:
            tape.extractall(folder, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise FormatError(f"{archive}: the archive can't be unpacked: {error}") from None
