"""What a traced function can reach besides its arguments: the answers to a trace's questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from argand.base.stateful import is_module
from argand.compile.contents import Search
from argand.compile.reach import Reach
from argand.compile.scan import Scan
from argand.tensor.core import Tensor
from argand.tensor.random import default_generator


class Surroundings(Scan):
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
