"""Embedding: a table of vectors that integers look up."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError, ShapeError
from argand.ir.op import ops
from argand.nn import functional as F
from argand.nn import init
from argand.nn.module import Module
from argand.nn.parameter import Parameter
from argand.tensor.creation import empty
from argand.tensor.inplace import assign
from argand.transform.mode import no_grad


class Embedding(Module):
    """y[..., :] = weight[x[...], :]: a trained vector for each of `num_embeddings` integers.

    `weight` is (num_embeddings, embedding_dim) and starts normal; its row `padding_idx` starts at 0
    and gets no gradient. A number outside [0, num_embeddings) is an IndexError.

    >>> nn.Embedding(10, 4)(ag.tensor([[1, 2, 3]])).shape
    argand.Size([1, 3, 4])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Any = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _set_up(self, num_embeddings, embedding_dim, padding_idx, _weight, _freeze, device, dtype)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        _draw(self)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """An embedding on the memory of a table (num_embeddings, embedding_dim)."""
        rows, columns = embeddings.shape
        options = (padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
        return cls(rows, columns, *options, embeddings, freeze)

    def forward(self, input: Any) -> Any:
        """(*, embedding_dim) for integers (*)."""
        options = (self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq)
        return F.embedding(input, self.weight, *options)

    def _fill_padding_idx_with_zero(self) -> None:
        _clear_padding(self)

    def extra_repr(self) -> str:
        parts = [f"{self.num_embeddings}, {self.embedding_dim}"]
        if self.padding_idx is not None:
            parts.append(f"padding_idx={self.padding_idx}")
        return ", ".join(parts + _options_text(self))


class EmbeddingBag(Module):
    """The mean, the sum or the largest of the vectors of each bag of integers. See
    `F.embedding_bag`.

    >>> nn.EmbeddingBag(10, 4)(ag.tensor([1, 2, 3]), ag.tensor([0, 2])).shape
    argand.Size([2, 4])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Any = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _set_up(self, num_embeddings, embedding_dim, padding_idx, _weight, False, device, dtype)
        self.max_norm, self.norm_type, self.mode = max_norm, norm_type, mode
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        self.include_last_offset = include_last_offset

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        _draw(self)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """Bags of the rows of a table (num_embeddings, embedding_dim), on its memory."""
        rows, columns = embeddings.shape
        options = (max_norm, norm_type, scale_grad_by_freq, mode, sparse)
        made = cls(rows, columns, *options, embeddings, include_last_offset, padding_idx)
        made.weight.requires_grad = not freeze
        return made

    def forward(self, input: Any, offsets: Any = None, per_sample_weights: Any = None) -> Any:
        """(bags, embedding_dim)."""
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def _fill_padding_idx_with_zero(self) -> None:
        _clear_padding(self)

    def extra_repr(self) -> str:
        parts = [f"{self.num_embeddings}, {self.embedding_dim}", *_options_text(self)]
        parts.append(f"mode={self.mode!r}")
        if self.padding_idx is not None:
            parts.append(f"padding_idx={self.padding_idx}")
        return ", ".join(parts)


def _set_up(
    module: Any,
    rows: int,
    columns: int,
    padding: int | None,
    weight: Any,
    freeze: bool,
    device: Any,
    dtype: Any,
) -> None:
    """The sizes and the table of an embedding: a given one, or one that is drawn."""
    if padding is not None and not -rows <= padding < rows:
        name = type(module).__name__
        raise ArgumentError(f"{name}: padding_idx {padding} is not one of {rows} rows")
    module.num_embeddings, module.embedding_dim = rows, columns
    module.padding_idx = None if padding is None else padding % rows
    if weight is None:
        module.weight = Parameter(empty(rows, columns, dtype=dtype, device=device), not freeze)
        _draw(module)
    elif tuple(weight.shape) != (rows, columns):
        raise ShapeError(f"{type(module).__name__}: expected a table {(rows, columns)}")
    else:
        module.weight = Parameter(weight, not freeze)


def _draw(module: Any) -> None:
    """A normal table, whose row `padding_idx` is 0."""
    init.normal_(module.weight)
    _clear_padding(module)


def _clear_padding(module: Any) -> None:
    if module.padding_idx is not None:
        with no_grad():
            rows = ops.arange(0, 1, module.num_embeddings, "int64")
            kept = ops.reshape(ops.ne(rows, module.padding_idx), (module.num_embeddings, 1))
            assign(module.weight, ops.where(kept, module.weight, 0.0))


def _options_text(module: Any) -> list[str]:
    """The options that aren't as they are by default."""
    parts = []
    if module.max_norm is not None:
        parts.append(f"max_norm={module.max_norm}")
    if module.norm_type != 2:
        parts.append(f"norm_type={module.norm_type}")
    if module.scale_grad_by_freq:
        parts.append("scale_grad_by_freq=True")
    if module.sparse and isinstance(module, Embedding):
        parts.append("sparse=True")
    return parts
