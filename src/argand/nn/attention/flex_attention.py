"""Attention whose scores a function changes, as `torch.nn.attention.flex_attention`."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from argand.base.dtype import float32, float64
from argand.nn.attention.block_mask import (
    BlockMask,
    Mod,
    and_masks,
    create_block_mask,
    create_mask,
    noop_mask,
    or_masks,
    over_all,
)
from argand.nn.functional import scaled_dot_product_attention
from argand.tensor.arranging import repeat_interleave
from argand.tensor.reducing import amax, logsumexp
from argand.tensor.selecting import masked_fill

__all__ = [
    "AuxOutput",
    "AuxRequest",
    "BlockMask",
    "and_masks",
    "create_block_mask",
    "create_mask",
    "flex_attention",
    "noop_mask",
    "or_masks",
]


class AuxRequest(NamedTuple):
    """What `flex_attention` is asked to return besides: sums and maxima of the scores.

    >>> from argand.nn.attention.flex_attention import AuxRequest
    >>> AuxRequest(lse=True)
    AuxRequest(lse=True, max_scores=False)
    """

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """What was asked for by an AuxRequest, (B, H, queries) each; None for what wasn't.

    >>> from argand.nn.attention.flex_attention import AuxOutput
    >>> AuxOutput()
    AuxOutput(lse=None, max_scores=None)
    """

    lse: Any = None
    max_scores: Any = None


def flex_attention(
    query: Any,
    key: Any,
    value: Any,
    score_mod: Mod | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: Any = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Any:
    """softmax(score_mod(scale * Q K^T)) V, where `block_mask` leaves out what is False in it.

    (B, Hq, L, E), (B, Hkv, S, E) and (B, Hkv, S, Ev) give (B, Hq, L, Ev). ``score_mod(score, batch,
    head, q_idx, kv_idx)`` gives the new score of one place; a query all of whose keys are left out
    gets 0. With `enable_gqa` Hq may be a multiple of Hkv. `return_aux` asks for logarithms of sums
    of exponentials and for maxima of the scores, `return_lse` for the former. ValueError for sizes
    that don't fit; `kernel_options` changes nothing. Follows
    `torch.nn.attention.flex_attention.flex_attention`; in a compiled function it is compiled with
    what is around it.

    >>> from argand.nn.attention.flex_attention import flex_attention
    >>> q = ag.ones(1, 1, 2, 4)
    >>> v = ag.tensor([[[[1.0], [3.0]]]])
    >>> flex_attention(q, q, v, lambda score, b, h, i, j: ag.where(i >= j, score, -ag.inf))
    tensor([[[[1.],
              [2.]]]])
    """
    _check(query, key, value, block_mask, enable_gqa)
    if return_lse and return_aux is not None:
        raise ValueError("Cannot specify both return_lse and return_aux: return_aux says all")
    wanted = AuxRequest(lse=return_lse) if return_aux is None else return_aux
    keys, values = (_for_heads(query, x.to(query.dtype)) for x in (key, value))
    mask = None if block_mask is None else block_mask.elements()
    if score_mod is None and not any(wanted):
        found = scaled_dot_product_attention(query, keys, values, mask, scale=scale)
        return found if return_aux is None else (found, AuxOutput())
    scores = _scores(query, keys, score_mod, mask, scale)
    aux = AuxOutput(
        logsumexp(scores, -1) if wanted.lse else None,
        amax(scores, -1) if wanted.max_scores else None,
    )
    found = (_weights(scores) @ values.to(scores.dtype)).to(query.dtype)
    if return_aux is not None:
        return found, aux
    return (found, aux.lse) if return_lse else found


def _scores(query: Any, keys: Any, score_mod: Mod | None, mask: Any, scale: float | None) -> Any:
    """The scores as the softmax takes them, -inf where a key is left out."""
    precise = float64 if query.dtype is float64 else float32
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = query.to(precise) @ keys.to(precise).transpose(-2, -1) * factor
    if score_mod is not None:
        scores = over_all(score_mod, (scores,), tuple(scores.shape)).to(precise)
    return scores if mask is None else masked_fill(scores, ~mask, -math.inf)


def _weights(scores: Any) -> Any:
    """The softmax of the scores, 0 where all are -inf."""
    nothing = (scores == -math.inf).all(-1, keepdim=True)
    return masked_fill(masked_fill(scores, nothing, 0.0).softmax(-1), nothing, 0.0)


def _for_heads(query: Any, x: Any) -> Any:
    """Keys or values for each batch and head of the queries."""
    if x.shape[0] != query.shape[0]:
        x = x.expand(query.shape[0], *x.shape[1:])
    repeats = query.shape[1] // x.shape[1]
    return x if repeats == 1 else repeat_interleave(x, repeats, 1)


def _check(query: Any, key: Any, value: Any, block_mask: BlockMask | None, gqa: bool) -> None:
    if key.dtype != value.dtype or key.dtype.itemsize > query.dtype.itemsize:
        raise ValueError(
            "Expected query, key, and value to have the same dtype, or keys and values a smaller "
            "one, but got "
            f"{query.dtype}, {key.dtype} and {value.dtype}"
        )
    if {query.ndim, key.ndim, value.ndim} != {4}:
        raise NotImplementedError("query, key, and value must be 4D tensors")
    (batch, heads, length, width), (kv_batch, kv_heads, kv_length, kv_width) = (
        query.shape,
        key.shape,
    )
    if width != kv_width:
        raise ValueError(
            f"Expect query and key/value to have the same embedding dimension but got E={width} "
            f"and E={kv_width}"
        )
    if heads != kv_heads and (not gqa or heads % kv_heads):
        say = (
            "the number of query heads to be a multiple of kv heads"
            if gqa
            else ("query and key/value to have the same number of heads (or enable_gqa=True)")
        )
        raise ValueError(f"Expect {say} but got Hq={heads} and Hkv={kv_heads}")
    if batch != kv_batch and (block_mask is None or kv_batch != 1):
        raise ValueError(
            f"Expect query and key/value to have the same batch size but got Bq={batch} and "
            f"Bkv={kv_batch}"
        )
    if block_mask is not None and (length, kv_length) != tuple(block_mask.seq_lengths):
        raise ValueError(
            f"block_mask was created for block_mask.shape={block_mask.shape} but got "
            f"q_len={length} and kv_len={kv_length}: create a new one, or "
            "block_mask._adjust(q_len, kv_len) gives its upper left corner"
        )
