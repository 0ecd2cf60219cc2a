"""`argand.hub`: models of a folder with a `hubconf.py`, and files of weights, as `torch.hub`."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from argand import io
from argand.base.errors import ArgumentError, FormatError, did_you_mean
from argand.base.settings import caches, of_pytorch
from argand.io.fetching import transfer
from argand.io.replacing import replacing

HASH_REGEX = re.compile(r"-([a-f0-9]{8,})\.")
_folder: list[str] = []


def get_dir() -> str:
    """The folder that downloads are kept in: `$TORCH_HOME/hub`, unless `set_dir` was called.

    >>> import argand.hub
    >>> argand.hub.get_dir().endswith("hub")
    True
    """
    if _folder:
        return _folder[-1]
    return os.path.join(_get_torch_home(), "hub")


def _get_torch_home() -> str:
    return of_pytorch("TORCH_HOME") or str(caches() / "torch")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Keep downloads in this folder.

    >>> import argand.hub
    >>> argand.hub.set_dir("/tmp/hub"); argand.hub.get_dir()
    '/tmp/hub'
    """
    _folder[:] = [os.path.expanduser(os.fspath(d))]


def list(github: str, *args: Any, source: str = "github", **kwargs: Any) -> Any:  # PyTorch's name
    """The names of the models that the `hubconf.py` of a folder offers; `source` is "local"."""
    found = vars(_configuration(github, source)).items()
    return [name for name, value in found if callable(value) and not name.startswith("_")]


def help(github: str, model: str, *args: Any, source: str = "github", **kwargs: Any) -> Any:
    """The docstring of a model of a folder; `source` is "local"."""
    return _entry(github, model, source).__doc__


def load(repo_or_dir: str, model: str, *args: Any, source: str = "github", **kwargs: Any) -> Any:
    """What the function `model` of the `hubconf.py` of a folder returns, called with the other
    arguments. `source` is "local": repositories are not fetched, clone one first.
    """
    for option in ("trust_repo", "force_reload", "verbose", "skip_validation"):
        kwargs.pop(option, None)
    return _entry(repo_or_dir, model, source)(*args, **kwargs)


def _entry(folder: str, model: str, source: str) -> Any:
    found = _configuration(folder, source)
    entry = getattr(found, model, None)
    if not callable(entry):
        raise RuntimeError(
            f"{folder}/hubconf.py has no model {model!r}{did_you_mean(model, vars(found))}"
        )
    return entry


def _configuration(folder: str, source: str) -> Any:
    if source != "local":
        raise ArgumentError(
            f"torch.hub fetches no repositories: clone https://github.com/{folder}, and load it "
            "with torch.hub.load(FOLDER, model, source='local')"
        )
    file = Path(folder, "hubconf.py")
    if not file.is_file():
        raise FileNotFoundError(f"{folder} has no hubconf.py")
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("hubconf", file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    missing = [name for name in getattr(module, "dependencies", ()) if not _is_there(name)]
    if missing:
        raise RuntimeError(f"{file} needs packages that are missing: {', '.join(missing)}")
    return module


def _is_there(package: str) -> bool:
    return package in sys.modules or importlib.util.find_spec(package) is not None


def download_url_to_file(
    url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Fetch a file; it is there whole, and with the SHA-256 that begins with `hash_prefix`, or not
    at all."""
    folder = os.path.dirname(os.path.abspath(dst))
    os.makedirs(folder, exist_ok=True)
    with replacing(Path(dst)) as part:
        transfer(url, Path(part), progress)
        found = _sha256_of(part)
        if hash_prefix and not found.startswith(hash_prefix):
            raise FormatError(f"{url} has SHA-256 {found}, expected {hash_prefix}…; nothing kept")


def _sha256_of(path: Any) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """The weights of a file, which is fetched where it isn't kept from before."""
    folder = model_dir or os.path.join(get_dir(), "checkpoints")
    name = file_name or os.path.basename(urlparse(url).path)
    file = os.path.join(folder, name)
    if not os.path.exists(file):
        print(f'Downloading: "{url}" to {file}', file=sys.stderr)
        known = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, file, known[1] if known else None, progress)
    return io.load(file, map_location=map_location)


__all__ = [
    "HASH_REGEX",
    "download_url_to_file",
    "get_dir",
    "help",
    "list",
    "load",
    "load_state_dict_from_url",
    "set_dir",
]
