"""The Dirichlet distribution."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError
from argand.distributions import constraints
from argand.distributions.exp_family import ExponentialFamily
from argand.distributions.sampling import log_gamma
from argand.distributions.utils import one_hot
from argand.ir.op import ops


class Dirichlet(ExponentialFamily):
    """Probabilities along the last dimension, of a density proportional to prod of x^(a - 1).

    a is the `concentration`. Samples are normalised gamma numbers, by their logarithms, with the
    implicit gradients of these.

    >>> ag.distributions.Dirichlet(ag.tensor([1.0, 3.0])).mean
    tensor([0.2500, 0.7500])
    """

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True
    _batched = ("concentration",)

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        if concentration.ndim < 1:
            raise ArgumentError("`concentration` must be at least one-dimensional")
        self.concentration = concentration
        shape = concentration.shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        logarithms = log_gamma(self.concentration, self._extended_shape(sample_shape))
        return ops.cast(ops.softmax(logarithms, -1), self.concentration.dtype)

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        a = self.concentration
        return ops.xlogy(a - 1.0, value).sum(-1) + a.sum(-1).lgamma() - a.lgamma().sum(-1)

    @property
    def mean(self) -> Any:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Any:
        above = (self.concentration - 1).clamp(min=0.0)
        mode = above / above.sum(-1, True)
        corner = one_hot(mode.argmax(-1), mode.shape[-1], mode.dtype)
        return ops.where((self.concentration < 1).all(-1, keepdim=True), corner, mode)

    @property
    def variance(self) -> Any:
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def entropy(self) -> Any:
        a = self.concentration
        count, total = a.shape[-1], a.sum(-1)
        return (
            a.lgamma().sum(-1)
            - total.lgamma()
            - (count - total) * total.digamma()
            - ((a - 1.0) * a.digamma()).sum(-1)
        )

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.concentration,)

    def _log_normalizer(self, *natural_params: Any) -> Any:
        (x,) = natural_params
        return x.lgamma().sum(-1) - x.sum(-1).lgamma()


def sample_dirichlet(concentration: Any) -> Any:
    """A sample of `Dirichlet`, as `torch._sample_dirichlet`.

    >>> from argand.distributions.dirichlet import sample_dirichlet
    >>> sample_dirichlet(ag.tensor([1.0, 3.0])).sum()
    tensor(1.)
    """
    return Dirichlet(concentration).sample()
