"""Look-ups in tables: embeddings, and bags of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from argand.base.dtype import compute_dtype
from argand.base.errors import ArgumentError, ShapeError
from argand.ir.op import describe, ops
from argand.tensor.inplace import assign
from argand.tensor.reducing import vector_norm
from argand.transform.mode import no_grad


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """weight[input]: the rows of a table (V, D) that integers of any shape (...) name, as (..., D).

    The row `padding_idx` gets no gradient. A number outside [0, V) is an IndexError. With
    `max_norm` the rows that are named are first scaled down in place, where their `norm_type`-norm
    is larger.
    `scale_grad_by_freq` divides a row's gradient by how often it is named. Gradients are dense,
    `sparse` or not.

    >>> F.embedding(ag.tensor([2, 0]), ag.tensor([[0.0, 0.1], [1.0, 1.1], [2.0, 2.1]]))
    tensor([[2.0000, 2.1000],
            [0.0000, 0.1000]])
    """
    if max_norm is not None:
        _shorten(weight, input, float(max_norm), float(norm_type))
    rows = ops.embedding(weight, input, padding_idx)
    return _by_frequency(rows, input, weight.shape[0]) if scale_grad_by_freq else rows


def _counts(index: Any, rows: Any) -> Any:
    """How often each of the rows is named."""
    flat = ops.reshape(index, (-1,)) if index.ndim != 1 else index
    flat = ops.cast(flat, "int64")
    ones = ops.full(tuple(flat.shape), 1, "int64")
    return ops.scatter_add(ops.full((rows,), 0, "int64"), 0, flat, ones)


def _shorten(weight: Any, index: Any, longest: float, p: float) -> None:
    with no_grad():
        norms = vector_norm(weight, p, -1, True)
        named = ops.reshape(ops.gt(_counts(index, weight.shape[0]), 0), tuple(norms.shape))
        long = ops.logical_and(named, ops.gt(norms, longest))
        shorter = ops.mul(weight, ops.div(longest, ops.add(norms, 1e-7)))
        assign(weight, ops.where(long, shorter, weight), "embedding")


def _by_frequency(rows: Any, index: Any, size: Any) -> Any:
    """The same rows, whose gradients are divided by how often each is named."""
    often = ops.index(_counts(index, size), index, dims=(0,))
    share = ops.div(1.0, ops.cast(ops.reshape(often, (*index.shape, 1)), rows.dtype))
    scaled = ops.mul(rows, share)
    return ops.add(ops.sub(scaled, scaled.detach()), rows.detach())


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """The mean, the sum or the largest, as `mode` says, of the rows of a table (V, D) that each bag
    names, as (bags, D); 0 for an empty bag.

    `input` holds bags of one size (bags, n), or all of them in a row, with `offsets` where each one
    begins (and with `include_last_offset` the end). `per_sample_weights`, of the input's shape,
    multiplies the rows of a sum. The row `padding_idx` counts for nothing. The other arguments are
    those of `embedding`.

    >>> table = ag.tensor([[1.0], [2.0], [4.0]])
    >>> F.embedding_bag(ag.tensor([0, 1, 2]), table, ag.tensor([0, 2]), mode="sum")
    tensor([[3.],
            [4.]])
    """
    if mode not in ("mean", "sum", "max"):
        raise ArgumentError(f"embedding_bag: mode must be 'mean', 'sum' or 'max', got {mode!r}")
    if per_sample_weights is not None:
        if mode != "sum":
            raise ArgumentError(f"embedding_bag: per_sample_weights needs mode='sum', not {mode!r}")
        if tuple(per_sample_weights.shape) != tuple(input.shape):
            raise ShapeError(
                f"embedding_bag: {describe(input, per_sample_weights)}: the weights must have the "
                "input's shape"
            )
    places, inside = _bags(input, offsets, include_last_offset, mode)
    index = ops.index(ops.reshape(input, (-1,)), places, dims=(0,))
    if padding_idx is not None:
        inside = ops.logical_and(inside, ops.ne(index, padding_idx % weight.shape[0]))
    options = (padding_idx, max_norm, norm_type, scale_grad_by_freq)
    flat = ops.reshape(input, (-1,))
    rows = ops.index(embedding(flat, weight, *options), places, dims=(0,))
    shown = ops.reshape(inside, (*inside.shape, 1))
    if mode == "max":
        return _largest(rows, shown)
    rows = ops.cast(rows, compute_dtype(weight.dtype))
    if per_sample_weights is not None:
        shares = ops.index(ops.reshape(per_sample_weights, (-1,)), places, dims=(0,))
        rows = ops.mul(rows, ops.cast(ops.reshape(shares, (*shares.shape, 1)), rows.dtype))
    total = ops.sum(ops.where(shown, rows, 0.0), 1)
    if mode == "mean":
        count = ops.maximum(ops.sum(ops.cast(inside, "int64"), 1, True), 1)
        total = ops.div(total, ops.cast(count, total.dtype))
    return ops.cast(total, weight.dtype)


def _bags(input: Any, offsets: Any, include_last: bool, mode: str) -> tuple[Any, Any]:
    """The places (bags, longest) in the input that each bag holds, and which of them count."""
    if input.ndim == 2:
        if offsets is not None:
            raise ArgumentError("embedding_bag: bags of one size (bags, n) take no offsets")
        bags, n = input.shape
        places = ops.reshape(ops.arange(0, 1, bags * n, "int64"), (bags, n))
        return places, ops.full((bags, n), True, "bool")
    if input.ndim != 1 or offsets is None or offsets.ndim != 1:
        raise ArgumentError(
            f"embedding_bag: {describe(input)}: expected bags (bags, n), or one row and its offsets"
        )
    starts = [int(i) for i in offsets.tolist()]
    size = int(input.shape[0])
    if not include_last:
        starts.append(size)
    if (
        not starts
        or (len(starts) > 1 and starts[0])
        or starts != sorted(starts)
        or starts[-1] > size
    ):
        raise ArgumentError(
            f"embedding_bag: offsets must begin with 0 and rise to at most {size}, got "
            f"{offsets.tolist()}"
        )
    longest = max((b - a for a, b in pairwise(starts)), default=0)
    first = ops.cast(offsets, "int64")
    count = len(starts) - 1
    last = ops.slice(first, (1,), (count + 1,), (1,)) if include_last else _ends(first, size)
    first = ops.slice(first, (0,), (count,), (1,))
    place = ops.add(ops.reshape(first, (count, 1)), ops.arange(0, 1, longest, "int64"))
    inside = ops.lt(place, ops.reshape(last, (count, 1)))
    return ops.clamp(place, 0, max(size - 1, 0)), inside


def _ends(first: Any, size: int) -> Any:
    """Where each bag ends: where the next one begins."""
    rest = ops.slice(first, (1,), tuple(first.shape), (1,))
    return ops.cat(rest, ops.full((1,), size, "int64"))


def _largest(rows: Any, shown: Any) -> Any:
    """The largest of each bag and column; the first of equal ones gets the gradient."""
    if not rows.shape[1]:
        return ops.sum(rows, 1)
    best = ops.argmax(ops.where(shown, rows, float("-inf")), 1, True)
    found = ops.gather(ops.where(shown, rows, 0.0), 1, best)
    return ops.reshape(found, (rows.shape[0], rows.shape[2]))
