"""Dimensions of a batch as dimensions of one value."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError
from argand.distributions import constraints
from argand.distributions.distribution import Distribution
from argand.distributions.utils import sum_rightmost


class Independent(Distribution):
    """A distribution whose last dimensions of the batch, as many as asked for, make one value.

    `log_prob` and `entropy` are summed over them.

    >>> D = ag.distributions
    >>> d = D.Independent(D.Normal(ag.zeros(2, 3), 1.0), 1)
    >>> d.batch_shape, d.event_shape, d.log_prob(ag.zeros(3)).shape
    (argand.Size([2]), argand.Size([3]), argand.Size([2]))
    """

    arg_constraints: Any = {}
    _batched = ("base_dist",)
    _shared = ("reinterpreted_batch_ndims",)

    def __init__(
        self,
        base_distribution: Any,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:
        batch, event = base_distribution.batch_shape, base_distribution.event_shape
        lead = len(batch) - reinterpreted_batch_ndims
        if lead < 0:
            raise ArgumentError(
                f"expected reinterpreted_batch_ndims <= {len(batch)}, the dimensions of the batch, "
                f"got {reinterpreted_batch_ndims}"
            )
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        super().__init__(batch[:lead], (*batch[lead:], *event), validate_args=validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return bool(self.base_dist.has_rsample)

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return not self.reinterpreted_batch_ndims and bool(self.base_dist.has_enumerate_support)

    @constraints.dependent_property
    def support(self) -> Any:
        """The base's, for all of the value's dimensions."""
        dims = self.reinterpreted_batch_ndims
        support = self.base_dist.support
        return constraints.independent(support, dims) if dims else support

    @property
    def mean(self) -> Any:
        return self.base_dist.mean

    @property
    def mode(self) -> Any:
        return self.base_dist.mode

    @property
    def variance(self) -> Any:
        return self.base_dist.variance

    def sample(self, sample_shape: Any = ()) -> Any:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Any) -> Any:
        return sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Any:
        return sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Any:
        if self.reinterpreted_batch_ndims:
            raise NotImplementedError("the values of several dimensions are not enumerated")
        return self.base_dist.enumerate_support(expand=expand)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_dist}, {self.reinterpreted_batch_ndims})"
