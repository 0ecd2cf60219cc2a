"""Multi-head attention."""

from __future__ import annotations

import math
from typing import Any

from argand.base.errors import ArgumentError
from argand.ir.op import ops
from argand.nn import functional as F
from argand.nn import init
from argand.nn.linear import Linear
from argand.nn.module import Module
from argand.nn.parameter import Parameter
from argand.tensor.creation import empty, zeros


class MultiheadAttention(Module):
    """Concatenated heads softmax(q @ k.T / sqrt(d)) @ v, projected (Vaswani et al., 2017).

    The inputs are (L, N, E), or (N, L, E) with `batch_first`; unbatched (L, E) too. Returns the
    output and the attention weights (averaged over the heads; None unless `need_weights`).

    >>> x = ag.ones(2, 5, 8)
    >>> y, weights = nn.MultiheadAttention(8, 2, batch_first=True)(x, x, x)
    >>> y.shape, weights.shape
    (argand.Size([2, 5, 8]), argand.Size([2, 5, 5]))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim % num_heads:
            raise ArgumentError(
                f"MultiheadAttention: embed_dim {embed_dim} must be divisible by num_heads "
                f"{num_heads}"
            )
        if (kdim or embed_dim, vdim or embed_dim) != (embed_dim, embed_dim):
            raise ArgumentError(
                "MultiheadAttention: kdim and vdim other than embed_dim are not supported yet"
            )
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.head_dim, self.batch_first = embed_dim // num_heads, batch_first
        options = {"device": device, "dtype": dtype}
        self.in_proj_weight = Parameter(empty(3 * embed_dim, embed_dim, **options))
        self.register_parameter(
            "in_proj_bias", Parameter(zeros(3 * embed_dim, **options)) if bias else None
        )
        self.out_proj = Linear(embed_dim, embed_dim, bias, **options)
        init.xavier_uniform_(self.in_proj_weight)
        if bias:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """The output in the shape of `query`, and the weights.

        Boolean masks are True where attention is *not* allowed, as in PyTorch; float masks add.
        """
        unbatched = query.ndim == 2
        if unbatched:
            query, key, value = (ops.reshape(x, (1, *x.shape)) for x in (query, key, value))
        elif not self.batch_first:
            query, key, value = (ops.permute(x, (1, 0, 2)) for x in (query, key, value))
        q, k, v = self._projected(query, key, value)
        mask = self._mask(q, k, key_padding_mask, attn_mask, is_causal)
        p = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            heads, weights = _attend(q, k, v, mask, p)
            weights = ops.mean(weights, 1) if average_attn_weights else weights
        else:
            heads = F.scaled_dot_product_attention(q, k, v, mask, p)
        n, _, length, _ = heads.shape
        joined = ops.reshape(ops.permute(heads, (0, 2, 1, 3)), (n, length, self.embed_dim))
        out = self.out_proj(joined)
        if unbatched:
            weights = None if weights is None else ops.reshape(weights, weights.shape[1:])
            return ops.reshape(out, out.shape[1:]), weights
        return (out if self.batch_first else ops.permute(out, (1, 0, 2))), weights

    def _projected(self, *inputs: Any) -> list[Any]:
        """Queries, keys and values of all heads: (N, heads, L, head_dim)."""
        size, parts = self.embed_dim, []
        for i, x in enumerate(inputs):
            weight = ops.slice(self.in_proj_weight, (i * size, 0), ((i + 1) * size, size))
            bias = self.in_proj_bias
            if bias is not None:
                bias = ops.slice(bias, (i * size,), ((i + 1) * size,))
            y = F.linear(x, weight, bias)
            split = ops.reshape(y, (*y.shape[:2], self.num_heads, self.head_dim))
            parts.append(ops.permute(split, (0, 2, 1, 3)))
        return parts

    def _mask(self, q: Any, k: Any, padding: Any, mask: Any, is_causal: bool) -> Any:
        """What is added to the scores: both masks as floats, broadcast to the heads."""
        total = None
        if mask is not None:
            if mask.ndim == 3:
                mask = ops.reshape(mask, (q.shape[0], self.num_heads, *mask.shape[1:]))
            total = _additive(mask, q.dtype)
        elif is_causal:
            raise ArgumentError("MultiheadAttention: is_causal needs attn_mask, as in PyTorch")
        if padding is not None:
            padding = ops.reshape(padding, (q.shape[0], 1, 1, k.shape[2]))
            added = _additive(padding, q.dtype)
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
    weights = F.dropout(ops.softmax(scores, -1), p, p > 0)
    return ops.matmul(weights, v), weights
