"""The categorical distribution."""

from __future__ import annotations

import math
from typing import Any

from argand.base.dtype import int64
from argand.base.errors import ArgumentError
from argand.distributions import constraints
from argand.distributions.distribution import Distribution
from argand.distributions.parameters import one_of
from argand.distributions.utils import lazy_property, logits_to_probs, probs_to_logits
from argand.ir.op import ops
from argand.tensor.core import Size
from argand.tensor.draws import multinomial
from argand.tensor.elementary import finfo
from argand.tensor.formulas import arange
from argand.tensor.shaping import broadcast_tensors


class Categorical(Distribution):
    """One of N classes, int64, of probabilities along the last dimension of `probs` or `logits`.

    `probs` need not add up to 1, nor `exp(logits)`; the attributes do.

    >>> ag.distributions.Categorical(ag.tensor([1.0, 3.0])).log_prob(ag.tensor([0, 1]))
    tensor([-1.3863, -0.2877])
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True
    _batched = ("probs", "logits")
    _shared = ("_given", "_num_events")

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._given = one_of(probs, logits)
        given = logits if probs is None else probs
        if given.ndim < 1:
            raise ArgumentError(f"`{self._given}` must be at least one-dimensional")
        if probs is not None:
            self.probs = probs / probs.sum(-1, keepdim=True)
        else:
            self.logits = logits - logits.logsumexp(-1, keepdim=True)
        self._num_events = given.shape[-1]
        super().__init__(given.shape[:-1], validate_args=validate_args)

    @property
    def _param(self) -> Any:
        return getattr(self, self._given)

    @property
    def param_shape(self) -> Size:
        """The shape of the parameter, with the classes."""
        return Size(self._param.shape)

    @lazy_property
    def logits(self) -> Any:
        """Logarithms of the probabilities."""
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self) -> Any:
        """The probabilities."""
        return logits_to_probs(self.logits)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """From 0 to N - 1."""
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self) -> Any:
        return self._filled(math.nan, self._param.dtype)

    @property
    def mode(self) -> Any:
        return self.probs.argmax(-1)

    @property
    def variance(self) -> Any:
        return self._filled(math.nan, self._param.dtype)

    def sample(self, sample_shape: Any = ()) -> Any:
        rows = self.probs.reshape((-1, self._num_events))
        drawn = multinomial(rows, math.prod(sample_shape), True)
        return drawn.transpose(0, 1).reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        index = ops.cast(value, int64).unsqueeze(-1)
        index, logits = broadcast_tensors(index, self.logits)
        return logits.gather(-1, index[..., :1]).squeeze(-1)

    def entropy(self) -> Any:
        finite = self.logits.clamp(min=finfo(self.logits.dtype).min)
        return -(finite * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Any:
        return self._enumerated(arange(self._num_events), expand)
