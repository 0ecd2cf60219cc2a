"""Tensors made from a formula: sequences, grids, the indices of triangles."""

from __future__ import annotations

import math
import operator
from typing import Any, Unpack

import numpy as np

from argand.base.dim import Dim, is_less
from argand.base.dtype import DType, as_dtype, get_default_dtype, int64, promote_types
from argand.base.errors import ArgumentError, DTypeError
from argand.base.shape import broadcast_shapes
from argand.ir.op import describe, ops
from argand.tensor.core import Tensor
from argand.tensor.creation import CreationOptions, finished, sizes, tensor


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    **options: Unpack[CreationOptions],
) -> Tensor:
    """start, start + step, ... below `end` (above it, for a negative step); one number is the end.

    int64 when all three are integers, else the default float dtype. There are
    ceil((end - start) / step) elements; where floats matter, `linspace` says how many. Raises
    ArgumentError for step 0, or one that leads away from the end. Follows `torch.arange`.

    >>> ag.arange(5)
    tensor([0, 1, 2, 3, 4])
    >>> ag.arange(0, 1, 0.25)
    tensor([0.0000, 0.2500, 0.5000, 0.7500])
    """
    if end is None:
        start, end = 0, start
    start, end, step = (_number(v) for v in (start, end, step))
    if not isinstance(step, Dim) and step == 0:
        raise ArgumentError("arange: step must not be 0")
    whole = all(isinstance(v, int | Dim) for v in (start, end, step))
    wanted = (int64 if whole else get_default_dtype()) if dtype is None else as_dtype(dtype)
    if wanted is int64 and not whole:
        start, end, step, whole = int(start), int(end), int(step), True
    if whole:
        size = (end - start + step - 1) // step if step > 0 else (start - end - step - 1) // -step
    else:
        size = math.ceil((end - start) / step)
    if is_less(size, 0) or is_less((end - start) * step, 0):
        raise ArgumentError(
            f"arange: step {step} leads away from the end: start {start}, end {end}"
        )
    if not whole and not wanted.is_inexact:  # the elements are whole, their number is the range's
        start, step = int(start), int(step)
    return finished(ops.arange(start, step, size, wanted), **options)


def _number(value: Any) -> Any:
    if isinstance(value, Tensor | np.generic | np.ndarray):
        return value.item()
    return value


def _in_dtype(value: Any, dtype: DType) -> Any:
    """A limit as a number, whole where the sequence is."""
    number = _number(value)
    return number if dtype.is_inexact else int(number)


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, **options: Unpack[CreationOptions]
) -> Tensor:
    """start + i * (end - start) / (steps - 1) for i = 0, ..., steps - 1: evenly spaced numbers.

    Both ends are met exactly. In the default float dtype unless given. One step gives `start`;
    ArgumentError for less than 0. Follows `torch.linspace`.

    >>> ag.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    start, end = (_in_dtype(v, wanted) for v in (start, end))
    count = operator.index(steps)
    if count < 0:
        raise ArgumentError(f"linspace: steps must not be negative, got {count}")
    step = (end - start) / (count - 1) if count > 1 else 0.0
    i = ops.arange(0, 1, count, "float64")
    # From both ends, so that the last value is `end` itself.
    from_start = ops.add(ops.mul(i, step), start)
    from_end = ops.sub(end, ops.mul(ops.sub(count - 1, i), step))
    values = ops.where(ops.lt(i, count / 2), from_start, from_end)
    return finished(ops.cast(values, wanted), **options)


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    **options: Unpack[CreationOptions],
) -> Tensor:
    """base ** x for `steps` values x evenly spaced from `start` to `end`; see `linspace`.

    >>> ag.logspace(0, 3, 4)
    tensor([   1.,   10.,  100., 1000.])
    """
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    start, end = (_in_dtype(v, wanted) for v in (start, end))
    exponents = linspace(start, end, steps, dtype="float64")
    return finished(ops.cast(ops.pow(base, exponents), wanted), **options)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, **options: Unpack[CreationOptions]
) -> Tensor:
    """1 where row = column, 0 elsewhere: the identity of shape (n, n), or (n, m).

    >>> ag.eye(3)
    tensor([[1., 0., 0.],
            [0., 1., 0.],
            [0., 0., 1.]])
    """
    n, m = (operator.index(x) if isinstance(x, Tensor) else x for x in (n, n if m is None else m))
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    rows = ops.reshape(ops.arange(0, 1, n, int64), (n, 1))
    return finished(ops.cast(ops.eq(rows, ops.arange(0, 1, m, int64)), wanted), **options)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """The coordinates of the points of a grid, one tensor for each of the 1-d `tensors`.

    With indexing "ij" sizes (N, M) give tensors (N, M): the first varies down the rows. With "xy"
    the first two dimensions are exchanged, as in plots and images. The results are views. Raises
    ArgumentError for another `indexing`. Follows `torch.meshgrid`.

    >>> rows, columns = ag.meshgrid(ag.tensor([1, 2]), ag.tensor([3, 4, 5]), indexing="ij")
    >>> rows
    tensor([[1, 1, 1],
            [2, 2, 2]])
    >>> columns
    tensor([[3, 4, 5],
            [3, 4, 5]])
    """
    if indexing not in ("ij", "xy"):
        raise ArgumentError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    items = (
        list(tensors[0]) if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else tensors
    )
    count = len(items)
    lengths = [x.shape[0] if x.ndim else 1 for x in items]
    grids = []
    for i, x in enumerate(items):
        aligned = ops.reshape(x, tuple(lengths[j] if i == j else 1 for j in range(count)))
        grid = ops.expand(aligned, tuple(lengths))
        swap = indexing == "xy" and count > 1
        grids.append(ops.permute(grid, (1, 0, *range(2, count))) if swap else grid)
    return tuple(grids)


def complex_of(real: Any, imag: Any) -> Tensor:
    """real + i * imag, from two tensors of one float dtype that broadcast.

    complex64, or complex128 of float64. Raises DTypeError for other dtypes, and for two that
    differ. Follows `torch.complex`.

    >>> ag.complex(ag.tensor([1.0, 2.0]), ag.tensor([0.5, -1.0]))
    tensor([1.+0.5000j, 2.-1.0000j])
    """
    fits = real.dtype.is_floating_point and real.dtype.name != "bfloat16"
    if real.dtype is not imag.dtype or not fits:
        raise DTypeError(
            f"complex: {describe(real, imag)}: expected float16, float32 or float64 of one dtype"
        )
    both = promote_types(real.dtype, as_dtype("float32"))
    shape = broadcast_shapes(tuple(real.shape), tuple(imag.shape), op="complex")
    parts = [ops.expand(ops.cast(x, both), shape) for x in (real, imag)]
    return ops.complex(*parts)  # type: ignore[no-any-return]  # an op gives Any


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, **options: Unpack[CreationOptions]
) -> Tensor:
    """The rows and the columns of the lower triangle of a (row, col) matrix: shape (2, count).

    Up to the diagonal `offset`; int64 unless given. Follows `torch.tril_indices`.

    >>> ag.tril_indices(2, 3)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return _triangle("tril_indices", np.tril_indices, row, col, offset, dtype, options)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, **options: Unpack[CreationOptions]
) -> Tensor:
    """The rows and the columns of the upper triangle of a (row, col) matrix: shape (2, count).

    From the diagonal `offset` on; int64 unless given. Follows `torch.triu_indices`.

    >>> ag.triu_indices(2, 3)
    tensor([[0, 0, 0, 1, 1],
            [0, 1, 2, 1, 2]])
    """
    return _triangle("triu_indices", np.triu_indices, row, col, offset, dtype, options)


def _triangle(
    name: str, places: Any, row: int, col: int, offset: int, dtype: Any, options: Any
) -> Tensor:
    rows, columns = operator.index(row), operator.index(col)
    if rows < 0 or columns < 0:
        raise ArgumentError(f"{name}: sizes must not be negative, got {rows} and {columns}")
    found = np.stack(places(rows, operator.index(offset), columns))
    return tensor(found, dtype=int64 if dtype is None else dtype, **options)


def empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, **options: Unpack[CreationOptions]
) -> Tensor:
    """A tensor of these strides, in elements, whose contents don't matter (zeros, in fact).

    >>> ag.empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    shape, steps = sizes((size,)), sizes((stride,))
    if len(shape) != len(steps) or min((*shape, *steps), default=0) < 0:
        raise ArgumentError(f"empty_strided: sizes {shape} and strides {steps} don't fit")
    length = 1 + sum((n - 1) * by for n, by in zip(shape, steps, strict=True))
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    memory = ops.full((max(length, 1),), 0, wanted)
    return finished(ops.as_strided(memory, shape, steps), **options)


def empty_permuted(
    size: Any, physical_layout: Any, *, dtype: Any = None, **options: Unpack[CreationOptions]
) -> Tensor:
    """A tensor whose dimensions are stored in the given order, outermost first (of zeros, in fact).

    Raises ArgumentError unless the order names every dimension.

    >>> ag.empty_permuted((2, 3), (1, 0)).stride()
    (1, 2)
    """
    shape, order = sizes((size,)), sizes((physical_layout,))
    if sorted(order) != list(range(len(shape))):
        raise ArgumentError(
            f"empty_permuted: {order} must name each of the {len(shape)} dimensions once"
        )
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    stored = ops.full(tuple(shape[d] for d in order), 0, wanted)
    back = tuple(order.index(d) for d in range(len(shape)))
    return finished(ops.permute(stored, back), **options)


def new_empty_strided(
    self: Tensor,
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    **options: Unpack[CreationOptions],
) -> Tensor:
    """`empty_strided` with the dtype of this tensor.

    >>> ag.tensor([5, 6]).new_empty_strided((2, 3), (1, 2)).dtype
    argand.int64
    """
    dtype = self.dtype if dtype is None else dtype
    return empty_strided(size, stride, dtype=dtype, **options)
