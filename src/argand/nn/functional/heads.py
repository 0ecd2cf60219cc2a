"""Multi-head attention as a function of its weights."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from argand.base.errors import ArgumentError, ShapeError
from argand.ir.op import describe, ops
from argand.nn.functional.dropout import dropout
from argand.nn.functional.mixing import linear, scaled_dot_product_attention


class Projections(NamedTuple):
    """The weights and biases (None: without) that make queries, keys, values and the output, and
    what is added to the keys: a learned row, a row of zeros."""

    weights: tuple[Any, Any, Any]
    biases: tuple[Any, Any, Any]
    out: tuple[Any, Any]
    extra: tuple[Any, Any] = (None, None)
    add_zeros: bool = False


def in_thirds(x: Any) -> tuple[Any, Any, Any]:
    """The three parts of the stacked weight (or bias) of queries, keys and values."""
    size, rest = x.shape[0] // 3, tuple(x.shape[1:])
    start = (0,) * len(rest)
    parts = [ops.slice(x, (i * size, *start), ((i + 1) * size, *rest)) for i in range(3)]
    return parts[0], parts[1], parts[2]


def attention_of_heads(
    inputs: tuple[Any, Any, Any],
    heads: int,
    made_by: Projections,
    dropout_p: float,
    need_weights: bool,
    masks: tuple[Any, Any],
    is_causal: bool,
    static: tuple[Any, Any] = (None, None),
    steps_first: bool = True,
) -> tuple[Any, Any]:
    """The output (N, L, E) and the weights (N, heads, L, S), None unless wanted, for inputs
    (N, L, E); `masks` are that of the scores and that of the keys. The output is stored as
    (L, N, E) where `steps_first`, as PyTorch's always is."""
    q, *kv = (linear(*parts) for parts in zip(inputs, made_by.weights, made_by.biases, strict=True))
    n = q.shape[0]
    for i, row in enumerate(made_by.extra):
        if row is not None:
            width = kv[i].shape[2]
            kv[i] = ops.cat(
                kv[i], ops.expand(ops.reshape(row, (1, 1, width)), (n, 1, width)), dim=1
            )
    q, k, v = (_in_heads(x, heads) for x in (q, *kv))
    if static[0] is not None:
        k = ops.reshape(static[0], (n, heads, *static[0].shape[1:]))
    if static[1] is not None:
        v = ops.reshape(static[1], (n, heads, *static[1].shape[1:]))
    seen = k.shape[2] - (made_by.extra[0] is not None)
    mask = _mask(q, seen, *masks, is_causal)
    if made_by.add_zeros:
        k, v = (ops.cat(x, ops.full((n, heads, 1, x.shape[3]), 0, x.dtype), dim=2) for x in (k, v))
    if mask is not None and (made_by.extra[0] is not None or made_by.add_zeros):
        mask = ops.pad(mask, (*((0, 0),) * (mask.ndim - 1), (0, k.shape[2] - seen)), 0)
    weights = None
    if need_weights:
        found, weights = _attend(q, k, v, mask, dropout_p)
    else:
        found = scaled_dot_product_attention(q, k, v, mask, dropout_p)
    length, size = found.shape[2], heads * found.shape[3]
    if steps_first:
        joined = ops.reshape(ops.permute(found, (2, 0, 1, 3)), (length, n, size))
        return ops.permute(linear(joined, *made_by.out), (1, 0, 2)), weights
    joined = ops.reshape(ops.permute(found, (0, 2, 1, 3)), (n, length, size))
    return linear(joined, *made_by.out), weights


def _in_heads(x: Any, heads: int) -> Any:
    """(N, L, E) as (N, heads, L, E / heads)."""
    split = ops.reshape(x, (*x.shape[:2], heads, x.shape[2] // heads))
    return ops.permute(split, (0, 2, 1, 3))


def _mask(q: Any, keys: Any, mask: Any, padding: Any, is_causal: bool) -> Any:
    """What is added to the scores: both masks as floats, broadcast to the heads."""
    total = None
    if mask is not None:
        if mask.ndim == 3:
            mask = ops.reshape(mask, (*q.shape[:2], *mask.shape[1:]))
        total = _additive(mask, q.dtype)
    elif is_causal:
        raise ArgumentError("MultiheadAttention: is_causal needs attn_mask, as in PyTorch")
    if padding is not None:
        added = _additive(ops.reshape(padding, (q.shape[0], 1, 1, keys)), q.dtype)
        total = added if total is None else ops.add(total, added)
    return total


def _additive(mask: Any, dtype: Any) -> Any:
    if mask.dtype.kind != "b":
        return ops.cast(mask, dtype) if mask.dtype is not dtype else mask
    return ops.where(mask, ops.full(tuple(mask.shape), -math.inf, dtype), 0.0)


def _attend(q: Any, k: Any, v: Any, mask: Any, p: float) -> tuple[Any, Any]:
    scores = ops.matmul(ops.mul(q, 1 / math.sqrt(q.shape[-1])), ops.permute(k, (0, 1, 3, 2)))
    if mask is not None:
        scores = ops.add(scores, mask)
    weights = dropout(ops.softmax(scores, -1), p, p > 0)
    return ops.matmul(weights, v), weights


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """What `nn.MultiheadAttention` computes, of its weights: the output (L, N, E) and the attention
    weights, for inputs (L, N, E) or (L, E).

    >>> x, w = ag.ones(3, 1, 4), ag.ones(12, 4)
    >>> given = (None, None, None, False, 0.0, ag.eye(4), None)
    >>> F.multi_head_attention_forward(x, x, x, 4, 2, w, *given)[0].shape
    argand.Size([3, 1, 4])
    """
    if query.ndim not in (2, 3) or query.shape[-1] != embed_dim_to_check:
        raise ShapeError(
            f"multi_head_attention_forward: {describe(query)}: expected queries (L, N, E) or "
            f"(L, E), E = {embed_dim_to_check}"
        )
    if embed_dim_to_check % num_heads:
        raise ArgumentError(
            f"multi_head_attention_forward: {embed_dim_to_check} features can't be divided among "
            f"{num_heads} heads"
        )
    single = query.ndim == 2
    shaped = (
        ops.reshape(x, (1, *x.shape)) if single else ops.permute(x, (1, 0, 2))
        for x in (query, key, value)
    )
    weights = (q_proj_weight, k_proj_weight, v_proj_weight)
    made_by = Projections(
        weights if use_separate_proj_weight else in_thirds(in_proj_weight),
        (None,) * 3 if in_proj_bias is None else in_thirds(in_proj_bias),
        (out_proj_weight, out_proj_bias),
        (bias_k, bias_v),
        add_zero_attn,
    )
    p = dropout_p if training else 0.0
    masks, static = (attn_mask, key_padding_mask), (static_k, static_v)
    y, found = attention_of_heads(
        tuple(shaped), num_heads, made_by, p, need_weights, masks, is_causal, static
    )
    return finished(y, found, single, False, average_attn_weights)


def finished(
    y: Any, weights: Any, single: bool, batch_first: bool, average: bool
) -> tuple[Any, Any]:
    """The output and the weights in the form of the inputs."""
    if weights is not None and average:
        weights = ops.mean(weights, 1)
    if single:
        weights = None if weights is None else ops.reshape(weights, weights.shape[1:])
        return ops.reshape(y, y.shape[1:]), weights
    return (y if batch_first else ops.permute(y, (1, 0, 2))), weights
