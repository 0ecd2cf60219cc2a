"""Optimizers and learning-rate schedules: `torch.optim`'s names, defaults and update rules."""

from __future__ import annotations

import importlib
from typing import Any

from argand.base.errors import unknown_name
from argand.base.misuse import explained_classes
from argand.optim import lr_scheduler
from argand.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam, SparseAdam
from argand.optim.group import ParamGroup
from argand.optim.lbfgs import LBFGS
from argand.optim.matrices import Adafactor, Muon
from argand.optim.optimizer import Optimizer
from argand.optim.rmsprop import Adadelta, Adagrad, RMSprop
from argand.optim.sgd import ASGD, SGD
from argand.optim.signs import Lion, Rprop

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "ParamGroup",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SparseAdam",
    "lr_scheduler",
    "swa_utils",
]

explained_classes(globals(), [name for name in __all__ if name != "swa_utils"])


def __getattr__(name: str) -> Any:
    if name in ("_functional", "swa_utils"):  # this one needs the modules
        return importlib.import_module(f"argand.optim.{name}")
    raise unknown_name(__name__, name, __all__)
