"""Every switch of Argand, in one place.

A switch has a default, an environment variable that sets it at start-up, and can be changed while
running: `argand.settings.threads = 4`, or for a while: `with argand.settings.using(debug=True):`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from argand.base import epoch
from argand.base.cores import usable_cores
from argand.base.errors import did_you_mean
from argand.base.events import emit


def _flag(text: str) -> bool:
    return text.strip().lower() not in ("", "0", "false", "no", "off")


def _side(text: str) -> str:
    """Where buffers touch a closed page: "end", "start", or nowhere."""
    side = text.strip().lower()
    if side not in ("end", "start"):
        side = "end" if _flag(text) else ""
    return side


GENERATORS = "philox", "mt19937"


def _generator(text: str) -> str:
    name = text.strip().lower()
    if name not in GENERATORS:
        raise ValueError(name)
    return name


def caches() -> Path:
    """The folder that programs keep their caches in."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(root)


def _default_cache() -> Path:
    return caches() / "argand"


def of_pytorch(variable: str) -> str:
    """An environment variable of PyTorch's, such as TORCH_HOME; empty where it isn't set."""
    return os.environ.get(variable, "")


def of_container() -> Mapping[str, str]:
    """What a cloud tells the server in a container, by variables of its own; and the server's
    secret."""
    return os.environ


def let_children_import(folder: str) -> None:
    """Have the processes that this one starts look for modules in a folder, after all others."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([before, folder] if before else [folder])


# name: (environment variable, how to read it, default, meaning)
SWITCHES: dict[str, tuple[str, Callable[[str], Any], Callable[[], Any], str]] = {
    "threads": ("ARGAND_THREADS", int, usable_cores, "worker threads of native code"),
    "target": ("ARGAND_TARGET", str, lambda: "host", "host, sse2, avx2 or avx512"),
    "cache_dir": ("ARGAND_CACHE", Path, _default_cache, "folder of compiled kernels"),
    "cache": ("ARGAND_CACHE_ENABLED", _flag, lambda: True, "keep compiled kernels on disk"),
    "verify": ("ARGAND_VERIFY", _flag, lambda: False, "verify the program after every pass"),
    "debug": ("ARGAND_DEBUG", _flag, lambda: False, "run compiled programs node by node"),
    "retrace_limit": ("ARGAND_RETRACE_LIMIT", int, lambda: 16, "programs per compiled function"),
    "loop_limit": ("ARGAND_LOOP_LIMIT", int, lambda: 1 << 24, "most rounds of a `while_loop`"),
    "pool_bytes": ("ARGAND_POOL_BYTES", int, lambda: 1 << 30, "most bytes kept for reuse"),
    "packed_bytes": ("ARGAND_PACKED_BYTES", int, lambda: 4 << 30, "most bytes of packed weights"),
    "guard_memory": ("ARGAND_GUARD_MEMORY", _side, str, "closed pages beside buffers, for tests"),
    "generator": (
        "ARGAND_GENERATOR",
        _generator,
        lambda: "philox",
        "philox, or mt19937: PyTorch's",
    ),
    "winograd": ("ARGAND_WINOGRAD", _flag, lambda: True, "fewer products for constant 3x3 weights"),
    "matrix_unit": (
        "ARGAND_MATRIX_UNIT",
        _flag,
        lambda: True,
        "float32 by large constant weights in parts, where there is AMX",
    ),
    "eager_kernels": ("ARGAND_EAGER_KERNELS", _flag, lambda: True, "native kernels in eager code"),
}


setters: dict[str, int] = {}  # the thread that set each switch last


class Settings:
    """The switches as attributes; an unknown name is an error that suggests the nearest.

    Each is set at start-up by an environment variable (`ARGAND_THREADS`, ...), by assignment, or
    for a block by `using`; `SWITCHES` in this file lists them all.

    >>> ag.settings.retrace_limit
    16
    >>> with ag.settings.using(retrace_limit=4):
    ...     print(ag.settings.retrace_limit)
    4
    """

    def __init__(self) -> None:
        values = self.__dict__
        for name, (variable, read, default, _) in SWITCHES.items():
            text = os.environ.get(variable)
            try:
                values[name] = default() if text is None else read(text)
            except ValueError:
                raise ValueError(f"{variable}={text!r} is not a valid {read.__name__}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in SWITCHES:
            raise AttributeError(f"no setting {name!r}{did_you_mean(name, SWITCHES)}")
        if name == "generator" and value not in GENERATORS:
            raise ValueError(f"no generator {value!r}{did_you_mean(str(value), GENERATORS)}")
        self.__dict__[name] = value
        setters[name] = threading.get_ident()
        epoch.bump()  # compiled functions look at what they were made for
        emit("setting", switch=name)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no setting {name!r}{did_you_mean(name, SWITCHES)}")

    @contextmanager
    def using(self, **values: Any) -> Iterator[None]:
        """Change switches inside a `with` block."""
        before = {name: getattr(self, name) for name in values}
        try:
            for name, value in values.items():
                setattr(self, name, value)
            yield
        finally:
            self.__dict__.update(before)
            epoch.bump()
            emit("setting", switch=", ".join(before))


settings = Settings()
