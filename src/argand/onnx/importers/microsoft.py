"""Ops of com.microsoft that ONNX Runtime's optimizers and quantizers put into models."""

from __future__ import annotations

import functools
from typing import Any

from argand.base.dim import Dim
from argand.base.errors import ArgumentError
from argand.onnx.importers.attention import repeated, rotated
from argand.onnx.importers.convolution import conv
from argand.onnx.importers.products import gemm
from argand.onnx.importers.quantized import (
    integer_product,
)
from argand.onnx.registry import Call, importer
from argand.onnx.values import F, Host, ag, int_list
from argand.tensor.core import Tensor

_op = functools.partial(importer, domain="com.microsoft")


def _activated(x: Any, name: str | None, parameters: Any) -> Any:
    """What an op's attribute `activation` says, with its constants."""
    p = list(parameters or ())
    match name:
        case None | "":
            return x
        case "Relu":
            return F.relu(x)
        case "Tanh":
            return ag.tanh(x)
        case "Sigmoid":
            return ag.sigmoid(x)
        case "LeakyRelu":
            return F.leaky_relu(x, p[0] if p else 0.01)
        case "Clip":
            return ag.clamp(x, p[0], p[1])
        case "HardSigmoid":
            return ag.clamp(x * (p[0] if p else 0.2) + (p[1] if p else 0.5), 0, 1)
    raise ArgumentError(f"activation {name!r} is unknown")


@_op("FusedConv")
def _fused_conv(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    z: Tensor | None = None,
    *,
    activation: str | None = None,
    activation_params: Any = None,
    auto_pad: str = "NOTSET",
    dilations: Any = None,
    group: int = 1,
    kernel_shape: Any = None,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    made = conv(
        x, w, b, auto_pad=auto_pad, dilations=dilations, group=group, pads=pads, strides=strides
    )
    return _activated(made if z is None else made + z, activation, activation_params)


@_op("FusedGemm")
def _fused_gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    activation: str | None = None,
    activation_alpha: float | None = None,
    activation_beta: float | None = None,
    activation_gamma: float | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Any:
    given = [p for p in (activation_alpha, activation_beta, activation_gamma) if p is not None]
    made = gemm(a, b, c, alpha=alpha, beta=beta, transA=transA, transB=transB)
    return _activated(made, activation, given)


@_op("FusedMatMul", "TransposeMatMul")
def _fused_matmul(
    a: Tensor,
    b: Tensor,
    *,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    transBatchA: int = 0,
    transBatchB: int = 0,
) -> Any:
    a, b = _turned(a, transA, transBatchA), _turned(b, transB, transBatchB)
    product = ag.matmul(a, b)
    return product if alpha == 1.0 else product * alpha


def _turned(x: Any, last: int, batch: int) -> Any:
    if batch:  # the first dimension goes behind the other batch dimensions
        x = x.movedim(0, -2)
    return x.transpose(-1, -2) if last and x.ndim > 1 else x


# -- activations, norms ----------------------------------------------------------------------------


@_op("Gelu")
def _gelu(x: Tensor) -> Any:
    return F.gelu(x)


@_op("FastGelu")
def _fast_gelu(x: Tensor, bias: Tensor | None = None) -> Any:
    return F.gelu(x if bias is None else x + bias, approximate="tanh")


@_op("BiasGelu")
def _bias_gelu(x: Tensor, bias: Tensor) -> Any:
    return F.gelu(x + bias)


@_op("QuickGelu")
def _quick_gelu(x: Tensor, *, alpha: float = 1.702) -> Any:
    return x * ag.sigmoid(x * alpha)


@_op("BiasSoftmax")
def _bias_softmax(x: Tensor, bias: Tensor, *, axis: int = 1, is_inner_broadcast: int = 1) -> Any:
    return F.softmax(x + bias, axis)


def _norm(x: Any, scale: Any, bias: Any, epsilon: float) -> Any:
    return F.layer_norm(x, [x.shape[-1]], scale, bias, epsilon)


@importer("SimplifiedLayerNormalization")
@_op("SimplifiedLayerNormalization")
def _simplified(
    x: Tensor,
    scale: Tensor,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
    node: Call,
) -> Any:
    made = F.rms_norm(x, list(x.shape[axis % x.ndim :]), scale, epsilon)
    if not node.wants(1):
        return (made, None)[: node.outputs]
    dims = list(range(axis % x.ndim, x.ndim))
    wide = x.to(ag.float32)
    return made, ag.rsqrt(ag.mean(wide * wide, dims, True) + epsilon)


@_op("SkipLayerNormalization")
def _skip_layer_norm(
    x: Tensor,
    skip: Tensor,
    gamma: Tensor,
    beta: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    epsilon: float = 1e-12,
    node: Call,
) -> Any:
    total = x + skip if bias is None else x + skip + bias
    return (_norm(total, gamma, beta, epsilon), None, None, total)[: node.outputs]


@_op("SkipSimplifiedLayerNormalization")
def _skip_simplified(
    x: Tensor,
    skip: Tensor,
    gamma: Tensor,
    bias: Tensor | None = None,
    *,
    epsilon: float = 1e-12,
    node: Call,
) -> Any:
    total = x + skip if bias is None else x + skip + bias
    made = F.rms_norm(total, [total.shape[-1]], gamma, epsilon)
    return (made, None, None, total)[: node.outputs]


@_op("EmbedLayerNormalization")
def _embed_layer_norm(
    ids: Tensor,
    segments: Tensor | None,
    words: Tensor,
    places: Tensor,
    segment_rows: Tensor | None,
    gamma: Tensor,
    beta: Tensor,
    mask: Tensor | None = None,
    position_ids: Tensor | None = None,
    *,
    epsilon: float = 1e-12,
    mask_index_type: int = 0,
    node: Call,
) -> Any:
    at = ag.arange(ids.shape[1]) if position_ids is None else position_ids.to(ag.int64)
    total = F.embedding(ids.to(ag.int64), words) + F.embedding(at, places)
    if segments is not None and segment_rows is not None:
        total = total + F.embedding(segments.to(ag.int64), segment_rows)
    if mask is None:
        lengths = ag.zeros(ids.shape[0], dtype=ag.int32)
    else:
        lengths = ag.sum(mask, 1).to(ag.int32)
    return (_norm(total, gamma, beta, epsilon), lengths, total)[: node.outputs]


# -- attention -------------------------------------------------------------------------------------


def _heads(x: Any, count: int) -> Any:
    """(batch, length, heads * size) as (batch, heads, length, size)."""
    return x.reshape(x.shape[0], x.shape[1], count, -1).transpose(1, 2)


def _mask(mask: Any, queries: Any, keys: Any, filler: float) -> Any:
    """What a mask adds to the scores: by keys, by lengths, by ends and starts, or by pairs."""
    if mask is None:
        return None
    if mask.ndim == 1:
        at = ag.arange(keys)
        seen = at < mask.reshape(-1, 1)
        allowed = seen.reshape(-1, 1, 1, keys)
    elif mask.ndim == 2:
        allowed = (mask > 0).reshape(mask.shape[0], 1, 1, -1)
    else:
        allowed = (mask > 0).unsqueeze(1)
    return ag.where(allowed, ag.zeros(1), ag.full((1,), filler))


def _attended(
    q: Any, k: Any, v: Any, bias: Any, causal: bool, scale: float, softcap: float = 0.0
) -> Any:
    """Attention of heads; (batch, length, heads * size)."""
    scores = ag.matmul(q, k.transpose(2, 3)) * (scale or q.shape[-1] ** -0.5)
    if softcap:
        scores = ag.tanh(scores / softcap) * softcap
    if bias is not None:
        scores = scores + bias.to(scores.dtype)
    if causal:
        queries, keys = q.shape[2], k.shape[2]
        seen = ag.arange(keys) <= ag.arange(queries).reshape(-1, 1) + (keys - queries)
        scores = ag.where(seen, scores, ag.full((1,), -3.4e38).to(scores.dtype))
    made = ag.matmul(F.softmax(scores, -1), v).transpose(1, 2)
    return made.reshape(made.shape[0], made.shape[1], -1)


def _sum(*values: Any) -> Any:
    given = [v for v in values if v is not None]
    return functools.reduce(ag.add, given) if given else None


def _projected_attention(
    projected: Any,
    mask: Any,
    past: Any,
    bias: Any,
    sizes: Any,
    heads: int,
    causal: int,
    scale: float,
    filler: float,
    node: Call,
) -> Any:
    """The attention of queries, keys and values that lie beside each other."""
    each = projected.shape[-1] // 3
    q, k, v = (_heads(x, heads) for x in ag.split(projected, sizes or [each] * 3, -1))
    if past is not None:
        k, v = ag.cat([past[0], k], 2), ag.cat([past[1], v], 2)
    total = _sum(_mask(mask, q.shape[2], k.shape[2], filler), bias)
    made = _attended(q, k, v, total, bool(causal), scale)
    return (made, ag.stack([k, v]) if node.wants(1) else None)[: node.outputs]


@_op("Attention")
def _attention(
    x: Tensor,
    weights: Tensor,
    bias: Tensor | None = None,
    mask_index: Tensor | None = None,
    past: Tensor | None = None,
    attention_bias: Tensor | None = None,
    *,
    mask_filter_value: float = -10000.0,
    num_heads: int,
    qkv_hidden_sizes: Any = None,
    scale: float = 0.0,
    unidirectional: int = 0,
    node: Call,
) -> Any:
    projected = ag.matmul(x, weights)
    return _projected_attention(
        projected if bias is None else projected + bias,
        mask_index,
        past,
        attention_bias,
        list(qkv_hidden_sizes) if qkv_hidden_sizes else None,
        num_heads,
        unidirectional,
        scale,
        mask_filter_value,
        node,
    )


@_op("QAttention")
def _qattention(
    x: Tensor,
    weights: Tensor,
    bias: Tensor,
    x_scale: Tensor,
    w_scale: Tensor,
    mask_index: Tensor | None = None,
    x_zero: Tensor | None = None,
    w_zero: Tensor | None = None,
    past: Tensor | None = None,
    *,
    do_rotary: int = 0,
    mask_filter_value: float = -10000.0,
    num_heads: int,
    past_present_share_buffer: int = 0,
    scale: float = 0.0,
    unidirectional: int = 0,
    node: Call,
) -> Any:
    product = integer_product(x, weights, x_zero, w_zero).to(ag.float32)
    return _projected_attention(
        product * (x_scale * w_scale) + bias,
        mask_index,
        past,
        None,
        None,
        num_heads,
        unidirectional,
        scale,
        mask_filter_value,
        node,
    )


@_op("MultiHeadAttention")
def _multi_head_attention(
    query: Tensor,
    key: Tensor | None = None,
    value: Tensor | None = None,
    bias: Tensor | None = None,
    key_padding_mask: Tensor | None = None,
    attention_bias: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    *,
    mask_filter_value: float = -10000.0,
    num_heads: int,
    scale: float = 0.0,
    unidirectional: int = 0,
    node: Call,
) -> Any:
    if key is None or value is None:  # all three in one, (batch, length, heads, 3, size)
        q, k, v = (query.select(3, i).transpose(1, 2) for i in range(3))
    else:
        hidden = query.shape[-1]
        if bias is not None:
            query = query + bias[:hidden]
            if key.ndim == 3:
                key, value = key + bias[hidden : 2 * hidden], value + bias[2 * hidden :]
        q = _heads(query, num_heads)
        k, v = (x if x.ndim == 4 else _heads(x, num_heads) for x in (key, value))
    if past_key is not None and past_value is not None:
        k, v = ag.cat([past_key, k], 2), ag.cat([past_value, v], 2)
    total = _sum(_mask(key_padding_mask, q.shape[2], k.shape[2], mask_filter_value), attention_bias)
    made = _attended(q, k, v, total, bool(unidirectional), scale)
    return (made, k, v)[: node.outputs]


@_op("GroupQueryAttention")
def _group_query_attention(
    query: Tensor,
    key: Tensor | None,
    value: Tensor | None,
    past_key: Tensor | None,
    past_value: Tensor | None,
    seqlens_k: Tensor,
    total_sequence_length: Host,
    cos_cache: Tensor | None = None,
    sin_cache: Tensor | None = None,
    position_ids: Tensor | None = None,
    attention_bias: Tensor | None = None,
    *,
    do_rotary: int = 0,
    kv_num_heads: int,
    local_window_size: int = -1,
    num_heads: int,
    rotary_interleaved: int = 0,
    scale: float = 0.0,
    smooth_softmax: int = 0,
    softcap: float = 0.0,
    node: Call,
) -> Any:
    if smooth_softmax == 1:
        raise ArgumentError("GroupQueryAttention: smooth_softmax is not known")
    if key is None or value is None:
        size = query.shape[-1] // (num_heads + 2 * kv_num_heads)
        each = [num_heads * size, kv_num_heads * size, kv_num_heads * size]
        query, key, value = ag.split(query, each, -1)
    q, k, v = _heads(query, num_heads), _heads(key, kv_num_heads), _heads(value, kv_num_heads)
    length = q.shape[2]
    first = ag.clamp(seqlens_k.reshape(-1, 1).to(ag.int64) + 1 - length, min=0)
    at = first + ag.arange(length)  # of each example's new elements in the cache
    if do_rotary:
        turned = at if position_ids is None else position_ids
        inter = bool(rotary_interleaved)
        q, k = (rotated(x, cos_cache, sin_cache, turned, inter, 0) for x in (q, k))
    total = int_list(total_sequence_length)[0]
    k, v = _cached(past_key, k, at, total), _cached(past_value, v, at, total)
    ahead = ag.arange(k.shape[2]) - at.unsqueeze(-1)
    seen = ahead <= 0
    if local_window_size > 0:
        seen = ag.logical_and(seen, ahead > -local_window_size)
    hidden = ag.where(seen, ag.zeros(1), ag.full((1,), -3.4e38)).unsqueeze(1)
    keys, values = (repeated(x, num_heads // kv_num_heads) for x in (k, v))
    made = _attended(q, keys, values, _sum(attention_bias, hidden), False, scale, softcap)
    return (made, k, v)[: node.outputs]


def _cached(past: Any, new: Any, at: Any, total: Any) -> Any:
    """A cache with new elements at their places."""
    have = 0 if past is None else past.shape[2]
    missing = total - have
    shape = [*new.shape[:2], missing, new.shape[3]]
    parts = [] if past is None else [past]
    if isinstance(missing, Dim) or missing > 0:
        parts.append(ag.zeros(*shape, dtype=new.dtype))
    whole = ag.cat(parts, 2)
    return ag.scatter(whole, 2, at.reshape(at.shape[0], 1, -1, 1).expand(new.shape), new)


@_op("RotaryEmbedding")
def _rotary(
    x: Tensor,
    position_ids: Tensor,
    cos: Tensor,
    sin: Tensor,
    *,
    interleaved: int = 0,
    is_packed_batching: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
    scale: float = 1.0,
) -> Any:
    count = num_heads or (x.shape[2] // (2 * cos.shape[1]) if x.ndim == 3 else 0)
    wide = _heads(x, count) if x.ndim == 3 else x
    at = position_ids.to(ag.int64)
    if at.numel() == 1:
        at = at.reshape(1, 1) + ag.arange(wide.shape[2])
    made = rotated(wide, cos, sin, at, bool(interleaved), rotary_embedding_dim)
    return made.transpose(1, 2).reshape(x.shape) if x.ndim == 3 else made


# -- others ----------------------------------------------------------------------------------------


@_op("Inverse")
def _inverse(x: Tensor) -> Any:
    return ag.linalg.inv(x)


@_op("ExpandDims")
def _expand_dims(x: Tensor, axis: Host) -> Any:
    return x.unsqueeze(int(axis.reshape(-1)[0]))


@_op("CDist")
def _cdist(a: Tensor, b: Tensor, *, metric: str = "sqeuclidean") -> Any:
    apart = ag.cdist(a, b)
    return apart if metric == "euclidean" else apart * apart
