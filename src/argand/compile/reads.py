"""Looking at what a function reads besides its arguments: globals, closures, objects behind them.

Begun with the names in the code of the function and of the user's functions that it calls
(`codereads`), and followed to values: each is guarded, and each place that a trace may rebind is
noted as a slot.
"""

from __future__ import annotations

import enum
import functools
import importlib.util
import itertools
import operator
import sys
import threading
import weakref
from collections import ChainMap, UserDict, UserList, deque
from collections.abc import Callable, ItemsView, KeysView, Sequence, ValuesView
from contextvars import ContextVar
from types import (
    FunctionType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np

import argand
from argand.base.settings import Settings, settings
from argand.base.stateful import is_module, is_optimizer, state_of
from argand.compile.codereads import CLOSURE, GLOBAL, IMPORT, Chain, CodeReads, code_reads
from argand.compile.guards import ValueGuards
from argand.compile.slots import (
    BUFFERS,
    MISSING,
    Attribute,
    Cell,
    ClassAttribute,
    Contents,
    Item,
    Slot,
    Variable,
    contents_of,
    namespace_of,
)
from argand.compile.snapshot import hooks_of_tensor
from argand.compile.values import SCALARS
from argand.compile.whose import (
    is_library_class,
    is_library_code,
    is_library_function,
    is_library_module,
    is_opaque,
    is_third_party_code,
)
from argand.ir.op import Op
from argand.tensor.core import Tensor

_DATA = (list, dict, set, deque)
_VIEWS = (
    MappingProxyType,
    KeysView,
    ValuesView,
    ItemsView,
    weakref.WeakKeyDictionary,
    weakref.WeakValueDictionary,
)
_NO_ATTRIBUTES = (*SCALARS, *_DATA, tuple, np.ndarray, Op)
_APPENDS = ("append", "extend")
_GRAD_MODE = frozenset(("is_grad_enabled", "set_grad_enabled"))
# Functions that tell what a setting is.
_TELLING = {argand.get_num_threads: "threads"}
# Methods that Python calls by itself, without a name in the code.
_NOT_IMPLICIT = frozenset(
    ("__init__", "__new__", "__repr__", "__str__", "__del__", "__init_subclass__", "__reduce__")
)


class Reads:
    """Looks at the code of one function, and at all that it names, as it is now."""

    def __init__(self, function: Callable[..., Any], arguments: Sequence[Any] = ()) -> None:
        self.guards = ValueGuards()
        self.objects: dict[str, Any] = {}  # what tensors are named after
        self.arrays: set[int] = set()  # ids of the NumPy arrays that code may read
        self.asks_grad_mode = False
        self.asks_types = False  # whether `type(x)` may be asked, which tells stand-ins apart
        self.asks_identity = False  # whether `is` compares objects
        self.slots: dict[tuple[Any, ...], Slot] = {}  # what a trace may rebind
        self.values: list[tuple[Any, str]] = []  # what else leads to mutable objects, with names
        self._owners: dict[int, tuple[Any, str]] = {}  # objects whose attributes code may read
        self._loose: dict[str, None] = {}
        self._asked: set[str] = set()
        self._of_supers: set[str] = set()  # names that may be read off super()
        self._computed = False  # whether any attribute may be asked for, by a computed name
        self._seen: dict[tuple[Any, ...], Any] = {}
        self._containers: list[tuple[Any, str]] = []  # whose contents count
        self._appended: set[int] = set()  # ids of lists that code appends to
        self._read: set[int] = set()  # ids of lists that code does anything else with
        # chains from modules that a function imports, but nobody has imported yet
        self._not_imported: list[tuple[FunctionType, Chain]] = []
        self._visit(function, "self")
        for value in arguments:
            if not isinstance(value, Tensor):
                self._note_value(value, "argument", remember=False)
        self._follow_loose_names()
        for container, name in self._containers:
            if id(container) not in self.append_only:
                self.guards.add_contents(container, name)

    @property
    def append_only(self) -> set[int]:
        """The ids of the lists that code appends to and does nothing else with."""
        return self._appended - self._read

    def note_imports(self) -> None:
        """Look at the modules that the function has imported in the meantime."""
        waiting, self._not_imported = self._not_imported, []
        for function, chain in waiting:
            self._follow_import(function, chain, traced=True)
        self._follow_loose_names()

    # -- looking at code -----------------------------------------------------------------------

    def _is_new(self, *key: Any) -> bool:
        """Whether these have not been looked at before; remembers them."""
        ids = tuple(map(id, key))
        if ids in self._seen:
            return False
        self._seen[ids] = key
        return True

    def _visit(self, function: Any, name: str) -> None:
        """Look at the code of something that is called."""
        if isinstance(function, functools.partial):
            for i, value in enumerate(function.args):
                self._note_value(value, f"argument {i}")
            self.guards.add_contents(function.keywords, f"{name}.keywords")
            for key, value in function.keywords.items():
                self._note(value, key)
            self.values.append((function.keywords, f"{name}.keywords"))
            self._visit(function.func, name)
        elif isinstance(function, MethodType):
            if is_library_function(function.__func__):  # `model.__call__`, say
                self._note_value(function.__self__, name)
            self._visit_function(function.__func__, function.__self__)
        elif isinstance(function, FunctionType):
            self._visit_function(function, MISSING)
        elif _is_wrapper(function):
            self._visit(function.__wrapped__, name)
        else:
            self._note_value(function, name)
            self._visit_function(getattr(type(function), "__call__", None), function)  # noqa: B004  # its code is looked at

    def _visit_function(self, function: Any, owner: Any) -> None:
        """Look at a function's code; `owner` is its first argument where that is known."""
        while isinstance(function, FunctionType) and hasattr(function, "__wrapped__"):
            self._visit_code(function, owner)
            registry = vars(function).get("registry")
            if isinstance(registry, MappingProxyType):  # of `functools.singledispatch`
                self.guards.add(Contents(registry, f"{function.__name__}.registry"))
                for found in list(registry.values()):
                    self._visit_function(found, owner)
            function = function.__wrapped__
        if isinstance(function, FunctionType):
            self._visit_code(function, owner)
        elif isinstance(function, MethodType):
            self._visit_function(function.__func__, function.__self__)

    def _visit_code(self, function: FunctionType, owner: Any) -> None:
        code = function.__code__
        if is_library_code(code) or not self._is_new(function, owner):
            return
        reads = code_reads(code)
        if owner is not MISSING:
            self._note_value(owner, "self")
        names: dict[tuple[str, str], Any] = {}
        if owner is not MISSING and code.co_argcount:
            names["local", code.co_varnames[0]] = owner
            names.setdefault((CLOSURE, code.co_varnames[0]), owner)
        if not is_third_party_code(code):
            self.guards.add(Attribute(function, "__code__", f"the code of {function.__name__}"))
            self._note_variables(function, reads, names)
            for chain in sorted(c for c in reads.chains if c[0] == IMPORT):
                self._follow_import(function, chain)
        self._note_chains(reads, names)
        self.asks_grad_mode |= not _GRAD_MODE.isdisjoint(code.co_names)
        self.asks_types |= "type" in reads.globals
        self.asks_identity |= reads.identity

    def _note_variables(
        self, function: FunctionType, reads: CodeReads, names: dict[tuple[str, str], Any]
    ) -> None:
        """Guard the globals, the closure and the defaults of a function."""
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            names[CLOSURE, name] = self._follow(Cell(cell, name))
        space = function.__globals__
        by_text = reads.loose | reads.asked if "globals" in reads.globals else frozenset()
        for name in sorted(reads.globals | (by_text & space.keys())):
            if name in space:
                plain = not isinstance(space[name], ModuleType | Op)
                names[GLOBAL, name] = self._follow(Item(space, name, name), rebound=plain)
            elif name not in vars(sys.modules["builtins"]):
                self._add_slot(Item(space, name, name))
        if function.__defaults__ or function.__kwdefaults__:
            label = f"defaults of {function.__name__}"
            self.guards.add(Attribute(function, "__defaults__", label))
            self.guards.add(Attribute(function, "__kwdefaults__", label))
            keywords = function.__kwdefaults__ or {}
            self.guards.add_contents(keywords, label)
            for value in (*(function.__defaults__ or ()), *keywords.values()):
                self._note_value(value, "default")

    def _note_chains(self, reads: CodeReads, names: dict[tuple[str, str], Any]) -> None:
        for kind, base, attributes in sorted(reads.chains):
            if (kind, base) in names:
                self._follow_chain(names[kind, base], base, attributes)
            elif kind != GLOBAL:
                self._loose.update(dict.fromkeys(attributes))
        self._loose.update(dict.fromkeys(sorted(reads.loose | reads.asked)))
        self._asked |= reads.asked
        self._computed |= reads.computed
        if "super" in reads.globals:
            self._of_supers |= reads.loose

    def _follow_chain(self, value: Any, path: str, attributes: Sequence[str]) -> None:
        for i, attribute in enumerate(attributes):
            if type(value) is list:
                appends = attribute in _APPENDS and i == len(attributes) - 1
                (self._appended if appends else self._read).add(id(value))
            value = self._attribute(value, attribute, path, chain=True)
            path = f"{path}.{attribute}"
            if value is MISSING:
                return
        self._read.add(id(value))

    def _follow_import(self, function: FunctionType, chain: Chain, traced: bool = False) -> None:
        """Follow a chain from a module that a function imports by itself."""
        _, name, attributes = chain
        package = function.__globals__.get("__package__") or ""
        try:
            whole = importlib.util.resolve_name(name, package)
        except ImportError:
            return  # there is no such package; the import will say so
        found = sys.modules.get(whole)
        if found is None and not traced:
            self._not_imported.append((function, chain))
            return
        self.guards.add(Item(sys.modules, whole, f"the module {whole}"))
        if isinstance(found, ModuleType):
            self._note(found, found.__name__)
            self._follow_chain(found, found.__name__, attributes)

    def _follow_loose_names(self) -> None:
        """Look for the names that may belong to any object at every object in reach, until no new
        object or name is found."""
        done: set[tuple[int, str, bool]] = set()
        progress = True
        while progress:
            progress = False
            for owner, path in list(self._owners.values()):
                for name in [*self._loose, *(self._all_names(owner) if self._computed else ())]:
                    key = (id(owner), name, name in self._of_supers)
                    if key not in done:
                        done.add(key)
                        progress = True
                        asked = name in self._asked
                        self._read.add(id(self._attribute(owner, name, path, chain=asked)))

    @staticmethod
    def _all_names(owner: Any) -> list[str]:
        """The names of the attributes that an object holds itself."""
        space = vars(owner) if isinstance(owner, type) else namespace_of(owner) or {}
        return [name for name in space if not name.startswith("__")]

    # -- looking at values ---------------------------------------------------------------------

    def _follow(self, slot: Slot, rebound: bool = True) -> Any:
        """Guard a slot and look at its value, which is returned; `rebound` where a trace may rebind
        it by itself."""
        value = slot.get()
        if self._note(value, slot.name):
            self.guards.add(slot)
        if rebound:
            self._add_slot(slot)
        return value

    def _note_value(self, value: Any, name: str, remember: bool = True) -> None:
        """Look at a value that no slot holds."""
        self._note(value, name, remember)
        self.values.append((value, name))

    def _note(self, value: Any, name: str, remember: bool = True) -> bool:
        """Look at what a name leads to; whether the name is worth a guard."""
        if isinstance(value, Op) or value is MISSING:
            return True
        if isinstance(value, FunctionType) and value in _TELLING:
            setting = _TELLING[value]
            self.guards.add(Item(vars(settings), setting, f"settings.{setting}"))
        if is_library_function(value) and not hasattr(value, "__wrapped__"):
            return True
        if isinstance(value, FunctionType | MethodType | functools.partial) or _is_wrapper(value):
            self._visit(value, name)
        elif isinstance(value, weakref.ref):
            self._note(value(), name)
        elif isinstance(value, operator.attrgetter):
            self._loose.update(dict.fromkeys(".".join(value.__reduce__()[1]).split(".")))
        elif isinstance(value, ModuleType):
            if not is_library_module(value):
                self._own(value, name)
            return False
        elif isinstance(value, type):
            self._note_class(value, name)
        elif isinstance(value, (*_DATA, tuple, frozenset)):
            self._note_container(value, name, remember)
        elif isinstance(value, _VIEWS):
            self._note_view(value, name)
        elif isinstance(value, enum.Enum):
            self._note(value.value, f"{name}.value", remember=False)
        elif isinstance(value, Tensor) or is_optimizer(value):
            self._remember(name, value, remember)
            if isinstance(value, Tensor):
                self._own(value, name)
                self._visit_hooks(value)
        elif is_module(value):
            self._note_module(value, name, remember)
        elif isinstance(value, np.ndarray):
            self.arrays.add(id(value))
        elif isinstance(value, BUFFERS):
            self._containers.append((value, name))
        elif isinstance(value, ContextVar):
            slot = Variable(value, name)
            self.guards.add(slot)
            self._note_value(slot.get(), f"{name}.get()")
        elif isinstance(value, Settings):
            self._own(value, name)
        elif not isinstance(value, SCALARS) and not is_opaque(type(value)):
            self._remember(name, value, remember)
            self._own(value, name)
            self._note_class(type(value), type(value).__name__)
            self._visit_implicit_methods(value)
            if isinstance(value, UserDict | UserList | ChainMap):  # whose methods are Python's
                self.guards.add_contents(vars(value), name)
                self._note_container(vars(value), name, remember=False)
        return True

    def _note_container(self, value: Any, name: str, remember: bool) -> None:
        if not self._is_new(value):
            return
        self._remember(name, value, remember)
        if not isinstance(value, tuple | frozenset):
            self._containers.append((value, name))
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            self._note(item, f"{name}[{key!r}]", remember=False)
            self._note(key, "a key", remember=False)
        if not is_library_class(type(value)):
            self._own(value, name)
            self._visit_implicit_methods(value)

    def _note_view(self, value: Any, name: str) -> None:
        """Look at what shows the contents of a dictionary, or refers to them weakly."""
        if self._is_new(value):
            self.guards.add(Contents(value, name))
            for part in contents_of(value):
                self._note(part, f"an item of {name}", remember=False)

    def _note_module(self, value: Any, name: str, remember: bool) -> None:
        self._remember(name, value, remember)
        if not self._is_new(value):
            return
        for path, part in value.named_modules():
            if not is_library_class(type(part)):
                self._own(part, f"{name}.{path}" if path else name)
            self._note_class(type(part), type(part).__name__)
            self._visit_function(type(part).forward, part)
            for cls in type(part).__mro__:
                if "forward" in vars(cls):
                    self.guards.add(ClassAttribute(cls, "forward", f"{cls.__name__}.forward"))
                    break
            state: Any = state_of(part)
            for tensor in (*state.parameters.values(), *state.buffers.values()):
                if tensor is not None:
                    self._note(tensor, name, remember=False)
            for hook in state.hooks:
                self._visit(hook, "hook")

    def _note_class(self, cls: type, name: str) -> None:
        if not is_library_class(cls) and self._is_new(cls):
            self._own(cls, name)
            for method in ("__init__", "__new__", "__post_init__"):
                found = vars(cls).get(method)
                if isinstance(found, FunctionType):
                    self._visit_function(found, MISSING)
            if "backward" in dir(cls) and "apply" in dir(cls):  # an operation of the user's
                for method in ("forward", "backward", "setup_context"):
                    self._class_attribute(cls, MISSING, method, f"{name}.{method}")

    def _visit_hooks(self, tensor: Tensor) -> None:
        for hook in itertools.chain(*hooks_of_tensor(tensor)):
            if self._is_new(tensor, hook):
                self._visit(hook, "a hook")

    def _visit_implicit_methods(self, value: Any) -> None:
        for cls in type(value).__mro__:
            if is_library_class(cls):
                continue
            for name, found in list(vars(cls).items()):
                special = name.startswith("__") and name.endswith("__")
                if special and name not in _NOT_IMPLICIT and isinstance(found, FunctionType):
                    self._visit_function(found, value)

    def _own(self, value: Any, name: str) -> None:
        self._owners.setdefault(id(value), (value, name))

    def _remember(self, name: str, value: Any, remember: bool) -> None:
        if not remember or any(v is value for v in self.objects.values()):
            return
        while name in self.objects:
            name += "'"
        self.objects[name] = value

    def _add_slot(self, slot: Slot) -> None:
        self.slots.setdefault((type(slot), *slot.identity), slot)

    # -- looking at attributes -----------------------------------------------------------------

    def _attribute(self, owner: Any, name: str, path: str, *, chain: bool) -> Any:
        """Guard an attribute of an object and look at its value, which is returned; MISSING where
        there is none, or none to guard."""
        full = f"{path}.{name}"
        if isinstance(owner, ModuleType):
            return self._module_attribute(owner, name, full)
        if isinstance(owner, type):
            return self._class_attribute(owner, MISSING, name, full)
        if isinstance(owner, Settings):
            if name in vars(owner):
                self.guards.add(Item(vars(owner), name, full))
            return MISSING
        if isinstance(owner, threading.local):  # each thread has attributes of its own
            slot = Attribute(owner, name, full)
            self.guards.add(slot)
            return slot.get()
        if isinstance(owner, Tensor):
            marks = namespace_of(owner)
            asked = chain and not hasattr(type(owner), name)
            if marks is not None and (name in marks or asked):
                self.guards.add(Item(marks, name, full))
            return MISSING
        if isinstance(owner, _NO_ATTRIBUTES) and is_library_class(type(owner)):
            return MISSING
        if is_module(owner):
            return self._attribute_of_module(owner, name, full)
        if getattr(type(owner), "is_compiled", False):
            return self._attribute_of_compiled(owner, name, full)
        if is_optimizer(owner) or (is_library_class(type(owner)) and is_opaque(type(owner))):
            return MISSING
        space = namespace_of(owner)
        in_class = any(name in vars(base) for base in type(owner).__mro__)
        if space is not None and (chain or in_class or name in space):
            self.guards.add_namespace(owner, path)
        if space is not None and name in space:
            return self._follow(Item(space, name, full), rebound=False)
        found = self._class_attribute(type(owner), owner, name, full)
        if (chain or in_class) and space is not None and not name.startswith("__"):
            self.guards.add(Item(space, name, full))  # it may appear, and hide the class's
        return found

    def _attribute_of_compiled(self, owner: Any, name: str, full: str) -> Any:
        """What a user has set on a compiled function."""
        space = vars(owner)
        if name in owner.own_names or name not in space:
            return MISSING
        return self._follow(Item(space, name, full))

    def _module_attribute(self, module: ModuleType, name: str, full: str) -> Any:
        value = vars(module).get(name, MISSING)
        if value is MISSING:
            return value
        if isinstance(value, ModuleType):
            self._note(value, full)
            return value
        if is_library_module(module):
            self._note_of_library(value, full)
            self.guards.add(Item(vars(module), name, full))
            return MISSING if isinstance(value, dict) else value  # such as `sys.modules`
        return self._follow(Item(vars(module), name, full))

    def _note_of_library(self, value: Any, name: str) -> None:
        """Look at what a module of a library holds: nothing of it but lists, settings, context
        variables, and functions that a user put there, can lead to anything that changes."""
        if isinstance(value, FunctionType):
            if value in _TELLING or not (
                is_library_code(value.__code__) or is_third_party_code(value.__code__)
            ):
                self._note(value, name)
        elif isinstance(value, (list, ContextVar, Settings, *BUFFERS)):
            self._note(value, name)

    def _attribute_of_module(self, module: Any, name: str, full: str) -> Any:
        """An attribute of a neural network's module, whose own namespace the epoch guards."""
        state: Any = state_of(module)
        for space in (state.attributes, *state.tensors, state.modules):
            if name in space:
                value = space[name]
                if not isinstance(value, Tensor):
                    self._note(value, full, remember=False)
                return value
        return self._class_attribute(type(module), module, name, full)

    def _class_attribute(self, cls: type, owner: Any, name: str, full: str) -> Any:
        """An attribute found in a class: a method, a property, a plain value."""
        found = self._class_attributes(cls, owner, name, full)
        return found[0] if found else MISSING

    def _class_attributes(self, cls: type, owner: Any, name: str, full: str) -> list[Any]:
        """The attribute as it is found, and what it hides where `super()` may look for that."""
        found = []
        above = type.mro(type(cls)) if owner is MISSING else []
        for base in (*cls.__mro__, *above):
            if name in vars(base) and not is_library_class(base):
                found.append(self._of_class(base, cls, owner, name, full))
                if name not in self._of_supers:
                    break
            elif name in vars(base):
                break
            elif not is_library_class(base) and not found:
                self.guards.add(ClassAttribute(base, name, full))  # it may appear, and hide others
        return found

    def _of_class(self, base: type, cls: type, owner: Any, name: str, full: str) -> Any:
        """What a class itself defines."""
        value = vars(base)[name]
        if isinstance(value, MemberDescriptorType):
            if owner is MISSING:
                return value
            slot = Attribute(owner, name, full)
            self.guards.add(slot)
            self._note(slot.get(), full)
            return slot.get()
        self.guards.add(ClassAttribute(base, name, full))
        self._visit_descriptor(value, cls, owner, full)
        if isinstance(value, FunctionType | property | classmethod | staticmethod):
            return MISSING
        self._add_slot(ClassAttribute(base, name, full))
        return value

    def _visit_descriptor(self, value: Any, cls: type, owner: Any, full: str) -> None:
        if isinstance(value, FunctionType):
            self._visit_function(value, owner)
        elif isinstance(value, classmethod | staticmethod):
            self._visit_function(value.__func__, cls if isinstance(value, classmethod) else MISSING)
        elif isinstance(value, property):
            for accessor in (value.fget, value.fset):
                self._visit_function(accessor, owner)
        elif isinstance(value, functools.cached_property | functools.partialmethod):
            self._visit_function(value.func, owner)
        elif isinstance(value, functools.singledispatchmethod):
            self._visit_function(value.dispatcher, owner)
        elif _is_wrapper(value):
            self._visit_function(value.__wrapped__, owner)
        else:
            self._note(value, full)


def _is_wrapper(value: Any) -> bool:
    """Whether a value that is called is a wrapper around a function."""
    return callable(value) and "__wrapped__" in (namespace_of(value) or ())
