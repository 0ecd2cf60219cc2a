"""The gamma distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from argand.distributions import constraints
from argand.distributions.exp_family import ExponentialFamily
from argand.distributions.sampling import log_gamma
from argand.distributions.utils import broadcast_all
from argand.ir.op import ops
from argand.tensor.creation import as_tensor
from argand.tensor.elementary import finfo


class Gamma(ExponentialFamily):
    """The gamma distribution of the shape `concentration` and the rate `rate`.

    The density is rate^a x^(a - 1) exp(-rate x) / gamma(a) with a the concentration. Samples have
    the implicit gradient of the concentration (Figurnov, Mohamed and Mnih 2018).

    >>> ag.distributions.Gamma(2.0, 1.0).log_prob(ag.tensor([1.0, 2.0]))
    tensor([-1.0000, -1.3069])
    """

    arg_constraints: Any = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    support = constraints.nonnegative
    has_rsample = True
    _mean_carrier_measure = 0
    _batched: ClassVar[tuple[str, ...]] = ("concentration", "rate")

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.concentration.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.rate

    @property
    def mode(self) -> Any:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Any:
        return self.concentration / self.rate.pow(2)

    def rsample(self, sample_shape: Any = ()) -> Any:
        dtype = self.rate.dtype
        logarithm = log_gamma(self.concentration, self._extended_shape(sample_shape))
        value = ops.cast(logarithm.exp() / self.rate, dtype)
        return value.clamp(min=finfo(dtype).tiny)

    def log_prob(self, value: Any) -> Any:
        value = as_tensor(value, dtype=self.rate.dtype)
        self._expect(value)
        shape, rate = self.concentration, self.rate
        return (
            ops.xlogy(shape, rate) + ops.xlogy(shape - 1, value) - rate * value - ops.lgamma(shape)
        )

    def cdf(self, value: Any) -> Any:
        self._expect(value)
        return ops.igamma(self.concentration, self.rate * value)

    def entropy(self) -> Any:
        shape = self.concentration
        return shape - self.rate.log() + shape.lgamma() + (1.0 - shape) * shape.digamma()

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return self.concentration - 1, -self.rate

    def _log_normalizer(self, *natural_params: Any) -> Any:
        x, y = natural_params
        return (x + 1).lgamma() - (x + 1) * (-y).log()
