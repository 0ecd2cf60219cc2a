"""The tensors, modules and optimizers inside of modules, optimizers, objects and containers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

from argand.base.stateful import ModuleState, OptimizerState, state_of
from argand.compile.values import SCALARS
from argand.tensor.core import Tensor


class Search:
    """Finds tensors, modules and optimizers inside modules, optimizers, objects and containers."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.found: list[Any] = []

    def tensors(self, value: Any, path: str, depth: int) -> Iterator[tuple[str, Tensor]]:
        """Tensors with their paths."""
        if isinstance(value, Tensor):
            yield path, value
        elif isinstance(value, SCALARS) or depth > 3 or id(value) in self.seen:
            return
        else:
            self.seen.add(id(value))
            for name, item in self._parts(value):
                yield from self.tensors(item, f"{path}.{name}" if path else name, depth + 1)

    def _parts(self, value: Any) -> Iterator[tuple[str, Any]]:
        state = state_of(value)
        if isinstance(state, ModuleState):
            yield from _module_tensors(value)
        elif isinstance(state, OptimizerState):
            yield from _optimizer_tensors(state)
        else:
            yield from _children(value)

    def owners(self, value: Any, depth: int) -> None:
        """Collect the modules and optimizers in `found`."""
        if depth > 3 or isinstance(value, SCALARS) or id(value) in self.seen:
            return
        self.seen.add(id(value))
        if state_of(value) is not None:
            self.found.append(value)
            return
        for _, item in _children(value):
            self.owners(item, depth + 1)


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((str(k), v) for k, v in value.items())
    elif isinstance(value, list | tuple | deque):
        yield from ((str(i), v) for i, v in enumerate(value))
    elif hasattr(value, "__dict__") and not isinstance(value, type | ModuleType | FunctionType):
        yield from vars(value).items()


def _module_tensors(module: Any) -> Iterator[tuple[str, Tensor]]:
    """Parameters, then buffers; a lazy layer that has none yet doesn't mind."""
    states = [(path, state_of(part)) for path, part in module.named_modules()]
    for registry in ("parameters", "buffers"):
        for path, state in states:
            for name, tensor in dict.items(getattr(state, registry)):
                if tensor is not None:
                    yield (f"{path}.{name}" if path else name), tensor


def _optimizer_tensors(optimizer: OptimizerState) -> Iterator[tuple[str, Tensor]]:
    numbers: dict[int, int] = {}
    for g, group in enumerate(optimizer.groups):
        for parameter in group.parameters:
            numbers[id(parameter)] = len(numbers)
        for key, tensor in group.numbers.items():
            yield f"{g}.{key}", tensor
    for parameter, state in optimizer.state.items():
        number = numbers.get(id(parameter), "?")
        for key, item in state.items():
            if isinstance(item, Tensor):
                yield f"{number}.{key}", item
