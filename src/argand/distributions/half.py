"""Absolute values of distributions that are symmetric around 0."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions import constraints
from argand.distributions.elementwise_transforms import AbsTransform
from argand.distributions.transformed_distribution import TransformedDistribution
from argand.ir.op import ops
from argand.tensor.creation import as_tensor


class Half(TransformedDistribution):
    """Base of distributions of |x|, for x around 0 of a scale."""

    arg_constraints: Any = {"scale": constraints.positive}
    support: Any = constraints.nonnegative
    has_rsample: Any = True

    def _set_base(self, base: Any, validate_args: bool | None) -> None:
        TransformedDistribution.__init__(self, base, AbsTransform(), validate_args=validate_args)

    @property
    def scale(self) -> Any:
        """The scale of x."""
        return self.base_dist.scale

    @property
    def mode(self) -> Any:
        return self._filled(0, self.scale.dtype)

    def log_prob(self, value: Any) -> Any:
        value = as_tensor(value, dtype=self.scale.dtype)
        self._expect(value)
        found = self.base_dist.log_prob(value) + math.log(2)
        return ops.where(value >= 0, found, -math.inf)

    def cdf(self, value: Any) -> Any:
        self._expect(value)
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, value: Any) -> Any:
        return self.base_dist.icdf((value + 1) / 2)

    def entropy(self) -> Any:
        return self.base_dist.entropy() - math.log(2)
