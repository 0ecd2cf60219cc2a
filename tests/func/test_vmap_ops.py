"""Every op under `vmap`, against its calls one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand.func import calls as levels
from argand.ir.op import Op
from argand.tensor.core import wrap
from conformance.calls import ALL_OPS, Call, calls_of

DRAWN = {op.name for op in ALL_OPS if not op.merges}
OPS = [op for op in ALL_OPS if op.name not in DRAWN]
SIZE = 3
TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "complex128": 1e-9}


@pytest.fixture(autouse=True)
def _by_numpy() -> Iterator[None]:
    """Nothing is compiled: what is tested is which call is made."""
    with ag.settings.using(eager_kernels=False):
        yield


def dtype_of(op: Op) -> str:
    """The dtype that an op is tried in."""
    for dtype in ("float64", "int64", "complex128", "float32"):
        call = calls_of(op)[0]
        try:
            call.apply([wrap(a) for a in call.arrays(dtype)])
        except Exception:
            continue
        return dtype
    raise AssertionError(f"{op.name} takes none of them")


def variants(call: Call, dtype: str) -> list[np.ndarray]:
    """For each operand `SIZE` different arrays of its domain, stacked."""
    found = []
    for t, a in zip(call.tensors, call.arrays(dtype), strict=True):
        if t.definite or a.dtype.kind == "c":
            found.append(np.stack([a * (1 + i) for i in range(SIZE)]))
        else:
            found.append(
                np.stack([np.roll(a.reshape(-1), i).reshape(a.shape) for i in range(SIZE)])
            )
    return found


def in_dims_of(count: int) -> list[tuple[Any, ...]]:
    """The last dimension, the first; that of each of several operands alone."""
    found: list[tuple[Any, ...]] = [(-1,) * count, (0,) * count]
    if count > 1:
        found += [tuple(0 if i == j else None for i in range(count)) for j in range(count)]
    return found


def flat(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple | list) else [result]


def check(call: Call, dtype: str, in_dims: tuple[Any, ...]) -> None:
    stacks = variants(call, dtype)
    given = [
        wrap(s[0] if d is None else np.ascontiguousarray(np.moveaxis(s, 0, d)))
        for s, d in zip(stacks, in_dims, strict=True)
    ]
    each = [
        [wrap(s[0] if d is None else s[i]) for s, d in zip(stacks, in_dims, strict=True)]
        for i in range(SIZE)
    ]
    try:
        expected = [flat(call.apply(values)) for values in each]
    except (RuntimeError, ValueError):
        return  # a singular matrix, say
    found = flat(ag.vmap(lambda *values: call.apply(values), in_dims=in_dims)(*given))
    for y, *ys in zip(found, *expected, strict=True):
        assert y.dtype is ys[0].dtype
        wanted = np.stack([e.numpy() for e in ys])
        assert tuple(y.shape) == wanted.shape
        limit = TOLERANCE.get(dtype, 0.0)
        np.testing.assert_allclose(y.numpy(), wanted, rtol=limit, atol=limit)


# What is computed one call after another, for want of a better way.
LOOPS = {
    "embedding",  # of a weight each, with a padding_idx
    "while_loop",  # each call has rounds of its own
}


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_as_one_by_one(op: Op, monkeypatch: pytest.MonkeyPatch) -> None:
    looped = []

    def noted(*args: Any) -> Any:
        looped.append(args[0])
        return one_by_one(*args)

    one_by_one = levels.one_by_one
    monkeypatch.setattr(levels, "one_by_one", noted)
    dtype = dtype_of(op)
    for n, call in enumerate(calls_of(op)):
        if call.tensors:
            for in_dims in in_dims_of(len(call.tensors))[n > 0 :]:
                check(call, dtype, in_dims)
    assert (op in looped) == (op.name in LOOPS)
