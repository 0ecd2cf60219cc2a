"""Fetching, checking and unpacking of files, by the names of `torchvision.datasets.utils`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from argand.vision.datasets import download
from argand.vision.datasets.download import choice as _choice

__all__ = [
    "calculate_md5",
    "check_integrity",
    "check_md5",
    "download_and_extract_archive",
    "download_url",
    "extract_archive",
    "list_dir",
    "list_files",
    "verify_str_arg",
]


def calculate_md5(fpath: Any, chunk_size: int = 1 << 20) -> str:
    """The MD5 checksum of a file.

    >>> import pathlib, tempfile
    >>> from argand.vision.datasets.utils import calculate_md5
    >>> path = pathlib.Path(tempfile.mkdtemp(), "a")
    >>> _ = path.write_bytes(b"")
    >>> calculate_md5(path)
    'd41d8cd98f00b204e9800998ecf8427e'
    """
    return download.md5_of(Path(fpath))


def check_md5(fpath: Any, md5: str, **kwargs: Any) -> bool:
    """Whether a file has that MD5 checksum."""
    return download.md5_of(Path(fpath)) == md5


def check_integrity(fpath: Any, md5: str | None = None) -> bool:
    """Whether a file is there, and has that MD5 checksum if one is given.

    >>> from argand.vision.datasets.utils import check_integrity
    >>> check_integrity("/nowhere/at/all")
    False
    """
    return download.is_whole(Path(fpath), md5)


def download_url(
    url: str, root: Any, filename: str | None = None, md5: str | None = None, **kwargs: Any
) -> None:
    """Fetch a file into a folder, unless it is there; see `download.fetch`."""
    name = filename or os.path.basename(url)
    download.fetch([url], Path(os.path.expanduser(root), name), md5)


def extract_archive(from_path: Any, to_path: Any = None, remove_finished: bool = False) -> str:
    """Unpack a tar or zip archive, or a packed file, into a folder, its own if none is given; where
    it was unpacked."""
    archive = Path(from_path)
    folder = archive.parent if to_path is None else Path(to_path)
    if archive.suffix in (".gz", ".bz2", ".xz") and ".tar" not in archive.suffixes:
        download.unpack(archive)
        folder = archive.with_suffix("")
    else:
        download.extract(archive, folder)
    if remove_finished:
        archive.unlink()
    return str(folder)


def download_and_extract_archive(
    url: str,
    download_root: Any,
    extract_root: Any = None,
    filename: str | None = None,
    md5: str | None = None,
    remove_finished: bool = False,
) -> None:
    """Fetch an archive and unpack it."""
    root = os.path.expanduser(download_root)
    name = filename or os.path.basename(url)
    download_url(url, root, name, md5)
    extract_archive(os.path.join(root, name), extract_root or root, remove_finished)


def list_dir(root: Any, prefix: bool = False) -> list[str]:
    """The folders in a folder; with `prefix` their whole names."""
    root = os.path.expanduser(root)
    found = [name for name in os.listdir(root) if os.path.isdir(os.path.join(root, name))]
    return [os.path.join(root, name) for name in found] if prefix else found


def list_files(root: Any, suffix: Any, prefix: bool = False) -> list[str]:
    """The files in a folder whose names have an ending; with `prefix` their whole names."""
    root = os.path.expanduser(root)
    files = (name for name in os.listdir(root) if os.path.isfile(os.path.join(root, name)))
    found = [name for name in files if name.endswith(suffix)]
    return [os.path.join(root, name) for name in found] if prefix else found


def verify_str_arg(
    value: Any, arg: str | None = None, valid_values: Any = None, custom_msg: str | None = None
) -> str:
    """A word that must be one of some; ValueError for another.

    >>> from argand.vision.datasets.utils import verify_str_arg
    >>> verify_str_arg("train", "split", ("train", "test"))
    'train'
    """
    if not isinstance(value, str):
        raise ValueError(f"Expected type str for argument {arg}, but got type {type(value)}.")
    return value if valid_values is None else _choice(value, arg or "value", tuple(valid_values))
