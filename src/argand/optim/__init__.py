"""Optimizers and learning-rate schedules: `torch.optim`'s names, defaults and update rules."""

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
