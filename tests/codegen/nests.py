"""Helpers of these tests: compile a primitive as a kernel over arrays, and run it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from argand.codegen.llvm.target import named_target
from argand.nest.builder import I64, PTR, NestBuilder, Reg, Ty
from nestrun import entry

Array = NDArray[Any]


def numpy_dtype(elem: str) -> np.dtype[Any]:
    """NumPy's dtype of a register element."""
    return np.dtype(ml_dtypes.bfloat16 if elem == "bfloat16" else elem)


def mapped(
    body: Callable[..., Reg], ins: tuple[str, ...], out: str, target: str = "host", lanes: int = 0
) -> Callable[..., Array]:
    """`out[i] = body(b, in0[i], …)`: a loop over vectors with a masked tail."""
    names = [f"x{k}" for k in range(len(ins))]
    b = NestBuilder("mapped", [*((name, PTR) for name in names), ("out", PTR), ("n", I64)])
    *sources, result, n = b.params
    width = lanes or named_target(target).lanes(ins[0])
    with b.loop(0, n, width) as loop:
        i = loop.index
        args = [
            b.load(source, i, Ty(elem, width), b.tail_mask(i, n, width, elem))
            for source, elem in zip(sources, ins, strict=True)
        ]
        b.store(result, i, body(b, *args), b.tail_mask(i, n, width, out))
    run = entry(b.finish(), named_target(target))

    def call(*arrays: Array) -> Array:
        held = [np.ascontiguousarray(a, numpy_dtype(e)) for a, e in zip(arrays, ins, strict=True)]
        answer = np.zeros(held[0].size, numpy_dtype(out))
        assert run(*(a.ctypes.data for a in held), answer.ctypes.data, answer.size) == 0
        return answer

    return call


@functools.cache
def primitive(
    prim: str, elem: str, arity: int, target: str = "host", lanes: int = 0, out: str = ""
) -> Callable[..., Array]:
    """A primitive over arrays of one dtype."""
    return mapped(
        lambda b, *args: b.apply(prim, *args), (elem,) * arity, out or elem, target, lanes
    )


def ulps(got: Array, exact: Array) -> Array:
    """The distance in units of the last place; equal specials count 0, different ones infinity."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(got.dtype)
        gap = np.abs(got.astype(exact.dtype) - exact) / np.spacing(np.abs(rounded)).astype(
            exact.dtype
        )
        same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        return np.where(same, 0, np.where(np.isfinite(gap), gap, np.inf)).astype(np.float64)
