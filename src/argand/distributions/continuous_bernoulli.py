"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math
from typing import Any

from argand.base.errors import ArgumentError
from argand.distributions import constraints
from argand.distributions.exp_family import ExponentialFamily
from argand.distributions.parameters import BinaryParameter
from argand.distributions.sampling import uniform
from argand.distributions.utils import (
    all_true,
    broadcast_all,
    clamp_probs,
    cross_entropy_of_logits,
    lazy_property,
    logits_to_probs,
)
from argand.ir.op import ops


class ContinuousBernoulli(BinaryParameter, ExponentialFamily):
    """Numbers in [0, 1] of a density proportional to p^x (1 - p)^(1 - x) (Loaiza-Ganem 2019).

    `probs` is p, which is not the mean, and `logits` ln(p / (1 - p)). Between the numbers `lims`
    around 1/2 Taylor's series take the place of formulas that divide by 0 there.

    >>> ag.distributions.ContinuousBernoulli(0.25).mean
    tensor(0.4102)
    """

    support = constraints.unit_interval
    _mean_carrier_measure = 0
    has_rsample = True
    _batched = ("probs", "logits")
    _shared = (*BinaryParameter._shared, "_lims")

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        self._set_parameter(probs, logits)
        self._lims = lims
        if probs is not None:
            # clamped, any number would do
            inside = self.arg_constraints["probs"].check(self.probs)
            if validate_args is not False and not all_true(inside):
                raise ArgumentError(f"probs must be in [0, 1], got {self.probs}")
            self.probs = clamp_probs(self.probs)
        super().__init__(self._param.shape, validate_args=validate_args)

    @lazy_property
    def probs(self) -> Any:
        """The parameter p."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _away(self) -> Any:
        """Whether p is so far from 1/2 that the formulas hold."""
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _either(self, formula: Any, taylor: Any) -> Any:
        """A formula of p, and Taylor's series in p - 1/2 close to 1/2."""
        away = self._away()
        return ops.where(
            away, formula(ops.where(away, self.probs, self._lims[0])), taylor(self.probs - 0.5)
        )

    def _cont_bern_log_norm(self) -> Any:
        """ln of the factor that makes the density's integral 1."""

        def formula(p: Any) -> Any:
            return _log_odds(p).abs().log() - (1.0 - 2.0 * p).abs().log()

        return self._either(
            formula, lambda x: math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x * x) * x * x
        )

    @property
    def mean(self) -> Any:
        return self._either(
            lambda p: p / (2.0 * p - 1.0) - 1.0 / _log_odds(p),
            lambda x: 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x * x) * x,
        )

    @property
    def variance(self) -> Any:
        return self._either(
            lambda p: p * (p - 1.0) / (1.0 - 2.0 * p).pow(2) + 1.0 / _log_odds(p).pow(2),
            lambda x: 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x * x) * x * x,
        )

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(uniform(self._extended_shape(sample_shape), self.probs.dtype))

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        logits, value = broadcast_all(self.logits, value)
        return self._cont_bern_log_norm() - cross_entropy_of_logits(logits, value)

    def cdf(self, value: Any) -> Any:
        self._expect(value)

        def formula(p: Any) -> Any:
            return (p.pow(value) * (1.0 - p).pow(1.0 - value) + p - 1.0) / (2.0 * p - 1.0)

        return self._either(formula, lambda x: value).clamp(0, 1)

    def icdf(self, value: Any) -> Any:
        def formula(p: Any) -> Any:
            rest = (-p).log1p()
            return ((-p + value * (2.0 * p - 1.0)).log1p() - rest) / (p.log() - rest)

        return self._either(formula, lambda x: value)

    def entropy(self) -> Any:
        rest = (-self.probs).log1p()
        return -self.mean * _log_odds(self.probs) - self._cont_bern_log_norm() - rest

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.logits,)

    def _log_normalizer(self, *natural_params: Any) -> Any:
        (x,) = natural_params
        low, high = self._lims[0] - 0.5, self._lims[1] - 0.5
        away = (x <= low) | (x > high)
        cut = ops.where(away, x, low)
        taylor = 0.5 * x + x.pow(2) / 24.0 - x.pow(4) / 2880.0
        return ops.where(away, cut.expm1().abs().log() - cut.abs().log(), taylor)


def _log_odds(p: Any) -> Any:
    return p.log() - (-p).log1p()
