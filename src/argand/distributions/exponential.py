"""The exponential distribution."""

from __future__ import annotations

from typing import Any

from argand.distributions import constraints
from argand.distributions.exp_family import ExponentialFamily
from argand.distributions.sampling import standard_exponential
from argand.distributions.utils import broadcast_all


class Exponential(ExponentialFamily):
    """The exponential distribution of the density rate exp(-rate x), x >= 0.

    >>> ag.distributions.Exponential(2.0).cdf(ag.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8647])
    """

    arg_constraints = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _mean_carrier_measure = 0
    _batched = ("rate",)

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.rate.reciprocal()

    @property
    def mode(self) -> Any:
        return self._filled(0, self.rate.dtype)

    @property
    def stddev(self) -> Any:
        return self.rate.reciprocal()

    @property
    def variance(self) -> Any:
        return self.rate.pow(-2)

    def rsample(self, sample_shape: Any = ()) -> Any:
        drawn = standard_exponential(self._extended_shape(sample_shape), self.rate.dtype)
        return drawn / self.rate

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        return self.rate.log() - self.rate * value

    def cdf(self, value: Any) -> Any:
        self._expect(value)
        return -(-self.rate * value).expm1()

    def icdf(self, value: Any) -> Any:
        return -(-value).log1p() / self.rate

    def entropy(self) -> Any:
        return 1.0 - self.rate.log()

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (-self.rate,)

    def _log_normalizer(self, *natural_params: Any) -> Any:
        (x,) = natural_params
        return -(-x).log()
