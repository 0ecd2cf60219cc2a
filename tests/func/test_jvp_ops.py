"""Every differentiable op along a tangent, against central differences; alone and under `vmap`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand.func import jvp, vjp, vmap
from argand.ir.op import Op
from argand.tensor.core import wrap
from conformance.calls import ALL_OPS, Call, calls_of
from conformance.derivatives import differentiable

STEP = 1e-5
FIRST_ONLY = {"while_loop"}  # derivatives along a direction are second ones of vjps
OPS = [
    op
    for op in ALL_OPS
    if op.differentiable and "float64" in op.dtypes and op.name not in FIRST_ONLY
]


@pytest.fixture(autouse=True)
def _by_numpy() -> Iterator[None]:
    """Nothing is compiled: what is tested is which call is made."""
    with ag.settings.using(eager_kernels=False):
        yield


class Line:
    """A call as a function of its floating-point operands, and a direction to move them in."""

    def __init__(self, call: Call) -> None:
        self.call, self.arrays = call, call.arrays("float64")
        self.at = [i for i, a in enumerate(self.arrays) if a.dtype.kind == "f"]
        rng = np.random.default_rng(0)
        self.tangents = []
        for i in self.at:
            t = rng.uniform(-1, 1, self.arrays[i].shape)
            self.tangents.append((t + t.swapaxes(-1, -2)) / 2 if call.tensors[i].definite else t)

    def __call__(self, *values: Any) -> list[Any]:
        operands: list[Any] = [wrap(a) for a in self.arrays]
        for i, v in zip(self.at, values, strict=True):
            operands[i] = v
        found = self.call.apply(operands)
        found = found if isinstance(found, tuple) else (found,)
        return [y for y in found if y.dtype.is_floating_point]

    def primals(self, step: float = 0.0) -> tuple[Any, ...]:
        moved = zip(self.at, self.tangents, strict=True)
        return tuple(wrap(self.arrays[i] + step * t) for i, t in moved)

    def difference(self) -> list[np.ndarray]:
        ahead, behind = (self(*self.primals(s)) for s in (STEP, -STEP))
        return [(a.numpy() - b.numpy()) / (2 * STEP) for a, b in zip(ahead, behind, strict=True)]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_along_a_tangent(op: Op) -> None:
    for call in differentiable(calls_of(op), "float64")[:3]:
        line = Line(call)
        tangents = tuple(map(wrap, line.tangents))
        found = jvp(line, line.primals(), tangents)[1]
        for y, wanted in zip(found, line.difference(), strict=True):
            np.testing.assert_allclose(y.numpy(), wanted, rtol=1e-4, atol=1e-6)
        several = tuple(wrap(np.stack([t, -2 * t])) for t in line.tangents)
        mapped = vmap(lambda *ts, line=line: jvp(line, line.primals(), ts)[1])(*several)
        for y, one in zip(mapped, found, strict=True):
            wanted = np.stack([one.numpy(), -2 * one.numpy()])
            np.testing.assert_allclose(y.numpy(), wanted, rtol=1e-9, atol=1e-12)
        _check_pulls(line)


@pytest.mark.parametrize("op", [op for op in ALL_OPS if op.name in FIRST_ONLY], ids=str)
def test_what_has_first_derivatives_only_says_so(op: Op) -> None:
    call = differentiable(calls_of(op), "float64")[0]
    line = Line(call)
    with pytest.raises(ag.ArgandError, match="has first derivatives only"):
        jvp(line, line.primals(), tuple(map(wrap, line.tangents)))
    _check_pulls(line)


def _check_pulls(line: Line) -> None:
    """Gradients of mapped operands are those of each."""
    ys, pull = vjp(line, *line.primals())
    weights = [wrap(np.cos(np.arange(y.shape.numel())).reshape(y.shape)) for y in ys]
    wanted = pull(weights)
    rows = tuple(ag.stack([x, x]) for x in line.primals())
    found = vmap(lambda *xs: vjp(line, *xs)[1](weights))(*rows)
    for g, one in zip(found, wanted, strict=True):
        both = np.stack([one.numpy(), one.numpy()])
        np.testing.assert_allclose(g.numpy(), both, rtol=1e-7, atol=1e-9)
