"""The logistic normal distribution."""

from __future__ import annotations

from typing import Any

from argand.distributions import constraints
from argand.distributions.event_transforms import StickBreakingTransform
from argand.distributions.normal import Normal
from argand.distributions.transformed_distribution import TransformedDistribution


class LogisticNormal(TransformedDistribution):
    """N + 1 probabilities that stick-breaking makes of N normal numbers.

    >>> ag.distributions.LogisticNormal(ag.zeros(2), ag.ones(2)).event_shape
    argand.Size([3])
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.simplex
    has_rsample = True
    _batched = ()

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base: Any = Normal(loc, scale, validate_args=validate_args)
        if not base.batch_shape:
            base = base.expand((1,))
        super().__init__(base, StickBreakingTransform(), validate_args=validate_args)

    @property
    def loc(self) -> Any:
        """The means of the normal numbers."""
        return self.base_dist.base_dist.loc

    @property
    def scale(self) -> Any:
        """The standard deviations of the normal numbers."""
        return self.base_dist.base_dist.scale
