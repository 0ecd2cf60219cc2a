"""`argand.utils`: PyTorch's places for the data loader and for checkpointing."""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = ("checkpoint", "data")


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'argand.utils' has no attribute {name!r}")
    return importlib.import_module(f"argand.utils.{name}")
