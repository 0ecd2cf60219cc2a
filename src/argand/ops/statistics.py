"""Means and variances along dimensions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from argand.base.dim import Dim, Extent, dim_max
from argand.base.dtype import DType, compute_dtype, from_numpy
from argand.base.errors import DTypeError
from argand.base.shape import normalize_dims, numel
from argand.ir.batching import together
from argand.ir.elementwise import lifted
from argand.ir.families import Composite, Reduce
from argand.ir.op import ops
from argand.ir.samples import ErrorSample, Sample, T

Prepared = tuple[tuple[Any, ...], dict[str, Any]]

_SAMPLES = (
    Sample(T((3, 4, 5))),
    Sample(T((3, 4, 5)), 1),
    Sample(T((3, 4, 5)), (0, -1), keepdim=True),
    Sample(T((7,)), 0),
)
_NOT_FLOAT = ErrorSample(TypeError, "not defined for int64", T((3,), 0, 5, "int64"))
_BAD_DIM = ErrorSample(IndexError, "dimension 2 is out of range", T((2, 3)), 2)


def size_value(size: Extent, dtype: DType) -> Any:
    """A size as an operand: a number, or a 0-d value for a symbolic size."""
    return ops.full((), size, dtype) if isinstance(size, Dim) else float(size)


def widened(x: Any) -> Any:
    """16-bit floats as float32, in which they are added up; any other value as it is."""
    return ops.cast(x, compute_dtype(x.dtype))


def count_of(shape: tuple[Extent, ...], dims: Iterable[int]) -> Extent:
    """How many elements a reduction over `dims` takes together."""
    return numel(shape[d] for d in dims)


def _check_inexact(op: str, dtype: DType) -> None:
    if not dtype.is_inexact:
        raise DTypeError(f"{op}: not defined for {dtype.name}; cast to a floating-point dtype")


class Mean(Composite):
    """The sum of the elements along `dim` (all when None), divided by their number; NaN of none."""

    batched = together
    samples = (*_SAMPLES, Sample(T(())), Sample(T((3, 0)), 0), Sample(T((33, 65)), 0))
    error_samples = (_NOT_FLOAT, _BAD_DIM)
    tolerance = {"float32": 1e-5}

    def prepare(
        self, x: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
    ) -> Prepared:
        x = lifted(x) if dtype is None else ops.cast(x, dtype)
        _check_inexact(self.name, x.dtype)
        dims = normalize_dims(None if dim == () else dim, len(x.shape), self.name)
        return (x,), {"dim": dims, "keepdim": bool(keepdim)}

    def body(x: Any, dim: Any, keepdim: bool) -> Any:
        wide = widened(x)
        total = ops.sum(wide, dim, keepdim) if dim else wide
        return ops.cast(ops.div(total, size_value(count_of(x.shape, dim), wide.dtype)), x.dtype)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,), dim = arrays, params["dim"]
        wide = compute_dtype(from_numpy(x.dtype)).numpy
        with np.errstate(all="ignore"):
            total = np.sum(x, dim, dtype=wide, keepdims=params["keepdim"])
            count = np.asarray(count_of(x.shape, dim), wide)
            return np.true_divide(total, count).astype(x.dtype, copy=False)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x,) = inputs
        if compute_dtype(x.dtype) is not x.dtype:  # the sum of many is beyond 16 bits
            x = g.cast(x, compute_dtype(x.dtype))
        return g.cast(g.reduce("ReduceMean", x, params["dim"], params["keepdim"]), inputs[0].dtype)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (x,), (g,) = inputs, grads
        wide = widened(g)
        share = ops.div(wide, size_value(count_of(x.shape, params["dim"]), wide.dtype))
        return [Reduce.restore(ops.cast(share, x.dtype), x, params)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()


class Var(Composite):
    """The sum of squared distances from the mean along `dim`, divided by n - correction.

    Of complex numbers it is that of their real parts and that of their imaginary parts together.
    """

    batched = together
    samples: ClassVar[Any] = (
        *_SAMPLES,
        Sample(T((4, 5)), 1, correction=0),
        Sample(T((3, 1)), 0, keepdim=True),
    )
    error_samples = (_NOT_FLOAT, _BAD_DIM)
    tolerance = {"float32": 1e-5}

    def prepare(
        self, x: Any, dim: Any = None, *, correction: Any = 1, keepdim: bool = False
    ) -> Prepared:
        x = lifted(x)
        _check_inexact(self.name, x.dtype)
        dims = normalize_dims(None if dim == () else dim, len(x.shape), self.name)
        return (x,), {"dim": dims, "correction": correction, "keepdim": bool(keepdim)}

    def apply(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        x = lifted(x)
        if not x.dtype.is_complex:
            return super().apply(x, *args, **kwargs)
        parts = (ops.var(part, *args, **kwargs) for part in (ops.real(x), ops.imag(x)))
        return ops.add(*parts)

    def body(x: Any, dim: Any, correction: Any, keepdim: bool) -> Any:
        wide = widened(x)
        square = ops.square(ops.sub(wide, ops.mean(wide, dim, True)))
        variance = ops.div(ops.sum(square, dim, keepdim), _freedom(wide, dim, correction))
        return ops.cast(variance, x.dtype)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,) = arrays
        dim, keepdim = params["dim"], params["keepdim"]
        wide = compute_dtype(from_numpy(x.dtype)).numpy
        with np.errstate(all="ignore"):
            count: Any = count_of(x.shape, dim)
            mean = np.true_divide(np.sum(x, dim, wide, keepdims=True), count)
            total = np.sum(np.square(x - mean.astype(wide)), dim, wide, keepdims=keepdim)
            freedom = max(count - params["correction"], 0)
            return np.true_divide(total, wide.type(freedom)).astype(x.dtype, copy=False)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [_spread(grads[0], inputs[0], params)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0,), ()


def _freedom(x: Any, dim: Any, correction: Any) -> Any:
    count = count_of(x.shape, dim)
    if isinstance(correction, float) and correction.is_integer():
        correction = int(correction)
    if isinstance(count, Dim) and isinstance(correction, float):  # a fraction, so not a size
        return ops.clamp(ops.sub(size_value(count, x.dtype.to_real()), correction), 0, None)
    rest = count - correction
    return size_value(dim_max(rest, 0) if isinstance(rest, Dim) else max(rest, 0), x.dtype)


def _spread(g: Any, x: Any, params: dict[str, Any]) -> Any:
    """The cotangent of x from that of its variance."""
    dim, wide = params["dim"], widened(x)
    scale = ops.div(ops.mul(widened(g), 2.0), _freedom(wide, dim, params["correction"]))
    distance = ops.sub(wide, ops.mean(wide, dim, True))
    return ops.cast(ops.mul(distance, Reduce.restore(scale, x, params)), x.dtype)


class Std(Var):
    """The square root of the variance along `dim`; where it is 0 its gradient is 0."""

    samples = _SAMPLES

    def apply(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        x = lifted(x)
        if not x.dtype.is_complex:
            return super().apply(x, *args, **kwargs)
        return ops.sqrt(ops.var(x, *args, **kwargs))

    def body(x: Any, dim: Any, correction: Any, keepdim: bool) -> Any:
        variance = ops.var(widened(x), dim, correction=correction, keepdim=keepdim)
        return ops.cast(ops.sqrt(variance), x.dtype)

    def run(self, *arrays: Any, **params: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.sqrt(super().run(*arrays, **params))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (g,), (x,), (y,) = grads, inputs, outputs
        zero = ops.eq(y, 0)
        g = ops.where(zero, 0.0, ops.div(g, ops.mul(ops.where(zero, 1.0, y), 2.0)))
        return [_spread(g, x, params)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0,), (0,)
