"""gRPC's own services: health, and the descriptions of the others (reflection)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from argand.serve.errors import ServeError, Status, not_found
from argand.serve.grpc.calls import Call
from argand_client.definitions import messages

_SERVING, _NOT_SERVING, _UNKNOWN = 1, 2, 3
_LOOK = 0.2  # seconds between two looks at what is watched
_WATCHERS = 200


class HealthService:
    """Health of the server (""), of its services and of its models, by name."""

    name = "grpc.health.v1.Health"

    def __init__(self, server: Any, services: tuple[str, ...]) -> None:
        self._server = server
        self._services = services
        self._watchers = 0
        self._response = messages()("grpc.health.v1.HealthCheckResponse")

    def _status(self, service: str) -> int:
        if service in ("", *self._services):
            return _SERVING if self._server.is_ready else _NOT_SERVING
        model = self._server.engine.models.get(service)
        if model is None:
            return _UNKNOWN
        ready = model.available and not self._server.is_draining
        return _SERVING if ready else _NOT_SERVING

    async def check(self, request: Any, call: Call) -> Any:
        """The health now."""
        status = self._status(request.service)
        if status == _UNKNOWN:
            raise not_found(f"there is no service or model {request.service[:100]!r}")
        return self._response(status=status)

    async def watch(self, request: Any, call: Call) -> AsyncIterator[Any]:
        """The health now, and each time that it changes, until the server ends: it does not wait
        for who watches."""
        if self._watchers >= _WATCHERS:
            raise ServeError(Status.RESOURCE_EXHAUSTED, f"{_WATCHERS} clients watch already")
        self._watchers += 1
        told = None
        try:
            while True:
                status = self._status(request.service)
                if status != told:
                    told = status
                    yield self._response(status=status)
                if self._server.is_draining:
                    raise ServeError(Status.UNAVAILABLE, "the server ends")
                await asyncio.sleep(_LOOK)
        finally:
            self._watchers -= 1


class ReflectionService:
    """Describes the services and messages to clients such as grpcurl."""

    def __init__(self, version: str) -> None:
        self.name = f"grpc.reflection.{version}.ServerReflection"
        self._response = messages()(f"grpc.reflection.{version}.ServerReflectionResponse")

    async def server_reflection_info(
        self, requests: AsyncIterator[Any], call: Call
    ) -> AsyncIterator[Any]:
        """An answer for each question."""
        async for request in requests:
            answer = self._response(valid_host=request.host, original_request=request)
            self._answer(request, answer)
            yield answer

    def _answer(self, request: Any, answer: Any) -> None:
        asked = request.WhichOneof("message_request")
        known = messages()
        try:
            if asked == "list_services":
                for name in known.services:
                    answer.list_services_response.service.add(name=name)
                return
            if asked == "file_containing_symbol":
                file = known.file_of(symbol=request.file_containing_symbol)
            elif asked == "file_by_filename":
                file = known.file_of(name=request.file_by_filename)
            else:
                raise KeyError
        except KeyError:
            answer.error_response.error_code = Status.NOT_FOUND.grpc
            answer.error_response.error_message = "not found"
            return
        answer.file_descriptor_response.file_descriptor_proto.append(file)


__all__ = ["HealthService", "ReflectionService"]
