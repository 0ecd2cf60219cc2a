"""The relaxed categorical distribution."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions import constraints
from argand.distributions.elementwise_transforms import ExpTransform
from argand.distributions.of_categorical import OfCategorical
from argand.distributions.sampling import uniform
from argand.distributions.transformed_distribution import TransformedDistribution
from argand.distributions.utils import broadcast_all, clamp_probs


class ExpRelaxedCategorical(OfCategorical):
    """Logarithms of `RelaxedOneHotCategorical`.

    >>> D = ag.distributions.relaxed_categorical
    >>> D.ExpRelaxedCategorical(ag.tensor(1.0), ag.ones(3)).sample().shape
    argand.Size([3])
    """

    support = constraints.real_vector
    has_rsample = True
    _batched = ("_categorical",)
    _shared = ("temperature",)

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self.temperature = temperature
        self._set_categorical(probs, logits, validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        u = clamp_probs(uniform(self._extended_shape(sample_shape), self.logits.dtype))
        scores = (self.logits - (-u.log()).log()) / self.temperature
        return scores - scores.logsumexp(-1, keepdim=True)

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        logits, value = broadcast_all(self.logits, value)
        count = self._event_shape[0]
        scores = logits - value * self.temperature
        scores = (scores - scores.logsumexp(-1, keepdim=True)).sum(-1)
        return scores + math.lgamma(count) + (count - 1) * self.temperature.log()


class RelaxedOneHotCategorical(TransformedDistribution):
    """N numbers that add up to 1, and come close to a one-hot vector as the temperature falls to 0.

    The concrete distribution of Maddison, Mnih and Teh (2017), and the Gumbel-softmax of Jang, Gu
    and Poole (2017). `temperature` is a tensor.

    >>> d = ag.distributions.RelaxedOneHotCategorical(ag.tensor(0.5), ag.ones(3))
    >>> d.rsample((4,)).shape
    argand.Size([4, 3])
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.simplex
    has_rsample = True
    _batched = ()

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)

    @property
    def temperature(self) -> Any:
        """The temperature."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Any:
        """Logarithms of the probabilities."""
        return self.base_dist.logits

    @property
    def probs(self) -> Any:
        """The probabilities."""
        return self.base_dist.probs
