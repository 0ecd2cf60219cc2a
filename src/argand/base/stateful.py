"""What objects with tensors of their own tell a compiled function: modules and optimizers.

A compiled function reads and writes the state of the modules and optimizers that it can reach, and
is made for what else they are: their options, their hooks. Such a class defines `__argand_state__`,
which gives the very dictionaries that hold the state, so that they can be compared and put back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol


class ModuleState(NamedTuple):
    """What one module holds; its submodules tell theirs."""

    attributes: dict[str, Any]  # the namespace of the object
    bookkeeping: frozenset[str]  # the names in it that are no attributes of the user's
    parameters: dict[str, Any]
    buffers: dict[str, Any]
    modules: dict[str, Any]
    hooks: Sequence[Callable[..., Any]]  # called around its forward, or instead of it

    @property
    def tensors(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The dictionaries that hold tensors, or None under a name that is reserved."""
        return self.parameters, self.buffers


class GroupState(NamedTuple):
    """A group of an optimizer's parameters."""

    parameters: Sequence[Any]
    numbers: Mapping[str, Any]  # the tensors that hold the hyper-parameters
    structure: Any  # what of the hyper-parameters decides which operations an update has


class OptimizerState(NamedTuple):
    """What an optimizer holds."""

    state: dict[Any, dict[str, Any]]  # of each parameter; filled by the optimizer itself
    groups: Sequence[GroupState]


class Stateful(Protocol):
    """An object that tells its state."""

    def __argand_state__(self) -> ModuleState | OptimizerState | None:
        """The state as it is now; None before there is any."""


def is_stateful(kind: type) -> bool:
    """Whether the objects of a class tell their state."""
    return hasattr(kind, "__argand_state__")


def state_of(value: Any) -> ModuleState | OptimizerState | None:
    """What an object tells of its state, asked of its class; None where it has none to tell."""
    tell = getattr(type(value), "__argand_state__", None)
    return None if tell is None else tell(value)


def is_module(value: Any) -> bool:
    """Whether a value is a module."""
    return isinstance(state_of(value), ModuleState)


def is_optimizer(value: Any) -> bool:
    """Whether a value is an optimizer."""
    return isinstance(state_of(value), OptimizerState)
