"""Images of bytes at another size, in fixed point."""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np

from argand.base.dtype import int32, uint8
from argand.base.errors import DTypeError, ShapeError
from argand.base.shape import normalize_dim
from argand.ir.elementwise import lifted
from argand.ir.families import Composite
from argand.ir.op import describe, ops
from argand.ir.samples import ErrorSample, Sample, T

_UNROLLED: Final = 16
"""The sum of so many terms is written out."""


def _sample(shape: tuple[int, ...], new: int, taps: int, dim: int) -> Sample:
    return Sample(
        T(shape, 0, 255, "uint8"),
        T((taps, new), 0, 1, "int64"),
        T((taps, new), -3, 9, "int32"),
        T((1,), 2, 4, "int32"),
        dim,
    )


class MixBytes(Composite):
    """y[i] = floor((sum over t of weights[t, i] * x[places[t, i]]) / 2^bits + 1/2), from 0 to 255.

    Bytes mixed along the dimension `dim`, with weights in units of 2^-bits. The sum is of 32 bits,
    as in PyTorch and Pillow: it has to be below 2^31.
    """

    samples = (_sample((2, 5, 3), 4, 3, 1), _sample((3, 7), 2, 2, 1), _sample((4,), 6, 1, 0))
    error_samples = (
        ErrorSample(
            TypeError,
            "expected bytes",
            T((4,), dtype="float32"),
            T((1, 2), 0, 3, "int64"),
            T((1, 2), 0, 3, "int32"),
            T((1,), 1, 2, "int32"),
            0,
        ),
        ErrorSample(
            ValueError,
            "a matrix of places and one of weights",
            T((4,), 0, 255, "uint8"),
            T((1, 2), 0, 3, "int64"),
            T((2, 2), 0, 3, "int32"),
            T((1,), 1, 2, "int32"),
            0,
        ),
    )
    dtypes = ("uint8",)
    differentiable = False

    def prepare(self, x: Any, places: Any, weights: Any, bits: Any, dim: int) -> Any:
        x, places, weights, bits = (lifted(v) for v in (x, places, weights, bits))
        if x.dtype is not uint8 or weights.dtype is not int32 or bits.dtype is not int32:
            raise DTypeError(
                f"{self.name}: {describe(x, weights, bits)}: expected bytes, and weights and bits "
                "of int32"
            )
        if len(x.shape) == 0 or tuple(bits.shape) != (1,):
            raise ShapeError(f"{self.name}: {describe(x, bits)}: expected an image, and one number")
        if len(places.shape) != 2 or tuple(places.shape) != tuple(weights.shape):
            raise ShapeError(
                f"{self.name}: {describe(places, weights)}: expected a matrix of places and one "
                "of weights, of one shape"
            )
        dim = normalize_dim(dim, len(x.shape), self.name)
        return (x, places, weights, bits), {"dim": dim}

    def body(x: Any, places: Any, weights: Any, bits: Any, dim: int) -> Any:
        taps = places.shape[0]
        few = isinstance(taps, int) and taps <= _UNROLLED
        sums = (_added if few else _reduced)(x, places, weights, dim)
        half = ops.bitwise_left_shift(np.int32(1), ops.sub(bits, 1))
        sums = ops.bitwise_right_shift(ops.add(sums, half), bits)
        return ops.cast(ops.clamp(sums, 0, 255), uint8)


def _added(x: Any, places: Any, weights: Any, dim: int) -> Any:
    """The sum term by term, all of them in one pass over the result."""
    terms = [_terms(x, _row(places, t), _row(weights, t), dim) for t in range(places.shape[0])]
    return functools.reduce(ops.add, terms)


def _reduced(x: Any, places: Any, weights: Any, dim: int) -> Any:
    """The sum along a dimension of terms."""
    return ops.sum(_terms(x, places, weights, dim), (dim,))


def _terms(x: Any, places: Any, weights: Any, dim: int) -> Any:
    """Elements at places along a dimension, each times its weight."""
    picked = ops.cast(ops.index(x, places, dims=(dim,)), int32)
    behind = (1,) * (len(x.shape) - dim - 1)
    return ops.mul(picked, ops.reshape(weights, (*weights.shape, *behind)))


def _row(x: Any, t: int) -> Any:
    return ops.reshape(ops.slice(x, (t, 0), (t + 1, x.shape[1])), (x.shape[1],))
