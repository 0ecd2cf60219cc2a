"""Asking a server over HTTP in tests, with the standard library alone."""

from __future__ import annotations

import http.client
import json
from typing import Any, NamedTuple

import numpy as np

import argand as ag
from argand import nn


class Answer(NamedTuple):
    """A response."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        """The value of the body."""
        return json.loads(self.body)


def asked(server: Any, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """What a server says; a body that is no bytes is sent as JSON."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


class Two(nn.Module):
    """Two inputs, one of integers, and two outputs."""

    def forward(self, x: Any, k: Any) -> Any:
        """(x + 1, 2 k)"""
        return {"up": x + 1, "twice": k * 2}


def two_inputs() -> Any:
    """The program of `Two` for any number of rows."""
    rows = ag.Dim("rows")
    example = (ag.ones(2, 3), ag.ones(2, dtype=ag.int32))
    return ag.export.export(Two().eval(), example, dynamic_shapes=({0: rows}, {0: rows}))


def floats(rows: Any) -> np.ndarray:
    """Numbers from JSON as the float32 that they were written from."""
    return np.asarray(rows, np.float64).astype(np.float32)


__all__ = ["Answer", "Two", "asked", "floats", "two_inputs"]
