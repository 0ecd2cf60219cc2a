"""`model.compile(...)`, `fit`, `evaluate`, `predict`, `summary` and callbacks, as in Keras; and
checkpoints of everything that training depends on, for `fit` and for loops of one's own."""

from argand.base.misuse import explained_classes
from argand.fit.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from argand.fit.checkpointer import Checkpointer
from argand.fit.parts import CheckpointError

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CheckpointError",
    "Checkpointer",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]

explained_classes(globals(), __all__)
