"""The half-Cauchy distribution."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions.cauchy import Cauchy
from argand.distributions.half import Half


class HalfCauchy(Half):
    """|x| of Cauchy numbers x around 0 of the scale `scale`.

    >>> ag.distributions.HalfCauchy(1.0).log_prob(ag.tensor(0.0))
    tensor(-0.4516)
    """

    _batched = ()

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        self._set_base(Cauchy(0, scale, validate_args=False), validate_args)

    @property
    def mean(self) -> Any:
        return self._filled(math.inf, self.scale.dtype)

    @property
    def variance(self) -> Any:
        return self.base_dist.variance
