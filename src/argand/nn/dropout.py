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
    """In training each element is 0 with probability `p`, else divided by 1 - p; in evaluation y =
    x (Srivastava et al., 2014).

    >>> nn.Dropout(0.5).eval()(ag.ones(3))
    tensor([1., 1., 1.])
    """

    def forward(self, input: Any) -> Any:
        """The input with elements dropped, in training mode."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """In training whole channels of sequences (N, C, L) are 0 with probability `p`, the rest
    divided by 1 - p.

    >>> nn.Dropout1d(0.5).eval()(ag.ones(1, 1, 3))
    tensor([[[1., 1., 1.]]])
    """

    def forward(self, input: Any) -> Any:
        """The input with channels dropped, in training mode."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """In training whole channels of images (N, C, H, W) are 0 with probability `p`, the rest
    divided by 1 - p (Tompson et al., 2015).

    >>> nn.Dropout2d(0.5).eval()(ag.ones(1, 1, 1, 3))
    tensor([[[[1., 1., 1.]]]])
    """

    def forward(self, input: Any) -> Any:
        """The input with channels dropped, in training mode."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """In training whole channels of volumes (N, C, D, H, W) are 0 with probability `p`, the rest
    divided by 1 - p.

    >>> nn.Dropout3d(0.5).eval()(ag.ones(1, 1, 1, 1, 3)).flatten()
    tensor([1., 1., 1.])
    """

    def forward(self, input: Any) -> Any:
        """The input with channels dropped, in training mode."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """In training a * x + b, where x is the limit of `SELU` with probability `p`, so that mean 0
    and variance 1 stay (Klambauer et al., 2017).

    >>> nn.AlphaDropout(0.5).eval()(ag.ones(3))
    tensor([1., 1., 1.])
    """

    def forward(self, input: Any) -> Any:
        """The input with elements dropped, in training mode."""
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels of (N, C, ...).

    >>> nn.FeatureAlphaDropout(0.5).eval()(ag.ones(1, 1, 3))
    tensor([[[1., 1., 1.]]])
    """

    def forward(self, input: Any) -> Any:
        """The input with channels dropped, in training mode."""
        return F.feature_alpha_dropout(input, self.p, self.training)
