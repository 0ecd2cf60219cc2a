"""The half-normal distribution."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions.half import Half
from argand.distributions.normal import Normal


class HalfNormal(Half):
    """|x| of normal numbers x of mean 0 and standard deviation `scale`.

    >>> ag.distributions.HalfNormal(1.0).mean
    tensor(0.7979)
    """

    _batched = ()

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        self._set_base(Normal(0, scale, validate_args=False), validate_args)

    @property
    def mean(self) -> Any:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Any:
        return self.scale.pow(2) * (1 - 2 / math.pi)
