"""What the services of all protocols share: the engine, and who may ask it what."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from argand.serve.access import Access, Scope
from argand.serve.engine import Engine
from argand.serve.grpc.calls import Call
from argand.serve.handlers import settled
from argand.serve.limits import Limits
from argand.serve.signature import ServedSignature
from argand.serve.version import ModelVersion


class Asked(NamedTuple):
    """The version that a request names."""

    name: str
    number: int | None = None
    label: str | None = None


class Service:
    """A service over an engine. `name` is its full name; a method `ModelInfer` is answered by
    `model_infer`."""

    name: str

    def __init__(self, engine: Engine, access: Access, limits: Limits) -> None:
        self.engine = engine
        self.most_elements = limits.elements
        self._access = access

    def allow(self, call: Call, scope: Scope, model: str | None = None) -> None:
        """Raises ServeError unless the client may ask."""
        call.model = model or call.model
        self._access.check(scope, model, call.metadata.get("authorization"))

    def find(self, call: Call, asked: Asked) -> ModelVersion:
        """The version that a request asks for, if it may."""
        self.allow(call, "model", asked.name)
        found = self.engine.find(*asked)
        call.version = found.number
        return found

    async def outputs(
        self,
        call: Call,
        asked: Asked,
        signature_name: str | None,
        inputs: dict[str, Any],
        *,
        timeout: float | None = None,
        priority: int = 0,
    ) -> tuple[ModelVersion, ServedSignature, dict[str, np.ndarray[Any, Any]]]:
        """The outputs by name, and who gave them, within the client's deadline; a call that it
        cancels is dropped."""
        version = self.find(call, asked)
        made = await settled(version, version.signature(signature_name), inputs)
        if not version.is_available:  # it was replaced while images were decoded
            version = self.find(call, asked)
        signature = version.signature(signature_name)
        times = [t for t in (call.timeout, timeout) if t is not None]
        future = version.submit(
            signature, made, timeout=min(times, default=None), priority=priority
        )
        return version, signature, signature.named(await future)


__all__ = ["Asked", "Service"]
