"""`argand info`: what Argand found on this machine."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import argand
from argand.base.settings import settings
from argand.codegen.llvm.target import named_target
from argand.fit.summary import size_text

_PACKAGES = ("numpy", "llvmlite", "ml_dtypes", "safetensors", "rich", "scikit-learn")


def run(options: argparse.Namespace) -> int:
    """Print the facts."""
    facts = gather()
    if options.json:
        print(json.dumps(facts))
        return 0
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name.ljust(width)}  {_SENTENCES.get(name, str)(value)}")
    return 0


def gather() -> dict[str, Any]:
    """Versions, machine, target, threads, cache."""
    return {
        "argand": argand.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": settings.threads,
        "target": _target(),
        "cache": _cache(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _target_text(target: dict[str, Any]) -> str:
    caches = f"L1 {size_text(target['l1_bytes'])}, L2 {size_text(target['l2_bytes'])}"
    return f"{target['cpu']} ({target['triple']}), {target['vector_bits']}-bit vectors, {caches}"


def _cache_text(cache: dict[str, Any]) -> str:
    state = "" if cache["enabled"] else ", switched off"
    return f"{cache['folder']}: {cache['files']:,} files, {size_text(cache['bytes'])}{state}"


def _packages_text(packages: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items())


_SENTENCES: dict[str, Callable[[Any], str]] = {
    "target": _target_text,
    "cache": _cache_text,
    "packages": _packages_text,
}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _target() -> dict[str, Any]:
    """The machine that code is generated for."""
    target = named_target(settings.target)
    return {
        "name": target.name,
        "triple": target.triple,
        "cpu": target.cpu,
        "vector_bits": 8 * target.vector_bytes,
        "l1_bytes": target.l1,
        "l2_bytes": target.l2,
    }


def _cache() -> dict[str, Any]:
    folder = Path(settings.cache_dir)
    files = [f for f in folder.rglob("*") if f.is_file()] if folder.is_dir() else []
    return {
        "folder": str(folder),
        "enabled": settings.cache,
        "files": len(files),
        "bytes": sum(f.stat().st_size for f in files),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
