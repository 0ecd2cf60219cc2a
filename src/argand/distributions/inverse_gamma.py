"""The inverse gamma distribution."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions import constraints
from argand.distributions.elementwise_transforms import PowerTransform
from argand.distributions.gamma import Gamma
from argand.distributions.transformed_distribution import TransformedDistribution
from argand.ir.op import ops


class InverseGamma(TransformedDistribution):
    """1 / x of gamma numbers x of the shape `concentration` and the rate `rate`.

    >>> ag.distributions.InverseGamma(3.0, 4.0).mean
    tensor(2.)
    """

    arg_constraints = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    support = constraints.positive
    has_rsample = True
    _batched = ()

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        base = Gamma(concentration, rate, validate_args=validate_args)
        inverse = PowerTransform(ops.full((), -1, base.rate.dtype))
        super().__init__(base, inverse, validate_args=validate_args)

    @property
    def concentration(self) -> Any:
        """The shape of the gamma numbers."""
        return self.base_dist.concentration

    @property
    def rate(self) -> Any:
        """The rate of the gamma numbers."""
        return self.base_dist.rate

    @property
    def mean(self) -> Any:
        a = self.concentration
        return ops.where(a > 1, self.rate / (a - 1), math.inf)

    @property
    def mode(self) -> Any:
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Any:
        a = self.concentration
        return ops.where(a > 2, self.rate.pow(2) / ((a - 1).pow(2) * (a - 2)), math.inf)

    def entropy(self) -> Any:
        a = self.concentration
        return a + self.rate.log() + a.lgamma() - (1 + a) * a.digamma()
