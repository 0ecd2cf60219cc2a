"""Student's t distribution."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions import constraints
from argand.distributions.chi2 import Chi2
from argand.distributions.distribution import Distribution
from argand.distributions.sampling import standard_normal
from argand.distributions.utils import broadcast_all
from argand.ir.op import ops


class StudentT(Distribution):
    """Student's t distribution of `df` degrees of freedom: loc + scale z / sqrt(chi2(df) / df).

    >>> ag.distributions.StudentT(3.0).log_prob(ag.tensor(0.0))
    tensor(-1.0009)
    """

    arg_constraints = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True
    _batched = ("df", "loc", "scale", "_chi2")

    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df, validate_args=validate_args)
        super().__init__(self.df.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return ops.where(self.df <= 1, math.nan, self.loc)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        finite = self.scale.pow(2) * self.df / (self.df - 2)
        return ops.where(self.df > 2, finite, ops.where(self.df > 1, self.df + math.inf, math.nan))

    def rsample(self, sample_shape: Any = ()) -> Any:
        noise = standard_normal(self._extended_shape(sample_shape), self.df.dtype)
        ratio = self._chi2.rsample(sample_shape) / self.df
        return self.loc + self.scale * noise * ratio.rsqrt()

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        apart = ((value - self.loc) / self.scale).pow(2)
        return -0.5 * (self.df + 1.0) * (apart / self.df).log1p() - self._log_normalizer()

    def _log_normalizer(self) -> Any:
        return self.scale.log() + 0.5 * self.df.log() + self._log_beta()

    def _log_beta(self) -> Any:
        """ln of the beta function of 1 / 2 and df / 2."""
        half = 0.5 * self.df
        return half.lgamma() + math.lgamma(0.5) - (half + 0.5).lgamma()

    def entropy(self) -> Any:
        half = 0.5 * self.df
        slope = (half + 0.5) * ((half + 0.5).digamma() - half.digamma())
        return self._log_normalizer() + slope
