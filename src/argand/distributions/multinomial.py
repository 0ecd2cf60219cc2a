"""The multinomial distribution."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions import constraints
from argand.distributions.binomial import Binomial
from argand.distributions.of_categorical import OfCategorical
from argand.distributions.parameters import CountsDifferError
from argand.distributions.utils import broadcast_all
from argand.ir.op import ops


class Multinomial(OfCategorical):
    """How many of `total_count` draws fall into each of N classes of the given probabilities.

    `total_count` is one number for the whole batch.

    >>> ag.distributions.Multinomial(8, ag.tensor([1.0, 3.0])).mean
    tensor([2., 6.])
    """

    _batched = ("_categorical",)
    _shared = ("total_count",)

    def __init__(
        self,
        total_count: int = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise CountsDifferError(
                "Multinomial takes one total_count, an int, for the whole batch"
            )
        self.total_count = total_count
        self._set_categorical(probs, logits, validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        """Counts that add up to the total."""
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Any:
        return self.probs * self.total_count

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        drawn = self._categorical.sample((self.total_count, *sample_shape))
        zeros = self._filled(0, self.probs.dtype).expand(self._extended_shape(sample_shape))
        return ops.scatter_add(zeros, -1, drawn.movedim(0, -1), 1)

    def entropy(self) -> Any:
        count = self.total_count
        binomial = Binomial(count, self.probs)
        values = binomial.enumerate_support(expand=False)[1:]
        repeated = (binomial.log_prob(values).exp() * (values + 1).lgamma()).sum((0, -1))
        return count * self._categorical.entropy() - math.lgamma(count + 1) + repeated

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        logits, value = broadcast_all(self.logits, value)
        # 0 times minus infinity
        impossible = (value == 0) & (logits == -math.inf)
        powers = (ops.where(impossible, 0, logits) * value).sum(-1)
        return (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1) + powers
