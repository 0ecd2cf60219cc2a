"""Helpers of this folder: call a function of ops, or its gradient, on NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand.ops  # noqa: F401  # fills the registry
from argand.base.dtype import from_numpy
from argand.ir.interpret import interpret
from argand.ir.op import TensorType
from argand.ir.record import record
from argand.transform.graph import vjp


def _types(arrays: Any) -> list[TensorType]:
    return [TensorType(from_numpy(a.dtype), a.shape) for a in arrays]


@pytest.fixture
def run() -> Callable[..., Any]:
    """run(f, *arrays): the first output of f as an array."""

    def call(f: Callable[..., Any], *values: Any) -> Any:
        arrays = [np.asarray(v) for v in values]
        found = interpret(record(f, _types(arrays)), arrays)
        return found[0] if len(found) == 1 else found

    return call


@pytest.fixture
def grad() -> Callable[..., Any]:
    """grad(f, *arrays): the gradients of the sum of f, one for each float operand."""

    def call(f: Callable[..., Any], *values: Any) -> Any:
        arrays = [np.asarray(v) for v in values]
        program = record(f, _types(arrays))
        wrt = [n for n, a in enumerate(arrays) if a.dtype.kind == "f"]
        seed = np.ones(program.outputs[0].shape)
        found = interpret(vjp(program, wrt, [0]), [*arrays, seed])
        return found[0] if len(found) == 1 else found

    return call
