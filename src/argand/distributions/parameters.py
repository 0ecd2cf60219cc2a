"""Families with one probability, given as `probs` or as `logits`."""

from __future__ import annotations

from typing import Any, ClassVar

from argand.base.errors import ArgumentError
from argand.distributions import constraints
from argand.distributions.distribution import Distribution
from argand.distributions.utils import (
    broadcast_all,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)
from argand.tensor.core import Size


def one_of(probs: Any, logits: Any) -> str:
    """The name of the parameter that is given; ArgumentError unless it is just one."""
    if (probs is None) == (logits is None):
        raise ArgumentError("either `probs` or `logits` must be specified, but not both")
    return "logits" if probs is None else "probs"


class CountsDifferError(ArgumentError, NotImplementedError):
    """Counts of trials that differ where one is needed."""


class BinaryParameter(Distribution):
    """Base of families with the probability `probs`, or its log-odds `logits`."""

    arg_constraints: Any = {"probs": constraints.unit_interval, "logits": constraints.real}
    _shared: ClassVar[tuple[str, ...]] = ("_given",)

    def _set_parameter(self, probs: Any, logits: Any, *others: Any) -> tuple[Any, ...]:
        """Set the one that is given, broadcast with the others, which are returned."""
        self._given = one_of(probs, logits)
        *rest, value = broadcast_all(*others, logits if probs is None else probs)
        setattr(self, self._given, value)
        return tuple(rest)

    @property
    def _param(self) -> Any:
        return getattr(self, self._given)

    @property
    def param_shape(self) -> Size:
        """The shape of the parameter."""
        return Size(self._param.shape)

    @lazy_property
    def logits(self) -> Any:
        """The log-odds ln(p / (1 - p))."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Any:
        """The probabilities."""
        return logits_to_probs(self.logits, is_binary=True)
