"""gRPC servers of the tests, their stubs, and a model of every dtype."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from served import engine_of

import argand as ag
from argand import nn
from argand.base.dtype import ALL, DType
from argand.serve.grpc import GrpcServer, start
from argand_client.definitions import messages

DTYPES = tuple(d for d in ALL if d.kind in "buifc")
SAVED = tuple(d for d in DTYPES if d.name != "complex128")  # which files have no type for


class Everything(nn.Module):
    """Gives each input back, and a number that has no dimensions."""

    def forward(self, **given: Any) -> Any:
        """The same tensors."""
        return {name: x.clone() for name, x in given.items()}


def everything(dtypes: tuple[DType, ...] = SAVED) -> Any:
    """A program with an input and an output of (rows, 2) of each dtype, and one of ()."""
    given: dict[str, Any] = {d.name: ag.zeros(3, 2).to(d) for d in dtypes}
    given["scale"] = ag.zeros(()).to(ag.float64)
    rows = ag.Dim("rows")
    shapes = {name: {0: rows} if name != "scale" else None for name in given}
    return ag.export.export(Everything(), (), given, dynamic_shapes=shapes)


def values(dtype: DType, rows: int, seed: int = 0) -> np.ndarray:
    """Random bits of a dtype, NaN and infinities among them."""
    random = np.random.default_rng(seed)
    if dtype.kind == "b":
        return random.integers(0, 2, (rows, 2)).astype(np.bool_)
    data = random.integers(0, 256, (rows, 2 * dtype.itemsize)).astype(np.uint8)
    found = data.view(dtype.numpy)
    if dtype.kind in "fc" and rows > 1:
        found[0, 0], found[0, 1] = np.nan, np.inf
    return found


class Stub:
    """Calls the methods of a service by their names: `await stub.ModelInfer(request)`."""

    def __init__(self, channel: Any, service: str) -> None:
        for m in messages().methods(service):
            kind = "stream" if m.many_requests else "unary"
            kind += "_stream" if m.many_responses else "_unary"
            call = getattr(channel, kind)(
                f"/{service}/{m.name}",
                request_serializer=lambda r: r if isinstance(r, bytes) else r.SerializeToString(),
                response_deserializer=m.response.FromString,
            )
            setattr(self, m.name, call)


@contextlib.asynccontextmanager
async def serving(
    root: Path, engine_options: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[GrpcServer, Any]]:
    """A server over a folder, and a channel to it."""
    async with engine_of(root, **(engine_options or {})) as engine:
        server = await start(engine, **options)
        channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{server.port}", options=[("grpc.max_receive_message_length", -1)]
        )
        try:
            yield server, channel
        finally:
            await channel.close()
            await server.stop(1)


__all__ = ["DTYPES", "SAVED", "Everything", "Stub", "everything", "serving", "values"]
