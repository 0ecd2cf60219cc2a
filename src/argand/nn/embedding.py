"""Embedding: a table of vectors that integers look up."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError
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
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ArgumentError(
                f"Embedding: padding_idx {padding_idx} is not one of {num_embeddings} rows"
            )
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter(empty(num_embeddings, embedding_dim, dtype=dtype, device=device))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                rows = ops.arange(0, 1, self.num_embeddings, "int64")
                kept = ops.reshape(ops.ne(rows, self.padding_idx), (self.num_embeddings, 1))
                assign(self.weight, ops.where(kept, self.weight, 0.0))

    @classmethod
    def from_pretrained(
        cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """An embedding on the memory of a table (num_embeddings, embedding_dim)."""
        rows, columns = embeddings.shape
        made = cls(rows, columns, padding_idx, dtype=embeddings.dtype)
        made.weight = Parameter(embeddings, requires_grad=not freeze)
        return made

    def forward(self, input: Any) -> Any:
        """(*, embedding_dim) for integers (*)."""
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
