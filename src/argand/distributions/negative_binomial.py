"""The negative binomial distribution."""

from __future__ import annotations

from typing import Any

from argand.distributions import constraints
from argand.distributions.gamma import Gamma
from argand.distributions.parameters import BinaryParameter
from argand.distributions.utils import lazy_property, log_sigmoid
from argand.ir.op import ops
from argand.tensor import draws
from argand.transform.mode import no_grad


class NegativeBinomial(BinaryParameter):
    """How often it succeeds, with probability `probs` each time, before `total_count` failures.

    The probability of k is gamma(n + k) / (k! gamma(n)) p^k (1 - p)^n.

    >>> ag.distributions.NegativeBinomial(3, ag.tensor(0.25)).mean
    tensor(1.)
    """

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer
    _batched = ("total_count", "probs", "logits")

    def __init__(
        self,
        total_count: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        (count,) = self._set_parameter(probs, logits, total_count)
        self.total_count = ops.cast(count, self._param.dtype)
        super().__init__(self._param.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Any:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Any:
        return self.mean / ops.sigmoid(-self.logits)

    @lazy_property
    def _gamma(self) -> Any:
        # a count of 0 is no shape of Gamma
        return Gamma(self.total_count, (-self.logits).exp(), validate_args=False)

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            return draws.poisson(self._gamma.sample(sample_shape))

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        count = self.total_count
        powers = count * log_sigmoid(-self.logits) + value * log_sigmoid(self.logits)
        arrangements = (count + value).lgamma() - (1.0 + value).lgamma() - count.lgamma()
        # nothing of nothing is certain, but lgamma(0) infinite
        return powers + ops.where(count + value == 0.0, 0.0, arrangements)
