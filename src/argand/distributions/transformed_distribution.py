"""Distributions of transformed values."""

from __future__ import annotations

from typing import Any, ClassVar

from argand.base.errors import ArgumentError
from argand.distributions import constraints
from argand.distributions.distribution import Distribution
from argand.distributions.independent import Independent
from argand.distributions.transform import ComposeTransform, Transform
from argand.distributions.utils import sum_rightmost
from argand.transform.mode import no_grad


class TransformedDistribution(Distribution):
    """The distribution of f(x), for x of a base distribution and f one transform after the other.

    log p(y) = log p(x) - ln|dy / dx|. Transforms of vectors make vectors of the base's batch.

    >>> D = ag.distributions
    >>> logistic = D.TransformedDistribution(D.Uniform(0.0, 1.0), [D.SigmoidTransform().inv])
    >>> logistic.log_prob(ag.tensor(0.0))
    tensor(-1.3863)
    """

    arg_constraints: Any = {}
    _batched: ClassVar[tuple[str, ...]] = ()
    base_dist: Any

    def __init__(
        self, base_distribution: Any, transforms: Any, validate_args: bool | None = None
    ) -> None:
        self.transforms = _listed(transforms)
        chain = ComposeTransform(self.transforms)
        base_shape = (*base_distribution.batch_shape, *base_distribution.event_shape)
        base_dims = len(base_distribution.event_shape)
        taken, given = chain.domain.event_dim, chain.codomain.event_dim
        if len(base_shape) < taken:
            raise ArgumentError(
                f"the transforms take values of {taken} dimensions, the base has the shape "
                f"{base_shape}"
            )
        shape = tuple(chain.forward_shape(base_shape))
        wide = tuple(chain.inverse_shape(shape))
        if wide != base_shape:
            base_distribution = base_distribution.expand(wide[: len(wide) - base_dims])
        if taken > base_dims:
            base_distribution = Independent(base_distribution, taken - base_dims)
        self.base_dist = base_distribution
        cut = len(shape) - max(given, base_dims + given - taken)
        super().__init__(shape[:cut], shape[cut:], validate_args=validate_args)

    def _expand_into(self, new: Any, batch_shape: tuple[Any, ...]) -> None:
        super()._expand_into(new, batch_shape)
        shape: Any = (*batch_shape, *self._event_shape)
        for t in reversed(self.transforms):
            shape = t.inverse_shape(shape)
        lead = len(shape) - len(self.base_dist.event_shape)
        new.base_dist = self.base_dist.expand(tuple(shape[:lead]))
        new.transforms = self.transforms

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> Any:
        """What the last transform gives."""
        if not self.transforms:
            return self.base_dist.support
        support = self.transforms[-1].codomain
        more = len(self._event_shape) - support.event_dim
        return constraints.independent(support, more) if more > 0 else support

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return bool(self.base_dist.has_rsample)

    def _transformed(self, x: Any) -> Any:
        for transform in self.transforms:
            x = transform(x)
        return x

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            return self._transformed(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self._transformed(self.base_dist.rsample(sample_shape))

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        dims = len(self._event_shape)
        total: Any = 0.0
        y = value
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            dims += transform.domain.event_dim - transform.codomain.event_dim
            slope = transform.log_abs_det_jacobian(x, y)
            total = total - sum_rightmost(slope, dims - transform.domain.event_dim)
            y = x
        own = self.base_dist.log_prob(y)
        return total + sum_rightmost(own, dims - len(self.base_dist.event_shape))

    def _rising(self, probability: Any) -> Any:
        """The probability itself, or 1 minus it where the transforms decrease."""
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        if isinstance(sign, int) and sign == 1:
            return probability
        return sign * (probability - 0.5) + 0.5

    def cdf(self, value: Any) -> Any:
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        if self._validate_args:
            self.base_dist._validate_sample(value)
        return self._rising(self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Any:
        return self._transformed(self.base_dist.icdf(self._rising(value)))


def _listed(transforms: Any) -> list[Transform]:
    found = [transforms] if isinstance(transforms, Transform) else transforms
    if not isinstance(found, list) or not all(isinstance(t, Transform) for t in found):
        raise ArgumentError(f"transforms must be a Transform or a list of them, got {transforms}")
    return found
