"""The Bernoulli distribution."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions import constraints
from argand.distributions.exp_family import ExponentialFamily
from argand.distributions.parameters import BinaryParameter
from argand.distributions.utils import broadcast_all, cross_entropy_of_logits
from argand.ir.op import ops
from argand.tensor.formulas import arange
from argand.tensor.random import bernoulli
from argand.transform.mode import no_grad


class Bernoulli(BinaryParameter, ExponentialFamily):
    """1 with probability `probs`, else 0; `logits` are the log-odds.

    >>> ag.distributions.Bernoulli(0.25).log_prob(ag.tensor([0.0, 1.0]))
    tensor([-0.2877, -1.3863])
    """

    support = constraints.boolean
    has_enumerate_support = True
    _mean_carrier_measure = 0
    _batched = ("probs", "logits")

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._set_parameter(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        mode = ops.cast(self.probs >= 0.5, self.probs.dtype)
        return ops.where(self.probs == 0.5, math.nan, mode)

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            return bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        logits, value = broadcast_all(self.logits, value)
        return -cross_entropy_of_logits(logits, value)

    def entropy(self) -> Any:
        return cross_entropy_of_logits(self.logits, self.probs)

    def enumerate_support(self, expand: bool = True) -> Any:
        return self._enumerated(arange(2, dtype=self._param.dtype), expand)

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.probs.logit(),)

    def _log_normalizer(self, *natural_params: Any) -> Any:
        (x,) = natural_params
        return x.exp().log1p()
