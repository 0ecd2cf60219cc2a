"""What families made of a categorical distribution share."""

from __future__ import annotations

from typing import Any

from argand.distributions import constraints
from argand.distributions.categorical import Categorical
from argand.distributions.distribution import Distribution
from argand.tensor.core import Size


class OfCategorical(Distribution):
    """Base of families whose values are vectors of one number for each class."""

    arg_constraints: Any = {"probs": constraints.simplex, "logits": constraints.real_vector}
    _categorical: Categorical

    def _set_categorical(self, probs: Any, logits: Any, validate_args: bool | None) -> None:
        """The parameters, and the shapes that follow from them."""
        self._categorical = Categorical(probs, logits)
        Distribution.__init__(
            self,
            self._categorical.batch_shape,
            self._categorical.param_shape[-1:],
            validate_args=validate_args,
        )

    @property
    def _param(self) -> Any:
        return self._categorical._param

    @property
    def probs(self) -> Any:
        """The probabilities."""
        return self._categorical.probs

    @property
    def logits(self) -> Any:
        """Logarithms of the probabilities."""
        return self._categorical.logits

    @property
    def param_shape(self) -> Size:
        """The shape of the parameter."""
        return self._categorical.param_shape
