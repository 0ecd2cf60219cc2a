"""What the services of all protocols share: the engine, and who may ask it what."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np

from argand.serve.engine import Engine
from argand.serve.errors import ServeError, Status
from argand.serve.grpc.calls import Call
from argand.serve.signature import ServedSignature
from argand.serve.version import ModelVersion

Scope = Literal["open", "model", "read", "manage"]


class Gate(Protocol):
    """Says who may ask what, by the value of `authorization`."""

    def check(self, scope: Scope, model: str | None, authorization: str | None) -> None:
        """Raises ServeError unless one may ask."""
        ...


class Service:
    """A service over an engine. `name` is its full name; a method `ModelInfer` is answered by
    `model_infer`."""

    name: str

    def __init__(self, engine: Engine, gate: Gate | None, most_elements: int) -> None:
        self.engine = engine
        self.most_elements = most_elements
        self._gate = gate

    def allow(self, call: Call, scope: Scope, model: str | None = None) -> None:
        """Raises ServeError unless the client may ask."""
        call.model = model or call.model
        if self._gate is not None:
            self._gate.check(scope, model, call.metadata.get("authorization"))
        elif scope == "manage":
            raise ServeError(
                Status.PERMISSION_DENIED,
                "models can't be managed over the network: the server has no token of management",
            )

    def find(
        self, call: Call, name: str, version: int | None = None, label: str | None = None
    ) -> ModelVersion:
        """The version that a request asks for, if it may."""
        self.allow(call, "model", name)
        found = self.engine.find(name, version, label)
        call.version = found.number
        return found

    async def outputs(
        self,
        call: Call,
        version: ModelVersion,
        signature: ServedSignature,
        inputs: dict[str, Any],
        *,
        timeout: float | None = None,
        priority: int = 0,
    ) -> dict[str, np.ndarray[Any, Any]]:
        """The outputs by name, within the client's deadline; a call that it cancels is dropped."""
        times = [t for t in (call.timeout, timeout) if t is not None]
        future = version.submit(
            signature, inputs, timeout=min(times, default=None), priority=priority
        )
        found = await future
        return {spec.name: np.asarray(o) for spec, o in zip(signature.outputs, found, strict=True)}


__all__ = ["Gate", "Scope", "Service"]
