"""Linear maps, dropout and attention."""

from __future__ import annotations

import math
from typing import Any

from argand.base.dtype import bool_, int64
from argand.ir.op import ops
from argand.nn.functional.dropout import dropout


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """input @ weight.T + bias: an input (..., in), a weight (out, in) and a bias (out,) give (...,
    out).

    A weight (in,) gives (...). Raises ShapeError when the sizes `in` differ.

    >>> weight, bias = ag.tensor([[3.0, 4.0], [5.0, 6.0]]), ag.tensor([0.0, 1.0])
    >>> F.linear(ag.tensor([[1.0, 2.0]]), weight, bias)
    tensor([[11., 18.]])
    """
    return ops.linear(input, weight, bias)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """input1 @ weight[o] @ input2 + bias[o] for each output o.

    Inputs (..., in1) and (..., in2) and a weight (out, in1, in2) give (..., out).

    >>> F.bilinear(ag.tensor([[1.0, 2.0]]), ag.tensor([[3.0]]), ag.ones(1, 2, 1))
    tensor([[9.]])
    """
    lead = tuple(input1.shape[:-1])
    rows = math.prod(lead)
    left = ops.matmul(ops.reshape(input1, (1, rows, input1.shape[-1])), weight)
    y = ops.sum(ops.mul(left, ops.reshape(input2, (1, rows, input2.shape[-1]))), -1)
    y = ops.cast(y, left.dtype)  # sums of integers are int64
    y = ops.reshape(ops.permute(y, (1, 0)), (*lead, weight.shape[0]))
    return y if bias is None else ops.add(y, bias)


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(query @ key.T * scale + mask) @ value (Vaswani et al., 2017).

    Queries (..., L, E), keys (..., S, E) and values (..., S, V) give (..., L, V). `attn_mask`
    broadcasts to (..., L, S): a boolean one keeps where True, a float one is added. `is_causal`
    lets row i see the keys up to i, and of these what a mask lets it see. `scale` is 1 / sqrt(E)
    unless given. `dropout_p` drops probabilities, always (pass 0 in evaluation). With `enable_gqa`
    each head of keys and values (dimension -3) serves several of the queries.

    >>> q = k = ag.eye(2)
    >>> F.scaled_dot_product_attention(q, k, ag.tensor([[1.0], [3.0]]), is_causal=True)
    tensor([[1.0000],
            [2.3395]])
    """
    if is_causal and attn_mask is not None:
        attn_mask, is_causal = _causal(attn_mask, query.shape[-2], key.shape[-2]), False
    if enable_gqa:
        return _grouped_attention(query, key, value, attn_mask, dropout_p, is_causal, scale)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    if dropout_p > 0:
        return _attention_with_dropout(query, key, value, attn_mask, dropout_p, is_causal, factor)
    masks = () if attn_mask is None else (attn_mask,)
    return ops.scaled_dot_product_attention(
        query, key, value, *masks, is_causal=bool(is_causal), scale=factor
    )


def _causal(mask: Any, rows: int, columns: int) -> Any:
    """A mask that lets row i see no column behind i besides."""
    row = ops.reshape(ops.arange(0, 1, rows, int64), (rows, 1))
    seen = ops.ge(row, ops.arange(0, 1, columns, int64))
    return ops.logical_and(mask, seen) if mask.dtype is bool_ else ops.where(seen, mask, -math.inf)


def _grouped_attention(query: Any, key: Any, value: Any, mask: Any, *options: Any) -> Any:
    """Attention whose heads of keys and values serve several of the queries: these are a dimension
    of their own, along which keys and values broadcast."""
    heads, groups = query.shape[-3], key.shape[-3]
    if mask is not None and mask.ndim > 2:
        mask = _in_groups(mask, min(mask.shape[-3], groups))
    query, key, value = (_in_groups(x, groups) for x in (query, key, value))
    y = scaled_dot_product_attention(query, key, value, mask, *options)
    return ops.reshape(y, (*y.shape[:-4], heads, *y.shape[-2:]))


def _in_groups(x: Any, groups: int) -> Any:
    shape = x.shape
    return ops.reshape(x, (*shape[:-3], groups, shape[-3] // groups, *shape[-2:]))


def _attention_with_dropout(
    query: Any, key: Any, value: Any, mask: Any, p: float, is_causal: bool, factor: float
) -> Any:
    rank = key.ndim
    turned = ops.permute(key, (*range(rank - 2), rank - 1, rank - 2))
    scores = ops.mul(ops.matmul(query, turned), factor)
    if is_causal:
        rows = ops.reshape(ops.arange(0, 1, query.shape[-2], "int64"), (query.shape[-2], 1))
        mask = ops.ge(rows, ops.arange(0, 1, key.shape[-2], "int64"))
    if mask is not None and mask.dtype.kind == "b":
        scores = ops.where(mask, scores, -math.inf)
    elif mask is not None:
        scores = ops.add(scores, mask)
    return ops.matmul(dropout(ops.softmax(scores, -1), p), value)
