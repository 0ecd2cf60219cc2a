"""The geometric distribution."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError
from argand.distributions import constraints
from argand.distributions.parameters import BinaryParameter
from argand.distributions.sampling import positive_uniform
from argand.distributions.utils import all_true, broadcast_all, cross_entropy_of_logits
from argand.ir.op import ops
from argand.transform.mode import no_grad


class Geometric(BinaryParameter):
    """How often it fails before it succeeds, with probability `probs` each time: (1 - p)^k p.

    >>> ag.distributions.Geometric(0.5).log_prob(ag.tensor([0.0, 2.0]))
    tensor([-0.6931, -2.0794])
    """

    support = constraints.nonnegative_integer
    _batched = ("probs", "logits")

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._set_parameter(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)
        if self._validate_args and probs is not None and not all_true(self.probs > 0):
            raise ArgumentError(
                f"Expected parameter probs of distribution {self!r} to be positive but found "
                f"invalid values:\n{self.probs}"
            )

    @property
    def mean(self) -> Any:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Any:
        return self._filled(0, self._param.dtype)

    @property
    def variance(self) -> Any:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            u = positive_uniform(self._extended_shape(sample_shape), self.probs.dtype)
            return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        value, probs = broadcast_all(value, self.probs)
        # 0 times ln(0)
        certain = (probs == 1) & (value == 0)
        failures = value * (-ops.where(certain, 0, probs)).log1p()
        return failures + self.probs.log()

    def entropy(self) -> Any:
        return cross_entropy_of_logits(self.logits, self.probs) / self.probs
