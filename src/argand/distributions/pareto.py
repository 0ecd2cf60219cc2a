"""The Pareto distribution."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions import constraints
from argand.distributions.elementwise_transforms import AffineTransform, ExpTransform
from argand.distributions.exponential import Exponential
from argand.distributions.transformed_distribution import TransformedDistribution
from argand.distributions.utils import broadcast_all
from argand.ir.op import ops


class Pareto(TransformedDistribution):
    """Numbers from `scale` on of P(X > x) = (scale / x)^alpha.

    >>> ag.distributions.Pareto(1.0, 3.0).mean
    tensor(1.5000)
    """

    arg_constraints = {"alpha": constraints.positive, "scale": constraints.positive}
    _batched = ("scale", "alpha")

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = broadcast_all(scale, alpha)
        base = Exponential(self.alpha, validate_args=validate_args)
        transforms = [ExpTransform(), AffineTransform(0, self.scale)]
        super().__init__(base, transforms, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """From the scale on."""
        return constraints.greater_than_eq(self.scale)

    @property
    def mean(self) -> Any:
        a = self.alpha
        return ops.where(a > 1, a * self.scale / (a - 1), math.inf)

    @property
    def mode(self) -> Any:
        return self.scale

    @property
    def variance(self) -> Any:
        a = self.alpha
        found = self.scale.pow(2) * a / ((a - 1).pow(2) * (a - 2))
        return ops.where(a > 2, found, math.inf)

    def entropy(self) -> Any:
        return (self.scale / self.alpha).log() + (1 + self.alpha.reciprocal())
