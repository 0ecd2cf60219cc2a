"""Where a program's state is, so that every call finds it again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from argand.tensor.core import Tensor


class Place(Protocol):
    """Finds a tensor at each call."""

    fixed: bool  # the same tensor at every call

    def find(self, leaves: Sequence[Any]) -> Tensor:
        """The tensor, given the leaves of the call's arguments."""


class Held:
    """A tensor that the function captured: a parameter, a buffer, an optimizer's moment."""

    __slots__ = ("tensor",)
    fixed = True

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def find(self, leaves: Sequence[Any]) -> Tensor:
        """The captured tensor."""
        return self.tensor


class Argument:
    """A tensor among the arguments."""

    __slots__ = ("number",)
    fixed = False

    def __init__(self, number: int) -> None:
        self.number = number

    def find(self, leaves: Sequence[Any]) -> Tensor:
        """This call's argument."""
        found: Tensor = leaves[self.number]
        return found


class GradientOf:
    """The `.grad` of a leaf, which another call may have replaced."""

    __slots__ = ("leaf",)
    fixed = False

    def __init__(self, leaf: Place) -> None:
        self.leaf = leaf

    def find(self, leaves: Sequence[Any]) -> Tensor:
        """The gradient that is there now."""
        found = gradient_of(self.leaf.find(leaves))
        assert found is not None  # the specialisation asks for it before it runs
        return found


def gradient_of(leaf: Tensor) -> Tensor | None:
    """The `.grad` of a leaf as it is, asking no interpreter."""
    return None if leaf._cold is None else leaf._cold.grad
