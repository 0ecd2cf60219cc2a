"""Sorting, selection and running sums along one dimension."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from argand.base.conversion import plain
from argand.base.dtype import compute_dtype, from_numpy, int64
from argand.base.errors import ArgumentError
from argand.base.shape import normalize_dim
from argand.base.sums import running_sums
from argand.ir import families
from argand.ir.elementwise import lifted
from argand.ir.op import TensorType, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.gather import along
from argand.ops.move import zeros_like
from argand.ops.reduce import check_ordered

Prepared = tuple[tuple[Any, ...], dict[str, Any]]


class _Ordering(families.Sort):
    """Values and their positions."""

    abstract = True
    visible = 2
    dtypes = ("float32", "float64", "int64")

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x,), dim = inputs, params["dim"]
        if not x.shape:
            return x, g.constant(0, int64)
        k = g.sizes((params.get("k", x.shape[dim]),))
        return g.op("TopK", x, k, axis=dim, largest=int(self.descends(params)), outputs=2)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        if grads[0] is None:
            return [None]
        (x,) = inputs
        if not len(x.shape):
            return [grads[0]]
        return [ops.scatter_add(zeros_like(x), params["dim"], outputs[1], grads[0])]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), (1,)


def _order(x: Any, dim: int, descending: bool) -> Any:
    """The stable order; NaN counts as the largest."""
    x = plain(x)  # NumPy has no order for the NaN of bfloat16
    if not descending:
        return x.argsort(dim, kind="stable")
    reverse = (*(slice(None),) * dim, slice(None, None, -1))
    return x.shape[dim] - 1 - x[reverse].argsort(dim, kind="stable")[reverse]


class Sort(_Ordering):
    """The elements along `dim` in order, and where each was: (values, indices). Stable.

    NaN counts as larger than any number.
    """

    samples = (
        Sample(T((3, 5), distinct=True)),
        Sample(T((4, 3), distinct=True), 0, True),
        Sample(T(())),
        Sample(T((2, 0))),
    )
    error_samples = (
        ErrorSample(IndexError, "dimension 2 is out of range", T((3, 5)), 2),
        ErrorSample(TypeError, "not defined for complex64", T((3, 5), dtype="complex64")),
    )

    def prepare(
        self, x: Any, dim: int = -1, descending: bool = False, stable: bool = True
    ) -> Prepared:
        x = lifted(x)
        check_ordered(self.name, x.dtype)
        dim = normalize_dim(dim, len(x.shape), self.name)
        return (x,), {"dim": dim, "descending": bool(descending)}

    def descends(self, params: dict[str, Any]) -> bool:
        return bool(params["descending"])

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,) = inputs
        return TensorType(x.dtype, x.shape), TensorType(int64, x.shape)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,), dim = arrays, params["dim"]
        if x.ndim == 0:
            return x.copy(), np.zeros((), np.int64)
        order = _order(x, dim, params["descending"])
        return x[along(order, dim)], order


class Topk(_Ordering):
    """The k largest (or smallest) elements along `dim` in order, and where each was."""

    samples = (
        Sample(T((3, 5), distinct=True), 2),
        Sample(T((4, 3), distinct=True), 3, 0, False),
        Sample(T((2, 5)), 0),
    )
    error_samples = (
        ErrorSample(RuntimeError, "k = 6 is out of range for a size of 5", T((3, 5)), 6),
        ErrorSample(RuntimeError, "k = -3 is out of range for a size of 5", T((3, 5)), -3),
        ErrorSample(TypeError, "not defined for complex64", T((3, 5), dtype="complex64"), 2),
    )

    def prepare(
        self, x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
    ) -> Prepared:
        x = lifted(x)
        check_ordered(self.name, x.dtype)
        dim = normalize_dim(dim, len(x.shape), self.name)
        if not hasattr(k, "__index__"):
            raise TypeError(f"topk: k must be an int, got {type(k).__name__}")
        return (x,), {"k": k, "dim": dim, "largest": bool(largest)}

    def descends(self, params: dict[str, Any]) -> bool:
        return bool(params["largest"])

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,), k, dim = inputs, params["k"], params["dim"]
        size = x.shape[dim] if len(x.shape) else 1
        if k < 0 or k > size:
            raise ArgumentError(f"topk: k = {k} is out of range for a size of {size}")
        shape = tuple(k if d == dim else s for d, s in enumerate(x.shape))
        return TensorType(x.dtype, shape), TensorType(int64, shape)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,), dim = arrays, params["dim"]
        self.infer(families.array_type(x), **params)
        if x.ndim == 0:
            return x.copy(), np.zeros((), np.int64)
        first = (*(slice(None),) * dim, slice(params["k"]))
        order = np.ascontiguousarray(_order(x, dim, params["largest"])[first])
        return x[along(order, dim)], order


class Cumsum(families.Scan):
    """Running sums along `dim`: y[i] = x[0] + ... + x[i]. Integers and booleans as int64."""

    samples = (
        Sample(T((3, 5)), 1),
        Sample(T((4, 3)), 0),
        Sample(T(()), 0),
        Sample(T((2, 0)), -1),
    )
    error_samples = (ErrorSample(IndexError, "dimension 2 is out of range", T((3, 5)), 2),)
    dtypes = ("float32", "float64", "int64", "bool")
    tolerance = {"float32": 1e-5}

    def combine(b: Any, acc: Any, x: Any) -> Any:
        return acc + x

    def prepare(self, x: Any, dim: int) -> Prepared:
        x = lifted(x)
        x = x if x.dtype.is_inexact else ops.cast(x, int64)
        return (x,), {"dim": normalize_dim(dim, len(x.shape), self.name)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        return (TensorType(inputs[0].dtype, inputs[0].shape),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,) = arrays
        if x.ndim == 0:
            return x.copy()
        dtype = from_numpy(x.dtype)
        if not dtype.is_inexact:
            return np.cumsum(x, params["dim"], dtype=x.dtype)
        wide = x.astype(compute_dtype(dtype).numpy, copy=False)
        with np.errstate(all="ignore"):
            return running_sums(wide, params["dim"]).astype(x.dtype, copy=False)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x,) = inputs
        return g.op("CumSum", x, g.size(params["dim"])) if x.shape else x

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (g,), dim = grads, params["dim"]
        if not len(g.shape):
            return [g]
        return [ops.flip(ops.cumsum(ops.flip(g, dim), dim), dim)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()


class _RunningExtreme(families.Scan):
    """The largest or smallest element so far; a gradient goes by the places of the elements."""

    abstract = True
    samples = (
        Sample(T((3, 5), distinct=True), 1),
        Sample(T((4, 3), distinct=True), 0),
        Sample(T(()), 0),
        Sample(T((2, 0)), -1),
    )
    error_samples = (
        ErrorSample(IndexError, "dimension 2 is out of range", T((3, 5)), 2),
        ErrorSample(TypeError, "not defined for complex64", T((3, 5), dtype="complex64"), 1),
    )
    dtypes = ("float32", "float64", "int64", "bool")
    differentiable = False
    ufunc: ClassVar[Any] = None

    def prepare(self, x: Any, dim: int) -> Prepared:
        x = lifted(x)
        check_ordered(self.name, x.dtype)
        return (x,), {"dim": normalize_dim(dim, len(x.shape), self.name)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        return (TensorType(inputs[0].dtype, inputs[0].shape),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,) = arrays
        with np.errstate(all="ignore"):
            return type(self).ufunc.accumulate(x, params["dim"]) if x.ndim else x.copy()

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [None]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()


class RunningMax(_RunningExtreme):
    """y[i] = the largest of x[0], ..., x[i] along `dim`; NaN from the first NaN on."""

    ufunc = np.maximum

    def combine(b: Any, acc: Any, x: Any) -> Any:
        return b.max(acc, x)


class RunningMin(_RunningExtreme):
    """y[i] = the smallest of x[0], ..., x[i] along `dim`; NaN from the first NaN on."""

    ufunc = np.minimum

    def combine(b: Any, acc: Any, x: Any) -> Any:
        return b.min(acc, x)
