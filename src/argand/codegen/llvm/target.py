"""The host, and narrower machines that can be forced in its place."""

from __future__ import annotations

import functools
from typing import Final

import llvmlite
import llvmlite.binding as llvm

from argand.base.errors import CompileError
from argand.nest.target import Target

_V2: Final = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16"
_V3: Final = f"{_V2},+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+movbe"
_V4: Final = f"{_V3},+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl"
_LINUX_X86: Final = "x86_64-unknown-linux-gnu"

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
    triple = llvm.get_default_triple()
    features = llvm.get_host_cpu_features()
    on = {name for name, present in features.items() if present}
    size, registers = 16, 16
    if "avx512f" in on and "avx512vl" in on:
        size, registers = 64, 32
    elif "avx2" in on:
        size = 32
    elif not triple.startswith("x86_64"):
        registers = 32
    cpu = llvm.get_host_cpu_name()
    listed = ",".join(
        f"{'+' if present else '-'}{name}" for name, present in sorted(features.items())
    )
    return Target("host", triple, cpu, listed, size, registers, *_caches())


def named_target(name: str = "host") -> Target:
    """The host ("host"), or "sse2", "avx2", "avx512", "neon": narrower or other machines."""
    if name == "host":
        return host_target()
    if name not in _forced:
        raise CompileError(f"no target {name!r}: host, {', '.join(_forced)}")
    return _forced[name]


def llvm_versions() -> tuple[str, str]:
    """The versions of llvmlite and of the LLVM in it."""
    return str(llvmlite.__version__), ".".join(map(str, llvm.llvm_version_info))


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
