"""`argand.utils`: PyTorch's places for the data loader, checkpointing and counting operations."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    if name in ("benchmark", "checkpoint", "data", "flop_counter", "weak"):
        return importlib.import_module(f"argand.utils.{name}")
    raise AttributeError(f"module 'argand.utils' has no attribute {name!r}")
