"""The categorical distribution of one-hot vectors."""

from __future__ import annotations

from typing import Any

from argand.distributions import constraints
from argand.distributions.of_categorical import OfCategorical
from argand.distributions.utils import one_hot
from argand.tensor.formulas import eye


class OneHotCategorical(OfCategorical):
    """One of N classes as a vector of N numbers, 1 at the class and else 0.

    >>> ag.distributions.OneHotCategorical(ag.tensor([1.0, 3.0])).mean
    tensor([0.2500, 0.7500])
    """

    support = constraints.one_hot
    has_enumerate_support = True
    _batched = ("_categorical",)

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._set_categorical(probs, logits, validate_args)

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        return self._vectors(self.probs.argmax(-1))

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def _vectors(self, classes: Any) -> Any:
        return one_hot(classes, self._event_shape[0], self.probs.dtype)

    def sample(self, sample_shape: Any = ()) -> Any:
        return self._vectors(self._categorical.sample(sample_shape))

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Any:
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Any:
        count = self._event_shape[0]
        values = eye(count, dtype=self._param.dtype)
        values = values.reshape((count, *(1,) * len(self._batch_shape), count))
        return values.expand((count, *self._batch_shape, count)) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """`OneHotCategorical` whose samples pass gradients on as if they were the probabilities.

    The straight-through estimator of Bengio, Leonard and Courville (2013), which is biased.

    >>> d = ag.distributions.OneHotCategoricalStraightThrough(ag.tensor([1.0, 3.0]))
    >>> d.has_rsample
    True
    """

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.sample(sample_shape) + (self.probs - self.probs.detach())
