"""The Kumaraswamy distribution."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions import constraints
from argand.distributions.elementwise_transforms import AffineTransform, PowerTransform
from argand.distributions.transformed_distribution import TransformedDistribution
from argand.distributions.uniform import Uniform
from argand.distributions.utils import broadcast_all, euler_constant
from argand.ir.op import ops


class Kumaraswamy(TransformedDistribution):
    """Numbers in [0, 1] of P(X <= x) = 1 - (1 - x^a)^b.

    a is `concentration1` and b `concentration0`.

    >>> ag.distributions.Kumaraswamy(1.0, 3.0).mean
    tensor(0.2500)
    """

    arg_constraints = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval
    has_rsample = True
    _batched = ("concentration1", "concentration0")

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        zeros = ops.full(tuple(self.concentration1.shape), 0, self.concentration1.dtype)
        transforms = [
            PowerTransform(self.concentration0.reciprocal()),
            AffineTransform(1.0, -1.0),
            PowerTransform(self.concentration1.reciprocal()),
        ]
        base = Uniform(zeros, zeros + 1, validate_args=validate_args)
        super().__init__(base, transforms, validate_args=validate_args)

    def _moment(self, n: int) -> Any:
        """The mean of x^n: b times the beta function of 1 + n / a and b."""
        a, b = self.concentration1, self.concentration0
        order = 1 + n / a
        return (b.log() + order.lgamma() + b.lgamma() - (order + b).lgamma()).exp()

    @property
    def mean(self) -> Any:
        return self._moment(1)

    @property
    def mode(self) -> Any:
        a, b = self.concentration1, self.concentration0
        # ((a - 1) / (a b - 1))^(1 / a)
        found = ((a - 1).log() - (a * b - 1).log()) / a
        return ops.where((a < 1) | (b < 1), math.nan, found.exp())

    @property
    def variance(self) -> Any:
        return self._moment(2) - self.mean.pow(2)

    def entropy(self) -> Any:
        a, b = self.concentration1, self.concentration0
        harmonic = (b + 1).digamma() + euler_constant
        return (1 - 1 / b) + (1 - 1 / a) * harmonic - a.log() - b.log()
