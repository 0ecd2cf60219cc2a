"""Where a program's state is, so that every call finds it again, and what is asked of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from argand.ir.interpret import concrete
from argand.tensor.core import Tensor
from argand.transform.tape import LEAF


class Place(Protocol):
    """Finds a tensor at each call."""

    def find(self, leaves: Sequence[Any]) -> Tensor:
        """The tensor, given the leaves of the call's arguments."""


class Held(NamedTuple):
    """A tensor that the function captured: a parameter, a buffer, an optimizer's moment. Only this
    is the same one at every call."""

    tensor: Tensor

    def find(self, leaves: Sequence[Any]) -> Tensor:
        """The captured tensor."""
        return self.tensor


def held_at(places: Iterable[Place]) -> list[Tensor]:
    """The tensors among them that are the same at every call."""
    return [place.tensor for place in places if isinstance(place, Held)]


class Argument(NamedTuple):
    """A tensor among the arguments."""

    number: int

    def find(self, leaves: Sequence[Any]) -> Tensor:
        """This call's argument."""
        found: Tensor = leaves[self.number]
        return found


class GradientOf(NamedTuple):
    """The `.grad` of a leaf, which another call may have replaced."""

    leaf: Place

    def find(self, leaves: Sequence[Any]) -> Tensor:
        """The gradient that is there now."""
        found = gradient_of(self.leaf.find(leaves))
        assert found is not None  # the specialisation asks for it before it runs
        return found


def gradient_of(leaf: Tensor) -> Tensor | None:
    """The `.grad` of a leaf as it is, asking no interpreter."""
    return None if leaf._cold is None else leaf._cold.grad


# -- what is asked of tensors ----------------------------------------------------------------------


def has_gradient(leaf: Tensor) -> bool:
    """Whether there is a `.grad`."""
    return gradient_of(leaf) is not None


def is_leaf(tensor: Tensor) -> bool:
    """Whether no recorded operation made a tensor."""
    return tensor._node is None or tensor._node is LEAF


def is_contiguous(tensor: Tensor) -> bool:
    """Whether the elements of a tensor are stored in the order of their indices, without gaps."""
    return bool(tensor._array.flags.c_contiguous)


def strides(tensor: Tensor) -> Any:
    """How far apart the elements are stored, in bytes."""
    return tensor._array.strides


def offset(tensor: Tensor) -> int:
    """How many elements of the memory that a tensor shares come before it."""
    return elements_between(tensor._root()._array, tensor._array)


def elements_between(memory: Any, part: Any) -> int:
    """How many elements of an array come before those of a part of it; 0 of no array."""
    return 0 if memory is None else int(part.ctypes.data - memory.ctypes.data) // int(part.itemsize)


def moved(array: Any, chain: Any, hints: dict[str, int]) -> Any:
    """The view of an array that a chain of moves leads to."""
    for step, given in chain:
        array = step.run(array, **{k: concrete(v, hints) for k, v in given.items()})
    return array


def wants_gradient(tensor: Tensor) -> bool:
    """Whether operations on a tensor are recorded."""
    return tensor._node is not None
