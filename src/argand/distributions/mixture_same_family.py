"""Mixtures of distributions of one family."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError
from argand.distributions import constraints
from argand.distributions.categorical import Categorical
from argand.distributions.distribution import Distribution
from argand.ir.op import ops
from argand.transform.mode import no_grad


class MixtureSameFamily(Distribution):
    """One of K components, drawn by a Categorical, where the last dimension of the batch has K.

    >>> D = ag.distributions
    >>> parts = D.Normal(ag.tensor([-1.0, 3.0]), 1.0)
    >>> D.MixtureSameFamily(D.Categorical(ag.tensor([0.75, 0.25])), parts).mean
    tensor(0.)
    """

    arg_constraints: Any = {}
    has_rsample = False
    _batched = ("_mixture_distribution", "_component_distribution")
    _shared = ("_num_component", "_event_ndims")

    def __init__(
        self,
        mixture_distribution: Any,
        component_distribution: Any,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ArgumentError("the mixture distribution must be a Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ArgumentError("the component distribution must be a Distribution")
        own = tuple(mixture_distribution.batch_shape)
        batch = tuple(component_distribution.batch_shape)
        for i, j in zip(reversed(own), reversed(batch[:-1]), strict=False):
            if i != 1 and j != 1 and i != j:
                raise ArgumentError(
                    f"the mixture's batch {own} does not fit that of the components {batch[:-1]}"
                )
        count = mixture_distribution.param_shape[-1]
        if count != batch[-1]:
            raise ArgumentError(f"{count} probabilities for {batch[-1]} components")
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution
        self._num_component = count
        self._event_ndims = len(component_distribution.event_shape)
        super().__init__(
            batch[:-1], component_distribution.event_shape, validate_args=validate_args
        )

    @constraints.dependent_property
    def support(self) -> Any:
        """The values that every component has."""
        return constraints.MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self) -> Any:
        """Which component it is."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Any:
        """The components."""
        return self._component_distribution

    def _averaged(self, x: Any) -> Any:
        """The mean over the components."""
        probs = self._mixture_distribution.probs
        probs = probs.reshape((*probs.shape, *(1,) * self._event_ndims))
        return (probs * x).sum(-1 - self._event_ndims)

    def _pad(self, x: Any) -> Any:
        return x.unsqueeze(-1 - self._event_ndims)

    @property
    def mean(self) -> Any:
        return self._averaged(self._component_distribution.mean)

    @property
    def variance(self) -> Any:
        parts = self._component_distribution
        apart = (parts.mean - self._pad(self.mean)).pow(2)
        return self._averaged(parts.variance) + self._averaged(apart)

    def cdf(self, value: Any) -> Any:
        parts = self._component_distribution.cdf(self._pad(value))
        return (parts * self._mixture_distribution.probs).sum(-1)

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        parts = self._component_distribution.log_prob(self._pad(value))
        return (parts + ops.log_softmax(self._mixture_distribution.logits, -1)).logsumexp(-1)

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        lead = len(shape) - self._event_ndims
        with no_grad():
            chosen = self._mixture_distribution.expand(self._batch_shape).sample(sample_shape)
            parts = self._component_distribution.sample(sample_shape)
            index = chosen.reshape((*chosen.shape, *(1,) * (self._event_ndims + 1)))
            index = index.expand((*shape[:lead], 1, *shape[lead:]))
            return parts.gather(lead, index).squeeze(lead)

    def __repr__(self) -> str:
        parts = f"{self._mixture_distribution},\n  {self._component_distribution}"
        return f"{type(self).__name__}(\n  {parts})"
