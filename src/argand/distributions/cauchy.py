"""The Cauchy distribution."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions import constraints
from argand.distributions.distribution import Distribution
from argand.distributions.sampling import standard_cauchy
from argand.distributions.utils import broadcast_all


class Cauchy(Distribution):
    """The Cauchy (Lorentz) distribution around `loc`, half as high at `loc` +- `scale`.

    The density is 1 / (pi scale (1 + ((x - loc) / scale)^2)); it has no mean.

    >>> ag.distributions.Cauchy(0.0, 1.0).cdf(ag.tensor([0.0, 1.0]))
    tensor([0.5000, 0.7500])
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    _batched = ("loc", "scale")

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self._filled(math.nan, self.loc.dtype)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return self._filled(math.inf, self.loc.dtype)

    def rsample(self, sample_shape: Any = ()) -> Any:
        drawn = standard_cauchy(self._extended_shape(sample_shape), self.loc.dtype)
        return self.loc + drawn * self.scale

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        apart = ((value - self.loc) / self.scale).pow(2)
        return -math.log(math.pi) - self.scale.log() - apart.log1p()

    def cdf(self, value: Any) -> Any:
        self._expect(value)
        return ((value - self.loc) / self.scale).atan() / math.pi + 0.5

    def icdf(self, value: Any) -> Any:
        return (math.pi * (value - 0.5)).tan() * self.scale + self.loc

    def entropy(self) -> Any:
        return math.log(4 * math.pi) + self.scale.log()
