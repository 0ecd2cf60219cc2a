"""Softmax and its relatives: each subtracts the row's maximum, so nothing overflows."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.dtype import compute_dtype, from_numpy
from argand.base.errors import DTypeError
from argand.base.shape import normalize_dim, normalize_dims
from argand.ir.batching import together
from argand.ir.elementwise import lifted
from argand.ir.families import Composite, Reduce
from argand.ir.op import ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.statistics import widened

Prepared = tuple[tuple[Any, ...], dict[str, Any]]

_SAMPLES = (
    Sample(T((3, 5), -4, 4), -1),
    Sample(T((3, 5, 2), -4, 4), 1),
    Sample(T((4,)), 0),
    Sample(T((2, 1)), 1),
    Sample(T((0, 3)), 1),
    Sample(T((3, 0)), 1),
    Sample(T(()), 0),
)
_ERRORS = (
    ErrorSample(IndexError, "dimension 2 is out of range", T((3, 5)), 2),
    ErrorSample(TypeError, "not defined for int64", T((3,), 0, 5, "int64"), 0),
)


class _Normalized(Composite):
    """A function of each row along one dimension."""

    batched = together
    abstract = True
    samples = _SAMPLES
    error_samples = _ERRORS
    tolerance = {"float32": 1e-5}

    def prepare(self, x: Any, dim: int, dtype: Any = None) -> Prepared:
        x = lifted(x) if dtype is None else ops.cast(x, dtype)
        if not x.dtype.is_floating_point:
            raise DTypeError(f"{self.name}: not defined for {x.dtype.name}")
        return (x,), {"dim": normalize_dim(dim, len(x.shape), self.name)}

    def saves(self, params: dict[str, Any]) -> Any:
        return (), (0,)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x,) = inputs
        if not x.shape or not _has_rows(x, params["dim"]):
            return super().onnx(g, inputs, params)
        return g.op(self.onnx_name, x, axis=params["dim"])


def _has_rows(x: Any, dim: int) -> bool:
    """Whether there is a row to normalise; none where the dimension is empty."""
    return not (len(x.shape) and isinstance(x.shape[dim], int) and x.shape[dim] == 0)


def _dims(x: Any, dim: int) -> tuple[int, ...]:
    return (dim,) if len(x.shape) else ()


class Softmax(_Normalized):
    """exp(x - max) / sum of exp(x - max), along `dim`."""

    onnx_name = "Softmax"

    def body(x: Any, dim: int) -> Any:
        if not _has_rows(x, dim):
            return ops.contiguous(x)
        dims = _dims(x, dim)
        wide = widened(x)
        e = ops.exp(ops.sub(wide, ops.amax(wide, dims, True)))
        # the sum is at least 1, so its reciprocal is as good as it and costs one division a row
        return ops.cast(ops.mul(e, ops.reciprocal(ops.sum(e, dims, True))), x.dtype)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,), dim = arrays, params["dim"]
        if not _has_rows(x, dim):
            return x.copy()
        axis = _dims(x, dim)
        wide = x.astype(compute_dtype(from_numpy(x.dtype)).numpy, copy=False)
        with np.errstate(all="ignore"):
            e = np.exp(wide - np.amax(wide, axis, keepdims=True))
            return (e / np.sum(e, axis, keepdims=True)).astype(x.dtype, copy=False)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (g,), (y,) = grads, outputs
        g, wide = widened(g), widened(y)
        mean = ops.sum(ops.mul(g, wide), _dims(y, params["dim"]), True)
        return [ops.cast(ops.mul(wide, ops.sub(g, mean)), y.dtype)]


class LogSoftmax(_Normalized):
    """x - max - log(sum of exp(x - max)), along `dim`."""

    onnx_name = "LogSoftmax"

    def body(x: Any, dim: int) -> Any:
        if not _has_rows(x, dim):
            return ops.contiguous(x)
        dims = _dims(x, dim)
        wide = widened(x)
        centred = ops.sub(wide, ops.amax(wide, dims, True))
        total = ops.log(ops.sum(ops.exp(centred), dims, True))
        return ops.cast(ops.sub(centred, total), x.dtype)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,), dim = arrays, params["dim"]
        if not _has_rows(x, dim):
            return x.copy()
        axis = _dims(x, dim)
        wide = x.astype(compute_dtype(from_numpy(x.dtype)).numpy, copy=False)
        with np.errstate(all="ignore"):
            centred = wide - np.amax(wide, axis, keepdims=True)
            total = np.log(np.sum(np.exp(centred), axis, keepdims=True))
            return (centred - total).astype(x.dtype, copy=False)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (g,), (y,) = grads, outputs
        g = widened(g)
        total = ops.sum(g, _dims(y, params["dim"]), True)
        return [ops.cast(ops.sub(g, ops.mul(ops.exp(widened(y)), total)), y.dtype)]


class Logsumexp(Composite):
    """log(sum of exp(x)) along `dim`, without overflow; minus infinity of nothing but -inf."""

    batched = together
    samples = (
        Sample(T((3, 5), -4, 4), 1),
        Sample(T((3, 5, 2), -4, 4), (0, 2), keepdim=True),
        Sample(T((4,)), 0),
        Sample(T(()), 0),
        Sample(T((0, 3)), 1),
    )
    error_samples = _ERRORS
    tolerance = {"float32": 1e-5}

    def prepare(self, x: Any, dim: Any, keepdim: bool = False) -> Prepared:
        x = lifted(x)
        if not x.dtype.is_floating_point:
            raise DTypeError(f"{self.name}: not defined for {x.dtype.name}")
        return (x,), {"dim": normalize_dims(dim, len(x.shape), self.name), "keepdim": bool(keepdim)}

    def body(x: Any, dim: Any, keepdim: bool) -> Any:
        if not all(_has_rows(x, d) for d in dim):
            return ops.log(ops.sum(x, dim, keepdim))
        wide = widened(x)
        top = ops.amax(wide, dim, True)
        shift = ops.where(ops.isinf(top), 0.0, top)
        total = ops.sum(ops.exp(ops.sub(wide, shift)), dim, keepdim)
        shift = shift if keepdim else ops.reshape(shift, total.shape)
        return ops.cast(ops.add(ops.log(total), shift), x.dtype)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (g,), (x,), (y,) = grads, inputs, outputs
        share = ops.exp(ops.sub(x, Reduce.restore(y, x, params)))
        return [ops.mul(Reduce.restore(g, x, params), share)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0,), (0,)
