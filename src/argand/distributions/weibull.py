"""The Weibull distribution."""

from __future__ import annotations

from typing import Any

from argand.distributions import constraints
from argand.distributions.elementwise_transforms import AffineTransform, PowerTransform
from argand.distributions.exponential import Exponential
from argand.distributions.transformed_distribution import TransformedDistribution
from argand.distributions.utils import broadcast_all, euler_constant
from argand.ir.op import ops


class Weibull(TransformedDistribution):
    """Numbers above 0 of P(X > x) = exp(-(x / scale)^concentration).

    >>> ag.distributions.Weibull(1.0, 2.0).mean
    tensor(0.8862)
    """

    arg_constraints = {
        "scale": constraints.positive,
        "concentration": constraints.positive,
    }
    support = constraints.positive
    _batched = ("scale", "concentration", "concentration_reciprocal")

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        self.concentration_reciprocal = self.concentration.reciprocal()
        ones = ops.full(tuple(self.scale.shape), 1, self.scale.dtype)
        transforms = [
            PowerTransform(self.concentration_reciprocal),
            AffineTransform(0, self.scale),
        ]
        base = Exponential(ones, validate_args=validate_args)
        super().__init__(base, transforms, validate_args=validate_args)

    def _moment(self, n: int) -> Any:
        """The mean of (x / scale)^n."""
        return (1 + n * self.concentration_reciprocal).lgamma().exp()

    @property
    def mean(self) -> Any:
        return self.scale * self._moment(1)

    @property
    def mode(self) -> Any:
        rising = (self.concentration - 1) / self.concentration
        return self.scale * rising.clamp(min=0).pow(self.concentration_reciprocal)

    @property
    def variance(self) -> Any:
        return self.scale.pow(2) * (self._moment(2) - self._moment(1).pow(2))

    def entropy(self) -> Any:
        inverse = self.concentration_reciprocal
        return euler_constant * (1 - inverse) + (self.scale * inverse).log() + 1
