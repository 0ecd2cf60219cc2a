"""Ops that move data and compute nothing.

`source(b, index, shape, params)` tells the compiler where an output element comes from: a pair of
the input's index and a condition (None: always) under which that place exists; elsewhere the output
is `params["value"]`. Sizes in `shape` (the input's) and `params` are whatever `b` takes: ints or
registers. An op of several inputs (`several`) gets the list of their shapes and gives one such pair
for each; where several conditions hold, the last input wins.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.base.conversion import converted
from argand.base.dim import Extent, is_less, same
from argand.base.dtype import from_numpy
from argand.base.errors import IndexRangeError, ShapeError
from argand.base.shape import (
    Shape,
    normalize_dim,
    normalize_dims,
    resolve_reshape,
    same_shape,
    shape_text,
)
from argand.base.strides import expanded_strides, reshaped_strides
from argand.ir.batching import each
from argand.ir.elementwise import common_dtype, lifted
from argand.ir.families import Move, View, listed
from argand.ir.op import TensorType, describe, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ir.scalar import operand
from argand.ops.placing import cut_dims, placed

Prepared = tuple[tuple[Any, ...], dict[str, Any]]


def sizes_of(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sizes given as one sequence or one by one."""
    if len(args) == 1 and isinstance(args[0], list | tuple):
        return tuple(args[0])
    return args


def zeros_like(x: Any) -> Any:
    """Zeros of the dtype and shape of `x`."""
    return ops.full(x.shape, 0, x.dtype)


class Reshape(View):
    """The same elements in row-major order in another shape; one size may be -1."""

    samples = (
        Sample(T((2, 6)), (3, 4)),
        Sample(T((2, 3, 4)), (-1, 4)),
        Sample(T(()), (1, 1)),
        Sample(T((1, 1)), ()),
        Sample(T((0, 3)), (3, 0)),
    )
    error_samples = (
        ErrorSample(RuntimeError, "shape (4,) is not possible for a tensor", T((2, 3)), (4,)),
        ErrorSample(RuntimeError, "only one size can be -1", T((2, 3)), (-1, -1)),
    )
    as_call = listed

    def prepare(self, x: Any, *shape: Any) -> Prepared:
        x = lifted(x)
        return (x,), {"shape": resolve_reshape(x.shape, sizes_of(shape), self.name)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,) = inputs
        return (TensorType(x.dtype, resolve_reshape(x.shape, params["shape"], self.name)),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        return arrays[0].reshape(params["shape"])

    def source(b: Any, index: Any, shape: Any, params: Any) -> Any:
        linear: Any = 0
        for i, size in zip(index, params["shape"], strict=True):
            linear = b.add(b.mul(linear, size), i)
        found = []
        for size in reversed(shape):
            size = 1 if isinstance(size, int) and size == 0 else size  # nothing is read then
            found.append(b.rem(linear, size))
            linear = b.div(linear, size)
        return found[::-1], None

    def target(b: Any, index: Any, shape: Any, params: Any) -> Any:
        return Reshape.source(b, index, params["shape"], {"shape": shape})[0]

    def view_strides(shape: Any, strides: Any, params: Any) -> tuple[Extent, Shape] | None:
        found = reshaped_strides(shape, strides, params["shape"])
        return None if found is None else (0, found)

    def write_back(self, whole: Any, part: Any, params: dict[str, Any]) -> Any:
        return ops.reshape(part, tuple(whole.shape))

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return g.reshape(inputs[0], params["shape"])

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [ops.reshape(grads[0], inputs[0].shape)]


class Permute(View):
    """The dimensions in another order: y[i[dims[0]], i[dims[1]], ...] = x[i[0], i[1], ...]."""

    samples = (
        Sample(T((2, 3, 4)), (2, 0, 1)),
        Sample(T((2, 3)), (-1, 0)),
        Sample(T(()), ()),
        Sample(T((0, 3)), (1, 0)),
    )
    error_samples = (
        ErrorSample(RuntimeError, "permute: dims (0,) must name each of the 2", T((2, 3)), (0,)),
        ErrorSample(IndexError, "dimension 2 is out of range", T((2, 3)), (0, 2)),
    )
    as_call = listed

    def prepare(self, x: Any, *dims: Any) -> Prepared:
        x, wanted = lifted(x), sizes_of(dims)
        rank = len(x.shape)
        found = tuple(normalize_dim(d, rank, self.name) for d in wanted)
        if sorted(found) != list(range(rank)):
            raise ShapeError(
                f"permute: dims {shape_text(wanted)} must name each of the {rank} dimensions "
                f"of {describe(x)} once"
            )
        return (x,), {"dims": found}

    def batched(self, size: Any, inputs: Any, params: dict[str, Any]) -> Any:
        dims = (0, *(d + 1 for d in params["dims"]))
        return each([ops.permute(x.stacked(size), dims) for x in inputs])

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,) = inputs
        return (TensorType(x.dtype, tuple(x.shape[d] for d in params["dims"])),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        return arrays[0].transpose(params["dims"])

    def source(b: Any, index: Any, shape: Any, params: Any) -> Any:
        dims = params["dims"]
        return [index[dims.index(d)] for d in range(len(dims))], None

    def target(b: Any, index: Any, shape: Any, params: Any) -> Any:
        return [index[d] for d in params["dims"]]

    def view_strides(shape: Any, strides: Any, params: Any) -> tuple[Extent, Shape]:
        return 0, tuple(strides[d] for d in params["dims"])

    def write_back(self, whole: Any, part: Any, params: dict[str, Any]) -> Any:
        return self.adjoint([part], [whole], [], params)[0]

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x,), dims = inputs, params["dims"]
        return g.op("Transpose", x, perm=dims) if dims else x

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        dims = params["dims"]
        return [ops.permute(grads[0], tuple(dims.index(d) for d in range(len(dims))))]


class Expand(View):
    """Dimensions of size 1, and new leading ones, repeated to `shape`; -1 keeps a size."""

    samples = (
        Sample(T((3, 1)), (3, 4)),
        Sample(T((3,)), (2, -1)),
        Sample(T(()), (2, 2)),
        Sample(T((1, 2)), (0, 2)),
        Sample(T((1,)), (1, 1)),
    )
    error_samples = (
        ErrorSample(RuntimeError, "expand: f32(2, 3) can't become (2, 4)", T((2, 3)), (2, 4)),
        ErrorSample(RuntimeError, "expand: f32(2, 3) can't become (3,)", T((2, 3)), (3,)),
        ErrorSample(RuntimeError, "expand: f32(2, 8) can't become (4, 4)", T((2, 8)), (4, 4)),
    )
    repeats = True
    as_call = listed

    def prepare(self, x: Any, *shape: Any) -> Prepared:
        x, wanted = lifted(x), sizes_of(shape)
        new = len(wanted) - len(x.shape)
        kept = tuple(
            x.shape[i - new] if i >= new and isinstance(s, int) and s == -1 else s
            for i, s in enumerate(wanted)
        )
        return (x,), {"shape": kept}

    def batched(self, size: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x,), shape = inputs, tuple(params["shape"])
        new = len(shape) - len(x.shape)
        lined = ops.reshape(x.value, (size, *(1,) * new, *x.shape)) if new else x.value
        return each([ops.expand(lined, (size, *shape))])

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,), shape = inputs, tuple(params["shape"])
        new = len(shape) - len(x.shape)
        fits = new >= 0 and all(
            is_one(size) or same(size, wanted) or size == wanted
            for size, wanted in zip(x.shape, shape[new:], strict=True)
        )
        if not fits or any(is_less(s, 0) for s in shape):
            raise ShapeError(
                f"expand: {describe(x)} can't become {shape_text(shape)}; only sizes of 1 "
                "and new leading dimensions can be repeated"
            )
        return (TensorType(x.dtype, shape),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,), shape = arrays, params["shape"]
        if x.shape == shape[len(shape) - x.ndim :] and x.size == math.prod(shape):
            return x.reshape(shape)  # may be written to; NumPy's broadcast memory is read-only
        return np.broadcast_to(x, shape)

    def source(b: Any, index: Any, shape: Any, params: Any) -> Any:
        inner = index[len(index) - len(shape) :]
        return [0 if is_one(s) else i for s, i in zip(shape, inner, strict=True)], None

    def view_strides(shape: Any, strides: Any, params: Any) -> tuple[Extent, Shape]:
        return 0, expanded_strides(shape, strides, params["shape"])

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return g.op("Expand", inputs[0], g.sizes(params["shape"]))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [summed_to(grads[0], inputs[0].shape)]


def is_one(size: Extent) -> bool:
    """Whether a size is surely 1 (a symbolic one is at least 2)."""
    return isinstance(size, int) and size == 1


def summed_to(g: Any, shape: Shape) -> Any:
    """The adjoint of expanding from `shape`: the repeated dimensions summed."""
    new = len(g.shape) - len(shape)
    repeated = [i + new for i, s in enumerate(shape) if is_one(s) and not is_one(g.shape[i + new])]
    dims = tuple(range(new)) + tuple(repeated)
    if dims:
        g = ops.sum(g, dims)
    return g if same_shape(g.shape, shape) else ops.reshape(g, shape)


class Slice(View):
    """y[i, ...] = x[start + step * i, ...] in every dimension, for start + step * i < stop.

    One start, stop and step for each dimension, with 0 <= start <= stop <= size and step >= 1.
    """

    samples = (
        Sample(T((5, 6)), (1, 0), (4, 6), (1, 1)),
        Sample(T((7, 6)), (1, 2), (7, 5), (2, 3)),
        Sample(T(()), (), (), ()),
        Sample(T((3, 2)), (1, 0), (1, 2), (1, 1)),
    )
    error_samples = (
        ErrorSample(IndexError, "0:6 is out of range", T((5,)), (0,), (6,), (1,)),
        ErrorSample(ValueError, "steps must be at least 1", T((5,)), (0,), (5,), (-1,)),
    )

    def prepare(self, x: Any, start: Any, stop: Any, step: Any = None) -> Prepared:
        x = lifted(x)
        return (x,), _slice_params(start, stop, (1,) * len(x.shape) if step is None else step)

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,) = inputs
        return (TensorType(x.dtype, _sliced_shape(self.name, x, params)),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        return arrays[0][_slices(params)]

    def source(b: Any, index: Any, shape: Any, params: Any) -> Any:
        parts = zip(index, params["start"], params["step"], strict=True)
        return [b.add(b.mul(i, step), start) for i, start, step in parts], None

    def view_strides(shape: Any, strides: Any, params: Any) -> tuple[Extent, Shape]:
        first: Extent = 0
        for start, stride in zip(params["start"], strides, strict=True):
            first = first + start * stride
        steps = zip(strides, params["step"], strict=True)
        return first, tuple(stride * step for stride, step in steps)

    def write_back(self, whole: Any, part: Any, params: dict[str, Any]) -> Any:
        return ops.slice_scatter(whole, part, **params)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x,), cut = inputs, cut_dims(inputs[0].shape, params)
        if not cut:
            return x
        start, stop, step = ([params[n][d] for d in cut] for n in ("start", "stop", "step"))
        return g.op("Slice", x, g.sizes(start), g.sizes(stop), g.sizes(cut), g.sizes(step))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (x,), g = inputs, grads[0]
        if all(s == 1 for s in params["step"]):
            ends = zip(params["start"], params["stop"], x.shape, strict=True)
            return [ops.pad(g, tuple((lo, size - hi) for lo, hi, size in ends), 0)]
        return [ops.slice_scatter(zeros_like(x), g, **params)]


def _slice_params(start: Any, stop: Any, step: Any) -> dict[str, Any]:
    return {"start": tuple(start), "stop": tuple(stop), "step": tuple(step)}


def _sliced_shape(op: str, x: TensorType, params: dict[str, Any]) -> Shape:
    start, stop, step = params["start"], params["stop"], params["step"]
    if not len(start) == len(stop) == len(step) == len(x.shape):
        raise ShapeError(f"{op}: one start, stop and step for each dimension of {describe(x)}")
    sizes: list[Extent] = []
    for lo, hi, by, size in zip(start, stop, step, x.shape, strict=True):
        if by < 1:
            raise ShapeError(f"{op}: steps must be at least 1, got {by}; flip for the other way")
        if any(is_less(b, a, trusted=True) for a, b in ((0, lo), (lo, hi), (hi, size))):
            raise IndexRangeError(f"{op}: {lo}:{hi} is out of range for a size of {size}")
        sizes.append((hi - lo + by - 1) // by)
    return tuple(sizes)


def _slices(params: dict[str, Any]) -> tuple[slice, ...]:
    return tuple(map(slice, params["start"], params["stop"], params["step"]))


class SliceScatter(Move):
    """x with the elements that `slice` would give replaced by those of src."""

    samples = (
        Sample(T((5, 6)), T((3, 6)), (1, 0), (4, 6), (1, 1)),
        Sample(T((7, 6)), T((3, 1)), (1, 2), (7, 5), (2, 3)),
        Sample(T(()), T(()), (), (), ()),
        Sample(T((3, 2)), T((0, 2)), (1, 0), (1, 2), (1, 1)),
    )
    error_samples = (
        ErrorSample(
            RuntimeError, "slice_scatter: f32(5,) and f32(2,)", T((5,)), T((2,)), (0,), (3,), (1,)
        ),
    )
    several = True
    follows_layout = True

    def prepare(self, x: Any, src: Any, start: Any, stop: Any, step: Any) -> Prepared:
        x, src = lifted(x), lifted(src)
        src = src if src.dtype is x.dtype else ops.cast(src, x.dtype)
        return (x, src), _slice_params(start, stop, step)

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        x, src = inputs
        shape = _sliced_shape(self.name, x, params)
        if not same_shape(shape, src.shape):
            raise ShapeError(f"slice_scatter: {describe(x, src)}: expected {shape_text(shape)}")
        return (TensorType(x.dtype, x.shape),)

    def parts(self, shapes: Any, params: dict[str, Any]) -> Any:
        return [(0, ()), (1, _slices(params))]

    def run(self, *arrays: Any, **params: Any) -> Any:
        y = arrays[0].copy()
        y[_slices(params)] = arrays[1]
        return y

    def source(b: Any, index: Any, shapes: Any, params: Any) -> Any:
        places, valid = [], None
        limits = zip(index, params["start"], params["stop"], params["step"], strict=True)
        for i, start, stop, step in limits:
            offset = b.sub(i, start)
            inside = b.apply("and", b.le(start, i), b.lt(i, stop))
            inside = b.apply("and", inside, b.eq(b.rem(offset, step), 0))
            valid = inside if valid is None else b.apply("and", valid, inside)
            places.append(b.div(offset, step))
        return [(list(index), None), (places, valid)]

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        x, src = inputs
        return placed(g, x, src, params, cut_dims(x.shape, params))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        g, src = grads[0], inputs[1]
        kept = ops.slice_scatter(g, zeros_like(src), **params)
        return [kept, ops.slice(g, **params)]


class Pad(Move):
    """x surrounded by `value`: padding[d] = (before, after) elements in dimension d.

    A negative amount takes elements away.
    """

    samples = (
        Sample(T((2, 3)), ((1, 2), (0, 1)), 0.5),
        Sample(T((4,)), ((-1, 2),)),
        Sample(T(()), ()),
        Sample(T((0, 2)), ((2, 1), (0, 0)), 1.0),
    )
    error_samples = (
        ErrorSample(RuntimeError, "pad: one (before, after)", T((2, 3)), ((1, 1),)),
        ErrorSample(RuntimeError, "-1 doesn't fit into", T((1,), 0, 1, "uint8"), ((1, 1),), -1),
    )

    fills = True
    follows_layout = True

    def apply(self, x: Any, padding: Any, value: Any = 0) -> Any:
        x = lifted(x)
        if any(is_less(n, 0) for pair in padding for n in pair):
            pairs = list(zip(padding, x.shape, strict=True))
            start = tuple(max(-lo, 0) for (lo, _), _ in pairs)
            stop = tuple(size - max(-hi, 0) for (_, hi), size in pairs)
            x = ops.slice(x, start, stop)
            padding = tuple((max(lo, 0), max(hi, 0)) for lo, hi in padding)
        return super().apply(x, padding, value)

    def prepare(self, x: Any, padding: Any, value: Any = 0) -> Prepared:
        x, pairs = lifted(x), tuple((lo, hi) for lo, hi in padding)
        return (x,), {"padding": pairs, "value": operand(self.name, value, x.dtype)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,), padding = inputs, params["padding"]
        if len(padding) != len(x.shape):
            raise ShapeError(f"pad: one (before, after) for each dimension of {describe(x)}")
        shape = tuple(s + lo + hi for s, (lo, hi) in zip(x.shape, padding, strict=True))
        return (TensorType(x.dtype, shape),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        x, padding = arrays[0], params["padding"]
        shape = tuple(s + lo + hi for s, (lo, hi) in zip(x.shape, padding, strict=True))
        y = np.full(shape, converted(params["value"], from_numpy(x.dtype)), x.dtype)
        y[tuple(slice(lo, lo + s) for s, (lo, _) in zip(x.shape, padding, strict=True))] = x
        return y

    def source(b: Any, index: Any, shape: Any, params: Any) -> Any:
        places, valid = [], None
        for i, size, (lo, hi) in zip(index, shape, params["padding"], strict=True):
            place = i if isinstance(lo, int) and lo == 0 else b.sub(i, lo)
            places.append(place)
            if all(isinstance(n, int) and n == 0 for n in (lo, hi)):
                continue
            inside = b.apply("and", b.le(0, place), b.lt(place, size))
            valid = inside if valid is None else b.apply("and", valid, inside)
        return places, valid

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        pads = [side for sides in zip(*params["padding"], strict=True) for side in sides]
        if not pads:
            return inputs[0]
        return g.op("Pad", inputs[0], g.sizes(pads), g.constant(params["value"], inputs[0].dtype))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        padding, shape = params["padding"], inputs[0].shape
        start = tuple(lo for lo, _ in padding)
        return [ops.slice(grads[0], start, tuple(map(_add, start, shape)))]


def _add(a: Extent, b: Extent) -> Extent:
    return a + b


class Flip(Move):
    """The elements in reverse order along `dims`, copied."""

    samples = (
        Sample(T((2, 3, 4)), (0, -1)),
        Sample(T((5,)), 0),
        Sample(T(()), ()),
        Sample(T((0, 3)), (0,)),
    )
    error_samples = (ErrorSample(IndexError, "dimension 1 is out of range", T((5,)), 1),)

    follows_layout = True
    as_call = listed

    def prepare(self, x: Any, *dims: Any) -> Prepared:
        x = lifted(x)
        return (x,), {"dims": normalize_dims(sizes_of(dims), len(x.shape), self.name)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        return (TensorType(inputs[0].dtype, inputs[0].shape),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        return np.flip(arrays[0], params["dims"]).copy()

    def source(b: Any, index: Any, shape: Any, params: Any) -> Any:
        dims = params["dims"]
        places = enumerate(zip(index, shape, strict=True))
        return [b.sub(b.sub(s, 1), i) if d in dims else i for d, (i, s) in places], None

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x,), dims = inputs, params["dims"]
        if not dims:
            return x
        back = (-1,) * len(dims)
        first = g.sizes((-(2**63) + 1,) * len(dims))
        return g.op("Slice", x, g.sizes(back), first, g.sizes(dims), g.sizes(back))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [ops.flip(grads[0], params["dims"])]


class Cat(Move):
    """The tensors joined along `dim`; all other sizes must agree. Dtypes are promoted."""

    samples = (
        Sample(T((2, 3)), T((4, 3))),
        Sample(T((2, 3)), T((2, 1)), T((2, 2)), dim=-1),
        Sample(T((2, 0)), T((2, 2)), dim=1),
        Sample(T((3,))),
    )
    error_samples = (
        ErrorSample(RuntimeError, "cat: f32(2, 3) and f32(2, 4): sizes", T((2, 3)), T((2, 4))),
        ErrorSample(RuntimeError, "cat: expected at least one tensor"),
        ErrorSample(RuntimeError, "tensors of no dimensions can't be joined", T(()), T(())),
    )
    several = True

    def prepare(self, *xs: Any, dim: int = 0) -> Prepared:
        tensors = [lifted(x) for x in sizes_of(xs)]
        if not tensors:
            raise ShapeError("cat: expected at least one tensor")
        if any(not len(x.shape) for x in tensors):
            raise ShapeError("cat: tensors of no dimensions can't be joined; stack them")
        dtype = common_dtype(*tensors)
        tensors = [x if x.dtype is dtype else ops.cast(x, dtype) for x in tensors]
        return tuple(tensors), {"dim": normalize_dim(dim, len(tensors[0].shape), self.name)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        dim, shape = params["dim"], list(inputs[0].shape)
        for x in inputs[1:]:
            others = len(x.shape) == len(shape) and all(
                d == dim or same(a, b) or a == b
                for d, (a, b) in enumerate(zip(x.shape, shape, strict=True))
            )
            if not others:
                raise ShapeError(f"cat: {describe(*inputs)}: sizes must agree except in dim {dim}")
            shape[dim] = shape[dim] + x.shape[dim]
        return (TensorType(inputs[0].dtype, tuple(shape)),)

    def parts(self, shapes: Any, params: dict[str, Any]) -> Any:
        dim, start, found = params["dim"], 0, []
        for i, shape in enumerate(shapes):
            found.append((i, (slice(None),) * dim + (slice(start, start + shape[dim]),)))
            start += shape[dim]
        return found

    def run(self, *arrays: Any, **params: Any) -> Any:
        return np.concatenate(arrays, params["dim"])

    def source(b: Any, index: Any, shapes: Any, params: Any) -> Any:
        dim, offset, found = params["dim"], 0, []
        for shape in shapes:
            place = b.sub(index[dim], offset)
            inside = b.apply("and", b.le(0, place), b.lt(place, shape[dim]))
            found.append(([*index[:dim], place, *index[dim + 1 :]], inside))
            offset = b.add(offset, shape[dim])
        return found

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return g.op("Concat", *inputs, axis=params["dim"])

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        g, dim = grads[0], params["dim"]
        offset: Extent = 0
        results = []
        for x in inputs:
            start = tuple(offset if d == dim else 0 for d in range(len(x.shape)))
            results.append(ops.slice(g, start, tuple(map(_add, start, x.shape))))
            offset = offset + x.shape[dim]
        return results


class Contiguous(Move):
    """A copy in row-major order."""

    samples = Sample(T((2, 3))), Sample(T(())), Sample(T((0, 2)))

    def prepare(self, x: Any) -> Prepared:
        return (lifted(x),), {}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        return (TensorType(inputs[0].dtype, inputs[0].shape),)

    def parts(self, shapes: Any, params: dict[str, Any]) -> Any:
        return [(0, ())]

    def run(self, *arrays: Any, **params: Any) -> Any:
        return np.array(arrays[0], order="C", copy=True)

    def source(b: Any, index: Any, shape: Any, params: Any) -> Any:
        return list(index), None

    def target(b: Any, index: Any, shape: Any, params: Any) -> Any:
        return list(index)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return inputs[0]

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [grads[0]]
