"""What a traced function sees besides its arguments: globals, closures, and the models behind them.

Found by looking at the function's code once: the names it (and the user's functions it calls) read.
From this come the guards on Python values, and the names of captured tensors (``model.0.weight``).
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any, NamedTuple

import argand
from argand.tensor.core import Tensor

_PACKAGE = os.path.dirname(os.path.abspath(argand.__file__)) + os.sep
_SCALARS = (bool, int, float, complex, str, bytes, type(None))
_MISSING = object()


class Guard(NamedTuple):
    """A name that must keep its value: read it with `read()`."""

    name: str
    read: Callable[[], Any]
    value: Any

    def holds(self) -> bool:
        """Whether the name still has the value that the program was made for."""
        now = self.read()
        if now is self.value:
            return True
        scalar = isinstance(now, _SCALARS) and type(now) is type(self.value)
        return scalar and bool(now == self.value)


class Surroundings:
    """The guards and the reachable objects of one function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.guards: list[Guard] = []
        self.objects: dict[str, Any] = {}  # modules, optimizers, tensors and containers by name
        self._seen: set[int] = set()
        self._visit(function)

    def names(self, arguments: list[Any]) -> dict[int, str]:
        """The names of all tensors in reach, by id."""
        found: dict[int, str] = {}
        roots = dict(self.objects) | {f"arg{i}": a for i, a in enumerate(arguments)}
        short = sum(1 for o in roots.values() if _is_module(o)) == 1
        for name, value in roots.items():
            prefix = "" if short and _is_module(value) else name
            for path, tensor in _tensors_in(value, prefix, 0):
                found.setdefault(id(tensor), path)
        return found

    def modules(self, arguments: list[Any]) -> list[Any]:
        """The modules in reach."""
        values = [*self.objects.values(), *arguments]
        return [v for v in values if _is_module(v)]

    def _visit(self, function: Any) -> None:
        if id(function) in self._seen:
            return
        self._seen.add(id(function))
        if isinstance(function, MethodType):
            self._note("self", function.__self__, None)
            function = function.__func__
        function = inspect.unwrap(function) if callable(function) else function
        if not isinstance(function, FunctionType):
            self._note("self", function, None)
            return
        if function.__code__.co_filename.startswith(_PACKAGE):
            return
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self._note(name, _cell_value(cell), lambda cell=cell: _cell_value(cell))
        space = function.__globals__
        for name in sorted(_names_read(function.__code__)):
            if name in space:
                self._note(name, space[name], lambda s=space, n=name: s.get(n, _MISSING))

    def _note(self, name: str, value: Any, read: Callable[[], Any] | None) -> None:
        if isinstance(value, FunctionType | MethodType):
            self._visit(value)
        elif isinstance(value, Tensor | list | dict | tuple) or _has_state(value):
            self.objects.setdefault(name, value)
        elif not isinstance(value, _SCALARS):
            return
        if read is not None:
            self.guards.append(Guard(name, read, value))


def snapshot(modules: list[Any]) -> tuple[Any, ...]:
    """What programs depend on in some modules: tensors, training flags, plain attributes."""
    found: list[Any] = []
    for module in modules:
        for part in module.modules():
            found.append(id(part))
            found.extend(id(t) for t in part._parameters.values())
            found.extend(id(t) for t in part._buffers.values())
            found.extend(
                (k, v) for k, v in vars(part).items() if isinstance(v, _SCALARS) and k[:1] != "_"
            )
    return tuple(found)


def _is_module(value: Any) -> bool:
    return hasattr(value, "named_parameters") and hasattr(value, "_parameters")


def _has_state(value: Any) -> bool:
    return _is_module(value) or hasattr(value, "param_groups") or hasattr(value, "state_tensor")


def _cell_value(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING


def _names_read(code: CodeType) -> set[str]:
    """The global names in a function's code and in the functions defined inside it."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names_read(constant)
    return names


def _tensors_in(value: Any, path: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    """Tensors inside modules, optimizers and containers, with their paths."""
    if isinstance(value, Tensor):
        yield path, value
    elif _is_module(value):
        for name, tensor in [*value.named_parameters(), *value.named_buffers()]:
            yield (f"{path}.{name}" if path else name), tensor
    elif hasattr(value, "param_groups"):
        yield from _optimizer_tensors(value, path)
    elif isinstance(value, dict) and depth < 3:
        for key, item in value.items():
            yield from _tensors_in(item, f"{path}.{key}", depth + 1)
    elif isinstance(value, list | tuple) and depth < 3:
        for i, item in enumerate(value):
            yield from _tensors_in(item, f"{path}.{i}", depth + 1)


def _optimizer_tensors(optimizer: Any, path: str) -> Iterator[tuple[str, Tensor]]:
    numbers: dict[int, int] = {}
    for g, group in enumerate(optimizer.param_groups):
        for parameter in group["params"]:
            numbers[id(parameter)] = len(numbers)
        for key, tensor in getattr(group, "tensors", dict)().items():
            yield f"{path}.{g}.{key}", tensor
    for parameter, state in optimizer.state.items():
        number = numbers.get(id(parameter), "?")
        for key, item in state.items():
            if isinstance(item, Tensor):
                yield f"{path}.{number}.{key}", item
