"""Attention and what goes with it in language models."""

from __future__ import annotations

import math
from typing import Any

from argand.base.errors import ShapeError
from argand.onnx.registry import Body, Call, importer
from argand.onnx.values import F, ag, dtype_of
from argand.tensor.core import Tensor


def heads(x: Any, count: int) -> Any:
    """(batch, length, heads * size) as (batch, heads, length, size)."""
    if x.ndim == 4:
        return x
    return x.reshape(x.shape[0], x.shape[1], count, x.shape[2] // count).transpose(1, 2)


def repeated(x: Any, count: int) -> Any:
    """Each head as often as query heads share it."""
    return x if count == 1 else ag.repeat_interleave(x, count, 1)


@importer("Attention")
def _attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attn_mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    nonpad_kv_seqlen: Tensor | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int = 0,
    left_window_size: int = -1,
    q_num_heads: int = 0,
    qk_matmul_output_mode: int = 0,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
    node: Call,
) -> Any:
    packed = q.ndim == 3
    q, k, v = heads(q, q_num_heads), heads(k, kv_num_heads), heads(v, kv_num_heads)
    offset: Any = 0
    if past_key is not None and past_value is not None:
        offset = past_key.shape[2]
        k, v = ag.cat([past_key, k], 2), ag.cat([past_value, v], 2)
    elif nonpad_kv_seqlen is not None:
        offset = nonpad_kv_seqlen.reshape(-1, 1, 1, 1) - q.shape[2]
    present = (k, v)
    group = q.shape[1] // k.shape[1]
    k, v = repeated(k, group), repeated(v, group)
    factor = 1 / math.sqrt(q.shape[3]) if scale is None else scale
    allowed = _allowed(
        q.shape[2], k.shape[2], offset, bool(is_causal), left_window_size, right_window_size
    )
    if nonpad_kv_seqlen is not None:
        allowed = _both(allowed, ag.arange(k.shape[2]) < nonpad_kv_seqlen.reshape(-1, 1, 1, 1))
    bias = None
    if attn_mask is not None:
        attn_mask = _widened(attn_mask, k.shape[2])
        if attn_mask.dtype is ag.bool:
            allowed = _both(allowed, attn_mask)
        else:
            bias = attn_mask
    scores = _scores(q, k, factor)
    capped = softcap * ag.tanh(scores / softcap) if softcap else scores
    biased = capped if bias is None else capped + bias
    if allowed is not None:
        biased = ag.where(allowed, biased, ag.full((), -math.inf, dtype=biased.dtype))
    precise = dtype_of(softmax_precision) if softmax_precision else None
    shares = _softmax(biased if precise is None else biased.to(precise)).to(q.dtype)
    made = ag.matmul(shares, v)
    if packed:
        made = made.transpose(1, 2).reshape(made.shape[0], made.shape[2], -1)
    shown = (scores, capped, biased, shares)[qk_matmul_output_mode]
    return (made, *present, shown)[: node.outputs]


def _scores(q: Any, k: Any, factor: float) -> Any:
    """Both operands by the root of the factor, as ONNX has it: so 16 bits don't overflow."""
    root = ag.full((), math.sqrt(factor), dtype=q.dtype)
    return ag.matmul(q * root, (k * root).transpose(2, 3))


def _allowed(queries: Any, keys: Any, offset: Any, causal: bool, left: int, right: int) -> Any:
    """Which keys each query may see; None for all."""
    if not causal and left < 0 and right < 0:
        return None
    ahead = ag.arange(keys) - (ag.arange(queries).reshape(-1, 1) + offset)
    allowed = None
    if causal:
        allowed = ahead <= 0
    if left >= 0:
        allowed = _both(allowed, -ahead <= left)
    if right >= 0:
        allowed = _both(allowed, ahead <= right)
    return allowed


def _both(a: Any, b: Any) -> Any:
    return b if a is None else ag.logical_and(a, b)


def _widened(mask: Any, keys: Any) -> Any:
    """A mask for fewer keys than there are hides the others."""
    missing = keys - mask.shape[-1]
    if missing == 0:
        return mask
    if mask.dtype is ag.bool:
        return F.pad(mask, (0, missing), "constant", False)
    return F.pad(mask, (0, missing), "constant", -math.inf)


def _softmax(scores: Any) -> Any:
    """Shares of each row; a row that sees nothing has none."""
    top = ag.amax(scores, -1, True)
    top = ag.where(top == -math.inf, ag.zeros_like(top), top)
    powers = ag.exp(scores - top)
    total = ag.sum(powers, -1, True)
    return powers / ag.where(total == 0, ag.ones_like(total), total)


@importer("FlexAttention", domain="ai.onnx.preview")
def _flex_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    prob_mod: Body | None = None,
    scale: float | None = None,
    score_mod: Body | None = None,
    softmax_precision: int | None = None,
) -> Any:
    dtype = q.dtype
    if softmax_precision is None:
        precise = ag.float64 if dtype is ag.float64 else ag.float32
    else:
        precise = dtype_of(softmax_precision)
    group = q.shape[1] // k.shape[1]
    k, v = repeated(k, group), repeated(v, group)
    factor = 1 / math.sqrt(q.shape[3]) if scale is None else scale
    scores = ag.matmul(q.to(precise), k.to(precise).transpose(2, 3)) * factor
    if score_mod is not None:
        (scores,) = score_mod(scores)
    shares = F.softmax(scores, -1)
    if prob_mod is not None:
        (shares,) = prob_mod(shares)
    return ag.matmul(shares, v.to(precise)).to(dtype)


@importer("RotaryEmbedding")
def _rotary(
    x: Tensor,
    cos: Tensor,
    sin: Tensor,
    position_ids: Tensor | None = None,
    *,
    interleaved: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
) -> Any:
    packed = x.ndim == 3
    wide = heads(x, num_heads) if packed else x
    made = rotated(wide, cos, sin, position_ids, bool(interleaved), rotary_embedding_dim)
    return made.transpose(1, 2).reshape(x.shape) if packed else made


def rotated(x: Any, cos: Any, sin: Any, positions: Any, interleaved: bool, size: int) -> Any:
    """Pairs of elements of (batch, heads, length, size) turned by the angles of their places."""
    if positions is not None:
        cos, sin = cos[positions.to(ag.int64)], sin[positions.to(ag.int64)]
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    size = size or x.shape[3]
    turned, rest = x[..., :size], x[..., size:]
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
    else:
        a, b = turned[..., : size // 2], turned[..., size // 2 :]
    real, imaginary = cos * a - sin * b, sin * a + cos * b
    if interleaved:
        made = ag.stack([real, imaginary], -1).reshape(turned.shape)
    else:
        made = ag.cat([real, imaginary], -1)
    return ag.cat([made, rest], -1) if rest.shape[-1] else made


@importer("SwiGLU")
def _swiglu(a: Tensor, b: Tensor, *, alpha: float = 1.0) -> Any:
    return a * ag.sigmoid(a * alpha) * b


@importer("CausalConvWithState")
def _causal_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    past_state: Tensor | None = None,
    *,
    activation: str = "none",
    node: Call,
) -> Any:
    before = weight.shape[2] - 1
    if past_state is None:
        past_state = ag.zeros(x.shape[0], x.shape[1], before, dtype=x.dtype)
    whole = ag.cat([past_state, x], 2)
    made = F.conv1d(whole, weight, bias, groups=x.shape[1])
    if activation in ("silu", "swish"):
        made = F.silu(made)
    return (made, whole.narrow(2, x.shape[2], before))[: node.outputs]


@importer("LinearAttention")
def _linear_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    past_state: Tensor | None = None,
    decay: Tensor | None = None,
    beta: Tensor | None = None,
    *,
    chunk_size: int = 64,
    kv_num_heads: int,
    q_num_heads: int,
    scale: float = 0.0,
    update_rule: str = "gated_delta",
    node: Call,
) -> Any:
    if update_rule not in ("linear", "gated", "delta", "gated_delta"):
        raise ShapeError(f"LinearAttention: unknown update_rule {update_rule!r}")
    batch, length = query.shape[:2]
    q, k, v = (
        heads(x, n).to(ag.float32)
        for x, n in ((query, q_num_heads), (key, kv_num_heads), (value, kv_num_heads))
    )
    gates = heads(decay, kv_num_heads).to(ag.float32) if decay is not None else None
    rates = heads(beta, beta.shape[-1]).to(ag.float32) if beta is not None else None
    size, width = k.shape[3], v.shape[3]
    state: Any = ag.zeros(batch, kv_num_heads, size, width)
    if past_state is not None:
        state = past_state.to(ag.float32)
    factor = scale or 1 / math.sqrt(q.shape[3])
    rows = []
    for t in range(length):
        kt, vt = k[:, :, t], v[:, :, t]
        if gates is not None:
            state = state * ag.exp(gates[:, :, t]).unsqueeze(-1)
        if rates is not None:
            vt = rates[:, :, t] * (vt - ag.sum(state * kt.unsqueeze(-1), 2))
        state = state + kt.unsqueeze(-1) * vt.unsqueeze(-2)
        read = repeated(state, q_num_heads // kv_num_heads)
        rows.append(ag.matmul(q[:, :, t].unsqueeze(2), read).squeeze(2) * factor)
    made = ag.stack(rows, 1).reshape(batch, length, -1).to(query.dtype)
    kept = query.dtype if past_state is None else past_state.dtype
    return (made, state.to(kept))[: node.outputs]
