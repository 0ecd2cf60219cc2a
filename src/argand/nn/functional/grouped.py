"""Products of matrices in groups of different sizes, as layers of experts have them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from argand.base.errors import ArgumentError, ShapeError
from argand.base.shape import shape_text
from argand.ir.op import ops
from argand.tensor.joining import cat, stack


def grouped_mm(
    mat_a: Any, mat_b: Any, *, offs: Any = None, bias: Any = None, out_dtype: Any = None
) -> Any:
    """The products of groups, whose ends along the dimension that they share are `offs`.

    (T, K) with (G, K, N) gives (T, N): rows offs[g-1] to offs[g] are multiplied by the g-th matrix.
    (G, M, K) with (K, T) gives (M, T), the same for columns. (M, T) with (T, N) gives (G, M, N),
    the sums over the T of each group. Two stacks of G matrices have no `offs`, and are multiplied
    pair by pair. What lies behind the last end is 0. `offs` are G int32 numbers that ascend, read
    when it is called: it can't be compiled. `bias` (N,) is added; `out_dtype` is that of the
    result. Raises ShapeError where sizes don't fit. Follows `torch.nn.functional.grouped_mm`.

    >>> a, b = ag.tensor([[1.0], [2.0], [3.0]]), ag.tensor([[[1.0]], [[10.0]]])
    >>> F.grouped_mm(a, b, offs=ag.tensor([1, 3], dtype=ag.int32)).flatten()
    tensor([ 1., 20., 30.])
    """
    flat = 2 in (mat_a.ndim, mat_b.ndim)
    if (offs is not None) != flat:
        raise ArgumentError(
            "grouped_mm: offs name the ends of groups where an operand has 2 dimensions; "
            f"got {shape_text(mat_a.shape)} and {shape_text(mat_b.shape)} "
            f"{'without' if offs is None else 'with'} offs"
        )
    if mat_a.shape[-1] != mat_b.shape[-2]:
        raise ShapeError(
            f"grouped_mm: {shape_text(mat_a.shape)} and {shape_text(mat_b.shape)} don't multiply: "
            f"sizes {mat_a.shape[-1]} and {mat_b.shape[-2]} must be equal"
        )
    result = _in_groups(mat_a, mat_b, _ends(mat_a, mat_b, offs)) if flat else mat_a @ mat_b
    if bias is not None:
        result = ops.add(result, bias)
    return result if out_dtype is None else result.to(out_dtype)


def _ends(mat_a: Any, mat_b: Any, offs: Any) -> list[int]:
    """Where groups begin and end, checked."""
    ends = [0, *offs.tolist()]
    groups = [x.shape[0] for x in (mat_a, mat_b) if x.ndim == 3]
    if groups and groups[0] != len(ends) - 1:
        raise ShapeError(f"grouped_mm: {groups[0]} matrices for {len(ends) - 1} groups")
    size = mat_a.shape[0] if mat_b.ndim == 3 else mat_b.shape[1 if mat_a.ndim == 3 else 0]
    if sorted(ends) != ends or ends[-1] > size:
        raise ArgumentError(
            f"grouped_mm: offs must ascend from 0 to no more than {size}, got {ends[1:]}"
        )
    return ends


def _in_groups(mat_a: Any, mat_b: Any, ends: list[int]) -> Any:
    parts = list(enumerate(pairwise(ends)))
    if mat_a.ndim == mat_b.ndim:
        return stack([mat_a[:, i:j] @ mat_b[i:j] for _, (i, j) in parts])
    if mat_b.ndim == 3:
        rows = [mat_a[i:j] @ mat_b[g] for g, (i, j) in parts]
        return _filled(rows, (mat_a.shape[0] - ends[-1], mat_b.shape[2]), 0)
    columns = [mat_a[g] @ mat_b[:, i:j] for g, (i, j) in parts]
    return _filled(columns, (mat_a.shape[1], mat_b.shape[1] - ends[-1]), 1)


def _filled(parts: list[Any], shape: tuple[int, int], dim: int) -> Any:
    """The parts in a row, and zeros of that shape behind them."""
    return cat([*parts, ops.full(shape, 0, parts[0].dtype)], dim)
