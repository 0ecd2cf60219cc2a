"""The F distribution of Fisher and Snedecor."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions import constraints
from argand.distributions.distribution import Distribution
from argand.distributions.sampling import log_gamma
from argand.distributions.utils import broadcast_all
from argand.ir.op import ops
from argand.tensor.elementary import finfo


class FisherSnedecor(Distribution):
    """The F distribution: the quotient of chi2(df1) / df1 and chi2(df2) / df2.

    >>> ag.distributions.FisherSnedecor(2.0, 4.0).mean
    tensor(2.)
    """

    arg_constraints = {"df1": constraints.positive, "df2": constraints.positive}
    support = constraints.positive
    has_rsample = True
    _batched = ("df1", "df2")

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self.df1, self.df2 = broadcast_all(df1, df2)
        super().__init__(self.df1.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return ops.where(self.df2 <= 2, math.nan, self.df2 / (self.df2 - 2))

    @property
    def mode(self) -> Any:
        found = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return ops.where(self.df1 <= 2, math.nan, found)

    @property
    def variance(self) -> Any:
        df1, df2 = self.df1, self.df2
        found = 2 * df2.pow(2) * (df1 + df2 - 2) / (df1 * (df2 - 2).pow(2) * (df2 - 4))
        return ops.where(df2 <= 4, math.nan, found)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape, dtype = self._extended_shape(sample_shape), self.df1.dtype
        logarithm = log_gamma(self.df1 * 0.5, shape) - log_gamma(self.df2 * 0.5, shape)
        value = ops.cast(logarithm.exp() * self.df2 / self.df1, dtype)
        return value.clamp(min=finfo(dtype).tiny)

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        half1, half2 = self.df1 * 0.5, self.df2 * 0.5
        ratio = self.df1 / self.df2
        return (
            (half1 + half2).lgamma()
            - half1.lgamma()
            - half2.lgamma()
            + half1 * ratio.log()
            + (half1 - 1) * value.log()
            - (half1 + half2) * (ratio * value).log1p()
        )
