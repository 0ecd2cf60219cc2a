"""Dropout layers: active in training mode only."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError
from argand.nn import functional as F
from argand.nn.module import Module


class _Dropout(Module):
    """A probability, and whether to overwrite the input."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ArgumentError(f"{type(self).__name__}: p must be between 0 and 1, got {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Zeros with probability `p`, and the rest divided by 1 - p (Srivastava et al., 2014)."""

    def forward(self, input: Any) -> Any:
        """The input with elements dropped, in training mode."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """Whole channels of sequences (N, C, L) dropped with probability `p`."""

    def forward(self, input: Any) -> Any:
        """The input with channels dropped, in training mode."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Whole channels of images (N, C, H, W) dropped with probability `p`."""

    def forward(self, input: Any) -> Any:
        """The input with channels dropped, in training mode."""
        return F.dropout2d(input, self.p, self.training, self.inplace)
