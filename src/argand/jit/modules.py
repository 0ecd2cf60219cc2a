"""The modules and functions that `trace`, `script` and `load` give."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from typing import Any

from argand.jit.graphs import Graph
from argand.jit.methods import Method
from argand.jit.writing import copied, write
from argand.nn.module import Module

_OWN = frozenset(("_methods", "_inner", "_follows", "_name"))


class _Programmed:
    """What modules and functions of programs have in common; `_main` is the first of them."""

    @property
    def _main(self) -> Method:
        raise NotImplementedError

    @property
    def graph(self) -> Any:
        """The program with TorchScript's methods (`nodes()`, `inputs()`, `kind()`); `print` shows
        it."""
        return Graph(self._main.signature.program)

    inlined_graph = graph

    def graph_for(self, *args: Any, **kwargs: Any) -> Any:
        """The program that serves a call with these arguments."""
        self._main(*args, **kwargs)
        return self.graph

    @property
    def code(self) -> str:
        """The program as text."""
        return str(self.graph)

    def save(self: Any, f: Any, _extra_files: Any = None) -> None:
        """Write a `.argand` archive; see `jit.save`."""
        write(self, f, _extra_files)

    def save_to_buffer(self, _extra_files: Any = None) -> bytes:
        """The contents of the archive that `save` writes."""
        file = io.BytesIO()
        self.save(file, _extra_files=_extra_files)
        return file.getvalue()


class ScriptModule(_Programmed, Module):
    """A module that is run as programs, or as the Python that they are made of.

    It has the parameters, buffers, submodules and attributes of the module that it was made of, the
    same tensors. `graph` is the program of `forward`, `save` writes it to a file.

    >>> traced = ag.jit.trace(nn.Linear(2, 3), ag.ones(1, 2))
    >>> isinstance(traced, ag.jit.ScriptModule), sorted(traced.state_dict())
    (True, ['bias', 'weight'])
    """

    _inner: Module | None = None
    _follows = False
    _name: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.__dict__["_methods"] = {}

    @classmethod
    def around(cls, inner: Module, *, follows: bool) -> Any:
        """The module over another one: with its tensors, and its submodules likewise. What is set
        on it is set on the other where it `follows`."""
        made = cls()
        state = made.__dict__
        state["_inner"], state["_follows"], state["_name"] = inner, follows, type(inner).__name__
        state["training"] = inner.training
        for registry in ("_parameters", "_buffers", "_transient"):
            state[registry] = inner.__dict__[registry]
        kind = RecursiveScriptModule if follows else TracedModule
        for name, module in inner._modules.items():
            part = None if module is None else kind.around(module, follows=follows)
            state["_modules"][name] = part
            if part is not None:
                function = module if follows else module.__call__
                part.__dict__["_methods"]["forward"] = Method("forward", function, is_script=True)
        return made

    @property
    def _main(self) -> Method:
        found: Method | None = self.__dict__["_methods"].get("forward")
        if found is None:
            raise AttributeError(f"{self.original_name} has no program of its own")
        return found

    @property
    def original_name(self) -> str:
        """The name of the class that the module had."""
        return self._name or type(self).__name__

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the program of `forward` gives, or the Python of what was scripted."""
        found = self.__dict__["_methods"].get("forward")
        if found is None:
            raise NotImplementedError(
                f"{self.original_name} is a part of a program that was loaded, which has no "
                "program for it alone; save the part as a module of its own"
            )
        return found(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        if name in state.get("_methods", ()):
            return state["_methods"][name]
        try:
            return super().__getattr__(name)
        except AttributeError:
            if self._inner is None or name.startswith("__"):
                raise
            return getattr(self._inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if self._follows and self._inner is not None and name not in _OWN:
            setattr(self._inner, name, value)
            for method in self.__dict__["_methods"].values():
                method.forget()

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self._modules[key]
        return list(self._modules.values())[key]

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """The same module on tensors of its own."""
        return copied(self, memo, RecursiveScriptModule)

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """The name of the class that it was."""
        return f"original_name={self.original_name}"


class RecursiveScriptModule(ScriptModule):
    """What `script` makes of a module, and what `load` gives.

    >>> ag.jit.script(nn.ReLU())
    RecursiveScriptModule(original_name=ReLU)
    """


class TracedModule(ScriptModule):
    """A submodule of what was traced.

    >>> ag.jit.trace(nn.Sequential(nn.ReLU()), ag.ones(1))[0]
    ReLU(original_name=ReLU)
    """

    def _get_name(self) -> str:
        return self.original_name


class TopLevelTracedModule(TracedModule):
    """What `trace` makes of a module.

    >>> ag.jit.trace(nn.ReLU(), ag.ones(1))
    ReLU(original_name=ReLU)
    """


class ScriptFunction(_Programmed):
    """What `trace` and `script` make of a function: call it as the function.

    >>> f = ag.jit.trace(lambda x: x * 2, ag.ones(2))
    >>> isinstance(f, ag.jit.ScriptFunction), f(ag.ones(3))
    (True, tensor([2., 2., 2.]))
    """

    def __init__(self, method: Method, name: str) -> None:
        self._method = method
        self.name = name
        self.qualified_name = f"__torch__.{name}"
        self.__name__ = name
        if method.function is not None:
            self.__doc__ = method.function.__doc__
            self.__wrapped__ = method.function

    @property
    def _main(self) -> Method:
        return self._method

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._method(*args, **kwargs)


def twin(module: Module, memo: dict[int, Module] | None = None) -> Any:
    """The tree of modules again, on the same tensors: modes and attributes are set apart."""
    memo = {} if memo is None else memo
    if id(module) in memo:
        return memo[id(module)]
    made = memo[id(module)] = copy.copy(module)
    for registry in ("_parameters", "_buffers", "_transient"):
        made.__dict__[registry] = copy.copy(module.__dict__[registry])
    children = module._modules.items()
    made.__dict__["_modules"] = {n: None if m is None else twin(m, memo) for n, m in children}
    return made


__all__ = [
    "RecursiveScriptModule",
    "ScriptFunction",
    "ScriptModule",
    "TopLevelTracedModule",
    "TracedModule",
    "twin",
]
