"""Multi-head attention."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError
from argand.ir.op import ops
from argand.nn import init
from argand.nn.functional.heads import Projections, attention_of_heads, finished, in_thirds
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
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
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
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.head_dim, self.batch_first = embed_dim // num_heads, batch_first
        options = {"device": device, "dtype": dtype}
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.add_zero_attn = add_zero_attn
        widths, names = (embed_dim, self.kdim, self.vdim), ("q", "k", "v")
        self._qkv_same_embed_dim = widths == (embed_dim,) * 3
        if self._qkv_same_embed_dim:
            self.in_proj_weight = Parameter(empty(3 * embed_dim, embed_dim, **options))
            for name in names:
                self.register_parameter(f"{name}_proj_weight", None)
        else:
            for name, width in zip(names, widths, strict=True):
                made = Parameter(empty(embed_dim, width, **options))
                self.register_parameter(f"{name}_proj_weight", made)
            self.register_parameter("in_proj_weight", None)
        self.register_parameter(
            "in_proj_bias", Parameter(zeros(3 * embed_dim, **options)) if bias else None
        )
        self.out_proj = Linear(embed_dim, embed_dim, bias, **options)
        for name in ("bias_k", "bias_v"):
            row = Parameter(empty(1, 1, embed_dim, **options)) if add_bias_kv else None
            self.register_parameter(name, row)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """Draw the weights anew; the biases are 0."""
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            if getattr(self, name) is not None:
                init.xavier_uniform_(getattr(self, name))
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for row in (self.bias_k, self.bias_v):
            if row is not None:
                init.xavier_normal_(row)

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
        p = self.dropout if self.training else 0.0
        masks = (attn_mask, key_padding_mask)
        y, weights = attention_of_heads(
            (query, key, value),
            self.num_heads,
            self._made_by(),
            p,
            need_weights,
            masks,
            is_causal,
            # as it is stored where it is dropped decides which elements are
            steps_first=not self.batch_first or p > 0,
        )
        return finished(y, weights, unbatched, self.batch_first, average_attn_weights)

    def _made_by(self) -> Projections:
        """The weights and biases, by what they make."""
        bias = self.in_proj_bias
        if self._qkv_same_embed_dim:
            weights = in_thirds(self.in_proj_weight)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        return Projections(
            weights,
            (None, None, None) if bias is None else in_thirds(bias),
            (self.out_proj.weight, self.out_proj.bias),
            (self.bias_k, self.bias_v),
            self.add_zero_attn,
        )
