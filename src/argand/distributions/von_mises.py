"""Von Mises' distribution on the circle."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions import constraints
from argand.distributions.distribution import Distribution
from argand.distributions.utils import broadcast_all, lazy_property
from argand.ir.op import ops
from argand.tensor.draws import draw
from argand.transform.mode import no_grad


class VonMises(Distribution):
    """Angles of a density proportional to exp(concentration cos(x - loc)), modulo 2 pi.

    The variance is the circular one, 1 - I1(k) / I0(k).

    >>> ag.distributions.VonMises(0.0, 4.0).log_prob(ag.tensor([0.0, 3.0]))
    tensor([-0.2628, -8.2228])
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False
    _batched = ("loc", "concentration")

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """The circular mean."""
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @lazy_property
    def variance(self) -> Any:
        """The circular variance."""
        return 1 - ops.i1e(self.concentration) / ops.i0e(self.concentration)

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            angle = draw("von_mises", self.concentration.expand(shape)) + self.loc
            return ops.cast((angle + math.pi) % (2 * math.pi) - math.pi, self.loc.dtype)

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        # i0e is I0 without exp(k), which cos(0) = 1 takes away
        height = self.concentration * ((value - self.loc).cos() - 1)
        return height - math.log(2 * math.pi) - ops.i0e(self.concentration).log()
