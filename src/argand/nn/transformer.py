"""The Transformer of Vaswani et al. (2017): encoder, decoder, and both together."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

from argand.base.errors import ArgumentError
from argand.ir.op import ops
from argand.nn import functional as F
from argand.nn import init
from argand.nn.containers import ModuleList
from argand.nn.dropout import Dropout
from argand.nn.linear import Linear
from argand.nn.module import Module
from argand.nn.multihead import MultiheadAttention
from argand.nn.norm import LayerNorm

_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": F.relu, "gelu": F.gelu}


class _Layer(Module):
    """What encoder and decoder layers share: attention heads, and a network for each position."""

    attentions: tuple[str, ...] = ()
    activation: Callable[[Any], Any]

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if isinstance(activation, str) and activation not in _ACTIVATIONS:
            raise ArgumentError(
                f"{type(self).__name__}: activation must be 'relu', 'gelu' or a function, got "
                f"{activation!r}"
            )
        options = {"device": device, "dtype": dtype}
        self.d_model, self.norm_first = d_model, norm_first
        self.activation = _ACTIVATIONS[activation] if isinstance(activation, str) else activation
        for name in self.attentions:
            heads = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, **options
            )
            self.add_module(name, heads)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **options)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **options)
        steps = range(1, len(self.attentions) + 2)
        for i in steps:
            self.add_module(f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, **options))
        for i in steps:
            self.add_module(f"dropout{i}", Dropout(dropout))

    def _step(self, number: int, x: Any, part: Callable[..., Any], *args: Any) -> Any:
        """x + part(norm(x)), or norm(x + part(x))."""
        norm = getattr(self, f"norm{number}")
        if self.norm_first:
            return x + part(norm(x), *args)
        return norm(x + part(x, *args))

    def _sa_block(
        self, x: Any, attn_mask: Any, key_padding_mask: Any, is_causal: bool = False
    ) -> Any:
        """The attention to itself, which a subclass may replace, as with PyTorch."""
        masks = (attn_mask, key_padding_mask, is_causal)
        return self.dropout1(_attended(self.self_attn, x, None, *masks))

    def _ff_block(self, x: Any) -> Any:
        """The network for each position, which a subclass may replace."""
        dropout = getattr(self, f"dropout{len(self.attentions) + 1}")
        return dropout(self.linear2(self.dropout(self.activation(self.linear1(x)))))


def _attended(heads: Any, x: Any, memory: Any, mask: Any, padding: Any, is_causal: bool) -> Any:
    """Attention of `x` to `memory` (None: to itself), without the weights."""
    source = x if memory is None else memory
    if is_causal and mask is None:
        length = source.shape[1 if heads.batch_first and source.ndim == 3 else 0]
        mask = Transformer.generate_square_subsequent_mask(length, dtype=x.dtype)
    return heads(x, source, source, key_padding_mask=padding, need_weights=False, attn_mask=mask)[0]


class TransformerEncoderLayer(_Layer):
    """x = norm1(x + attention(x)); y = norm2(x + linear2(activation(linear1(x)))).

    With `norm_first` each part sees the normalised input instead: x + part(norm(x)). The input is
    (L, N, d_model), or (N, L, d_model) with `batch_first`; unbatched (L, d_model) too. Masks are
    those of `MultiheadAttention`.

    >>> layer = nn.TransformerEncoderLayer(d_model=8, nhead=2, batch_first=True)
    >>> layer(ag.ones(3, 5, 8)).shape
    argand.Size([3, 5, 8])
    """

    attentions = ("self_attn",)

    def forward(
        self,
        src: Any,
        src_mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Any:
        """The encoded positions, in the shape of `src`."""
        masks = (src_mask, src_key_padding_mask, is_causal)
        return self._step(2, self._step(1, src, self._sa_block, *masks), self._ff_block)


class TransformerDecoderLayer(_Layer):
    """Attention to itself, attention to `memory`, and a network for each position, each added and
    normalised as in `TransformerEncoderLayer`.

    >>> layer = nn.TransformerDecoderLayer(d_model=8, nhead=2, batch_first=True)
    >>> layer(ag.ones(3, 5, 8), ag.ones(3, 7, 8)).shape
    argand.Size([3, 5, 8])
    """

    attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """The decoded positions, in the shape of `tgt`."""
        masks = (memory_mask, memory_key_padding_mask, memory_is_causal)
        x = self._step(1, tgt, self._sa_block, tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        x = self._step(2, x, self._mha_block, memory, *masks)
        return self._step(3, x, self._ff_block)

    def _mha_block(
        self, x: Any, mem: Any, attn_mask: Any, key_padding_mask: Any, is_causal: bool = False
    ) -> Any:
        """The attention to the memory, which a subclass may replace."""
        masks = (attn_mask, key_padding_mask, is_causal)
        return self.dropout2(_attended(self.multihead_attn, x, mem, *masks))


class _Stack(Module):
    """Copies of a layer, one after the other, and a last normalisation."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        super().__init__()
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm

    def _run(self, x: Any, *memory: Any, **masks: Any) -> Any:
        for layer in self.layers:
            x = layer(x, *memory, **masks)
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """`num_layers` copies of an encoder layer, one after the other, then `norm`.

    >>> layer = nn.TransformerEncoderLayer(d_model=8, nhead=2, batch_first=True)
    >>> nn.TransformerEncoder(layer, num_layers=2)(ag.ones(3, 5, 8)).shape
    argand.Size([3, 5, 8])
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self,
        src: Any,
        mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool | None = None,
    ) -> Any:
        """The encoded positions, in the shape of `src`."""
        return self._run(
            src,
            src_mask=mask,
            src_key_padding_mask=src_key_padding_mask,
            is_causal=bool(is_causal),
        )


class TransformerDecoder(_Stack):
    """`num_layers` copies of a decoder layer, one after the other, then `norm`.

    >>> layer = nn.TransformerDecoderLayer(d_model=8, nhead=2, batch_first=True)
    >>> nn.TransformerDecoder(layer, num_layers=2)(ag.ones(3, 5, 8), ag.ones(3, 7, 8)).shape
    argand.Size([3, 5, 8])
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """The decoded positions, in the shape of `tgt`."""
        return self._run(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=bool(tgt_is_causal),
            memory_is_causal=memory_is_causal,
        )


class Transformer(Module):
    """decoder(tgt, encoder(src)): sequences from sequences (Vaswani et al., 2017).

    >>> model = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
    >>> model(ag.ones(3, 7, 8), ag.ones(3, 5, 8)).shape
    argand.Size([3, 5, 8])
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = F.relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        options = {"bias": bias, "device": device, "dtype": dtype}
        layer = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps)
        order = (batch_first, norm_first)
        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*layer, *order, **options),
            num_encoder_layers,
            LayerNorm(d_model, layer_norm_eps, **options),
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*layer, *order, **options),
            num_decoder_layers,
            LayerNorm(d_model, layer_norm_eps, **options),
        )
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """Draw the matrices anew."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """The decoded positions, in the shape of `tgt`."""
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        return self.decoder(tgt, memory, *masks, tgt_is_causal, memory_is_causal)

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Any:
        """(sz, sz) of 0 where a position may look (itself and before) and -inf where not.

        >>> nn.Transformer.generate_square_subsequent_mask(2)
        tensor([[0., -inf],
                [0., 0.]])
        """
        row, column = ops.arange(0, 1, sz, "int64"), ops.arange(0, 1, sz, "int64")
        seen = ops.ge(ops.reshape(row, (sz, 1)), column)
        return ops.where(seen, ops.full((sz, sz), 0.0, dtype or "float32"), -math.inf)
