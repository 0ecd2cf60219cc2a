"""Scatters that combine what goes to one place, and values by how often they occur."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from argand.base.conversion import plain
from argand.base.dim import is_less
from argand.base.dtype import compute_dtype, from_numpy, int64
from argand.base.errors import ArgumentError, DTypeError, EmptyError, ShapeError
from argand.base.shape import normalize_dim, reduced_shape, same_shape, shape_text
from argand.ir import families
from argand.ir.batching import together
from argand.ir.elementwise import lifted
from argand.ir.op import TensorType, describe, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.gather import along, check_range
from argand.ops.move import zeros_like
from argand.ops.reduce import check_ordered

Prepared = tuple[tuple[Any, ...], dict[str, Any]]


_X, _AT = T((4, 4), distinct=True), T((4, 4), 0, 3, "int64")


class ScatterCombine(families.Host):
    """x with y[index[i, j, ...], j, ...] combined with src[i, j, ...] for `dim` 0, and so on.

    `how` is "prod", "amax" or "amin". Equal extremes share the gradient evenly; that of a product
    is exact also where elements are 0, second derivatives there are not.
    """

    batched = together
    COMBINES: ClassVar[dict[str, Any]] = {
        "prod": np.multiply,
        "amax": np.maximum,
        "amin": np.minimum,
    }
    samples = (
        Sample(_X, 0, _AT, _X, "prod"),
        Sample(_X, 0, _AT, _X, "amax"),
        Sample(_X, 0, _AT, _X, "amin"),
        Sample(T((3, 4)), 1, T((2, 5), 0, 3, "int64"), T((2, 5)), "prod"),
        Sample(T((5,)), 0, T((0,), 0, 4, "int64"), T((0,)), "amax"),
    )
    error_samples = (
        ErrorSample(
            IndexError,
            "index 9 is out of range",
            T((4,)),
            0,
            T((1,), 9, 9, "int64"),
            T((1,)),
            "prod",
        ),
        ErrorSample(
            RuntimeError,
            "how must be one of prod, amax, amin",
            T((4,)),
            0,
            T((1,), 0, 0, "int64"),
            T((1,)),
            "max",
        ),
        ErrorSample(
            RuntimeError,
            "of one shape",
            T((4,)),
            0,
            T((1,), 0, 0, "int64"),
            T((2,)),
            "amax",
        ),
    )
    dtypes = ("float32", "float64", "int64", "bool")

    def as_call(self, inputs: Any, params: dict[str, Any]) -> Any:
        x, index, src = inputs
        return (x, params["dim"], index, src, params["how"]), {}

    def prepare(self, x: Any, dim: int, index: Any, src: Any, how: str) -> Prepared:
        x, index, src = lifted(x), lifted(index), lifted(src)
        if how not in self.COMBINES:
            raise ArgumentError(
                f"{self.name}: how must be one of {', '.join(self.COMBINES)}, got {how!r}"
            )
        if x.dtype.is_complex:
            raise DTypeError(f"{self.name}: not defined for {x.dtype.name}")
        dim = normalize_dim(dim, len(x.shape), self.name)
        return (x, index, src), {"dim": dim, "how": how}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        x, index, src = inputs
        if not same_shape(index.shape, src.shape) or len(index.shape) != len(x.shape):
            raise ShapeError(
                f"{self.name}: {describe(x, index, src)}: index and source must be of one shape, "
                "with as many dimensions as the tensor"
            )
        for d, (i, s) in enumerate(zip(index.shape, x.shape, strict=True)):
            if d != params["dim"] and i > s:
                raise ShapeError(
                    f"{self.name}: {describe(x, index, src)}: the index is larger than the tensor "
                    f"in dimension {d}"
                )
        return (TensorType(x.dtype, x.shape),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x, index, src), dim = arrays, params["dim"]
        self.infer(*map(families.array_type, arrays), **params)
        check_range(self.name, index, x.shape[dim], dim)
        wide = compute_dtype(from_numpy(x.dtype)).numpy
        y = np.array(x, wide, order="C")
        place = np.arange(y.size, dtype=np.int64).reshape(y.shape)[along(index, dim)]
        values = src.astype(wide, copy=False).reshape(-1)
        with np.errstate(all="ignore"):
            self.COMBINES[params["how"]].at(y.reshape(-1), place.reshape(-1), values)
            return y.astype(x.dtype, copy=False)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        how = {"prod": "mul", "amax": "max", "amin": "min"}[params["how"]]
        return g.op("ScatterElements", *inputs, axis=params["dim"], reduction=how)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (g,), (x, index, src), dim = grads, inputs, params["dim"]
        if params["how"] == "prod":
            of_x, of_src = _product_slopes(x, index, src, dim)
            return [ops.mul(g, of_x), None, ops.mul(ops.gather(g, dim, index), of_src)]
        y = outputs[0]
        kept, came = ops.eq(x, y), ops.eq(src, ops.gather(y, dim, index))
        one, ones = ops.cast(kept, x.dtype), ops.cast(came, x.dtype)
        share = ops.div(g, ops.clamp(ops.scatter_add(one, dim, index, ones), 1, None))
        return [
            ops.where(kept, share, 0.0),
            None,
            ops.where(came, ops.gather(share, dim, index), 0.0),
        ]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0, 1, 2), (0,)


def _product_slopes(x: Any, index: Any, src: Any, dim: int) -> tuple[Any, Any]:
    """The product of all other elements of its place, for each element of x and of src."""
    holes = [ops.eq(v, 0) for v in (x, src)]
    others = [ops.where(hole, 1.0, v) for hole, v in zip(holes, (x, src), strict=True)]
    product = ops.scatter_combine(others[0], dim, index, others[1], "prod")
    zero, zeros = (ops.cast(hole, x.dtype) for hole in holes)
    count = ops.scatter_add(zero, dim, index, zeros)
    single = ops.where(ops.eq(count, 1), product, 0.0)
    whole = ops.where(ops.eq(count, 0), product, 0.0)
    of_x = ops.where(holes[0], single, ops.div(whole, others[0]))
    at = (ops.gather(v, dim, index) for v in (single, whole))
    return of_x, ops.where(holes[1], next(at), ops.div(next(at), others[1]))


class Mode(families.Host):
    """(values, indices) of the most frequent element along `dim`: the smallest of several.

    The index is that of its last occurrence. NaNs are all different.
    """

    batched = together
    visible = 2
    samples = (
        Sample(T((3, 5), distinct=True), 1),
        Sample(T((4, 3), distinct=True), 0, True),
        Sample(T(())),
    )
    error_samples = (
        ErrorSample(IndexError, "dimension 2 is out of range", T((3, 5)), 2),
        ErrorSample(RuntimeError, "is empty", T((3, 0)), 1),
        ErrorSample(TypeError, "not defined for complex64", T((3, 5), dtype="complex64")),
    )
    dtypes = ("float32", "float64", "int64", "bool")

    def prepare(self, x: Any, dim: int = -1, keepdim: bool = False) -> Prepared:
        x = lifted(x)
        check_ordered(self.name, x.dtype)
        dim = normalize_dim(dim, len(x.shape), self.name)
        return (x,), {"dim": dim, "keepdim": bool(keepdim)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,) = inputs
        if x.shape and is_less(x.shape[params["dim"]], 1):
            raise EmptyError(
                f"mode: dimension {params['dim']} of shape {shape_text(x.shape)} is empty"
            )
        dims = (params["dim"],) if x.shape else ()
        shape = reduced_shape(x.shape, dims, params["keepdim"])
        return TensorType(x.dtype, shape), TensorType(int64, shape)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,), dim = arrays, params["dim"]
        if not x.ndim:
            return x.copy(), np.zeros((), np.int64)
        self.infer(families.array_type(x), **params)
        rows = np.moveaxis(plain(x), dim, -1)
        order = rows.argsort(-1, kind="stable")
        ordered = np.take_along_axis(rows, order, -1)
        place = np.arange(rows.shape[-1])
        begins = np.ones(rows.shape, bool)
        begins[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
        length = place - np.maximum.accumulate(np.where(begins, place, 0), -1)
        index = np.take_along_axis(order, length.argmax(-1)[..., None], -1)
        index = np.moveaxis(index, -1, dim)
        values = np.take_along_axis(x, index, dim)
        found = (values, index) if params["keepdim"] else (values.squeeze(dim), index.squeeze(dim))
        return tuple(map(np.ascontiguousarray, found)) if x.ndim > 1 or params["keepdim"] else found

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        if grads[0] is None:
            return [None]
        (x,), g, index, dim = inputs, grads[0], outputs[1], params["dim"]
        if not x.shape:
            return [g]
        shape = reduced_shape(x.shape, (dim,), True)
        g, index = ops.reshape(g, shape), ops.reshape(index, shape)
        return [ops.scatter_add(zeros_like(x), dim, index, g)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), (1,)
