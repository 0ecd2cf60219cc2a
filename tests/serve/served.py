"""Models that the tests serve, and a folder of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

import argand as ag
from argand import nn
from argand.serve import Engine


def classifier(seed: int = 0) -> nn.Module:
    """A small network: (rows, 6) to (rows, 3)."""
    ag.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


def exported(module: nn.Module, *, most: int | None = None) -> Any:
    """Its program for any number of rows up to `most`."""
    rows = ag.Dim("rows", max=most)
    return ag.export.export(module, (ag.ones(2, 6),), dynamic_shapes=({0: rows},))


def put(program: Any, root: Path, model: str, version: int) -> Path:
    """Save it as a version of a model."""
    folder = root / model / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    program.save(folder / "model.argand")
    return folder / "model.argand"


def inputs(rows: int, seed: int = 0) -> np.ndarray:
    """Random rows."""
    return np.random.default_rng(seed).standard_normal((rows, 6)).astype(np.float32)


@contextlib.asynccontextmanager
async def engine_of(root: Path, **options: Any) -> AsyncIterator[Engine]:
    """An engine that has loaded what a folder holds."""
    engine = Engine([root], **options)
    await engine.poll()
    try:
        yield engine
    finally:
        await engine.close()


def run(coroutine: Any) -> Any:
    """What a coroutine returns."""
    return asyncio.run(coroutine)


__all__ = ["classifier", "engine_of", "exported", "inputs", "put", "run"]
