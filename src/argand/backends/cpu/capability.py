"""What the machine can do, by PyTorch's names."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from argand.codegen.llvm.target import host_target

_LEVELS = {64: "AVX512", 32: "AVX2"}


def get_cpu_capability() -> str:
    """The widest vectors that are used: "AVX512", "AVX2" or "DEFAULT".

    >>> ag.backends.cpu.get_cpu_capability() in ("AVX512", "AVX2", "DEFAULT")
    True
    """
    return _LEVELS.get(host_target().vector_bytes, "DEFAULT")


def capabilities() -> Mapping[str, Any]:
    """Which instructions the machine has, by PyTorch's names for them."""
    listed = (part for part in host_target().features.split(",") if part)
    found: dict[str, Any] = {_name(part[1:]): part[0] == "+" for part in listed}
    return MappingProxyType(found | {"architecture": platform.machine()})


def _name(feature: str) -> str:
    """PyTorch's name of one of LLVM's features."""
    if feature.startswith("avx512") and len(feature) > len("avx512"):
        return f"avx512_{feature.removeprefix('avx512')}"
    return {"fma": "fma3"}.get(feature, feature.replace(".", "_").replace("-", "_"))
