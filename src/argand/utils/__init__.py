"""`argand.utils`: PyTorch's places for the data loader, checkpointing and counting operations."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    if name in ("benchmark", "checkpoint", "collect_env", "data", "flop_counter", "weak"):
        return importlib.import_module(f"argand.utils.{name}")
    if name == "swap_tensors":
        return importlib.import_module("argand.tensor.setting").swap_tensors
    raise AttributeError(f"module 'argand.utils' has no attribute {name!r}")
