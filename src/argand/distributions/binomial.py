"""The binomial distribution."""

from __future__ import annotations

from typing import Any

from argand.distributions import constraints
from argand.distributions.parameters import BinaryParameter, CountsDifferError
from argand.ir.op import ops
from argand.tensor import draws
from argand.tensor.core import Tensor
from argand.tensor.formulas import arange
from argand.transform.mode import no_grad


class Binomial(BinaryParameter):
    """How many of `total_count` trials succeed, each with probability `probs`.

    The probability of k is n! / (k! (n - k)!) p^k (1 - p)^(n - k).

    >>> ag.distributions.Binomial(4, ag.tensor(0.5)).log_prob(ag.tensor([0.0, 2.0]))
    tensor([-2.7726, -0.9808])
    """

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        **BinaryParameter.arg_constraints,
    }
    has_enumerate_support = True
    _batched = ("total_count", "probs", "logits")
    _shared = (*BinaryParameter._shared, "_number")

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        (count,) = self._set_parameter(probs, logits, total_count)
        self.total_count = ops.cast(count, self._param.dtype)
        self._number = None if isinstance(total_count, Tensor) else int(total_count)
        super().__init__(self._param.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """From 0 to the count."""
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Any:
        return self.total_count * self.probs

    @property
    def mode(self) -> Any:
        return ops.minimum(((self.total_count + 1) * self.probs).floor(), self.total_count)

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return draws.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        count, logits = self.total_count, self.logits
        arrangements = (count + 1).lgamma() - (value + 1).lgamma() - (count - value + 1).lgamma()
        # n ln(1 - p), for log-odds of any sign
        failures = logits.clamp(min=0) + (-logits.abs()).exp().log1p()
        return value * logits + arrangements - count * failures

    def _one_count(self, name: str) -> int:
        """The count, where all are equal; a number is known while a function is traced, too."""
        if self._number is not None:
            return self._number
        count = int(self.total_count.max())
        if int(self.total_count.min()) != count:
            raise CountsDifferError(f"{name} needs one total_count, these differ")
        return count

    def entropy(self) -> Any:
        self._one_count("entropy")
        logarithms = self.log_prob(self.enumerate_support(False))
        return -(logarithms.exp() * logarithms).sum(0)

    def enumerate_support(self, expand: bool = True) -> Any:
        count = self._one_count("enumerate_support")
        return self._enumerated(arange(1 + count, dtype=self._param.dtype), expand)
