"""`ExponentialFamily`, the base of families with natural parameters."""

from __future__ import annotations

from typing import Any

from argand.distributions.distribution import Distribution
from argand.tensor.autograd import grad


class ExponentialFamily(Distribution):
    """Base of families of the density exp(<t(x), theta> - F(theta) + k(x)).

    A member states `_natural_params` theta, `_log_normalizer` F and `_mean_carrier_measure`, the
    mean of k. Its entropy is F - <theta, dF / dtheta> - E k, and the divergence from another member
    of the family is F's Bregman divergence (Nielsen and Nock 2010), by automatic derivatives.

    >>> ag.distributions.Exponential(2.0)._natural_params
    (tensor(-2.),)
    """

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Any) -> Any:
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> float:
        raise NotImplementedError

    def entropy(self) -> Any:
        natural = [p.detach().requires_grad_() for p in self._natural_params]
        normalizer = self._log_normalizer(*natural)
        slopes = grad(normalizer.sum(), natural, create_graph=True)
        result = normalizer - self._mean_carrier_measure
        for parameter, slope in zip(natural, slopes, strict=True):
            result = result - (parameter * slope).reshape((*self._batch_shape, -1)).sum(-1)
        return result
