"""The relaxed Bernoulli distribution."""

from __future__ import annotations

from typing import Any

from argand.distributions import constraints
from argand.distributions.elementwise_transforms import SigmoidTransform
from argand.distributions.parameters import BinaryParameter
from argand.distributions.sampling import uniform
from argand.distributions.transformed_distribution import TransformedDistribution
from argand.distributions.utils import broadcast_all, clamp_probs, probs_to_logits, softplus


class LogitRelaxedBernoulli(BinaryParameter):
    """Log-odds of `RelaxedBernoulli`: (logits + ln(u / (1 - u))) / temperature, u uniform.

    >>> d = ag.distributions.relaxed_bernoulli.LogitRelaxedBernoulli(ag.tensor(2.0), probs=0.5)
    >>> d.log_prob(ag.tensor(0.0))
    tensor(-0.6931)
    """

    support = constraints.real
    has_rsample = True
    _batched = ("probs", "logits")
    _shared = (*BinaryParameter._shared, "temperature")

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self.temperature = temperature
        self._set_parameter(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        noise = clamp_probs(uniform(shape, self._param.dtype))
        own = probs_to_logits(self.probs.expand(shape), is_binary=True)
        return (probs_to_logits(noise, is_binary=True) + own) / self.temperature

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        logits, value = broadcast_all(self.logits, value)
        apart = logits - value * self.temperature
        return self.temperature.log() + apart - 2 * softplus(apart)


class RelaxedBernoulli(TransformedDistribution):
    """Numbers in (0, 1) that come close to Bernoulli's 0 and 1 as the temperature falls to 0.

    The binary concrete distribution of Maddison, Mnih and Teh (2017). `temperature` is a tensor.

    >>> ag.distributions.RelaxedBernoulli(ag.tensor(2.0), probs=0.5).sample((3,)).shape
    argand.Size([3])
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _batched = ()

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)

    @property
    def temperature(self) -> Any:
        """The temperature."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Any:
        """The log-odds."""
        return self.base_dist.logits

    @property
    def probs(self) -> Any:
        """The probabilities."""
        return self.base_dist.probs
