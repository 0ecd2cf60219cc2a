"""What a program depends on in modules and optimizers, looked at when the epoch has moved."""

from __future__ import annotations

from typing import Any, NamedTuple

from argand.base.dtype import get_default_dtype
from argand.base.settings import settings
from argand.base.stateful import OptimizerState, state_of
from argand.base.tree import is_composed
from argand.compile.slots import Item, Slot
from argand.compile.values import same_value
from argand.tensor.core import Tensor


class Entry(NamedTuple):
    """One thing that a program depends on: an attribute of a module, say."""

    name: str
    value: Any
    slot: Slot | None = None


class Snapshot:
    """What a program depends on in the modules and optimizers in reach.

    `held` are the captured tensors, which the program reads; of others only the type counts.
    `apart` are the slots whose values are inputs of the program.
    """

    def __init__(self, owners: list[Any], held: list[Tensor], apart: set[tuple[int, Any]]) -> None:
        self.entries = [
            Entry("the default dtype", get_default_dtype()),
            Entry("settings.generator", settings.generator),
        ]
        captured = set(map(id, held))
        for owner in owners:
            state = state_of(owner)
            if isinstance(state, OptimizerState):
                self._add_optimizer(state)
            else:
                for part in owner.modules():
                    self._add_module(part, state_of(part), captured, apart)
        self.entries += [Entry("captured memory", _kind_of(tensor)) for tensor in held]

    def _add_module(
        self, part: Any, state: Any, captured: set[int], apart: set[tuple[int, Any]]
    ) -> None:
        add, kind = self.entries.append, type(part).__name__
        add(Entry(kind, part))
        for hook in state.hooks:
            add(Entry(f"a hook of {kind}", hook))
        for space in state.tensors:
            for name, t in dict.items(space):  # that of a lazy layer refuses to be read
                if (id(space), name) not in apart:
                    add(Entry(f"{kind}.{name}", _seen_by(t, captured)))
                    add(Entry(f"{kind}.{name}", t is not None and t._node is not None))
        space = state.attributes
        for name, value in space.items():
            if name in state.bookkeeping or (id(space), name) in apart:
                continue
            label = f"{kind}.{name}"
            add(Entry(label, _seen_by(value, captured), Item(space, name, label, of_module=True)))

    def _add_optimizer(self, optimizer: OptimizerState) -> None:
        for group in optimizer.groups:
            self.entries.append(Entry("a group of the optimizer", group.structure))
            parameters = tuple(map(id, group.parameters))
            self.entries.append(Entry("the parameters of the optimizer", parameters))
        for values in optimizer.state.values():
            for name, t in values.items():
                if isinstance(t, Tensor):
                    self.entries.append(Entry(f"the optimizer's {name}", t))

    def differs(self, other: Snapshot) -> list[Entry]:
        """What is different in another one, as it was here; empty when nothing is."""
        if len(self.entries) != len(other.entries):
            return [Entry("an attribute, a hook or a parameter came or went", None)]
        return [
            mine
            for mine, now in zip(self.entries, other.entries, strict=True)
            if mine.name != now.name
            or not (mine.value is now.value or same_value(mine.value, now.value))
        ]


def _seen_by(value: Any, captured: set[int]) -> Any:
    """A value as a program sees it: of a tensor that it doesn't read, only the type."""
    if not isinstance(value, Tensor) or id(value) in captured:
        return value
    if is_composed(type(value)):
        parts = value.composed_of().values()
        return value.composed_like(), *[_seen_by(part, captured) for part in parts]
    array = value._array
    return (None,) if array is None else (str(array.dtype), *array.shape)


def _kind_of(t: Tensor) -> tuple[Any, ...]:
    """What a program takes for given of a captured tensor."""
    array = t._array
    return str(array.dtype), array.shape, array.strides, t._node is not None, hooks_of_tensor(t)


def hooks_of_tensor(tensor: Tensor) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The functions called with a tensor's gradient, and those called when it has been added."""
    cold = tensor._cold
    if cold is None:
        return (), ()
    return tuple((cold.hooks or {}).values()), tuple((cold.after or {}).values())
