"""`argand.serve`: one server for exported programs and ONNX models."""

from argand.serve.engine import Engine, Model
from argand.serve.errors import ServeError, Status
from argand.serve.options import BatchOptions, ModelOptions, VersionPolicy
from argand.serve.version import ModelVersion, State

__all__ = [
    "BatchOptions",
    "Engine",
    "Model",
    "ModelOptions",
    "ModelVersion",
    "ServeError",
    "State",
    "Status",
    "VersionPolicy",
]
