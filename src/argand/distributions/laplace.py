"""The Laplace distribution."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions import constraints
from argand.distributions.distribution import Distribution
from argand.distributions.sampling import uniform
from argand.distributions.utils import broadcast_all
from argand.tensor.elementary import finfo


class Laplace(Distribution):
    """The Laplace distribution of the density exp(-|x - loc| / scale) / (2 scale).

    >>> ag.distributions.Laplace(0.0, 1.0).log_prob(ag.tensor([0.0, 2.0]))
    tensor([-0.6931, -2.6931])
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
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return 2 * self.scale.pow(2)

    @property
    def stddev(self) -> Any:
        return math.sqrt(2) * self.scale

    def rsample(self, sample_shape: Any = ()) -> Any:
        dtype = self.loc.dtype
        # -1 would give minus infinity
        u = (uniform(self._extended_shape(sample_shape), dtype) * 2 - 1).clamp(finfo(dtype).eps - 1)
        return self.loc - self.scale * u.sign() * (-u.abs()).log1p()

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def cdf(self, value: Any) -> Any:
        self._expect(value)
        apart = value - self.loc
        return 0.5 - 0.5 * apart.sign() * (-apart.abs() / self.scale).expm1()

    def icdf(self, value: Any) -> Any:
        side = value - 0.5
        return self.loc - self.scale * side.sign() * (-2 * side.abs()).log1p()

    def entropy(self) -> Any:
        return 1 + (2 * self.scale).log()
