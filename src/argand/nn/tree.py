"""The tree of parameters, buffers and submodules: its attributes, and ways through it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import MethodType
from typing import Any, Self

from argand.base import epoch
from argand.base.errors import did_you_mean
from argand.nn.parameter import Buffer, Parameter
from argand.tensor.core import Tensor

_REGISTRIES = ("_parameters", "_buffers", "_modules")
_ABSENT = object()


class Offered:
    """A method that a registered name hides: with ``self.predict = Linear(3, 1)`` it is the layer,
    as in PyTorch, whose modules have no `predict`."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method
        self.__doc__ = method.__doc__

    def __get__(self, module: Tree | None, owner: type | None = None) -> Any:
        if module is None:
            return self.method
        for registry in _REGISTRIES:
            found = module.__dict__.get(registry, {}).get(self.method.__name__, _ABSENT)
            if found is not _ABSENT:
                return found
        return MethodType(self.method, module)


class Tree:
    """A node of the tree: what `Module` is but for what it computes."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Any]
    _transient: set[str]

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        if "_parameters" not in state:
            if isinstance(value, Parameter | Tree):
                raise AttributeError(
                    f"{type(self).__name__}: call super().__init__() before assigning {name!r}"
                )
        elif isinstance(value, Parameter):
            self._place("_parameters", name, value)
            return
        elif isinstance(value, Tree):
            self._place("_modules", name, value)
            return
        elif isinstance(value, Buffer):
            self._place("_buffers", name, value)
            (self._transient.discard if value.persistent else self._transient.add)(name)
            return
        else:
            for registry in _REGISTRIES:
                if name in state[registry]:
                    _check_replacement(registry, name, value)
                    state[registry][name] = value
                    epoch.bump()
                    return
        before = state.get(name, _ABSENT)
        object.__setattr__(self, name, value)
        if before is not value:
            epoch.bump()

    def _place(self, registry: str, name: str, value: Any) -> None:
        state = self.__dict__
        state.pop(name, None)
        for other in _REGISTRIES:
            if other != registry:
                state[other].pop(name, None)
        state[registry][name] = value
        epoch.bump()

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        if "_parameters" in state:
            for registry in _REGISTRIES:
                found = state[registry].get(name, _ABSENT)
                if found is not _ABSENT:
                    return found
        known = [n for n in dir(self) if not n.startswith("_")]
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}{did_you_mean(name, known)}"
        )

    def __delattr__(self, name: str) -> None:
        for registry in _REGISTRIES:
            if name in self.__dict__.get(registry, ()):
                del self.__dict__[registry][name]
                self._transient.discard(name)
                epoch.bump()
                return
        object.__delattr__(self, name)
        epoch.bump()

    def __dir__(self) -> list[str]:
        names = {*object.__dir__(self)}
        for registry in _REGISTRIES:
            names |= set(self.__dict__.get(registry, ()))
        return sorted(names)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under a name; None reserves the name."""
        _check_name(self, name)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"register_parameter takes a Parameter, got {type(param).__name__}")
        self._place("_parameters", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but not trained; `persistent` puts it in `state_dict`."""
        _check_name(self, name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"register_buffer takes a Tensor, got {type(tensor).__name__}")
        self._place("_buffers", name, tensor)
        (self._transient.discard if persistent else self._transient.add)(name)

    def register_module(self, name: str, module: Any) -> None:
        """Add a submodule under a name."""
        _check_name(self, name)
        if module is not None and not isinstance(module, Tree):
            raise TypeError(f"add_module takes a Module, got {type(module).__name__}")
        self._place("_modules", name, module)

    def add_module(self, name: str, module: Any) -> None:
        """Add a submodule under a name."""
        self.register_module(name, module)

    # -- walking the tree ----------------------------------------------------------------------

    @property
    def _non_persistent_buffers_set(self) -> set[str]:
        """The names of buffers that `state_dict` leaves out, as libraries ask for them."""
        return self._transient

    def _named_members(
        self,
        get_members_fn: Callable[[Any], Any],
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Any]]:
        """What a function finds in this module and those below, each once, with dotted names."""
        seen = set()
        modules = (
            self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        )
        for path, module in modules:
            for name, value in get_members_fn(module):
                if value is None or id(value) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(value))
                yield f"{path}.{name}" if path else name, value

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """This module (named `prefix`) and all below it, each once, with dotted names."""
        memo = set() if memo is None else memo
        if remove_duplicate:
            if self in memo:
                return
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                below = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, below, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Any]:
        """This module and all below it, each once unless `remove_duplicate` is False."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """The direct submodules with their names, each once."""
        seen: set[Any] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Any]:
        """The direct submodules, each once."""
        for _, module in self.named_children():
            yield module

    def _named(
        self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for path, module in modules:
            for name, tensor in module.__dict__[registry].items():
                if tensor is None or (remove_duplicate and id(tensor) in seen):
                    continue
                seen.add(id(tensor))
                yield (f"{path}.{name}" if path else name), tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with dotted names, each once."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once; what an optimizer takes."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers with dotted names, each once."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Any:
        """The module of a dotted path; AttributeError that suggests the nearest."""
        module: Any = self
        for name in filter(None, target.split(".")):
            found = module._modules.get(name)
            if found is None:
                near = did_you_mean(target, [n for n, _ in self.named_modules()])
                raise AttributeError(f"{type(self).__name__} has no module {target!r}{near}")
            module = found
        return module

    def set_submodule(self, target: str, module: Any, strict: bool = False) -> None:
        """Put a module at a dotted path, whose last name may be new unless `strict`."""
        path, _, name = target.rpartition(".")
        if not target or not name:
            raise ValueError("set_submodule: the path is empty")
        parent = self.get_submodule(path)
        if strict and name not in parent._modules:
            raise AttributeError(f"{type(parent).__name__} has no module {name!r}")
        if not isinstance(module, Tree):
            raise ValueError(f"set_submodule takes a Module, got {type(module).__name__}")
        free = name in parent._modules or _is_offered(parent, name)
        if not free and hasattr(parent, name):
            raise AttributeError(f"{name!r} of {type(parent).__name__} is no module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Any:
        """The parameter of a dotted path."""
        return _found(self, "_parameters", target, "parameter")

    def get_buffer(self, target: str) -> Any:
        """The buffer of a dotted path."""
        return _found(self, "_buffers", target, "buffer")

    def apply(self, fn: Callable[[Any], Any]) -> Self:
        """Call `fn` on every module below, then on this one; returns self."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self


def _found(root: Tree, registry: str, target: str, kind: str) -> Any:
    path, _, name = target.rpartition(".")
    found = root.get_submodule(path).__dict__[registry].get(name)
    if found is None:
        near = did_you_mean(target, [n for n, _ in root._named(registry, "", True, True)])
        raise AttributeError(f"{type(root).__name__} has no {kind} {target!r}{near}")
    return found


def _check_name(module: Tree, name: str) -> None:
    if "_parameters" not in module.__dict__:
        raise AttributeError(f"{type(module).__name__}: call super().__init__() first")
    if not isinstance(name, str):
        raise TypeError(f"a name must be a str, got {type(name).__name__}")
    if not name or "." in name:
        raise KeyError(f"a name must not be empty or contain '.', got {name!r}")
    registered = any(name in module.__dict__[r] for r in _REGISTRIES)
    if not registered and hasattr(module, name) and not _is_offered(module, name):
        raise KeyError(f"attribute {name!r} already exists")


def _is_offered(module: Tree, name: str) -> bool:
    return name not in module.__dict__ and isinstance(
        inspect.getattr_static(type(module), name, None), Offered
    )


def _check_replacement(registry: str, name: str, value: Any) -> None:
    """A registered name keeps its kind: only None, or a tensor for a buffer, may follow."""
    if value is None or (registry == "_buffers" and isinstance(value, Tensor)):
        return
    kind = {"_parameters": "Parameter", "_buffers": "Tensor", "_modules": "Module"}[registry]
    raise TypeError(
        f"cannot assign {type(value).__name__} as {name!r}: it is registered as a {kind} "
        f"(a {kind} or None expected)"
    )
