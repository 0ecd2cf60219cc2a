"""The generalised Pareto distribution."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions import constraints
from argand.distributions.distribution import Distribution
from argand.distributions.sampling import uniform
from argand.distributions.utils import broadcast_all
from argand.ir.op import ops


class GeneralizedPareto(Distribution):
    """Tails above `loc`: P(X > x) = (1 + c z)^(-1 / c), z = (x - loc) / scale.

    c is `concentration`; for c = 0 that is exp(-z), for c < 0 there is an upper end.

    >>> ag.distributions.GeneralizedPareto(0.0, 1.0, 0.5).cdf(ag.tensor([0.0, 2.0]))
    tensor([0.0000, 0.7500])
    """

    arg_constraints = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True
    _batched = ("loc", "scale", "concentration")

    def __init__(
        self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """From loc to loc - scale / concentration, where that is above."""
        upper = self.loc - self.scale / self.concentration
        return constraints.interval(self.loc, ops.where(self.concentration < 0, upper, math.inf))

    def _by_tail(self, tail: Any, exponential: Any) -> Any:
        """A function of the concentration, and what it comes to close to 0."""
        zero = self.concentration.abs() <= 1e-8
        return ops.where(zero, exponential, tail(ops.where(zero, 1, self.concentration)))

    def _z(self, value: Any) -> Any:
        return (value - self.loc) / self.scale

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(uniform(self._extended_shape(sample_shape), self.loc.dtype))

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        z = self._z(value)

        def tail(c: Any) -> Any:
            power = 1 / c + 1
            return ops.where(power == 0, 0, power * (c * z).log1p())

        return -self.scale.log() - self._by_tail(tail, z)

    def log_survival_function(self, value: Any) -> Any:
        """ln of the probability of a larger value."""
        self._expect(value)
        z = self._z(value)
        return self._by_tail(lambda c: -(c * z).log1p() / c, -z)

    def log_cdf(self, value: Any) -> Any:
        """ln of the probability of a value up to this one."""
        return (-self.log_survival_function(value).exp()).log1p()

    def cdf(self, value: Any) -> Any:
        return -self.log_survival_function(value).expm1()

    def icdf(self, value: Any) -> Any:
        log_rest = (-value).log1p()
        return self.loc + self.scale * self._by_tail(
            lambda c: (-c * log_rest).expm1() / c, -log_rest
        )

    @property
    def mean(self) -> Any:
        c = self.concentration
        return ops.where(c < 1, self.loc + self.scale / (1 - c), math.nan)

    @property
    def variance(self) -> Any:
        c = self.concentration
        return ops.where(c < 0.5, self.scale.pow(2) / ((1 - c).pow(2) * (1 - 2 * c)), math.nan)

    @property
    def mode(self) -> Any:
        return self.loc

    def entropy(self) -> Any:
        return self.scale.log() + self.concentration + 1
