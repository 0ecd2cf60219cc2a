"""Learning-rate schedules, as `torch.optim.lr_scheduler`.

`step()` counts one step and sets every group's ``lr``. A compiled training step reads the new rate
at its next call without being traced again.
"""

from __future__ import annotations

from typing import Any

from argand.base.errors import unknown_name
from argand.base.misuse import explained_classes
from argand.optim.lr_scheduler.base import LRScheduler
from argand.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR
from argand.optim.lr_scheduler.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from argand.optim.lr_scheduler.cycles import CyclicLR, OneCycleLR
from argand.optim.lr_scheduler.factors import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from argand.optim.lr_scheduler.plateau import ReduceLROnPlateau

_LRScheduler = LRScheduler  # the name that older programs derive from

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]

explained_classes(globals(), __all__)


def __getattr__(name: str) -> Any:
    raise unknown_name(__name__, name, __all__)
