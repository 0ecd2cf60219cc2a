"""The host, and narrower machines that can be forced in its place.

What LLVM says of the host is kept on disk, so that a process whose kernels are all there doesn't
load LLVM to find their names.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import hashlib
import os
import sys
from pathlib import Path
from typing import Any, Final

import llvmlite

from argand.base.errors import CompileError
from argand.base.kept import keep_entry, kept_entry
from argand.base.settings import settings
from argand.nest.target import Target

_V2: Final = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16"
_V3: Final = f"{_V2},+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+movbe"
_V4: Final = f"{_V3},+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl"
_LINUX_X86: Final = "x86_64-unknown-linux-gnu"

_CHANGING: Final = ("processor", "cpu MHz", "bogomips", "core id", "apicid", "initial apicid")
"""What Linux says of a processor that isn't the same of all, or always."""

_forced: Final[dict[str, Target]] = {}


def add_target(target: Target) -> None:
    """Let `named_target`, and so the setting `target`, find a machine under its name."""
    _forced[target.name] = target


add_target(Target("sse2", _LINUX_X86, "x86-64", "+sse,+sse2", 16, 16))
add_target(Target("avx2", _LINUX_X86, "x86-64-v3", _V3, 32, 16))
add_target(Target("avx512", _LINUX_X86, "x86-64-v4", _V4, 64, 32, l2=1 << 20))
add_target(Target("neon", "aarch64-unknown-linux-gnu", "generic", "+neon", 16, 32))


@functools.cache
def host_target() -> Target:
    """The machine that this process runs on."""
    said = _said_by_llvm()
    triple, features = said["triple"], said["features"]
    if "+amx-tile" in features.split(",") and not _granted():
        features = _without(features)
    on = {name[1:] for name in features.split(",") if name.startswith("+")}
    size, registers = 16, 16
    if "avx512f" in on and "avx512vl" in on:
        size, registers = 64, 32
    elif "avx2" in on:
        size = 32
    elif not triple.startswith("x86_64"):
        registers = 32
    return Target("host", triple, said["cpu"], features, size, registers, *_caches())


_MATRIX_UNIT: Final = ("amx-tile", "amx-bf16")
_ARCH_PRCTL: Final = 158  # the system call of x86-64
_REQUEST_PERMISSION: Final = 0x1023
_TILE_DATA: Final = 18


def _granted() -> bool:
    """Whether this process may use the matrix unit: Linux wants to be asked, as its registers make
    what a thread has to keep larger."""
    if not sys.platform.startswith("linux"):
        return False
    call = ctypes.CDLL(None).syscall
    arguments = (_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA)
    return int(call(*map(ctypes.c_long, arguments))) == 0


def _without(features: str) -> str:
    off = {f"+{name}": f"-{name}" for name in _MATRIX_UNIT}
    return ",".join(off.get(name, name) for name in features.split(","))


@functools.cache
def _without_matrix_unit(target: Target) -> Target:
    if not target.matrix_unit:
        return target
    return dataclasses.replace(target, features=_without(target.features))


def named_target(name: str = "host") -> Target:
    """The host ("host"), or "sse2", "avx2", "avx512", "neon": narrower or other machines; without
    their matrix unit where the setting says so."""
    if name != "host" and name not in _forced:
        raise CompileError(f"no target {name!r}: host, {', '.join(_forced)}")
    found = host_target() if name == "host" else _forced[name]
    return found if settings.matrix_unit else _without_matrix_unit(found)


def llvm_versions() -> tuple[str, str]:
    """The versions of llvmlite and of the LLVM in it."""
    loaded = sys.modules.get("llvmlite.binding")
    version = _said_by_llvm()["version"] if loaded is None else _version(loaded)
    return str(llvmlite.__version__), version


@functools.cache
def _said_by_llvm() -> dict[str, str]:
    """The triple, the processor and its features, and LLVM's version: LLVM is asked once for a
    processor and an installation, as far as files tell these."""
    key = _installation()
    folder = Path(settings.cache_dir) / "hosts" if settings.cache and key else None
    found = None if folder is None else kept_entry(folder, key)
    if isinstance(found, dict) and set(found) == {"triple", "cpu", "features", "version"}:
        return found
    found = _ask_llvm()
    if folder is not None:
        keep_entry(folder, key, found)
    return found


def _ask_llvm() -> dict[str, str]:
    import llvmlite.binding as llvm

    features = sorted(llvm.get_host_cpu_features().items())
    return {
        "triple": llvm.get_default_triple(),
        "cpu": llvm.get_host_cpu_name(),
        "features": ",".join(f"{'+' if present else '-'}{name}" for name, present in features),
        "version": _version(llvm),
    }


def _version(binding: Any) -> str:
    return ".".join(map(str, binding.llvm_version_info))


def _installation() -> str:
    """A name for this processor, as Linux describes it, and this LLVM; empty where it isn't
    described."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            first = file.read(1 << 14).split("\n\n")[0]
        folder = Path(llvmlite.__file__).parent / "binding"
        (library,) = (e for e in os.scandir(folder) if e.name.startswith("libllvmlite"))
        stat = library.stat()
    except (OSError, ValueError):
        return ""
    lines = [line for line in first.splitlines() if not line.startswith(_CHANGING)]
    facts: Any = (*lines, library.path, stat.st_size, stat.st_mtime_ns, llvmlite.__version__)
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _caches() -> tuple[int, int]:
    """Sizes of a core's first two data caches, where Linux tells them."""
    sizes = {1: 32 << 10, 2: 512 << 10}
    for index in range(8):
        base = f"/sys/devices/system/cpu/cpu0/cache/index{index}"
        try:
            level, kind, size = (_line(f"{base}/{name}") for name in ("level", "type", "size"))
            if kind != "Instruction" and int(level) in sizes:
                sizes[int(level)] = int(size.removesuffix("K")) << 10
        except (OSError, ValueError):
            break
    return sizes[1], sizes[2]


def _line(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().strip()
