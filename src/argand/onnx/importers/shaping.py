"""Ops that make, arrange, join and part tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from argand.base.dim import Dim
from argand.base.errors import ShapeError
from argand.onnx.arrays import strings
from argand.onnx.registry import Call, importer
from argand.onnx.values import F, Host, ag, dtype_of, int_list, scalar, sizes, tensor_of
from argand.tensor.core import Tensor


def new_shape(old: Sequence[Any], shape: Sequence[Any], allow_zero: bool) -> list[Any]:
    """The shape that Reshape asks for: 0 is the old size there, -1 what is left."""
    new = [
        old[i] if not isinstance(s, Dim) and s == 0 and not allow_zero else s
        for i, s in enumerate(shape)
    ]
    if any(not isinstance(s, Dim) and s < -1 for s in new):
        raise ShapeError(f"Reshape: the sizes {list(shape)} are negative")
    return new


@importer("Reshape")
def _reshape(x: Any, shape: Host, *, allowzero: int = 0) -> Any:
    wanted = new_shape(x.shape, int_list(shape), bool(allowzero))
    if isinstance(x, np.ndarray) and x.dtype == object:
        return x.reshape(wanted)
    x = tensor_of(x)
    if x.numel() == 0 and any(not isinstance(s, Dim) and s == -1 for s in wanted):
        known = [s for s in wanted if isinstance(s, Dim) or s != -1]
        wanted = [_rest(x, known) if not isinstance(s, Dim) and s == -1 else s for s in wanted]
    return x.reshape(wanted)


def _rest(x: Any, known: list[Any]) -> Any:
    """The size left for -1 in a tensor without elements: that of the same place, or 0."""
    return 0 if all(isinstance(s, Dim) or s != 0 for s in known) else 1


@importer("Flatten")
def _flatten(x: Tensor, *, axis: int = 1) -> Any:
    d = axis % x.ndim if axis < 0 else axis
    rows: Any = 1
    for s in x.shape[:d]:
        rows = rows * s
    columns: Any = 1
    for s in x.shape[d:]:
        columns = columns * s
    return x.reshape(rows, columns)


@importer("Shape")
def _shape(x: Any, *, start: int = 0, end: int | None = None) -> Any:
    return sizes(tuple(x.shape)[start:end])


@importer("Size")
def _size(x: Any) -> Any:
    count: Any = 1
    for s in x.shape:
        count = count * s
    return sizes([count]).reshape(())


@importer("Squeeze")
def _squeeze(x: Tensor, axes: Host | None = None) -> Any:
    if axes is None:
        return ag.squeeze(x)
    dims = tuple(int_list(axes))
    for d in dims:
        if not isinstance(x.shape[d], Dim) and x.shape[d] != 1:
            raise ShapeError(f"Squeeze: axis {d} has {x.shape[d]} elements, not one")
    return ag.squeeze(x, dims)


@importer("Unsqueeze")
def _unsqueeze(x: Tensor, axes: Host) -> Any:
    rank = x.ndim + axes.size
    places = {a % rank for a in int_list(axes)}
    old = iter(x.shape)
    return x.reshape([1 if d in places else next(old) for d in range(rank)])


@importer("Transpose")
def _transpose(x: Any, *, perm: Any = None) -> Any:
    order = list(range(x.ndim))[::-1] if perm is None else list(perm)
    if isinstance(x, np.ndarray) and x.dtype == object:
        return x.transpose(order)
    return tensor_of(x).permute(order)


@importer("Concat")
def _concat(*values: Any, axis: int) -> Any:
    if any(isinstance(v, np.ndarray) and v.dtype == object for v in values) and all(
        isinstance(v, np.ndarray) for v in values
    ):
        return np.concatenate(values, axis)
    return ag.cat([tensor_of(v) for v in values], axis)


@importer("Split")
def _split(
    x: Tensor,
    split: Host | None = None,
    *,
    axis: int = 0,
    num_outputs: int | None = None,
    node: Call,
) -> Any:
    if split is not None:
        wanted = int_list(split)
        if any(not isinstance(n, Dim) and n < 0 for n in wanted):
            raise ShapeError(f"Split: the sizes {wanted} must not be negative")
        return tuple(ag.split(x, wanted, axis))
    parts = num_outputs or node.outputs
    if parts < node.outputs:
        raise ShapeError(f"Split: num_outputs is {parts}, the node has {node.outputs} outputs")
    size = -(-x.shape[axis] // parts)
    last = x.shape[axis] - size * (parts - 1)
    return tuple(ag.split(x, [size] * (parts - 1) + [last], axis))


def bounds(
    shape: Sequence[Any], starts: Host, ends: Host, axes: Host | None, steps: Host | None
) -> Iterator[tuple[int, Any, Any, int]]:
    """Of each axis that Slice names where it starts and stops, in range, and its step; backwards
    down to the first element it stops at -1."""
    names = list(range(len(starts))) if axes is None else int_list(axes)
    strides = [1] * len(names) if steps is None else int_list(steps)
    for axis, start, stop, step in zip(
        names, int_list(starts), int_list(ends), strides, strict=True
    ):
        n = shape[axis]
        if step == 0:
            raise ShapeError("Slice: a step is 0")
        if step > 0:
            yield axis, _place(start, n, 0, 0), _place(stop, n, 0, 0), step
        else:
            yield axis, _place(start, n, 0, -1), _place(stop, n, -1, -1), step


_FAR = 1 << 30


def _place(at: Any, n: Any, low: int, past: int) -> Any:
    """A start or stop as a place from `low` to `n + past`."""
    if isinstance(at, Dim):
        return at
    if at >= 0:
        if isinstance(n, Dim):
            return n + past if at >= _FAR else at
        return min(at, n + past)
    if at <= -_FAR:
        return low
    if isinstance(n, Dim):
        return n + at
    return max(at + n, low)


@importer("Slice")
def _slice(
    x: Tensor, starts: Host, ends: Host, axes: Host | None = None, steps: Host | None = None
) -> Any:
    for axis, start, stop, step in bounds(x.shape, starts, ends, axes, steps):
        d = axis % x.ndim
        if step < 0:  # the same places from behind
            last = x.shape[d] - 1
            x = ag.flip(x, [d])
            start, stop, step = last - start, last - stop, -step
        if not isinstance(stop, Dim) and not isinstance(start, Dim) and stop <= start:
            stop = start
        index = (slice(None),) * d + (slice(start, stop, step),)
        x = x[index]
    return x


@importer("Gather")
def _gather(x: Any, indices: Any, *, axis: int = 0) -> Any:
    if isinstance(x, np.ndarray) and x.dtype == object:
        return np.take(x, np.asarray(indices), axis)
    x = tensor_of(x)
    d = axis % x.ndim
    if isinstance(indices, np.ndarray) and indices.ndim == 0:
        return x.select(d, scalar(indices))
    places = tensor_of(indices).to(ag.int64)
    if places.ndim == 1:
        return ag.index_select(x, d, places)
    rows = ag.index_select(x, d, places.reshape(-1))
    return rows.reshape([*x.shape[:d], *places.shape, *x.shape[d + 1 :]])


def _not_negative(places: Any, n: Any) -> Any:
    """Places counted from the end as places from the beginning; those before it stay below 0."""
    return ag.where(places < 0, places + n, places)


@importer("GatherElements")
def _gather_elements(x: Tensor, indices: Tensor, *, axis: int = 0) -> Any:
    return ag.gather(x, axis, _not_negative(indices.to(ag.int64), x.shape[axis]))


@importer("GatherND")
def _gather_nd(x: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Any:
    depth = indices.shape[-1]
    columns = []
    for b in range(batch_dims):
        shape = [1] * (indices.ndim - 1)
        shape[b] = x.shape[b]
        columns.append(ag.arange(x.shape[b]).reshape(shape))
    columns += [indices.select(-1, k).to(ag.int64) for k in range(depth)]
    return x[tuple(columns)]


_SCATTER = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@importer("ScatterElements", "Scatter")
def _scatter_elements(
    x: Tensor, indices: Tensor, updates: Tensor, *, axis: int = 0, reduction: str = "none"
) -> Any:
    places = _not_negative(indices.to(ag.int64), x.shape[axis])
    if reduction == "none":
        return ag.scatter(x, axis, places, updates)
    return ag.scatter_reduce(x, axis, places, updates, _SCATTER[reduction])


@importer("ScatterND")
def _scatter_nd(x: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none") -> Any:
    depth = indices.shape[-1]
    rest = x.shape[depth:]
    flat: Any = ag.zeros(indices.shape[:-1], dtype=ag.int64)
    for k in range(depth):
        at = indices.select(-1, k).to(ag.int64)
        # One outside the first dimension is outside of all rows; of others it has to be looked for.
        at = _not_negative(at, x.shape[k]) if k == 0 else ag.arange(x.shape[k])[at]
        flat = flat * x.shape[k] + at
    rows = x.reshape(-1, _count(rest))
    values = updates.reshape(-1, _count(rest))
    places = flat.reshape(-1, 1).expand(values.shape)
    if reduction == "none":
        made = ag.scatter(rows, 0, places, values)
    else:
        made = ag.scatter_reduce(rows, 0, places, values, _SCATTER[reduction])
    return made.reshape(x.shape)


def _count(shape: Sequence[Any]) -> Any:
    count: Any = 1
    for s in shape:
        count = count * s
    return count


@importer("Expand")
def _expand(x: Tensor, shape: Host) -> Any:
    wanted = int_list(shape)
    return x.expand(_broadcast(list(x.shape), wanted))


def _broadcast(a: list[Any], b: list[Any]) -> list[Any]:
    """The shape that two broadcast to; symbolic sizes are never 1."""
    rank = max(len(a), len(b))
    a, b = [1] * (rank - len(a)) + a, [1] * (rank - len(b)) + b
    return [n if not isinstance(m, Dim) and m == 1 else m for n, m in zip(a, b, strict=True)]


@importer("Tile")
def _tile(x: Tensor, repeats: Host) -> Any:
    return ag.tile(x, tuple(int_list(repeats)))


_PADS = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@importer("Pad")
def _pad(
    x: Tensor,
    pads: Host,
    value: Any = None,
    axes: Host | None = None,
    *,
    mode: str = "constant",
) -> Any:
    amounts = int_list(pads)
    dims = list(range(x.ndim)) if axes is None else [a % x.ndim for a in int_list(axes)]
    n = len(dims)
    if mode == "constant":
        fill = 0 if value is None else scalar(value) if isinstance(value, np.ndarray) else value
        before, after = [0] * x.ndim, [0] * x.ndim
        for d, low, high in zip(dims, amounts[:n], amounts[n:], strict=True):
            before[d], after[d] = low, high
        pairs = [p for d in reversed(range(x.ndim)) for p in (before[d], after[d])]
        if isinstance(fill, Tensor):
            fill = fill.item()
        return F.pad(x, pairs, "constant", fill)
    for d, low, high in zip(dims, amounts[:n], amounts[n:], strict=True):
        x = _extended(x, d, low, high, mode)
    return x


def _extended(x: Any, d: int, low: int, high: int, mode: str) -> Any:
    """One axis longer by elements of its own; shorter where a number is negative."""
    if low < 0 or high < 0:
        start, stop = max(-low, 0), x.shape[d] - max(-high, 0)
        x = x.narrow(d, start, stop - start)
        low, high = max(low, 0), max(high, 0)
    if not low and not high:
        return x
    n = x.shape[d]
    places = ag.arange(-low, n + high)
    if mode == "edge":
        places = ag.clamp(places, 0, n - 1)
    elif mode == "wrap":
        places = ag.remainder(places, n)
    else:
        period = 2 * (n - 1) if n > 1 else 1
        places = ag.remainder(places, period)
        places = ag.where(places >= n, period - places, places)
    return ag.index_select(x, d, places)


@importer("DepthToSpace")
def _depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Any:
    n, c, h, w = x.shape
    b = blocksize
    if mode == "DCR":
        parts = x.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        parts = x.reshape(n, c // (b * b), b, b, h, w).permute(0, 1, 4, 2, 5, 3)
    return parts.reshape(n, c // (b * b), h * b, w * b)


@importer("SpaceToDepth")
def _space_to_depth(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Any:
    n, c, h, w = x.shape
    b = blocksize
    if b < 1:
        raise ShapeError(f"SpaceToDepth: blocksize must be at least 1, got {b}")
    parts = x.reshape(n, c, h // b, b, w // b, b)
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return parts.permute(order).reshape(n, c * b * b, h // b, w // b)


@importer("Trilu")
def _trilu(x: Tensor, k: Host | None = None, *, upper: int = 1) -> Any:
    diagonal = 0 if k is None else scalar(k)
    rows, columns = x.shape[-2:]
    diagonal = max(min(diagonal, _FAR), -_FAR)
    kept = ag.arange(columns) - ag.arange(rows)[:, None]
    mask = kept >= diagonal if upper else kept <= diagonal
    return ag.where(mask, x, ag.zeros_like(x))


@importer("EyeLike")
def _eye_like(x: Tensor, *, dtype: int | None = None, k: int = 0) -> Any:
    rows, columns = x.shape
    kind = x.dtype if dtype is None else dtype_of(dtype)
    return (ag.arange(columns) - ag.arange(rows)[:, None] == k).to(kind)


@importer("OneHot")
def _one_hot(indices: Tensor, depth: Host, values: Tensor, *, axis: int = -1) -> Any:
    n = int_list(depth)[0]
    rank = indices.ndim + 1
    d = axis % rank
    places = indices.to(ag.int64)
    places = ag.where(places < 0, places + n, places).unsqueeze(d)
    shape = [1] * rank
    shape[d] = n
    hit = places == ag.arange(n).reshape(shape)
    return ag.where(hit, values[1], values[0])


@importer("Range")
def _range(start: Host, limit: Host, delta: Host) -> Any:
    first, last, step = scalar(start), scalar(limit), scalar(delta)
    if start.dtype.kind == "f":
        count = max(int(np.ceil((np.float64(last) - first) / step)), 0)
        places = ag.arange(count, dtype=ag.float64) * step + first
        return places.to(ag.from_numpy(start).dtype)
    dtype = ag.int64 if start.dtype == object else ag.from_numpy(start.reshape(-1)).dtype
    return ag.arange(first, last, step, dtype=dtype)


@importer("Constant")
def constant(
    *,
    value: Any = None,
    value_int: int | None = None,
    value_ints: Any = None,
    value_float: float | None = None,
    value_floats: Any = None,
    value_string: str | None = None,
    value_strings: Any = None,
    sparse_value: Any = None,
) -> Any:
    """The array that one of the attributes gives."""
    if value is not None or sparse_value is not None:
        return sparse_value if value is None else value
    if value_string is not None:
        return strings([value_string], ())
    if value_strings is not None:
        return strings(value_strings, (len(value_strings),))
    if value_int is not None or value_ints is not None:
        return np.array(value_int if value_ints is None else value_ints, np.int64)
    return np.array(value_float if value_floats is None else value_floats, np.float32)


@importer("ConstantOfShape")
def _constant_of_shape(shape: Host, *, value: Any = None) -> Any:
    fill = np.zeros(1, np.float32) if value is None else value
    return ag.full(int_list(shape), scalar(fill), dtype=ag.from_numpy(fill.reshape(1)).dtype)


@importer("NonZero")
def _non_zero(x: Tensor) -> Any:
    return ag.nonzero(x).T if x.ndim else ag.nonzero(x.reshape(1)).T


@importer("Compress")
def _compress(x: Tensor, condition: Host, *, axis: int | None = None) -> Any:
    places = ag.tensor(np.flatnonzero(condition))
    return ag.index_select(x.reshape(-1) if axis is None else x, axis or 0, places)


@importer("Unique")
def _unique(x: Tensor, *, axis: int | None = None, sorted: int = 1) -> Any:
    array = x.detach().numpy()
    _, first, inverse, counts = np.unique(
        array, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    order = np.arange(len(first)) if sorted else np.argsort(first)
    back = np.argsort(order)
    kept = ag.tensor(first[order])
    values = ag.index_select(x.reshape(-1) if axis is None else x, axis or 0, kept)
    found = (first[order], back[inverse.reshape(-1)], counts[order])
    return (values, *(ag.tensor(f.astype(np.int64)) for f in found))


@importer("ReverseSequence")
def _reverse_sequence(
    x: Tensor, lengths: Tensor, *, batch_axis: int = 1, time_axis: int = 0
) -> Any:
    time, batch = x.shape[time_axis], x.shape[batch_axis]
    shape_t, shape_b = [1] * x.ndim, [1] * x.ndim
    shape_t[time_axis], shape_b[batch_axis] = time, batch
    at = ag.arange(time).reshape(shape_t)
    length = lengths.to(ag.int64).reshape(shape_b)
    places = ag.where(at < length, length - 1 - at, at)
    return ag.gather(x, time_axis, places.expand(x.shape))


@importer("CenterCropPad")
def _center_crop_pad(x: Tensor, shape: Host, *, axes: Any = None) -> Any:
    dims = range(x.ndim) if axes is None else axes
    for d, wanted in zip(dims, int_list(shape), strict=True):
        have = x.shape[d]
        if have > wanted:
            x = x.narrow(d, (have - wanted) // 2, wanted)
        elif have < wanted:
            low = (wanted - have) // 2
            pairs = [0, 0] * (x.ndim - 1 - d % x.ndim) + [low, wanted - have - low]
            x = F.pad(x, pairs)
    return x


@importer("TensorScatter")
def _tensor_scatter(
    past: Tensor,
    update: Tensor,
    indices: Tensor | None = None,
    *,
    axis: int = -2,
    mode: str = "linear",
) -> Any:
    d = axis % past.ndim
    length = update.shape[d]
    shape = [1] * past.ndim
    shape[d] = length
    at = ag.arange(length).reshape(shape)
    if indices is not None:
        at = at + indices.to(ag.int64).reshape([-1] + [1] * (past.ndim - 1))
    if mode == "circular":
        at = ag.remainder(at, past.shape[d])
    return ag.scatter(past, d, at.expand(update.shape), update)


@importer("BitCast")
def _bit_cast(x: Tensor, *, to: int) -> Any:
    dtype = dtype_of(to)
    array = x.detach().numpy()
    if isinstance(dtype, np.dtype):
        return array.view(dtype)
    return ag.tensor(array.view(dtype.numpy))
