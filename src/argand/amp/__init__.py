"""Mixed precision, as `torch.amp`: `autocast` and `GradScaler`.

>>> with ag.amp.autocast("cpu"):
...     y = ag.ones(2, 3) @ ag.ones(3, 2)
>>> y.dtype
argand.bfloat16
"""

from __future__ import annotations

from typing import Any

from argand.amp.autocast_mode import autocast, custom_bwd, custom_fwd
from argand.amp.grad_scaler import GradScaler
from argand.amp.state import is_autocast_available
from argand.base.errors import unknown_name

__all__ = [
    "GradScaler",
    "autocast",
    "custom_bwd",
    "custom_fwd",
    "is_autocast_available",
]


def __getattr__(name: str) -> Any:
    raise unknown_name(__name__, name, __all__)
