"""Modules that hold other modules or parameters: Sequential, ModuleList, ModuleDict and so on."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from argand.base.errors import ArgumentError, CallError, IndexRangeError
from argand.nn.module import Module
from argand.nn.parameter import Parameter
from argand.tensor.core import Tensor


class _Indexed(Module):
    """Submodules named "0", "1", ... that behave as a list."""

    def _items(self) -> list[Any]:
        return list(self._modules.values())

    def _refill(self, modules: Iterable[Any]) -> None:
        listed = list(modules)
        for name in list(self._modules):
            delattr(self, name)
        for i, module in enumerate(listed):
            self.add_module(str(i), module)

    def _name(self, index: Any) -> str:
        names = list(self._modules)
        i = operator.index(index)
        if not -len(names) <= i < len(names):
            raise IndexRangeError(
                f"{type(self).__name__}: index {i} is out of range for {len(names)} modules"
            )
        return names[i]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(*self._slice_arguments(self._items()[index]))
        return self._modules[self._name(index)]

    def _slice_arguments(self, modules: list[Any]) -> Iterable[Any]:
        return [modules]

    def __setitem__(self, index: Any, module: Module) -> None:
        self.add_module(self._name(index), module)

    def __delitem__(self, index: Any) -> None:
        items = self._items()
        del items[index]
        self._refill(items)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items())

    def __contains__(self, module: object) -> bool:
        return any(m is module for m in self._items())

    def __reversed__(self) -> Iterator[Any]:
        return iter(self._items()[::-1])

    def __iadd__(self, other: Iterable[Any]) -> Self:
        return self.extend(other)

    def append(self, module: Module) -> Self:
        """Add a module at the end; returns self."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Add a module before `index`; returns self."""
        items = self._items()
        items.insert(index, module)
        self._refill(items)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end; returns self."""
        for module in list(modules):
            self.append(module)
        return self

    def pop(self, index: int = -1) -> Module:
        """Take a module out and return it."""
        module: Module = self[index]
        del self[index]
        return module


class Sequential(_Indexed):
    """Modules applied one after the other; takes modules, or one dictionary of named modules.

    An index or a slice gives a module or a shorter Sequential.

    >>> nn.Sequential(nn.Linear(2, 3), nn.ReLU())(ag.ones(1, 2)).shape
    argand.Size([1, 3])
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            for i, module in enumerate(modules):
                self.add_module(str(i), module)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(dict(list(self._modules.items())[index]))
        return super().__getitem__(index)

    def __delitem__(self, index: Any) -> None:
        if all(name == str(i) for i, name in enumerate(self._modules)):
            super().__delitem__(index)
            return
        names = list(self._modules)[index]
        for name in names if isinstance(names, list) else [names]:
            delattr(self, name)

    def __add__(self, other: Any) -> Sequential:
        return Sequential(*self, *_modules_of(other))

    def __mul__(self, other: int) -> Sequential:
        return Sequential(*(list(self) * _times(other)))

    __rmul__ = __mul__

    def __imul__(self, other: int) -> Self:
        return self.extend(list(self) * (_times(other) - 1))

    def forward(self, input: Any) -> Any:
        """The last module's output."""
        for module in self._modules.values():
            input = module(input)
        return input


def _modules_of(other: Any) -> Sequential:
    if not isinstance(other, Sequential):
        raise ArgumentError(f"a Sequential takes another one's modules, got {type(other).__name__}")
    return other


def _times(count: Any) -> int:
    if not isinstance(count, int):
        raise CallError(f"a Sequential is repeated an int of times, got {type(count).__name__}")
    if count < 1:
        raise ArgumentError(f"a Sequential is repeated 1 time or more, got {count}")
    return count


class ModuleList(_Indexed):
    """A list of modules, registered so that their parameters are found. It has no `forward`.

    >>> layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    >>> len(list(layers.parameters()))
    6
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __repr__(self) -> str:
        """As other modules, equal neighbours once with how many they are."""
        lines: list[tuple[int, int, str]] = []
        for i, module in enumerate(self):
            text = repr(module)
            if lines and lines[-1][2] == text:
                lines[-1] = (lines[-1][0], i, text)
            else:
                lines.append((i, i, text))
        if not lines:
            return f"{self._get_name()}()"
        listed = [
            f"({i}): {text}" if i == j else f"({i}-{j}): {j - i + 1} x {text}"
            for i, j, text in lines
        ]
        inside = "\n".join(listed).replace("\n", "\n  ")
        return f"{self._get_name()}(\n  {inside}\n)"


class ModuleDict(Module):
    """A dictionary of modules, registered so that their parameters are found. It has no `forward`.

    >>> heads = nn.ModuleDict({"digit": nn.Linear(8, 10), "sign": nn.Linear(8, 2)})
    >>> heads["sign"](ag.ones(1, 8)).shape
    argand.Size([1, 2])
    """

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Pairs of a name and a module."""
        return self._modules.items()

    def update(self, modules: Any) -> None:
        """Add the modules of a mapping or of pairs."""
        pairs = modules.items() if hasattr(modules, "items") else modules
        for key, module in pairs:
            self[key] = module

    def pop(self, key: str) -> Any:
        """Take a module out and return it."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Take all modules out."""
        for key in list(self._modules):
            del self[key]


def _as_parameter(value: Any) -> Any:
    return Parameter(value) if isinstance(value, Tensor) and type(value) is Tensor else value


class _Values(Module):
    """Parameters, and other values, by names that are attributes."""

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[str, None] = {}

    def _put(self, name: str, value: Any) -> None:
        self._names[name] = None
        setattr(self, name, _as_parameter(value))

    def _take(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        value = getattr(self, name)
        delattr(self, name)
        del self._names[name]
        return value

    def __len__(self) -> int:
        return len(self._names)

    def extra_repr(self) -> str:
        return "\n".join(f"  ({name}): {self._told(name)}" for name in self._names)

    def _told(self, name: str) -> str:
        value = getattr(self, name)
        if not isinstance(value, Tensor):
            return f"Object of type: {type(value).__name__}"
        kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
        size = "x".join(map(str, value.shape))
        return f"{kind} containing: [{self._kind_of(value)} of size {size}]"

    def _kind_of(self, value: Any) -> str:
        return f"torch.{value.dtype.name}"

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """An error: it holds values, and computes none."""
        raise RuntimeError(f"a {type(self).__name__} should not be called")


class ParameterList(_Values):
    """A list of parameters, registered; tensors become Parameters, other values stay as they are.

    >>> len(list(nn.ParameterList([ag.zeros(2), ag.zeros(3)]).parameters()))
    2
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.extend(values or ())

    def _index(self, index: Any) -> int:
        i = operator.index(index)
        if not -len(self) <= i < len(self):
            raise IndexRangeError(
                f"ParameterList: index {i} is out of range for {len(self)} parameters"
            )
        return i % len(self)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return getattr(self, str(self._index(index)))

    def __setitem__(self, index: Any, value: Any) -> None:
        self._put(str(self._index(index)), value)

    def __iter__(self) -> Iterator[Any]:
        return iter([getattr(self, name) for name in self._names])

    def __iadd__(self, other: Iterable[Any]) -> Self:
        return self.extend(other)

    def append(self, value: Any) -> Self:
        """Add a parameter at the end; returns self."""
        self._put(str(len(self)), value)
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add parameters at the end; returns self."""
        if not isinstance(values, Iterable) or isinstance(values, Tensor):
            raise CallError(f"extend takes an iterable of parameters, got {type(values).__name__}")
        for value in values:
            self.append(value)
        return self


class ParameterDict(_Values):
    """A dictionary of parameters, registered; tensors become Parameters, other values stay.

    >>> list(nn.ParameterDict({"scale": ag.ones(1)}).state_dict())
    ['scale']
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        if key not in self._names:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._put(key, value)

    def __delitem__(self, key: str) -> None:
        self._take(key)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._names))

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._names))

    def __contains__(self, key: object) -> bool:
        return key in self._names

    def __or__(self, other: Any) -> ParameterDict:
        made = self.copy()
        made.update(other)
        return made

    def __ror__(self, other: Any) -> ParameterDict:
        made = ParameterDict(other)
        made.update(self)
        return made

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self

    def _kind_of(self, value: Any) -> str:
        return str(value.type())

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._names.keys()

    def values(self) -> Iterable[Any]:
        """The parameters."""
        return [getattr(self, name) for name in self._names]

    def items(self) -> Iterable[tuple[str, Any]]:
        """Pairs of a name and a parameter."""
        return [(name, getattr(self, name)) for name in self._names]

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter, or `default` where there is none."""
        return self[key] if key in self._names else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The parameter, which `default` becomes where there is none."""
        if key not in self._names:
            self[key] = default
        return self[key]

    def pop(self, key: str) -> Any:
        """Take a parameter out and return it."""
        return self._take(key)

    def popitem(self) -> tuple[str, Any]:
        """Take the last pair of a name and a parameter out and return it."""
        if not self._names:
            raise KeyError("popitem: the ParameterDict is empty")
        key = list(self._names)[-1]
        return key, self._take(key)

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A ParameterDict with `default` under each of the names."""
        return ParameterDict((key, default) for key in keys)

    def copy(self) -> ParameterDict:
        """A ParameterDict of the same parameters."""
        return ParameterDict(dict(self.items()))

    def clear(self) -> None:
        """Take all parameters out."""
        for name in list(self._names):
            self._take(name)

    def update(self, parameters: Any) -> None:
        """Add the parameters of a mapping or of pairs."""
        pairs = parameters.items() if hasattr(parameters, "items") else parameters
        for key, value in pairs:
            self[key] = value
