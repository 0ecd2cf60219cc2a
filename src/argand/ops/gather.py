"""Reads and writes at computed places. An index out of range is an IndexError before any write."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from argand.base.dim import same
from argand.base.dtype import int64
from argand.base.errors import DTypeError, IndexRangeError, ShapeError
from argand.base.shape import (
    Shape,
    broadcast_shapes,
    normalize_dim,
    normalize_dims,
    same_shape,
    shape_text,
)
from argand.ir import families
from argand.ir.batching import each, indexed, together
from argand.ir.bind import bind
from argand.ir.elementwise import is_number, lifted
from argand.ir.op import TensorType, describe, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.move import zeros_like

Prepared = tuple[tuple[Any, ...], dict[str, Any]]


def _index(*shape: int, high: int, low: int = 0) -> T:
    """A test operand of whole numbers from `low` to `high`, both included."""
    return T(shape, low, high, "int64")


def check_range(op: str, index: Any, size: int, dim: int, negative: bool = False) -> None:
    """IndexError that names the first value of `index` outside the range of `size`."""
    least = -size if negative else 0
    if index.dtype.itemsize == 8:  # as unsigned numbers, those below the range are the largest
        bad = (index - least if negative else index).view(np.uint64) >= size - least
    else:
        bad = (index >= size) | (index < least)
    if np.count_nonzero(bad):
        value = index[np.unravel_index(np.argmax(bad), bad.shape)]
        raise IndexRangeError(
            f"{op}: index {value} is out of range for dimension {dim} of size {size}"
        )


def _check_whole(op: str, index: Any) -> None:
    if not index.dtype.is_index:
        raise DTypeError(
            f"{op}: the index must hold integers, at most int64, got {index.dtype.name}"
        )


def along(index: Any, dim: int) -> tuple[Any, ...]:
    """NumPy's index for the elements that `index` names along `dim`."""
    grid = _small_grid if sum(index.shape) < _SMALL else _grid
    found = list(grid(index.shape))
    found[dim] = index
    return tuple(found)


_SMALL = 1024


def _grid(shape: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(np.ogrid[tuple(map(slice, shape))])


_small_grid = lru_cache(maxsize=512)(_grid)


def as_vector(x: Any) -> Any:
    """A 0-d operand as a vector of one element, which indexing takes it for."""
    return x if x.shape else ops.reshape(x, (1,))


def _check_along(op: str, x: TensorType, index: TensorType, dim: int) -> None:
    """The index has the rank of `x` and, but for `dim`, is nowhere larger."""
    _check_whole(op, index)
    fits = len(x.shape) == len(index.shape) and all(
        d == dim or same(i, s) or i <= s
        for d, (i, s) in enumerate(zip(index.shape, x.shape, strict=True))
    )
    if not fits:
        raise ShapeError(
            f"{op}: {describe(x, index)}: the index must have as many dimensions as the tensor "
            f"and be no larger, except in dimension {dim}"
        )


def _named(index: Any, look: Any, shapes: Any, params: Any) -> Any:
    """The place that the operand after the first names along the dimension `dim`."""
    place, dim = list(index), params["dim"]
    place[dim] = look(1, index, shapes[0][dim])
    return place


def _is_empty(x: Any) -> bool:
    return any(isinstance(s, int) and s == 0 for s in x.shape)


class Gather(families.Gather):
    """y[i, j, ...] = x[index[i, j, ...], j, ...] for `dim` 0, and so for any other."""

    batched = together
    samples = (
        Sample(T((3, 4)), 1, _index(3, 2, high=3)),
        Sample(T((3, 4)), 0, _index(5, 4, high=2)),
        Sample(T((3, 4)), -1, _index(2, 6, high=3)),
        Sample(T((5,)), 0, _index(0, high=4)),
    )
    error_samples = (
        ErrorSample(
            IndexError,
            "gather: index 5 is out of range for dimension 0 of size 4",
            T((4,)),
            0,
            _index(1, high=5, low=5),
        ),
        ErrorSample(RuntimeError, "as many dimensions", T((4, 2)), 0, _index(1, high=0)),
        ErrorSample(TypeError, "must hold integers", T((4,)), 0, T((2,))),
    )

    def as_call(self, inputs: Any, params: dict[str, Any]) -> Any:
        x, index = inputs
        return (x, params["dim"], index), {}

    def apply(self, x: Any, dim: int, index: Any) -> Any:
        x, index = lifted(x), lifted(index)
        if len(index.shape) != len(x.shape) and _is_empty(index):
            return ops.reshape(ops.slice(ops.reshape(x, (-1,)), (0,), (0,)), index.shape)
        if x.shape or len(index.shape) > 1:
            return super().apply(x, dim, index)
        return ops.reshape(self(as_vector(x), dim, as_vector(index)), index.shape)

    def prepare(self, x: Any, dim: int, index: Any) -> Prepared:
        return (x, index), {"dim": normalize_dim(dim, len(x.shape), self.name)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        x, index = inputs
        _check_along(self.name, x, index, params["dim"])
        return (TensorType(x.dtype, index.shape),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x, index), dim = arrays, params["dim"]
        if index.ndim != x.ndim:  # NumPy would broadcast it
            self.infer(families.array_type(x), families.array_type(index), dim=dim)
        check_range(self.name, index, x.shape[dim], dim)
        return x[along(index, dim)]

    def source(index: Any, look: Any, shapes: Any, params: Any) -> Any:
        return _named(index, look, shapes, params)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return g.op("GatherElements", *inputs, axis=params["dim"])

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        x, index = inputs
        return [ops.scatter_add(zeros_like(x), params["dim"], index, grads[0]), None]

    def saves(self, params: dict[str, Any]) -> Any:
        return (1,), ()


class _ScatterAlong(families.Scatter):
    """Writes along one dimension, at the places that an index names."""

    batched = together
    abstract = True
    values = 2
    samples: ClassVar[Any] = (
        Sample(T((3, 4)), 1, _index(3, 4, high=3), T((3, 4))),
        Sample(T((3, 4)), 0, _index(2, 4, high=2), T((2, 4))),
        Sample(T((5,)), -1, _index(3, high=4), T((4,))),
        Sample(T((5,)), 0, _index(0, high=4), T((0,))),
    )

    def as_call(self, inputs: Any, params: dict[str, Any]) -> Any:
        x, index, src = inputs
        return (x, params["dim"], index, src), {}

    def apply(self, x: Any, dim: int, index: Any, src: Any) -> Any:
        x, index = lifted(x), lifted(index)
        if x.shape or len(index.shape) > 1:
            return super().apply(x, dim, index, src)
        src = src if is_number(src) else as_vector(lifted(src))
        return ops.reshape(self(as_vector(x), dim, as_vector(index), src), ())

    def prepare(self, x: Any, dim: int, index: Any, src: Any) -> Prepared:
        if is_number(src):
            src = ops.expand(ops.full((), src, x.dtype), index.shape)
        src = lifted(src)
        if src.dtype is not x.dtype:
            raise DTypeError(f"{self.name}: {describe(x, src)}: both must have one dtype")
        if not same_shape(src.shape, index.shape):
            _check_along(self.name, src, index, -1)
            src = ops.slice(src, (0,) * len(index.shape), index.shape)
        return (x, index, src), {"dim": normalize_dim(dim, len(x.shape), self.name)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        x, index, _ = inputs
        _check_along(self.name, x, index, params["dim"])
        return (TensorType(x.dtype, x.shape),)

    def target(index: Any, look: Any, shapes: Any, params: Any) -> Any:
        return _named(index, look, shapes, params)

    def collides(shapes: Any, params: Any) -> Any:
        return (params["dim"],)

    def saves(self, params: dict[str, Any]) -> Any:
        return (1,), ()


class ScatterAdd(_ScatterAlong):
    """x with y[index[i, j, ...], j, ...] += src[i, j, ...] for `dim` 0, and so for any other.

    Equal places add up, in the order of i.
    """

    error_samples = (
        ErrorSample(
            IndexError,
            "scatter_add: index -1 is out of range",
            T((4,)),
            0,
            _index(1, high=-1, low=-1),
            T((1,)),
        ),
    )

    def adds(params: Any) -> bool:
        return True

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x, index, src), dim = arrays, params["dim"]
        check_range(self.name, index, x.shape[dim], dim)
        y = np.array(x, order="C")
        add_at(y, along(index, dim), src)
        return y

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return g.op("ScatterElements", *inputs, axis=params["dim"], reduction="add")

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [grads[0], None, ops.gather(grads[0], params["dim"], inputs[1])]


def add_at(y: Any, place: tuple[Any, ...], values: Any) -> None:
    """y[place] += values in order, equal places adding up; `y` is contiguous."""
    linear = _linear(y.shape, place, np.size(values))
    flat = np.broadcast_to(values, linear.shape).reshape(-1)
    np.add.at(y.reshape(-1), linear.reshape(-1), flat)


def _linear(shape: tuple[int, ...], place: tuple[Any, ...], count: int) -> Any:
    """The places in row-major memory of what is at a place, of about `count` elements."""
    if math.prod(shape) <= 4 * count:
        return np.arange(math.prod(shape), dtype=np.int64).reshape(shape)[place]
    found: Any = np.int64(0)
    for d, size in enumerate(shape):
        behind = shape[d + 1 :]
        steps = np.arange(size, dtype=np.int64) * math.prod(behind)
        steps = steps.reshape(-1, *[1] * len(behind))
        found = found + np.broadcast_to(steps, shape)[place]
    return np.asarray(found)


class Scatter(_ScatterAlong):
    """x with y[index[i, j, ...], j, ...] = src[i, j, ...] for `dim` 0, and so for any other.

    Where places are equal the last one counts; the gradient takes them to be different.
    """

    samples = (
        Sample(T((3, 4)), 0, T((1, 4), 0, 2, "int64"), T((1, 4))),
        Sample(T((3, 4)), 1, T((3, 1), 0, 3, "int64"), 1.5),
        Sample(T((5,)), 0, _index(0, high=4), T((0,))),
    )
    error_samples = (
        ErrorSample(IndexError, "index 9 is out of range", T((4,)), 0, _index(1, high=9, low=9), 0),
    )

    def adds(params: Any) -> bool:
        return False

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x, index, src), dim = arrays, params["dim"]
        check_range(self.name, index, x.shape[dim], dim)
        y = x.copy()
        y[along(index, dim)] = src
        return y

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return g.op("ScatterElements", *inputs, axis=params["dim"])

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (g,), index, dim = grads, inputs[1], params["dim"]
        return [ops.scatter(g, dim, index, 0), None, ops.gather(g, dim, index)]


# -- indexing by integer arrays ------------------------------------------------------------------


def indexed_shape(x: TensorType, index: Shape, dims: tuple[int, ...]) -> Shape:
    """The shape of x[..., indices, ...]: the index's shape takes the place of adjacent dims.

    When the dims are not adjacent it comes first, as in NumPy.
    """
    rest = tuple(s for d, s in enumerate(x.shape) if d not in dims)
    at = _first(dims)
    return rest[:at] + tuple(index) + rest[at:]


def _first(dims: tuple[int, ...]) -> int:
    """The dimension of x[..., indices, ...] where those of the index begin."""
    return dims[0] if tuple(dims) == tuple(range(dims[0], dims[0] + len(dims))) else 0


def _looked_up(index: Any, look: Any, shapes: Any, params: Any, first: int) -> Any:
    """The index in x that the operands from number `first` on name, for x[..., indices, ...]."""
    dims, shape = params["dims"], shapes[0]
    begin = _first(dims)
    end = begin + len(shapes[first])
    others = iter((*index[:begin], *index[end:]))
    named = {d: look(first + n, index[begin:end], shape[d], True) for n, d in enumerate(dims)}
    return [named[d] if d in named else next(others) for d in range(len(shape))]


def _place(indices: Any, dims: tuple[int, ...], rank: int) -> tuple[Any, ...]:
    by_dim = dict(zip(dims, indices, strict=True))
    return tuple(by_dim.get(d, slice(None)) for d in range(rank))


def _prepare_indices(op: str, x: Any, indices: Any, dims: Any) -> tuple[list[Any], dict[str, Any]]:
    found = [lifted(i) for i in indices]
    shape = broadcast_shapes(*[i.shape for i in found], op=op)
    found = [i if same_shape(i.shape, shape) else ops.expand(i, shape) for i in found]
    wanted = range(len(found)) if dims is None else dims
    return found, {"dims": normalize_dims(tuple(wanted), len(x.shape), op)}


def _check_indices(op: str, x: TensorType, indices: Any, dims: tuple[int, ...]) -> Shape:
    if not indices or len(indices) != len(dims):
        raise ShapeError(f"{op}: one index for each of the dimensions {dims}, got {len(indices)}")
    for i in indices:
        _check_whole(op, i)
        if not same_shape(i.shape, indices[0].shape):
            raise ShapeError(f"{op}: indices must have one shape, got {describe(*indices)}")
    return indexed_shape(x, indices[0].shape, dims)


def _leading(g: Any, x: Any, dims: tuple[int, ...]) -> Any:
    """A value with the dimensions that are indexed in front."""
    order = [*dims, *(d for d in range(len(x.shape)) if d not in dims)]
    return x if order == list(range(len(order))) else g.op("Transpose", x, perm=order)


def _stacked(g: Any, indices: Any) -> Any:
    """The indices side by side in a new last dimension, as int64."""
    last = g.sizes((len(indices[0].shape),))
    columns = [g.op("Unsqueeze", g.cast(i, int64), last) for i in indices]
    return columns[0] if len(columns) == 1 else g.op("Concat", *columns, axis=-1)


class Index(families.Gather):
    """x[i0, i1, ...] by integer arrays for the dimensions `dims`, all others taken whole.

    Indices broadcast; negative ones count from the end. `dims` defaults to the leading ones.
    """

    batched = indexed
    samples = (
        Sample(T((4, 3)), _index(5, high=3, low=-4)),
        Sample(T((4, 3)), _index(2, 2, high=3), _index(2, high=2)),
        Sample(T((2, 3, 4)), _index(2, high=2), dims=(1,)),
        Sample(T((2, 3, 4)), _index(2, high=1), _index(2, high=3), dims=(0, 2)),
        Sample(T((4, 3)), _index(high=3)),
        Sample(T((4, 3)), _index(0, high=3)),
    )
    error_samples = (
        ErrorSample(
            IndexError,
            "index: index 4 is out of range for dimension 0 of size 4",
            T((4, 3)),
            _index(1, high=4, low=4),
        ),
        ErrorSample(TypeError, "must hold integers", T((4,)), T((2,))),
    )

    def prepare(self, x: Any, *indices: Any, dims: Any = None) -> Prepared:
        x = lifted(x)
        found, params = _prepare_indices(self.name, x, indices, dims)
        return (x, *found), params

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        x, *indices = inputs
        return (TensorType(x.dtype, _check_indices(self.name, x, indices, params["dims"])),)

    def whole_rows(self, params: dict[str, Any]) -> tuple[int, bool] | None:
        return (params["dims"][0], True) if len(params["dims"]) == 1 else None

    def run(self, *arrays: Any, **params: Any) -> Any:
        x, *indices = arrays
        for i, dim in zip(indices, params["dims"], strict=True):
            check_range(self.name, i, x.shape[dim], dim, negative=True)
        return x[_place(indices, params["dims"], x.ndim)]

    def source(index: Any, look: Any, shapes: Any, params: Any) -> Any:
        return _looked_up(index, look, shapes, params, 1)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x, *indices), dims = inputs, params["dims"]
        if len(dims) == 1:
            return g.op("Gather", x, indices[0], axis=dims[0])
        rank, first, count = len(x.shape), _first(dims), len(indices[0].shape)
        y = g.op("GatherND", _leading(g, x, dims), _stacked(g, indices))
        total = rank - len(dims) + count
        order = [*range(count, count + first), *range(count), *range(count + first, total)]
        return g.op("Transpose", y, perm=order) if first else y

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        x, *indices = inputs
        dims = params["dims"]
        gx = ops.index_put(zeros_like(x), grads[0], *indices, dims=dims, accumulate=True)
        return [gx] + [None] * len(indices)

    def saves(self, params: dict[str, Any]) -> Any:
        return range(1, 64), ()


class IndexPut(families.Scatter):
    """x with x[i0, i1, ...] = values, or += with `accumulate`, in the order of the indices.

    Where places are equal the last one counts, or all add up; without `accumulate` the gradient
    takes them to be different.
    """

    batched = indexed
    samples = (
        Sample(T((4, 3)), T((2, 3)), _index(2, high=3, low=-4), accumulate=True),
        Sample(T((4, 3)), T(()), _index(6, high=3), accumulate=True),
        Sample(T((2, 3, 4)), T((2, 4)), _index(high=2), dims=(1,)),
        Sample(T((2, 3, 4)), T((1, 3)), _index(1, high=1), _index(1, high=3), dims=(0, 2)),
        Sample(T((4, 3)), T((0, 3)), _index(0, high=3)),
    )
    error_samples = (
        ErrorSample(
            IndexError, "index -5 is out of range", T((4,)), T((1,)), _index(1, high=-5, low=-5)
        ),
        ErrorSample(
            RuntimeError, "index_put: f32(4,)", T((4,)), T((3,), dtype="float32"), _index(2, high=3)
        ),
    )

    values = 1

    def prepare(
        self, x: Any, values: Any, *indices: Any, dims: Any = None, accumulate: bool = False
    ) -> Prepared:
        x = lifted(x)
        found, params = _prepare_indices(self.name, x, indices, dims)
        values = ops.full((), values, x.dtype) if is_number(values) else lifted(values)
        values = values if values.dtype is x.dtype else ops.cast(values, x.dtype)
        shape = indexed_shape(x, found[0].shape, params["dims"])
        if not same_shape(values.shape, shape):
            try:
                values = ops.expand(values, shape)
            except ShapeError:
                raise ShapeError(
                    f"index_put: {describe(x, values)}: values must expand to {shape_text(shape)}"
                ) from None
        return (x, values, *found), {**params, "accumulate": bool(accumulate)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        x, values, *indices = inputs
        shape = _check_indices(self.name, x, indices, params["dims"])
        if not same_shape(values.shape, shape) or values.dtype is not x.dtype:
            raise ShapeError(f"index_put: {describe(x, values)}: expected {shape_text(shape)}")
        return (TensorType(x.dtype, x.shape),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        x, values, *indices = arrays
        for i, dim in zip(indices, params["dims"], strict=True):
            check_range(self.name, i, x.shape[dim], dim, negative=True)
        y = np.array(x, order="C")
        place = _place(indices, params["dims"], x.ndim)
        if params["accumulate"]:
            add_at(y, place, values)
        else:
            y[place] = values
        return y

    def target(index: Any, look: Any, shapes: Any, params: Any) -> Any:
        return _looked_up(index, look, shapes, params, 2)

    def collides(shapes: Any, params: Any) -> Any:
        first = _first(params["dims"])
        return range(first, first + len(shapes[2]))

    def adds(params: Any) -> bool:
        return bool(params["accumulate"])

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x, values, *indices), dims = inputs, params["dims"]
        rank, first, count = len(x.shape), _first(dims), len(indices[0].shape)
        total = rank - len(dims) + count
        if first:
            order = [*range(first, first + count), *range(first), *range(first + count, total)]
            values = g.op("Transpose", values, perm=order)
        how = {"reduction": "add"} if params["accumulate"] else {}
        whole = g.op("ScatterND", _leading(g, x, dims), _stacked(g, indices), values, **how)
        order = [*dims, *(d for d in range(rank) if d not in dims)]
        back = [order.index(d) for d in range(rank)]
        return whole if back == list(range(rank)) else g.op("Transpose", whole, perm=back)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (g,), indices, dims = grads, inputs[2:], params["dims"]
        gx = g if params["accumulate"] else ops.index_put(g, 0, *indices, dims=dims)
        return [gx, ops.index(g, *indices, dims=dims)] + [None] * len(indices)

    def saves(self, params: dict[str, Any]) -> Any:
        return range(2, 64), ()


class Embedding(families.Gather):
    """The rows of `weight` that `index` names: y[..., :] = weight[index[...], :].

    The row `padding_idx` gets no gradient.
    """

    samples = (
        Sample(T((5, 3)), _index(2, 4, high=4)),
        Sample(T((5, 3)), _index(high=4)),
        Sample(T((5, 3)), _index(7, high=3), padding_idx=4),
        Sample(T((5, 3)), _index(0, 2, high=4)),
    )
    error_samples = (
        ErrorSample(
            IndexError,
            "embedding: index 5 is out of range for dimension 0 of size 5",
            T((5, 3)),
            _index(1, high=5, low=5),
        ),
        ErrorSample(RuntimeError, "weight must have 2 dimensions", T((5,)), _index(1, high=0)),
    )

    def prepare(self, weight: Any, index: Any, padding_idx: int | None = None) -> Prepared:
        weight, index = lifted(weight), lifted(index)
        if padding_idx is None:
            return (weight, index), {}
        return (weight, index), {"padding_idx": normalize_dim(padding_idx, weight.shape[0])}

    def batched(self, size: Any, inputs: Any, params: dict[str, Any]) -> Any:
        weight, index = inputs
        if weight.many:
            return None if params else indexed(ops.index, size, inputs, {"dims": (0,)})
        (y,) = bind(self, (weight.value, index.value), params)
        return each([y])

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        weight, index = inputs
        _check_whole(self.name, index)
        if len(weight.shape) != 2:
            raise ShapeError(f"embedding: weight must have 2 dimensions, got {describe(weight)}")
        return (TensorType(weight.dtype, (*index.shape, weight.shape[1])),)

    def whole_rows(self, params: dict[str, Any]) -> tuple[int, bool] | None:
        return 0, False

    def run(self, *arrays: Any, **params: Any) -> Any:
        weight, index = arrays
        if weight.ndim != 2:
            self.infer(*map(families.array_type, arrays), **params)
        check_range(self.name, index, weight.shape[0], 0)
        return weight[index]

    def source(index: Any, look: Any, shapes: Any, params: Any) -> Any:
        return [look(1, index[:-1], shapes[0][0]), index[-1]]

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return g.op("Gather", *inputs, axis=0)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (g,), (weight, index) = grads, inputs
        if "padding_idx" in params:
            counts = ops.ne(index, params["padding_idx"])
            g = ops.where(ops.reshape(counts, (*index.shape, 1)), g, 0.0)
        gw = ops.index_put(zeros_like(weight), g, index, dims=(0,), accumulate=True)
        return [gw, None]

    def saves(self, params: dict[str, Any]) -> Any:
        return (1,), ()
