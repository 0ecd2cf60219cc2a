"""The gRPC server: the services of all protocols on one port."""

from __future__ import annotations

import errno
import math
import re
from pathlib import Path
from typing import Any

import grpc

from argand.serve.access import Access
from argand.serve.engine import Engine
from argand.serve.grpc.calls import Gate, Observe, Record, handler, unknown
from argand.serve.grpc.health import HealthService, ReflectionService
from argand.serve.grpc.inference import InferenceService
from argand.serve.grpc.model_service import ModelService
from argand.serve.grpc.prediction import PredictionService
from argand.serve.limits import Limits
from argand.serve.metrics import Metrics
from argand_client.definitions import messages

_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_STREAMS = 1024  # calls of one connection at a time


class GrpcServer:
    """A server that runs; `port` is the one it listens on."""

    def __init__(self, engine: Engine, server: Any, gate: Gate) -> None:
        self.engine = engine
        self.server = server
        self.port = 0
        self.is_draining = False
        self._gate = gate

    @property
    def is_ready(self) -> bool:
        """Whether requests should come."""
        return not self.is_draining and self.engine.is_ready

    async def stop(self, grace: float | None = None) -> None:
        """Take no more calls, let those that have begun end within `grace` seconds, then cut.
        Streams end as soon as what was asked for is answered."""
        self.is_draining = True
        self._gate.end()
        await self.server.stop(grace)


async def start(
    engine: Engine,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    access: Access | None = None,
    limits: Limits | None = None,
    certificate: str | None = None,
    key: str | None = None,
    clients: str | None = None,
    metrics: Metrics | None = None,
    observe: Observe = lambda record: None,
) -> GrpcServer:
    """Serve an engine, on the loop that it lives on.

    Args:
        engine: whose models are asked.
        host: the address to listen on.
        port: 0 for one that is free.
        access: says who may ask what; without it all may ask, and none may manage models.
        limits: of messages, tensors, connections and their time; `connections` bounds the calls
            at a time too.
        certificate: the file of a TLS certificate (PEM, its chain behind it), and `key` its key.
        clients: the file of certificates that clients must show, or that signed theirs.
        metrics: has counted the engine's batches; from now on where not given.
        observe: is told of each call that has ended.
    """
    limits = limits or Limits()
    server = grpc.aio.server(
        options=_options(limits),
        maximum_concurrent_rpcs=2 * limits.connections,  # those that have sent nothing yet too
    )
    gate = Gate(limits.connections, observe)
    made = GrpcServer(engine, server, gate)
    shared = (engine, access or Access(), limits)
    services: list[Any] = [
        InferenceService(*shared, server=made, metrics=metrics or Metrics(engine)),
        PredictionService(*shared),
        ModelService(*shared),
    ]
    named = tuple(s.name for s in services)
    services.append(HealthService(made, named))
    services += [ReflectionService(version) for version in ("v1", "v1alpha")]
    server.add_generic_rpc_handlers((*(_handlers(s, gate) for s in services), unknown(gate)))
    address = f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
    try:
        if certificate is None:
            made.port = server.add_insecure_port(address)
        else:
            made.port = server.add_secure_port(address, _credentials(certificate, key, clients))
    except RuntimeError:
        said = f"gRPC can't listen at {address}: is the port in use? 0 takes one that is free"
        raise OSError(errno.EADDRINUSE, said) from None
    await server.start()
    return made


def _options(limits: Limits) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_receive_message_length", limits.body),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", _STREAMS),
        ("grpc.max_metadata_size", limits.header),
        ("grpc.absolute_max_metadata_size", limits.header),
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.server_handshake_timeout_ms", math.ceil(limits.header_seconds * 1000)),
        ("grpc.max_connection_idle_ms", math.ceil(limits.idle_seconds * 1000)),
        ("grpc.so_reuseport", 0),  # else another server could listen on the port too
        # clients may ask whether the connection lives, and idle ones are asked
        ("grpc.http2.min_ping_interval_without_data_ms", 5000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


def _handlers(service: Any, gate: Gate) -> Any:
    """What gRPC asks for the methods of a service."""
    found = {
        m.name: handler(service.name, m, getattr(service, _snake(m.name)), gate)
        for m in messages().methods(service.name)
    }
    return grpc.method_handlers_generic_handler(service.name, found)


def _snake(name: str) -> str:
    return _CAPITAL.sub("_", name).lower()


def _credentials(certificate: str, key: str | None, clients: str | None) -> Any:
    chain = Path(certificate).read_bytes()
    secret = chain if key is None else Path(key).read_bytes()
    if clients is None:
        return grpc.ssl_server_credentials([(secret, chain)])
    trusted = Path(clients).read_bytes()
    return grpc.ssl_server_credentials([(secret, chain)], trusted, require_client_auth=True)


__all__ = ["GrpcServer", "Record", "start"]
