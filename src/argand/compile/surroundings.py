"""What a traced function can reach besides its arguments: the answers to a trace's questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import FunctionType, ModuleType
from typing import Any

from argand.base.stateful import ModuleState, OptimizerState, is_module, state_of
from argand.compile.reach import Reach
from argand.compile.reads import Reads
from argand.compile.slots import parts_of
from argand.compile.values import SCALARS
from argand.tensor.core import Tensor
from argand.tensor.generators import default_generator


class Surroundings(Reads):
    """The guards, the slots and the reachable objects of one function, as they are now."""

    def __init__(self, function: Callable[..., Any], arguments: Sequence[Any] = ()) -> None:
        super().__init__(function, arguments)
        self._reached: dict[int, Tensor] | None = None

    def reach(self) -> Reach:
        """Everything mutable behind the function, with its contents as they are now."""
        found = Reach()
        found.append_only = self.append_only
        for slot in self.slots.values():
            found.add_slot(slot)
        for value, name in self.values:
            found.add(value, None, name)
        return found

    @property
    def reached(self) -> dict[int, Tensor]:
        """The tensors that the function can reach without its arguments, by id."""
        if self._reached is None:
            self._reached = {id(t): t for _, t in self._tensors(self.objects)}
        return self._reached

    def forget_tensors(self) -> None:
        """Look for the tensors in reach again when they are next asked for."""
        self._reached = None

    def names(self, arguments: dict[str, Any]) -> dict[int, str]:
        """The names of all tensors in reach and in some arguments, by id."""
        found = {id(default_generator.state): "rng"}
        for path, tensor in self._tensors(self.objects | arguments):
            found.setdefault(id(tensor), path)
        return found

    def modules(self, arguments: list[Any]) -> list[Any]:
        """The modules and optimizers in reach."""
        search = Search()
        for value in [*self.objects.values(), *arguments]:
            search.owners(value, 0)
        return search.found

    def _tensors(self, roots: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
        modules = [v for v in roots.values() if is_module(v)]
        search = Search()
        for name, value in roots.items():
            alone = len(modules) == 1 and value is modules[0]
            yield from search.tensors(value, "" if alone else name, 0)


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


def _children(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, type | ModuleType | FunctionType | set | frozenset):
        return []
    return [(str(key), part) for _, key, part in parts_of(value)]


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
