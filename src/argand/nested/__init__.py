"""`ag.nested`: batches of tensors that differ in one size, without padding, as `torch.nested`.

>>> x = ag.nested.nested_tensor([ag.ones(2, 3), ag.ones(4, 3)], layout=ag.jagged)
>>> nn.Linear(3, 5)(x).unbind()[1].shape
argand.Size([4, 5])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.base.dtype import as_dtype
from argand.base.layout import jagged, layout, strided
from argand.nested import meanings as meanings
from argand.nested.core import NestedError, NestedTensor, Rows, made, nest
from argand.tensor.core import Tensor
from argand.tensor.creation import tensor

__all__ = [
    "NestedTensor",
    "as_nested_tensor",
    "masked_select",
    "narrow",
    "nested_tensor",
    "nested_tensor_from_jagged",
    "to_padded_tensor",
]


def nested_tensor(
    tensor_list: Sequence[Any],
    *,
    dtype: Any = None,
    layout: layout | None = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """A nested tensor of copies of a list of tensors, or of lists of numbers: a leaf.

    Its layout is strided unless `layout` is ``ag.jagged``; both compute the same here. RuntimeError
    for no tensors, other dtypes, and tensors that differ in more than one size. Follows
    `torch.nested.nested_tensor`.

    >>> x = ag.nested.nested_tensor([[1.0, 2.0], [3.0]], layout=ag.jagged)
    >>> x.values(), x.offsets()
    (tensor([1., 2., 3.]), tensor([0, 2, 3]))
    """
    found = [x.detach() if isinstance(x, Tensor) else tensor(x) for x in tensor_list]
    leaf = nest(_cast(found, dtype), layout or strided).detach().clone()
    return leaf.requires_grad_(requires_grad)


def as_nested_tensor(
    ts: Any, dtype: Any = None, device: Any = None, layout: layout | None = None
) -> Any:
    """A nested tensor of a list of tensors, or of the tensors of a batch; gradients flow back.

    Follows `torch.nested.as_nested_tensor`.

    >>> a, b = ag.ones(1, 2, requires_grad=True), ag.ones(2, 2)
    >>> (ag.nested.as_nested_tensor([a, b], layout=ag.jagged) * 3).sum().backward()
    >>> a.grad
    tensor([[3., 3.]])
    """
    if isinstance(ts, NestedTensor):
        return ts
    parts = list(ts.unbind(0)) if isinstance(ts, Tensor) else list(ts)
    return nest(_cast(parts, dtype), layout or strided)


def _cast(tensors: list[Any], dtype: Any) -> list[Any]:
    return tensors if dtype is None else [x.to(as_dtype(dtype)) for x in tensors]


def nested_tensor_from_jagged(
    values: Any,
    offsets: Any = None,
    lengths: Any = None,
    jagged_dim: int | None = None,
    min_seqlen: int | None = None,
    max_seqlen: int | None = None,
) -> Any:
    """A nested tensor whose tensors are those of `values` between each of `offsets` and the next.

    With `lengths` besides they end earlier; alone, `lengths` says their sizes. They follow each
    other along dimension ``jagged_dim - 1`` of `values`, the first. Follows
    `torch.nested.nested_tensor_from_jagged`.

    >>> x = ag.nested.nested_tensor_from_jagged(ag.arange(5.0), lengths=ag.tensor([2, 3]))
    >>> x.unbind()
    (tensor([0., 1.]), tensor([2., 3., 4.]))
    """
    if offsets is None and lengths is None:
        raise NestedError(
            "nested_tensor_from_jagged(): At least one of offsets or lengths is required."
        )
    counts: Any = None if lengths is None else lengths.tolist()
    if offsets is None:
        starts = [0, *np.cumsum(counts)[:-1].tolist()]
    else:
        *starts, end = offsets.tolist()
        counts = np.diff([*starts, end]).tolist() if counts is None else counts
    along = 1 if jagged_dim is None else jagged_dim
    total = int(values.shape[along - 1])
    ends = [start + n for start, n in zip(starts, counts, strict=True)]
    if min(counts, default=0) < 0 or max(ends, default=0) > total:
        raise NestedError(
            f"nested_tensor_from_jagged(): tensors end at {ends}, beyond the {total} rows of values"
        )
    return made(values, Rows(starts, counts, total), along)


def narrow(tensor: Any, dim: int, start: Any, length: Any, layout: layout = strided) -> Any:
    """A nested tensor of a part of each tensor of a batch: views of its memory.

    `start` and `length` are numbers, or tensors with one for each; `dim` is 1. Follows
    `torch.nested.narrow`.

    >>> x = ag.arange(6).view(2, 3)
    >>> ag.nested.narrow(x, 1, ag.tensor([0, 1]), ag.tensor([1, 2]), layout=ag.jagged).unbind()
    (tensor([0]), tensor([4, 5]))
    """
    if dim != 1:
        raise NestedError("narrow: only dim=1 is supported for NestedTensor with layout jagged")
    batch, size = tensor.shape[:2]
    firsts, counts = (np.broadcast_to(_numbers(x), (batch,)).tolist() for x in (start, length))
    starts = [number * size + first for number, first in enumerate(firsts)]
    return made(tensor.flatten(0, 1), Rows(starts, counts, batch * size), 1, layout)


def _numbers(x: Any) -> Any:
    return x.numpy() if isinstance(x, Tensor) else x


def masked_select(tensor: Any, mask: Any) -> Any:
    """A nested tensor of the elements of each tensor of a batch where the mask is True.

    Follows `torch.nested.masked_select`.

    >>> mask = ag.tensor([[True, False, True], [False, False, True]])
    >>> ag.nested.masked_select(ag.arange(6).view(2, 3), mask).unbind()
    (tensor([0, 2]), tensor([5]))
    """
    if tensor.layout is not strided or tensor.ndim != mask.ndim:
        raise NestedError("masked_select: takes a plain tensor, and a mask of as many dimensions")
    counts = mask.expand(tensor.shape).flatten(1).sum(1).tolist()
    return made(tensor[mask.expand(tensor.shape)], Rows.dense(counts), 1, jagged)


def to_padded_tensor(input: Any, padding: float, output_size: Any = None) -> Any:
    """A plain tensor with `padding` behind the end of each tensor of a nested one.

    Follows `torch.nested.to_padded_tensor`.

    >>> x = ag.nested.nested_tensor([[1.0, 2.0], [3.0]], layout=ag.jagged)
    >>> ag.nested.to_padded_tensor(x, 0.0)
    tensor([[1., 2.],
            [3., 0.]])
    """
    return input.to_padded_tensor(padding, output_size)
