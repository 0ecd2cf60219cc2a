"""Transforms of numbers, element by element."""

from __future__ import annotations

import math
from typing import Any

from argand.base.shape import broadcast_shapes
from argand.distributions import constraints
from argand.distributions.transform import Transform
from argand.distributions.utils import broadcast_all, lazy_property, log_sigmoid, softplus
from argand.ir.op import ops
from argand.tensor.core import Tensor
from argand.tensor.elementary import finfo


class ExpTransform(Transform):
    """y = exp(x), from real numbers to numbers above 0.

    >>> ag.distributions.ExpTransform()(ag.tensor([0.0, 1.0]))
    tensor([1.0000, 2.7183])
    """

    domain = constraints.real
    codomain = constraints.positive
    bijective = True
    sign = +1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExpTransform)

    def _call(self, x: Any) -> Any:
        return ops.exp(x)

    def _inverse(self, y: Any) -> Any:
        return ops.log(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x


class PowerTransform(Transform):
    """y = x ** exponent, of numbers above 0.

    >>> ag.distributions.PowerTransform(2.0)(ag.tensor([1.0, 3.0]))
    tensor([1., 9.])
    """

    domain = constraints.positive
    codomain = constraints.positive
    bijective = True

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size=cache_size)
        (self.exponent,) = broadcast_all(exponent)

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return PowerTransform(self.exponent, cache_size=cache_size)

    @lazy_property
    def sign(self) -> Any:
        """That of the exponent."""
        return ops.sign(self.exponent)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PowerTransform) and bool((self.exponent == other.exponent).all())

    def _call(self, x: Any) -> Any:
        return ops.pow(x, self.exponent)

    def _inverse(self, y: Any) -> Any:
        return ops.pow(y, ops.reciprocal(self.exponent))

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return ops.log(ops.abs(ops.div(ops.mul(self.exponent, y), x)))

    def forward_shape(self, shape: Any) -> Any:
        return broadcast_shapes(tuple(shape), tuple(self.exponent.shape), op="PowerTransform")

    inverse_shape = forward_shape


def clipped_sigmoid(x: Any) -> Any:
    """The sigmoid, kept away from 0 and 1 by the smallest normal number and eps."""
    info = finfo(x.dtype)
    return ops.clamp(ops.sigmoid(x), info.tiny, 1.0 - info.eps)


class SigmoidTransform(Transform):
    """y = 1 / (1 + exp(-x)), kept away from 0 and 1.

    >>> ag.distributions.SigmoidTransform()(ag.tensor([0.0, 2.0]))
    tensor([0.5000, 0.8808])
    """

    domain = constraints.real
    codomain = constraints.unit_interval
    bijective = True
    sign = +1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SigmoidTransform)

    def _call(self, x: Any) -> Any:
        return clipped_sigmoid(x)

    def _inverse(self, y: Any) -> Any:
        info = finfo(y.dtype)
        inside = ops.clamp(y, info.tiny, 1.0 - info.eps)
        return ops.sub(ops.log(inside), ops.log1p(ops.neg(inside)))

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return ops.add(log_sigmoid(x), log_sigmoid(ops.neg(x)))


class SoftplusTransform(Transform):
    """y = ln(1 + exp(x)).

    >>> ag.distributions.SoftplusTransform()(ag.tensor([0.0, 2.0]))
    tensor([0.6931, 2.1269])
    """

    domain = constraints.real
    codomain = constraints.positive
    bijective = True
    sign = +1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SoftplusTransform)

    def _call(self, x: Any) -> Any:
        return softplus(x)

    def _inverse(self, y: Any) -> Any:
        return ops.add(ops.log(ops.neg(ops.expm1(ops.neg(y)))), y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return log_sigmoid(x)


class TanhTransform(Transform):
    """y = tanh(x). A cache keeps the inverse finite where y is rounded to 1.

    >>> ag.distributions.TanhTransform()(ag.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """

    domain = constraints.real
    codomain = constraints.interval(-1.0, 1.0)
    bijective = True
    sign = +1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TanhTransform)

    def _call(self, x: Any) -> Any:
        return ops.tanh(x)

    def _inverse(self, y: Any) -> Any:
        return ops.atanh(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        # ln(1 - tanh(x)^2), without the difference
        decay = softplus(ops.mul(x, -2.0))
        return ops.mul(ops.sub(ops.sub(math.log(2.0), x), decay), 2.0)


class AbsTransform(Transform):
    """y = |x|, of which the inverse gives the positive x.

    >>> ag.distributions.AbsTransform()(ag.tensor([-1.0, 2.0]))
    tensor([1., 2.])
    """

    domain = constraints.real
    codomain = constraints.positive

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AbsTransform)

    def _call(self, x: Any) -> Any:
        return ops.abs(x)

    def _inverse(self, y: Any) -> Any:
        return y


def _equal(a: Any, b: Any) -> bool:
    same = a == b
    return bool(same.all()) if isinstance(same, Tensor) else bool(same)


class AffineTransform(Transform):
    """y = loc + scale x, for numbers or tensors `loc` and `scale`.

    `event_dim` is how many of the last dimensions are one value.

    >>> ag.distributions.AffineTransform(1.0, 2.0)(ag.tensor([0.0, 3.0]))
    tensor([1., 7.])
    """

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size=cache_size)
        self.loc = loc
        self.scale = scale
        self._event_dim = event_dim

    @property
    def event_dim(self) -> int:
        """How many of the last dimensions are one value."""
        return self._event_dim

    @constraints.dependent_property(is_discrete=False)
    def domain(self) -> Any:
        """Real numbers, `event_dim` dimensions of them."""
        if not self._event_dim:
            return constraints.real
        return constraints.independent(constraints.real, self._event_dim)

    codomain = domain

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return AffineTransform(self.loc, self.scale, self._event_dim, cache_size=cache_size)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AffineTransform):
            return False
        return _equal(self.loc, other.loc) and _equal(self.scale, other.scale)

    @property
    def sign(self) -> Any:
        """That of the scale."""
        if isinstance(self.scale, Tensor):
            return ops.sign(self.scale)
        return int(self.scale > 0) - int(self.scale < 0)

    def _call(self, x: Any) -> Any:
        return self.loc + self.scale * x

    def _inverse(self, y: Any) -> Any:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        if isinstance(self.scale, Tensor):
            result = ops.log(ops.abs(self.scale))
        else:
            result = ops.full(tuple(x.shape), math.log(abs(self.scale)), x.dtype)
        shape = tuple(x.shape)
        if self._event_dim:
            lead = tuple(result.shape[: -self._event_dim])
            result = ops.sum(ops.reshape(result, (*lead, -1)), -1)
            shape = shape[: -self._event_dim]
        return ops.expand(result, shape)

    def forward_shape(self, shape: Any) -> Any:
        given = [tuple(getattr(p, "shape", ())) for p in (self.loc, self.scale)]
        return broadcast_shapes(tuple(shape), *given, op="AffineTransform")

    inverse_shape = forward_shape


class CumulativeDistributionTransform(Transform):
    """y = the probability, under a distribution, of a value up to x.

    >>> D = ag.distributions
    >>> D.CumulativeDistributionTransform(D.Normal(0.0, 1.0))(ag.tensor([0.0, 1.0]))
    tensor([0.5000, 0.8413])
    """

    bijective = True
    codomain = constraints.unit_interval
    sign = +1

    def __init__(self, distribution: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size=cache_size)
        self.distribution = distribution

    @property
    def domain(self) -> Any:
        """The support of the distribution."""
        return self.distribution.support

    def _call(self, x: Any) -> Any:
        return self.distribution.cdf(x)

    def _inverse(self, y: Any) -> Any:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return self.distribution.log_prob(x)

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return CumulativeDistributionTransform(self.distribution, cache_size=cache_size)
