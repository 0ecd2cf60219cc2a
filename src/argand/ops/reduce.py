"""Reductions along dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.dtype import DType, bool_, compute_dtype, from_numpy, int64
from argand.base.errors import DTypeError
from argand.base.shape import normalize_dims, numel
from argand.base.sums import blocked_sum
from argand.ir.batching import each, together
from argand.ir.bind import bind
from argand.ir.elementwise import lifted
from argand.ir.families import Composite, Reduce, array_type
from argand.ir.op import TensorType, ops
from argand.ir.samples import ErrorSample, Sample, T

_SAMPLES = (
    Sample(T((3, 4, 5))),
    Sample(T((3, 4, 5)), 1),
    Sample(T((3, 4, 5)), (0, -1), keepdim=True),
    Sample(T((7,)), 0),
    Sample(T((2, 1, 3)), 1),
    Sample(T(()), keepdim=True),
    Sample(T((33, 65)), 0),
)
_WITH_EMPTY = (*_SAMPLES, Sample(T((0, 3)), 0), Sample(T((3, 0)), 0))
_DISTINCT = (
    Sample(T((3, 4, 5), distinct=True)),
    Sample(T((3, 4, 5), distinct=True), 1),
    Sample(T((3, 4, 5), distinct=True), (0, -1), keepdim=True),
    Sample(T((7,), distinct=True), 0),
    Sample(T(())),
    Sample(T((3, 0)), 0),
)
_ONE_DIM = (
    Sample(T((3, 4), distinct=True)),
    Sample(T((3, 4), distinct=True), 1),
    Sample(T((3, 4), distinct=True), -2, keepdim=True),
    Sample(T((7,), distinct=True), keepdim=True),
    Sample(T(())),
)
_BAD_DIM = ErrorSample(IndexError, "dimension 2 is out of range", T((2, 3)), 2)
_NO_ORDER = ErrorSample(TypeError, "not defined for complex64", T((2, 3), dtype="complex64"))
_NOTHING = ErrorSample(RuntimeError, "dimension 0 of shape (0, 3) is empty", T((0, 3)), 0)


class Sum(Reduce):
    """The sum of the elements along `dim` (all when None); 0 of nothing.

    Integers and booleans are summed as int64, 16-bit floats in float32.
    """

    samples = _WITH_EMPTY
    error_samples = (
        _BAD_DIM,
        ErrorSample(RuntimeError, "a dimension appears twice", T((2, 3)), (0, -2)),
    )
    dtypes = ("float32", "float64", "int64", "int32", "bool")
    tolerance = {"float32": 1e-5}
    accumulates = "wide"
    numpy = np.sum
    onnx_name = "ReduceSum"

    def combine(b: Any, acc: Any, x: Any) -> Any:
        return acc + x

    def apply(self, x: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
        x = lifted(x)
        if dtype is None and self._operand_dtype(x.dtype) is not x.dtype:
            return ops.integer_sum(x, dim, keepdim)
        return super().apply(x, dim, keepdim, dtype=dtype)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,) = arrays
        if not from_numpy(x.dtype).is_inexact:
            return super().run(x, **params)
        return _in_compute_dtype(_blocked, x, params)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [self.restore(grads[0], inputs[0], params)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()


class IntegerSum(Composite):
    """The sum of narrow integers or booleans as int64, without a copy of them as int64."""

    batched = together
    samples = (Sample(T((3, 4), 0, 5, "uint8")), Sample(T((3, 4), 0, 5, "int32"), 1, True))
    dtypes = ("uint8", "int32", "bool")
    differentiable = False
    opens = True

    def prepare(self, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        x = lifted(x)
        if x.dtype.is_inexact:
            raise DTypeError(f"integer_sum: not defined for {x.dtype.name}")
        dims = normalize_dims(None if dim == () else dim, len(x.shape), self.name)
        return (x,), {"dim": dims, "keepdim": bool(keepdim)}

    def body(x: Any, dim: Any, keepdim: bool) -> Any:
        return ops.sum(ops.cast(x, int64), dim, keepdim)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,) = arrays
        return np.sum(x, params["dim"], np.int64, keepdims=params["keepdim"])


class Prod(Reduce):
    """The product of the elements along `dim` (all when None); 1 of nothing.

    Its gradient is exact also where elements are 0; second derivatives there are not.
    """

    samples = _WITH_EMPTY
    error_samples = (_BAD_DIM,)
    dtypes = ("float32", "float64", "int64", "bool")
    tolerance = {"float32": 1e-4}
    accumulates = "wide"
    numpy = np.prod
    onnx_name = "ReduceProd"

    @staticmethod
    def identity(dtype: DType) -> Any:
        return 1

    def combine(b: Any, acc: Any, x: Any) -> Any:
        return acc * x

    def run(self, *arrays: Any, **params: Any) -> Any:
        return _in_compute_dtype(super().run, arrays[0], params)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (x,), dim = inputs, params["dim"]
        zero = ops.eq(x, 0)
        others = ops.where(zero, 1.0, x)
        product = ops.prod(others, dim, True)
        zeros = ops.sum(ops.cast(zero, x.dtype), dim, True)
        at_zero = ops.where(ops.eq(zeros, 1), product, 0.0)
        elsewhere = ops.div(ops.where(ops.eq(zeros, 0), product, 0.0), others)
        slope = ops.where(zero, at_zero, elsewhere)
        slope = ops.conj(slope) if x.dtype.is_complex else slope
        return [ops.mul(self.restore(grads[0], x, params), slope)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0,), ()


def _blocked(x: Any, dim: Any, keepdim: bool) -> Any:
    with np.errstate(all="ignore"):
        return np.asarray(blocked_sum(x, dim, keepdim))


def _in_compute_dtype(run: Any, x: Any, params: dict[str, Any]) -> Any:
    """Sum 16-bit floats in float32."""
    dtype = from_numpy(x.dtype)
    wide = compute_dtype(dtype)
    if wide is dtype:
        return run(x, **params)
    with np.errstate(over="ignore"):
        return run(x.astype(wide.numpy), **params).astype(x.dtype)


def check_ordered(op: str, dtype: DType) -> None:
    """DTypeError for complex numbers, of which none is the larger."""
    if dtype.is_complex:
        raise DTypeError(f"{op}: not defined for {dtype.name}, which has no order")


def equal_or_nan(x: Any, y: Any) -> Any:
    """Where two values are equal, or both NaN: which elements a reduction has chosen."""
    equal = ops.eq(x, y)
    if not x.dtype.is_floating_point:
        return equal
    return ops.logical_or(equal, ops.logical_and(ops.isnan(x), ops.isnan(y)))


class _Extreme(Reduce):
    """The largest or smallest element."""

    abstract = True
    samples = _DISTINCT
    error_samples = (_BAD_DIM, _NOTHING, _NO_ORDER)
    dtypes = ("float32", "float64", "int64", "bool")

    @staticmethod
    def identity(dtype: DType) -> Any:
        return None

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        check_ordered(self.name, inputs[0].dtype)
        return super().infer(*inputs, **params)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (x,) = inputs
        chosen = equal_or_nan(x, self.restore(outputs[0], x, params))
        mask = ops.cast(chosen, x.dtype)
        count = ops.sum(mask, params["dim"], params["keepdim"])
        share = self.restore(ops.div(grads[0], count), x, params)
        return [ops.where(chosen, share, 0.0)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0,), (0,)


class Amax(_Extreme):
    """The largest element along `dim`, NaN if there is one; equal ones share the gradient."""

    numpy = np.amax
    onnx_name = "ReduceMax"

    def combine(b: Any, acc: Any, x: Any) -> Any:
        return b.max(acc, x)


class Amin(_Extreme):
    """The smallest element along `dim`, NaN if there is one; equal ones share the gradient."""

    numpy = np.amin
    onnx_name = "ReduceMin"

    def combine(b: Any, acc: Any, x: Any) -> Any:
        return b.min(acc, x)


class AnyTrue(Reduce):
    """Whether an element along `dim` is not zero; False for nothing."""

    name = "any"
    samples = _WITH_EMPTY
    error_samples = (_BAD_DIM,)
    dtypes = ("float32", "int64", "bool")
    differentiable = False
    accumulates = "bool"
    numpy = np.any
    onnx_name = "ReduceSum"

    @staticmethod
    def identity(dtype: DType) -> Any:
        return False

    def combine(b: Any, acc: Any, x: Any) -> Any:
        return acc | x


class AllTrue(Reduce):
    """Whether every element along `dim` is not zero; True for nothing."""

    name = "all"
    samples = _WITH_EMPTY
    error_samples = (_BAD_DIM,)
    dtypes = ("float32", "int64", "bool")
    differentiable = False
    accumulates = "bool"
    numpy = np.all
    onnx_name = "ReduceMin"

    @staticmethod
    def identity(dtype: DType) -> Any:
        return True

    def combine(b: Any, acc: Any, x: Any) -> Any:
        return acc & x


class _Position(Reduce):
    """The position of the largest or smallest element: the first one, and the first NaN before all.

    `combine` tells of two values which is kept.
    """

    abstract = True
    samples = _ONE_DIM
    error_samples = (_BAD_DIM, _NOTHING, _NO_ORDER)
    dtypes = ("float32", "float64", "int64")
    differentiable = False
    accumulates = "index"

    @staticmethod
    def identity(dtype: DType) -> Any:
        return None

    def as_call(self, inputs: Any, params: dict[str, Any]) -> Any:
        dims = params["dim"]
        return inputs, {**params, "dim": dims if len(dims) == 1 else None}

    def prepare(
        self, x: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if lifted(x).dtype is bool_:
            raise DTypeError(f"{self.name}: not defined for bool")
        check_ordered(self.name, lifted(x).dtype)
        if isinstance(dim, list | tuple) and len(dim) != 1:
            raise TypeError(f"{self.name}: dim must be one int or None, got {dim}")
        return super().prepare(x, dim, keepdim)

    def batched(self, size: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x,) = inputs
        if len(params["dim"]) < 2:
            return together(self, size, inputs, params)
        (y,) = bind(self, (ops.reshape(x.value, (size, -1)),), {"dim": (1,), "keepdim": False})
        kept = (1,) * len(x.shape) if params["keepdim"] else ()
        return each([ops.reshape(y, (size, *kept))])

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,) = arrays
        if x.size == 0:
            self.infer(array_type(x), **params)
        function = type(self).numpy
        assert function is not None
        dims, keepdim = params["dim"], params["keepdim"]
        if len(dims) == x.ndim:
            position = np.asarray(function(x.reshape(-1)))
            return position.reshape((1,) * x.ndim if keepdim else ())
        return np.asarray(function(x, axis=dims[0], keepdims=keepdim))

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x,), dims = inputs, params["dim"]
        if len(dims) < 2 and x.shape:
            return g.op(self.onnx_name, x, axis=dims[0], keepdims=int(params["keepdim"]))
        flat = g.reshape(x, (numel(x.shape),))
        found = g.op(self.onnx_name, flat, axis=0, keepdims=0)
        return g.reshape(found, (1,) * len(x.shape)) if params["keepdim"] else found


class Argmax(_Position):
    """The int64 position of the largest element along `dim`, or in the flattened tensor."""

    numpy = np.argmax
    onnx_name = "ArgMax"

    def combine(b: Any, acc: Any, x: Any) -> Any:
        return b.max(acc, x)


class Argmin(_Position):
    """The int64 position of the smallest element along `dim`, or in the flattened tensor."""

    numpy = np.argmin
    onnx_name = "ArgMin"

    def combine(b: Any, acc: Any, x: Any) -> Any:
        return b.min(acc, x)
