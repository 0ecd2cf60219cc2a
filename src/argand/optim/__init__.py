"""Optimizers and learning-rate schedules: `torch.optim`'s names, defaults and update rules."""

from __future__ import annotations

from typing import Any

from argand.base.errors import unknown_name
from argand.base.misuse import explained_classes
from argand.optim import lr_scheduler
from argand.optim.adam import Adam, Adamax, AdamW
from argand.optim.group import ParamGroup
from argand.optim.optimizer import Optimizer
from argand.optim.rmsprop import Adadelta, Adagrad, RMSprop
from argand.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Optimizer",
    "ParamGroup",
    "RMSprop",
    "lr_scheduler",
]

explained_classes(globals(), __all__)


def __getattr__(name: str) -> Any:
    raise unknown_name(__name__, name, __all__)
