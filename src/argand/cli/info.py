"""`argand info`: what Argand found on this machine."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

import argand
from argand.base.settings import settings
from argand.codegen.llvm.target import named_target

_PACKAGES = ("numpy", "llvmlite", "ml_dtypes", "safetensors", "rich", "scikit-learn")


def run(options: argparse.Namespace) -> int:
    """Print the facts."""
    facts = gather()
    if options.json:
        print(json.dumps(facts))
        return 0
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name.ljust(width)}  {_text(value)}")
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


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return str(value)


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
