"""The Gumbel distribution."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions import constraints
from argand.distributions.elementwise_transforms import AffineTransform, ExpTransform
from argand.distributions.transformed_distribution import TransformedDistribution
from argand.distributions.uniform import Uniform
from argand.distributions.utils import broadcast_all, euler_constant
from argand.ir.op import ops
from argand.tensor.elementary import finfo


class Gumbel(TransformedDistribution):
    """loc - scale ln(-ln(u)) of uniform numbers u: P(X <= x) = exp(-exp((loc - x) / scale)).

    >>> ag.distributions.Gumbel(0.0, 1.0).mean
    tensor(0.5772)
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    _batched = ("loc", "scale")

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        shape, info = tuple(self.loc.shape), finfo(self.loc.dtype)
        base = Uniform(
            ops.full(shape, info.tiny, self.loc.dtype),
            ops.full(shape, 1 - info.eps, self.loc.dtype),
            validate_args=validate_args,
        )
        transforms = [
            ExpTransform().inv,
            AffineTransform(0, -1),
            ExpTransform().inv,
            AffineTransform(self.loc, -self.scale),
        ]
        super().__init__(base, transforms, validate_args=validate_args)

    def _apart(self, value: Any) -> Any:
        return (self.loc - value) / self.scale

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        y = self._apart(value)
        return y - y.exp() - self.scale.log()

    def cdf(self, value: Any) -> Any:
        self._expect(value)
        return (-self._apart(value).exp()).exp()

    @property
    def mean(self) -> Any:
        return self.loc + self.scale * euler_constant

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def stddev(self) -> Any:
        return (math.pi / math.sqrt(6)) * self.scale

    @property
    def variance(self) -> Any:
        return self.stddev.pow(2)

    def entropy(self) -> Any:
        return self.scale.log() + (1 + euler_constant)
