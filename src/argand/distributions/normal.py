"""The normal distribution."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions import constraints
from argand.distributions.exp_family import ExponentialFamily
from argand.distributions.sampling import standard_normal
from argand.distributions.utils import LOG_2PI, broadcast_all


class Normal(ExponentialFamily):
    """The normal distribution of mean `loc` and standard deviation `scale`.

    The density is exp(-((x - loc) / scale)^2 / 2) / (scale sqrt(2 pi)).

    >>> ag.distributions.Normal(0.0, 2.0).log_prob(ag.tensor([0.0, 2.0]))
    tensor([-1.6121, -2.1121])
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    _mean_carrier_measure = 0
    _batched = ("loc", "scale")

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def stddev(self) -> Any:
        return self.scale

    @property
    def variance(self) -> Any:
        return self.scale.pow(2)

    def rsample(self, sample_shape: Any = ()) -> Any:
        noise = standard_normal(self._extended_shape(sample_shape), self.loc.dtype)
        return self.loc + noise * self.scale

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        apart = (value - self.loc) / self.scale
        return -0.5 * apart.pow(2) - self.scale.log() - 0.5 * LOG_2PI

    def cdf(self, value: Any) -> Any:
        self._expect(value)
        return 0.5 * (1 + ((value - self.loc) / (self.scale * math.sqrt(2))).erf())

    def icdf(self, value: Any) -> Any:
        return self.loc + self.scale * (2 * value - 1).erfinv() * math.sqrt(2)

    def entropy(self) -> Any:
        return 0.5 + 0.5 * LOG_2PI + self.scale.log()

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return self.loc / self.scale.pow(2), -0.5 * self.scale.pow(2).reciprocal()

    def _log_normalizer(self, *natural_params: Any) -> Any:
        x, y = natural_params
        return -0.25 * x.pow(2) / y + 0.5 * (-math.pi / y).log()
