"""What a traced function sees besides its arguments: globals, closures, and the models behind them.

Found by looking at the function's code: the names that it (and the user's functions it calls) read.
From this come the guards on Python values, and the names of captured tensors (``model.0.weight``).
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import argand
from argand.ir.op import Op
from argand.tensor.core import Tensor
from argand.tensor.random import default_generator

_PACKAGE = os.path.dirname(os.path.abspath(argand.__file__)) + os.sep
_STDLIB = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_SCALARS = (bool, int, float, complex, str, bytes, type(None))
_CONTAINERS = (list, tuple, dict, set)
_MISSING = object()
_SMALL = 64  # containers up to this length are guarded item by item


class Guard(NamedTuple):
    """A name that must keep its value: read it with `read()`."""

    name: str
    read: Callable[[], Any]
    value: Any

    def holds(self) -> bool:
        """Whether the name still has the value that the program was made for."""
        now = self.read()
        return now is self.value or _equal(now, self.value)

    def change(self) -> str:
        """What became of the name, for a message."""
        return f"{self.name}: {_short(self.value)} became {_short(self.read())}"


def _equal(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, _SCALARS):
        return bool(a == b)
    return type(a) is _Items and a == b


class _Items(tuple[Any, ...]):
    """The items of a container, to compare: scalars by value, other objects by identity."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Items)
            and len(self) == len(other)
            and all(a is b or _equal(a, b) for a, b in zip(self, other, strict=True))
        )

    __hash__ = tuple.__hash__


def _items(value: Any) -> Any:
    if isinstance(value, dict):
        return _Items([*value, *value.values()])
    return _Items(value)


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        return "another tensor"
    text = "nothing" if value is _MISSING else repr(value)
    return text if len(text) <= 40 else f"a {type(value).__name__}"


class Surroundings:
    """The guards and the reachable objects of one function, as they are now."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.guards: list[Guard] = []
        self.objects: dict[str, Any] = {}  # modules, optimizers, tensors and containers by name
        self.asks_grad_mode = False
        self.asks_types = False  # whether `type(x)` may be asked, which tells stand-ins apart
        self._seen: dict[tuple[int, ...], Any] = {}
        self._visit(function)
        self._reached: dict[int, Tensor] | None = None

    @property
    def reached(self) -> dict[int, Tensor]:
        """The tensors that the function can reach without its arguments, by id."""
        if self._reached is None:
            self._reached = {id(t): t for _, t in self._walk(self.objects)}
        return self._reached

    def forget_tensors(self) -> None:
        """Look for the tensors in reach again when they are next asked for."""
        self._reached = None

    def names(self, arguments: dict[str, Any]) -> dict[int, str]:
        """The names of all tensors in reach and in some arguments, by id."""
        found = {id(default_generator.state): "rng"}
        for path, tensor in self._walk(self.objects | arguments):
            found.setdefault(id(tensor), path)
        return found

    def modules(self, arguments: list[Any]) -> list[Any]:
        """The modules and optimizers in reach."""
        walk = _Walk()
        for value in [*self.objects.values(), *arguments]:
            walk.owners(value, 0)
        return walk.found

    def _walk(self, roots: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
        modules = [v for v in roots.values() if _is_module(v)]
        walk = _Walk()
        for name, value in roots.items():
            alone = len(modules) == 1 and value is modules[0]
            yield from walk.tensors(value, "" if alone else name, 0)

    # -- looking at code -----------------------------------------------------------------------

    def _visit(self, function: Any) -> None:
        """Look at a function's code: what it reads, and the user's functions that it calls."""
        if isinstance(function, functools.partial):
            for value in (*function.args, *function.keywords.values()):
                self._note("argument", value, None, None)
            self._visit(function.func)
            return
        if isinstance(function, MethodType):
            self._visit_method(function.__func__, function.__self__)
            return
        function = inspect.unwrap(function) if callable(function) else function
        if isinstance(function, FunctionType):
            self._visit_code(function)
        else:
            self._note("self", function, None, None)
            self._visit_method(getattr(type(function), "__call__", None), function)  # noqa: B004

    def _visit_method(self, function: Any, owner: Any) -> None:
        function = inspect.unwrap(function) if callable(function) else function
        if isinstance(function, FunctionType) and self._is_new(function, owner):
            if not _is_library_code(function.__code__):
                self._note("self", owner, None, function.__code__)
            self._visit_code(function)

    def _is_new(self, *key: Any) -> bool:
        """Whether these have not been looked at before; remembers them."""
        ids = tuple(map(id, key))
        if ids in self._seen:
            return False
        self._seen[ids] = key
        return True

    def _visit_code(self, function: FunctionType) -> None:
        code = function.__code__
        if _is_library_code(code) or not self._is_new(function):
            return
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._note(name, _cell_value(cell), functools.partial(_cell_value, cell), code)
        space, names = function.__globals__, _names_read(code)
        self.asks_grad_mode |= "is_grad_enabled" in names
        self.asks_types |= "type" in names
        for name in sorted(names):
            if name in space:
                read = functools.partial(space.get, name, _MISSING)
                self._note(name, space[name], read, code)

    def _note(
        self, name: str, value: Any, read: Callable[[], Any] | None, code: CodeType | None
    ) -> None:
        """Guard a name, and remember what it leads to."""
        if isinstance(value, Op) or _is_library_function(value):
            return  # not worth a guard
        if isinstance(value, FunctionType | MethodType | functools.partial):
            self._visit(value)
        elif callable(value) and "__wrapped__" in getattr(value, "__dict__", ()):
            self._visit(value.__wrapped__)
        elif isinstance(value, ModuleType):
            self._note_attributes(name, value, code)
            return
        elif isinstance(value, type):
            return
        elif isinstance(value, _CONTAINERS):
            self._remember(name, value)
            if read is not None and len(value) <= _SMALL:
                now = functools.partial(_items_of, read)
                self.guards.append(Guard(name, now, _items(value)))
                return
        elif isinstance(value, Tensor) or _has_state(value):
            self._remember(name, value)
            for part in value.modules() if _is_module(value) else ():
                self._visit_method(type(part).forward, type(part))
        elif not isinstance(value, _SCALARS) and hasattr(value, "__dict__"):
            self._remember(name, value)
            self._note_attributes(name, value, code)
        if read is not None:
            self.guards.append(Guard(name, read, value))

    def _remember(self, name: str, value: Any) -> None:
        if any(v is value for v in self.objects.values()):
            return
        while name in self.objects:
            name += "'"
        self.objects[name] = value

    def _note_attributes(self, name: str, value: Any, code: CodeType | None) -> None:
        """Guard the scalars that the code may read off an object or a module of the user's."""
        if code is None or (isinstance(value, ModuleType) and _is_library(value)):
            return
        space = vars(value)
        for attribute in sorted(_names_read(code)):
            found = space.get(attribute, _MISSING)
            if isinstance(found, FunctionType):
                self._visit(found)
            elif isinstance(found, _SCALARS):
                read = functools.partial(space.get, attribute, _MISSING)
                self.guards.append(Guard(f"{name}.{attribute}", read, found))
            elif found is _MISSING and not isinstance(value, ModuleType):
                self._visit_method(getattr(type(value), attribute, None), value)


def _items_of(read: Callable[[], Any]) -> Any:
    value = read()
    return _items(value) if isinstance(value, _CONTAINERS) else value


def _is_library_function(value: Any) -> bool:
    return isinstance(value, FunctionType) and _is_library_code(value.__code__)


def _is_library_code(code: CodeType) -> bool:
    file = code.co_filename
    return file.startswith((_PACKAGE, _STDLIB, "<frozen")) or "site-packages" in file


def _is_library(module: ModuleType) -> bool:
    top = module.__name__.partition(".")[0]
    file = getattr(module, "__file__", None) or ""
    return top in sys.stdlib_module_names or top == "argand" or "site-packages" in file


def snapshot(owners: list[Any]) -> tuple[Any, ...]:
    """What programs depend on in modules and optimizers: tensors, flags, plain attributes."""
    found: list[Any] = []
    for owner in owners:
        if not _is_module(owner):
            _optimizer_snapshot(owner, found)
            continue
        for part in owner.modules():
            found.append(id(part))
            found.extend(_hooks_of(part))
            for registry in (part._parameters, part._buffers):
                found.extend(
                    (id(t), t is not None and t._node is not None) for t in registry.values()
                )
            found.extend(
                (k, v) for k, v in vars(part).items() if isinstance(v, _SCALARS) and k[:1] != "_"
            )
    return tuple(found)


def plain_attributes(owners: list[Any]) -> dict[tuple[str, int], Any]:
    """The Python numbers, strings and flags of modules, by name and module."""
    return {
        (f"{type(part).__name__}.{k}", id(part)): v
        for owner in owners
        if _is_module(owner)
        for part in owner.modules()
        for k, v in vars(part).items()
        if isinstance(v, _SCALARS)
    }


def _optimizer_snapshot(optimizer: Any, found: list[Any]) -> None:
    found.extend(group.structure() for group in optimizer.param_groups)
    for state in optimizer.state.values():
        found.extend((k, id(t)) for k, t in state.items() if isinstance(t, Tensor))


def _hooks_of(module: Any) -> list[int]:
    """The functions called around a module's forward."""
    special = vars(module).get("_special")
    if special is None:
        return []
    return [id(hook) for hook, _ in [*special.before.values(), *special.after.values()]]


def _is_module(value: Any) -> bool:
    # asked of the class: a module answers for a missing attribute of its own with a suggestion
    return hasattr(type(value), "named_parameters") and "_parameters" in vars(value)


def _is_optimizer(value: Any) -> bool:
    return hasattr(type(value), "add_param_group") and "param_groups" in vars(value)


def _has_state(value: Any) -> bool:
    return _is_module(value) or _is_optimizer(value)


def _cell_value(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING


def _names_read(code: CodeType) -> set[str]:
    """The global and attribute names in a function's code and in functions defined inside it."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names_read(constant)
    return names


class _Walk:
    """Finds tensors, modules and optimizers inside modules, optimizers, objects and containers."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.found: list[Any] = []

    def tensors(self, value: Any, path: str, depth: int) -> Iterator[tuple[str, Tensor]]:
        """Tensors with their paths."""
        if isinstance(value, Tensor):
            yield path, value
        elif isinstance(value, _SCALARS) or depth > 3 or id(value) in self.seen:
            return
        else:
            self.seen.add(id(value))
            for name, item in self._parts(value):
                yield from self.tensors(item, f"{path}.{name}" if path else name, depth + 1)

    def _parts(self, value: Any) -> Iterator[tuple[str, Any]]:
        if _is_module(value):
            yield from value.named_parameters()
            yield from value.named_buffers()
        elif _is_optimizer(value):
            yield from _optimizer_tensors(value)
        else:
            yield from _children(value)

    def owners(self, value: Any, depth: int) -> None:
        """Collect the modules and optimizers in `found`."""
        if depth > 3 or isinstance(value, _SCALARS) or id(value) in self.seen:
            return
        self.seen.add(id(value))
        if _has_state(value):
            self.found.append(value)
            return
        for _, item in _children(value):
            self.owners(item, depth + 1)


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((str(k), v) for k, v in value.items())
    elif isinstance(value, list | tuple):
        yield from ((str(i), v) for i, v in enumerate(value))
    elif hasattr(value, "__dict__") and not isinstance(value, type | ModuleType | FunctionType):
        yield from vars(value).items()


def _optimizer_tensors(optimizer: Any) -> Iterator[tuple[str, Tensor]]:
    numbers: dict[int, int] = {}
    for g, group in enumerate(optimizer.param_groups):
        for parameter in group.option("params"):
            numbers[id(parameter)] = len(numbers)
        for key, tensor in group.tensors().items():
            yield f"{g}.{key}", tensor
    for parameter, state in optimizer.state.items():
        number = numbers.get(id(parameter), "?")
        for key, item in state.items():
            if isinstance(item, Tensor):
                yield f"{number}.{key}", item
