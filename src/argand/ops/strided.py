"""Views that read memory with other strides: diagonals, overlapping windows, any strides at all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from argand.base.dim import Extent
from argand.base.dtype import has_numpy
from argand.base.errors import ArgumentError, ShapeError
from argand.base.shape import Shape, normalize_dim, same_shape, shape_text
from argand.base.strides import repeats_places
from argand.ir.batching import each
from argand.ir.elementwise import lifted
from argand.ir.families import Move, View, array_type
from argand.ir.op import TensorType, describe, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.move import zeros_like

Prepared = tuple[tuple[Any, ...], dict[str, Any]]


# -- diagonals -------------------------------------------------------------------------------------


def _diagonal_params(op: str, x: Any, offset: int, dim1: int, dim2: int) -> dict[str, Any]:
    rank = len(x.shape)
    first, second = normalize_dim(dim1, rank, op), normalize_dim(dim2, rank, op)
    if first == second:
        raise ArgumentError(f"{op}: dim1 and dim2 must differ, both are {first}")
    return {"offset": int(offset), "dim1": first, "dim2": second}


def _start(params: dict[str, Any]) -> tuple[int, int]:
    """The row and the column that a diagonal begins at."""
    return max(-params["offset"], 0), max(params["offset"], 0)


def _diagonal_shape(shape: Shape, params: dict[str, Any]) -> Shape:
    dim1, dim2 = params["dim1"], params["dim2"]
    row, column = _start(params)
    count = max(min(shape[dim1] - row, shape[dim2] - column), 0)
    return (*(s for d, s in enumerate(shape) if d not in (dim1, dim2)), count)


def _diagonal(x: Any, params: dict[str, Any]) -> Any:
    """The diagonals of an array, as a view that is writable where the array is."""
    row, column = _start(params)
    rest = np.moveaxis(x, (params["dim1"], params["dim2"]), (-2, -1))[..., row:, column:]
    strides = (*rest.strides[:-2], rest.strides[-2] + rest.strides[-1])
    shape: Any = _diagonal_shape(x.shape, params)
    return _strided(rest, shape, strides)


def _strided(x: Any, shape: Any, strides: Any, apart: bool = True) -> Any:
    """The memory of x with other strides, in bytes; not to be written where elements meet."""
    words = x if has_numpy(x.dtype) else x.view(f"u{x.itemsize}")  # NumPy asks for a name it knows
    found = as_strided(words, shape, strides, writeable=x.flags.writeable and apart)
    return found.view(x.dtype)


class Diagonal(View):
    """The elements of `dim1` and `dim2` with column - row = offset, as the last dimension."""

    samples = (
        Sample(T((3, 4))),
        Sample(T((4, 3, 2)), -1, 2, 0),
        Sample(T((3, 3)), 1, -2, -1),
        Sample(T((2, 2)), 5),
        Sample(T((0, 3))),
    )
    error_samples = (
        ErrorSample(RuntimeError, "dim1 and dim2 must differ", T((2, 3)), 0, 1, -1),
        ErrorSample(IndexError, "dimension 2 is out of range", T((2, 3)), 0, 0, 2),
    )

    def prepare(self, x: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Prepared:
        x = lifted(x)
        return (x,), _diagonal_params(self.name, x, offset, dim1, dim2)

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        return (TensorType(inputs[0].dtype, _diagonal_shape(inputs[0].shape, params)),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        return _diagonal(arrays[0], params)

    def source(b: Any, index: Any, shape: Any, params: Any) -> Any:
        others, (row, column) = iter(index[:-1]), _start(params)
        named = {params["dim1"]: row, params["dim2"]: column}
        places = (
            b.add(index[-1], named[d]) if d in named else next(others) for d in range(len(shape))
        )
        return list(places), None

    def view_strides(shape: Any, strides: Any, params: Any) -> tuple[Extent, Shape]:
        dim1, dim2 = params["dim1"], params["dim2"]
        row, column = _start(params)
        others = (s for d, s in enumerate(strides) if d not in (dim1, dim2))
        first = row * strides[dim1] + column * strides[dim2]
        return first, (*others, strides[dim1] + strides[dim2])

    def write_back(self, whole: Any, part: Any, params: dict[str, Any]) -> Any:
        return ops.diagonal_scatter(whole, part, **params)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x,), dim1, dim2 = inputs, params["dim1"], params["dim2"]
        others = [d for d in range(len(x.shape)) if d not in (dim1, dim2)]
        rows, columns = x.shape[dim1], x.shape[dim2]
        shape = tuple(x.shape[d] for d in others)
        x = g.op("Transpose", x, perm=[*others, dim1, dim2])
        flat = g.reshape(x, (*shape, rows * columns))
        (row, column), count = _start(params), _diagonal_shape(inputs[0].shape, params)[-1]
        steps = g.op("Range", g.size(0), g.size(count), g.size(1))
        steps = g.op("Mul", steps, g.size(columns + 1))
        place = g.op("Add", steps, g.size(row * columns + column))
        return g.op("Gather", flat, place, axis=len(others))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [ops.diagonal_scatter(zeros_like(inputs[0]), grads[0], **params)]


class DiagonalScatter(Move):
    """x with the elements that `diagonal` would give replaced by those of src."""

    samples = (
        Sample(T((3, 4)), T((3,))),
        Sample(T((4, 3, 2)), T((3, 2)), 1, 2, 0),
        Sample(T((3, 3)), T((2,)), 1, -2, -1),
        Sample(T((0, 3)), T((0,))),
    )
    error_samples = (
        ErrorSample(RuntimeError, "expected (3,)", T((3, 4)), T((4,))),
        ErrorSample(RuntimeError, "dim1 and dim2 must differ", T((2, 3)), T((2,)), 0, 1, 1),
    )
    several = True

    def prepare(self, x: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Prepared:
        x, src = lifted(x), lifted(src)
        src = src if src.dtype is x.dtype else ops.cast(src, x.dtype)
        return (x, src), _diagonal_params(self.name, x, offset, dim1, dim2)

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        x, src = inputs
        _check_region(self.name, x, src, _diagonal_shape(x.shape, params))
        return (TensorType(x.dtype, x.shape),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        self.infer(*map(array_type, arrays), **params)  # NumPy would broadcast
        y = np.array(arrays[0], order="C")
        np.copyto(_diagonal(y, params), arrays[1])
        return y

    def source(b: Any, index: Any, shapes: Any, params: Any) -> Any:
        dim1, dim2 = params["dim1"], params["dim2"]
        row, column = _start(params)
        place = b.sub(index[dim1], row)
        on = b.eq(place, b.sub(index[dim2], column))
        inside = b.apply("and", on, b.le(0, place))
        others = (i for d, i in enumerate(index) if d not in (dim1, dim2))
        return [(list(index), None), ([*others, place], inside)]

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x, src), (dim1, dim2), rank = (
            inputs,
            (params["dim1"], params["dim2"]),
            len(inputs[0].shape),
        )
        order = [*(d for d in range(rank) if d not in (dim1, dim2)), dim1, dim2]
        (row, _), rows, count = _start(params), x.shape[dim1], src.shape[-1]
        pads = [*(0,) * (rank - 2), row, *(0,) * (rank - 2), rows - row - count]
        column = g.op("Pad", src, g.sizes(pads), g.constant(0, src.dtype))
        column = g.op("Unsqueeze", column, g.sizes((rank - 1,)))
        i, j = (g.op("Range", g.size(0), g.size(x.shape[d]), g.size(1)) for d in (dim1, dim2))
        on = g.op("Sub", j, g.op("Unsqueeze", i, g.sizes((1,))))
        on = g.op("Equal", on, g.size(params["offset"]))
        y = g.op("Where", on, column, g.op("Transpose", x, perm=order))
        return g.op("Transpose", y, perm=[order.index(d) for d in range(rank)])

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        kept = ops.diagonal_scatter(grads[0], zeros_like(inputs[1]), **params)
        return [kept, ops.diagonal(grads[0], **params)]


def _check_region(op: str, x: TensorType, src: TensorType, shape: Shape) -> None:
    """ShapeError unless `src` has the shape of the region that it replaces."""
    if not same_shape(src.shape, shape):
        raise ShapeError(f"{op}: {describe(x, src)}: expected {shape_text(shape)} in its place")


# -- windows ---------------------------------------------------------------------------------------


class Unfold(View):
    """Windows of `size` elements, one every `step`, along `dim`, as a new last dimension."""

    samples = (
        Sample(T((7,)), 0, 3, 1),
        Sample(T((2, 7, 3)), 1, 2, 3),
        Sample(T((5, 4)), -1, 4, 1),
        Sample(T((3, 4)), 0, 0, 2),
    )
    error_samples = (
        ErrorSample(RuntimeError, "size 6 doesn't fit", T((5,)), 0, 6, 1),
        ErrorSample(RuntimeError, "step must be at least 1", T((5,)), 0, 2, 0),
    )
    repeats = True

    def apply(self, x: Any, dim: int, size: int, step: int) -> Any:
        x = lifted(x)
        if x.shape or not 0 <= size <= 1:
            return super().apply(x, dim, size, step)
        normalize_dim(dim, 0, self.name)
        return ops.slice(ops.reshape(x, (1,)), (0,), (size,))  # one window of one element

    def prepare(self, x: Any, dim: int, size: int, step: int) -> Prepared:
        x = lifted(x)
        dim = normalize_dim(dim, len(x.shape), self.name)
        return (x,), {"dim": dim, "size": int(size), "step": int(step)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,), dim, size, step = inputs, params["dim"], params["size"], params["step"]
        if step < 1:
            raise ArgumentError(f"unfold: {describe(x)}: step must be at least 1, got {step}")
        if size < 0 or size > (x.shape[dim] if x.shape else 1):
            raise ArgumentError(
                f"unfold: {describe(x)}: a window of size {size} doesn't fit dimension {dim}"
            )
        count = (x.shape[dim] - size) // step + 1
        return (TensorType(x.dtype, (*x.shape[:dim], count, *x.shape[dim + 1 :], size)),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,), dim, step = arrays, params["dim"], params["step"]
        self.infer(array_type(x), **params)  # NumPy doesn't look
        count = (x.shape[dim] - params["size"]) // step + 1
        shape = (*x.shape[:dim], count, *x.shape[dim + 1 :], params["size"])
        strides = (*x.strides[:dim], step * x.strides[dim], *x.strides[dim + 1 :], x.strides[dim])
        apart = step >= params["size"]
        return _strided(x, shape, strides, apart)

    def source(b: Any, index: Any, shape: Any, params: Any) -> Any:
        places = list(index[:-1])
        dim = params["dim"]
        places[dim] = b.add(b.mul(places[dim], params["step"]), index[-1])
        return places, None

    def view_strides(shape: Any, strides: Any, params: Any) -> tuple[Extent, Shape]:
        dim, step = params["dim"], params["step"]
        return 0, (*strides[:dim], step * strides[dim], *strides[dim + 1 :], strides[dim])

    def write_back(self, whole: Any, part: Any, params: dict[str, Any]) -> Any:
        if params["step"] < params["size"]:
            return super().write_back(whole, part, params)
        return put_windows(whole, part, params, False)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x,), dim, size, step = inputs, params["dim"], params["size"], params["step"]
        rank, count = len(x.shape), (x.shape[dim] - params["size"]) // params["step"] + 1
        first = g.op("Range", g.size(0), g.size(count), g.size(1))
        first = g.op("Mul", g.op("Unsqueeze", first, g.sizes((1,))), g.size(step))
        index = g.op("Add", first, np.arange(size, dtype=np.int64))
        y = g.op("Gather", x, index, axis=dim)
        order = [d for d in range(rank + 1) if d != dim + 1]
        return g.op("Transpose", y, perm=[*order, dim + 1])

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [put_windows(zeros_like(inputs[0]), grads[0], params, True)]


def put_windows(whole: Any, windows: Any, params: dict[str, Any], accumulate: bool) -> Any:
    """`whole` with windows written, or added, to where `unfold` finds them."""
    dim, size = params["dim"], params["size"]
    rank, count = len(whole.shape), windows.shape[dim]
    starts = ops.reshape(ops.arange(0, params["step"], count, "int64"), (count, 1))
    index = ops.add(starts, ops.arange(0, 1, size, "int64"))
    order = (*range(dim + 1), rank, *range(dim + 1, rank))
    values = ops.permute(windows, order)
    return ops.index_put(whole, values, index, dims=(dim,), accumulate=accumulate)


# -- any strides -----------------------------------------------------------------------------------


class AsStrided(View):
    """y[i, j, ...] = x[offset + i * stride[0] + j * stride[1] + ...], of a vector's elements."""

    samples = (
        Sample(T((9,)), (2, 2), (1, 2), 1),
        Sample(T((8,)), (2, 3), (4, 1)),
        Sample(T((5,)), (), (), 3),
        Sample(T((5,)), (2, 3), (0, 2)),
        Sample(T((4,)), (0, 3), (9, 1)),
    )
    error_samples = (
        ErrorSample(RuntimeError, "one stride for each size", T((5,)), (2,), (1, 1)),
        ErrorSample(RuntimeError, "must not be negative", T((5,)), (2,), (-1,), 4),
        ErrorSample(RuntimeError, "reaches element 6 of 5", T((5,)), (3, 2), (2, 2)),
    )
    repeats = True

    def prepare(self, x: Any, size: Any, stride: Any, offset: int = 0) -> Prepared:
        return (lifted(x),), {
            "size": tuple(map(int, size)),
            "stride": tuple(map(int, stride)),
            "offset": int(offset),
        }

    def batched(self, size: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x,) = inputs
        rows = ops.reshape(x.stacked(size), (-1,))
        sizes, strides = (size, *params["size"]), (x.shape[0], *params["stride"])
        return each([ops.as_strided(rows, sizes, strides, params["offset"])])

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,), size, stride, offset = inputs, params["size"], params["stride"], params["offset"]
        if len(x.shape) != 1:
            raise ShapeError(f"as_strided: {describe(x)}: expected a vector")
        if len(size) != len(stride):
            raise ArgumentError(f"as_strided: {describe(x)}: expected one stride for each size")
        if min((*size, *stride, offset), default=0) < 0:
            raise ArgumentError(
                f"as_strided: {describe(x)}: sizes, strides and offset must not be negative, got "
                f"{size}, {stride} and {offset}"
            )
        last = offset + sum((n - 1) * by for n, by in zip(size, stride, strict=True))
        if math.prod(size) and last >= x.shape[0]:
            raise ArgumentError(
                f"as_strided: {describe(x)}: reaches element {last} of {x.shape[0]}"
            )
        return (TensorType(x.dtype, size),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,), size = arrays, params["size"]
        self.infer(array_type(x), **params)  # NumPy doesn't look
        apart = not repeats_places(size, params["stride"])
        strides = tuple(x.strides[0] * by for by in params["stride"])
        start = x[params["offset"] :] if math.prod(size) else x[:0]
        return _strided(start, size, strides, apart)

    def source(b: Any, index: Any, shape: Any, params: Any) -> Any:
        place: Any = params["offset"]
        for i, by in zip(index, params["stride"], strict=True):
            place = b.add(place, b.mul(i, by))
        return [place], None

    def view_strides(shape: Any, strides: Any, params: Any) -> tuple[Extent, Shape]:
        (unit,) = strides
        if not math.prod(params["size"]):
            return 0, (0,) * len(params["size"])
        return params["offset"] * unit, tuple(by * unit for by in params["stride"])

    def write_back(self, whole: Any, part: Any, params: dict[str, Any]) -> Any:
        if repeats_places(params["size"], params["stride"]):
            return super().write_back(whole, part, params)
        return put_strided(whole, part, params, False)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        size, place = params["size"], np.array(params["offset"], np.int64)
        for n, by in zip(size, params["stride"], strict=True):
            place = place[..., None] + by * np.arange(n, dtype=np.int64)
        return g.op("Gather", inputs[0], place)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [put_strided(zeros_like(inputs[0]), grads[0], params, True)]


def put_strided(whole: Any, part: Any, params: dict[str, Any], accumulate: bool) -> Any:
    """`whole` with `part` written, or added, to where `as_strided` finds it."""
    size = params["size"]
    index = ops.full(size, params["offset"], "int64")
    for d, (n, by) in enumerate(zip(size, params["stride"], strict=True)):
        steps = ops.arange(0, by, n, "int64")
        index = ops.add(index, ops.reshape(steps, (n, *(1,) * (len(size) - d - 1))))
    return ops.index_put(whole, part, index, dims=(0,), accumulate=accumulate)
