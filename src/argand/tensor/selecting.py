"""Functions that pick and place elements by index or mask. Each is also a Tensor method."""

from __future__ import annotations

import math
from typing import Any

from argand.base.dim import is_equal
from argand.base.dtype import DType, bool_, can_cast, uint8
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import broadcast_shapes, normalize_dim, shape_text
from argand.ir import bind as crossroads
from argand.ir.elementwise import lifted
from argand.ir.op import describe, ops
from argand.tensor.core import Tensor
from argand.tensor.creation import sizes
from argand.tensor.eager import check_writable
from argand.tensor.indexing import index_put, nonzero, write_elements
from argand.tensor.inplace import assign
from argand.tensor.joining import sliced
from argand.tensor.strides import row_major


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds, else `other`, element by element; the three broadcast.

    `input` and `other` may be numbers; the condition is of bools (or of uint8, true where it isn't
    0), else DTypeError. The gradient goes to the one chosen. With the condition alone:
    ``nonzero(condition, as_tuple=True)``. Follows `torch.where`.

    >>> x = ag.tensor([-1.0, 2.0, -3.0])
    >>> ag.where(x > 0, x, 0.0)
    tensor([0., 2., 0.])
    """
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    return ops.where(_condition(condition), input, other)


def where_method(self: Any, condition: Any, other: Any) -> Any:
    """This tensor where the condition holds, else `other`, element by element; the three broadcast.

    >>> x = ag.tensor([-1.0, 2.0, -3.0])
    >>> x.where(x > 0, 0.0)
    tensor([0., 2., 0.])
    """
    return ops.where(_condition(condition), self, other)


def _condition(x: Any) -> Any:
    dtype = lifted(x).dtype
    if dtype is not bool_ and dtype is not uint8:
        raise DTypeError(f"where: the condition is of bools, got {dtype.name}; compare: x != 0")
    return x


def argwhere(input: Any) -> Any:
    """The indices (int64) of the elements that aren't 0, a row each: shape (count, dimensions).

    Looks at the values, so it can't be compiled. See `nonzero`.

    >>> ag.argwhere(ag.tensor([[0, 1], [2, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    return nonzero(input)


def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """y[i, j] = input[index[i, j], j] for dim 0, input[i, index[i, j]] for dim 1, and so on.

    The result has the shape of `index`, which may be smaller than `input` in the other dimensions.
    Raises IndexError for an index outside. Follows `torch.gather`.

    >>> ag.gather(ag.tensor([[1, 2], [3, 4]]), 1, ag.tensor([[0, 0], [1, 0]]))
    tensor([[1, 1],
            [4, 3]])
    """
    return ops.gather(input, dim=dim, index=index)


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """`gather` with broadcasting in the other dimensions; without `dim`, of the flattened tensor.

    Negative indices count from the end. Puts to use what `argsort` and `argmax` with `keepdim`
    return. Follows `torch.take_along_dim`.

    >>> x = ag.tensor([[3, 1, 2], [4, 6, 5]])
    >>> ag.take_along_dim(x, x.argsort(dim=1), dim=1)
    tensor([[1, 2, 3],
            [4, 5, 6]])
    """
    if not indices.dtype.is_index:
        raise DTypeError(f"take_along_dim: indices must be integers, got {indices.dtype.name}")
    if dim is None:
        return ops.gather(ops.reshape(input, (-1,)), dim=0, index=ops.reshape(indices, (-1,)))
    if input.ndim != indices.ndim:
        raise ShapeError(f"take_along_dim: {describe(input, indices)}: expected as many dimensions")
    d = normalize_dim(dim, input.ndim, "take_along_dim")
    given, wanted = ([1 if i == d else s for i, s in enumerate(x.shape)] for x in (input, indices))
    both = broadcast_shapes(tuple(given), tuple(wanted), op="take_along_dim")
    wide = (
        ops.expand(x, tuple(x.shape[d] if i == d else s for i, s in enumerate(both)))
        for x in (input, indices)
    )
    x, places = wide
    size = x.shape[d]
    places = ops.where(ops.lt(places, 0), ops.add(places, size), places)
    return ops.gather(x, dim=d, index=places)


def take(input: Any, index: Any) -> Any:
    """The elements of the flattened tensor at `index`, in the shape of `index`.

    Negative numbers count from the end. Raises IndexError outside. Follows `torch.take`.

    >>> ag.take(ag.tensor([[3, 1], [2, 4]]), ag.tensor([0, 3]))
    tensor([3, 4])
    """
    return ops.index(ops.reshape(input, (-1,)), index, dims=(0,))


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """A copy with `value` where the mask, which broadcasts, is true.

    `value`, a number or 0-d tensor (ShapeError for another), is converted to the dtype of `input`.
    Follows `torch.masked_fill`.

    >>> scores = ag.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> ag.masked_fill(scores, ag.tensor([[False, True], [False, False]]), -ag.inf)
    tensor([[1., -inf],
            [3., 4.]])
    """
    _check_mask("masked_fill", mask)
    if isinstance(value, Tensor):
        if value.ndim:
            raise ShapeError(
                f"masked_fill: the value must have no dimensions, got {describe(value)}"
            )
        if value.dtype.is_complex and not input.dtype.is_complex:
            value = _real_value("masked_fill", value, input.dtype)
        fill = value if value.dtype is input.dtype else ops.cast(value, input.dtype)
    else:
        fill = ops.full((), value, input.dtype)
    return row_major(ops.where(mask, fill, input))


def masked_select(input: Any, mask: Any) -> Any:
    """The elements where the mask is true, in row-major order, in one dimension; the two broadcast.

    Looks at the values, so it can't be compiled: use `where`. Follows `torch.masked_select`.

    >>> x = ag.tensor([1, 5, 3])
    >>> ag.masked_select(x, x > 2)
    tensor([5, 3])
    """
    _check_mask("masked_select", mask)
    shape = broadcast_shapes(tuple(input.shape), tuple(mask.shape), op="masked_select") or (1,)
    return ops.expand(input, shape)[ops.expand(mask, shape)]


def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """A copy with the elements of `source`, one after another, where the mask is true.

    Raises ArgumentError where `source` has too few (not looked at in compiled code). Follows
    `torch.masked_scatter`.

    >>> mask = ag.tensor([True, False, True])
    >>> ag.masked_scatter(ag.zeros(3), mask, ag.tensor([1.0, 2.0, 3.0]))
    tensor([1., 0., 2.])
    """
    _check_mask("masked_scatter", mask)
    if source.dtype is not input.dtype:
        raise DTypeError(f"masked_scatter: {describe(input, source)}: both must have one dtype")
    shape = broadcast_shapes(tuple(input.shape), tuple(mask.shape), op="masked_scatter")
    return write_elements(ops.expand(input, shape), mask, source)


def _check_mask(name: str, mask: Any) -> None:
    if mask.dtype.kind != "b":
        raise DTypeError(f"{name}: the mask must be boolean, got {mask.dtype.name}; compare first")


def _real_value(name: str, value: Any, target: DType) -> Any:
    """A complex number as the real one that it is; DTypeError for another."""
    if crossroads.tracing() or value.item().imag:
        raise DTypeError(f"{name}: a {value.dtype.name} value can't be stored as {target.name}")
    return ops.real(value)


def _check_kind(name: str, source: DType, target: DType) -> None:
    if not can_cast(source, target):
        raise DTypeError(f"{name}: a {source.name} value can't be stored as {target.name}")


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """A copy with out.flatten()[index[i]] = source[i]; with `accumulate` it is added, all of it.

    >>> ag.put(ag.zeros(2, 2), ag.tensor([0, 3]), ag.tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    flat = ops.reshape(input, (-1,))
    out = ops.index_put(
        flat,
        ops.reshape(source, (-1,)),
        ops.reshape(index, (-1,)),
        dims=(0,),
        accumulate=accumulate,
    )
    return ops.reshape(out, tuple(input.shape))


def index_put_(self: Tensor, indices: Any, values: Any, accumulate: bool = False) -> Tensor:
    """``self[indices] = values`` in place, of a tuple of indices; `accumulate` adds them.

    Where places repeat the last value counts, or all are added. Returns the tensor. Follows
    `torch.Tensor.index_put_`.

    >>> ag.zeros(3).index_put_((ag.tensor([0, 0]),), ag.tensor([1.0, 2.0]), accumulate=True)
    tensor([3., 0., 0.])
    """
    check_writable(self)
    return assign(self, index_put(self, indices, values, accumulate), "index_put_")


def nonzero_static(input: Any, *, size: int, fill_value: int = -1) -> Any:
    """The indices of the first `size` elements that aren't 0, a row each; then `fill_value`.

    The shape (size, dimensions) doesn't depend on the values, so it can be compiled. Follows
    `torch.nonzero_static`.

    >>> ag.nonzero_static(ag.tensor([[0, 1], [2, 0]]), size=3)
    tensor([[ 0,  1],
            [ 1,  0],
            [-1, -1]])
    """
    if size < 0:
        raise ArgumentError(f"nonzero_static: size must not be negative, got {size}")
    if not input.ndim:
        return ops.full((size, 0), fill_value, "int64")
    flags = ops.ne(ops.reshape(input.detach(), (-1,)), 0)
    rank = ops.sub(ops.cumsum(ops.cast(flags, "int64"), 0), 1)
    taken = ops.logical_and(flags, ops.lt(rank, size))
    slots = ops.full((size + 1,), -1, "int64")  # the last one is for what isn't taken
    numbers = ops.arange(0, 1, flags.shape[0], "int64")
    slots = ops.scatter(slots, 0, ops.where(taken, rank, size), numbers)
    place = sliced(slots, 0, 0, size)
    columns = _unravelled(ops.clamp(place, 0, None), tuple(input.shape))
    rows = ops.cat(*[ops.reshape(c, (size, 1)) for c in columns], dim=1)
    return ops.where(ops.reshape(ops.ge(place, 0), (size, 1)), rows, fill_value)


def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """The index in each dimension of a tensor of that shape, for numbers of its elements.

    Elements are counted in row-major order. Raises ArgumentError for a number outside (not looked
    at in compiled code). Follows `torch.unravel_index`.

    >>> ag.unravel_index(ag.tensor([1, 5]), (2, 3))
    (tensor([0, 1]), tensor([1, 2]))
    """
    if not indices.dtype.is_index:
        raise DTypeError(f"unravel_index: expected integers, got {indices.dtype.name}")
    wanted = sizes((shape if isinstance(shape, int) else tuple(shape),))
    if min(wanted, default=0) < 0:
        raise ArgumentError(f"unravel_index: sizes must not be negative, got {wanted}")
    if not crossroads.tracing() and indices.numel():
        low, high = int(ops.amin(indices).item()), int(ops.amax(indices).item())
        if low < 0 or high >= math.prod(wanted):
            raise ArgumentError(
                f"unravel_index: numbers {low} to {high} are outside of a tensor of shape "
                f"{shape_text(wanted)}"
            )
    return _unravelled(ops.cast(indices, "int64"), wanted)


def _unravelled(numbers: Any, shape: tuple[Any, ...]) -> tuple[Any, ...]:
    found = []
    for size in reversed(shape):
        divisor = ops.full((), 1 if is_equal(size, 0) else size, "int64")
        found.append(ops.remainder(numbers, divisor))
        numbers = ops.floor_divide(numbers, divisor)
    return tuple(found[::-1])
