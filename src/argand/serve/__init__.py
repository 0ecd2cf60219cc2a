"""`argand.serve`: one server for exported programs and ONNX models."""

from argand.serve import generation
from argand.serve.engine import Engine, Model
from argand.serve.errors import ServeError, Status
from argand.serve.limits import Limits
from argand.serve.options import BatchOptions, GenerationOptions, ModelOptions, VersionPolicy
from argand.serve.server import Server, serve
from argand.serve.settings import ServerOptions
from argand.serve.version import ModelVersion, State
from argand_client import AsyncClient, Client

__all__ = [
    "AsyncClient",
    "BatchOptions",
    "Client",
    "Engine",
    "GenerationOptions",
    "Limits",
    "Model",
    "ModelOptions",
    "ModelVersion",
    "ServeError",
    "Server",
    "ServerOptions",
    "State",
    "Status",
    "VersionPolicy",
    "generation",
    "serve",
]
