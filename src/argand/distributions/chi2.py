"""The chi-squared distribution."""

from __future__ import annotations

from typing import Any

from argand.distributions import constraints
from argand.distributions.gamma import Gamma


class Chi2(Gamma):
    """The chi-squared distribution: the sum of `df` squares of normal numbers.

    That is Gamma(df / 2, 1 / 2).

    >>> ag.distributions.Chi2(3.0).mean
    tensor(3.)
    """

    arg_constraints = {"df": constraints.positive}
    _batched = Gamma._batched

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    @property
    def df(self) -> Any:
        """The degrees of freedom."""
        return self.concentration * 2
