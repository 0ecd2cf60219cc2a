"""Symbolic tracing: a module's Python run on proxies."""

from __future__ import annotations

import builtins
import functools
import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from argand.base.tree import tree_map
from argand.checks import _assert
from argand.fx.graph import Graph
from argand.fx.graph_module import GraphModule
from argand.fx.node import Node, map_aggregate
from argand.fx.proxy import ParameterProxy, Proxy, TracerBase, caller_frame
from argand.nn.containers import Sequential
from argand.nn.module import Module
from argand.nn.parameter import Parameter
from argand.tensor.core import Tensor

_wrapped: dict[tuple[int, str], dict[str, Any]] = {}  # the globals in which a name is patched
_PLAIN = (str, int, float, bool)
_ABSENT = object()


class PHBase:
    """An argument that stays an input, among `concrete_args`."""

    def __repr__(self) -> str:
        return "PH"


PH = PHBase()


def wrap(fn_or_name: Any) -> Any:
    """Make calls of a function nodes, rather than tracing what it does. Call it at module scope,
    with the function's name or the function; or decorate the function with it.

    >>> from argand import fx
    >>> fx.wrap(len) is len
    True
    """
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or str")
    name = fn_or_name if isinstance(fn_or_name, str) else fn_or_name.__name__
    frame = caller_frame()
    if frame.f_code.co_name != "<module>" and isinstance(fn_or_name, str):
        raise NotImplementedError("wrap must be called at the top level of a module")
    _wrapped[id(frame.f_globals), name] = frame.f_globals
    return fn_or_name


class Tracer(TracerBase):
    """Traces modules and functions into graphs; subclass it to change what becomes a node.

    Args:
        autowrap_modules: modules whose functions are nodes where they are given proxies.
        autowrap_functions: functions likewise.
        param_shapes_constant: give the shapes of parameters as they are.

    >>> from argand import fx
    >>> print(fx.Tracer().trace(nn.Sequential(nn.ReLU())))
    graph():
        %input_1 : [num_users=1] = placeholder[target=input]
        %_0 : [num_users=1] = call_module[target=0](args = (%input_1,), kwargs = {})
        return _0
    """

    def __init__(
        self,
        autowrap_modules: tuple[ModuleType, ...] = (math,),
        autowrap_functions: tuple[Callable[..., Any], ...] = (),
        param_shapes_constant: bool = False,
    ) -> None:
        self._autowrapped = {
            id(value)
            for module in autowrap_modules
            for name, value in vars(module).items()
            if not name.startswith("_") and callable(value)
        } | {id(f) for f in autowrap_functions}
        self._autowrap_search = list(autowrap_modules)
        self.param_shapes_constant = param_shapes_constant
        self.root: Any = Module()
        self.graph = Graph()
        self.module_stack: dict[str, Any] = {}
        self.submodule_paths: dict[Any, str] | None = None
        self.tensor_attrs: dict[Any, str] = {}
        self._parameters: dict[str, Any] = {}

    # -- to be overridden ----------------------------------------------------------------------

    def is_leaf_module(self, m: Module, module_qualified_name: str) -> bool:
        """Whether calls of a module are one node: layers of `nn` are, but for Sequential."""
        return m.__module__.startswith(("argand.nn", "torch.nn")) and not isinstance(m, Sequential)

    def path_of_module(self, mod: Module) -> str:
        """The name of a submodule; NameError where it is none of the root's."""
        for name, module in self.root.named_modules(remove_duplicate=False):
            if module is mod:
                return str(name)
        raise NameError("module is not installed as a submodule")

    def call_module(
        self, m: Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """A call of a submodule: a node where it is a leaf, else what `forward` does."""
        path = self.path_of_module(m)
        if self.is_leaf_module(m, path):
            return self.create_proxy("call_module", path, args, kwargs)
        self.module_stack[path] = type(m)
        try:
            return forward(*args, **kwargs)
        finally:
            self.module_stack.pop(path, None)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """An attribute of a module while it is traced: a proxy of a parameter."""
        if isinstance(attr_val, Parameter):
            return self._named(attr_val, self.root.named_parameters(), parameter_proxy_cache)
        if self.proxy_buffer_attributes and isinstance(attr_val, Tensor):
            return self._named(attr_val, self.root.named_buffers(), parameter_proxy_cache)
        return attr_val

    def _named(self, value: Any, named: Any, cache: dict[str, Any]) -> Any:
        for name, tensor in named:
            if tensor is not value:
                continue
            if name not in cache:
                made: dict[str, Any] = {}
                if self.param_shapes_constant and isinstance(value, Parameter):
                    made["proxy_factory_fn"] = functools.partial(
                        _parameter_proxy, self, name, value
                    )
                cache[name] = self.create_proxy("get_attr", name, (), {}, **made)
            return cache[name]
        return value

    def get_fresh_qualname(self, prefix: str) -> str:
        """A name that no attribute of the root has."""
        i = 0
        while hasattr(self.root, f"{prefix}{i}"):
            i += 1
        return f"{prefix}{i}"

    def create_arg(self, a: Any) -> Any:
        """As `TracerBase.create_arg`; tensors and modules become attributes of the root."""
        if isinstance(a, Parameter):
            for name, parameter in self.root.named_parameters():
                if a is parameter:
                    return self.create_node("get_attr", name, (), {})
            raise NameError("parameter is not a member of this module")
        if isinstance(a, Tensor):
            for name, buffer in self.root.named_buffers():
                if a is buffer:
                    return self.create_node("get_attr", name, (), {})
            return self.create_node("get_attr", self._constant(a), (), {})
        if isinstance(a, Module):
            return self.create_node("get_attr", self.path_of_module(a), (), {})
        return super().create_arg(a)

    def _constant(self, tensor: Tensor) -> str:
        found = self.tensor_attrs.get(id(tensor))
        if found is None:
            found = self.tensor_attrs[id(tensor)] = self.get_fresh_qualname("_tensor_constant")
            setattr(self.root, found, tensor)
        return found

    # -- tracing -------------------------------------------------------------------------------

    def create_args_for_root(
        self,
        root_fn: Callable[..., Any],
        is_module: bool,
        concrete_args: dict[str, Any] | tuple[Any, ...] | None = None,
    ) -> tuple[Any, list[Any]]:
        """The function, and a proxy for each of its parameters."""
        parameters = list(inspect.signature(root_fn).parameters.values())
        args: list[Any] = [self.root] if is_module else []
        parameters = parameters[len(args) :]
        if isinstance(concrete_args, tuple):
            names = [p.name for p in parameters]
            if len(concrete_args) != len(names):
                raise RuntimeError(
                    f"Tracing expected {len(names)} arguments but got {len(concrete_args)} "
                    "concrete arguments"
                )
            concrete_args = dict(zip(names, concrete_args, strict=True))
        self._named_only: dict[str, Any] = {}
        for p in parameters:
            if p.kind is p.VAR_POSITIONAL:
                args.append(self._input("*" + p.name, inspect.Signature.empty))
            elif p.kind is p.VAR_KEYWORD:
                self._named_only["**"] = self._input("**" + p.name, inspect.Signature.empty)
            else:
                value = self._argument(p, concrete_args)
                if p.kind is p.KEYWORD_ONLY:
                    self._named_only[p.name] = value
                else:
                    args.append(value)
        return root_fn, args

    def _input(self, name: str, default: Any) -> Any:
        args = () if default is inspect.Signature.empty else (default,)
        return self.create_proxy("placeholder", name, args, {})

    def _argument(self, p: inspect.Parameter, concrete: dict[str, Any] | None) -> Any:
        if concrete is None or p.name not in concrete:
            return self._input(p.name, p.default)
        count = iter(range(1, 1 << 20))

        def leaf(value: Any) -> Any:
            made = self._input(f"{p.name}_{next(count)}", inspect.Signature.empty)
            if isinstance(value, PHBase):
                return made
            if type(value) in _PLAIN:
                text = f"{p.name} has been specialized to have value {value} but got another value"
                _assert(made == value, text)
            return value

        return tree_map(leaf, concrete[p.name])

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> Graph:
        """The graph of a module or a function: its inputs are proxies, it runs once."""
        if isinstance(root, Module):
            self.root = root
            function = getattr(type(root), self.traced_func_name)
        else:
            self.root = Module()
            function = root
        self.graph = Graph(tracer_cls=type(self))
        self._parameters = {}
        self.tensor_attrs = {
            id(value): f"{path}.{name}" if path else name
            for path, module in self.root.named_modules()
            for name, value in vars(module).items()
            if isinstance(value, Tensor)
        }
        function, args = self.create_args_for_root(
            function, isinstance(root, Module), concrete_args
        )
        named = {k: v for k, v in self._named_only.items() if k != "**"}
        with self._patched(function):
            result = function(*args, **named)
            self.create_node("output", "output", (self.create_arg(result),), {})
        return self.graph

    @contextmanager
    def _patched(self, function: Callable[..., Any]) -> Iterator[None]:
        """Have modules' calls and attributes come here, and wrapped functions make nodes."""
        call, find = Module.__call__, Module.__getattr__

        def calls(module: Module, *args: Any, **kwargs: Any) -> Any:
            def forward(*args: Any, **kwargs: Any) -> Any:
                return call(module, *args, **kwargs)

            self._autowrap(getattr(getattr(module, "forward", None), "__globals__", {}), patches)
            return self.call_module(module, forward, args, kwargs)

        def attribute(module: Module, name: str) -> Any:
            return self.getattr(name, find(module, name), self._parameters)

        patches: list[tuple[dict[str, Any], str, Any]] = []
        own = vars(Module).get("__getattr__", _ABSENT)
        patched: Any = Module
        patched.__call__, patched.__getattr__ = calls, attribute
        try:
            for (_, name), space in _wrapped.items():
                known = space.get(name, getattr(builtins, name, None))
                if known is not None:
                    _replace(space, name, patches, known)
            self._autowrap(getattr(function, "__globals__", {}), patches)
            for module in self._autowrap_search:
                self._autowrap(vars(module), patches)
            yield
        finally:
            for space, name, before in reversed(patches):
                if before is _ABSENT:
                    del space[name]
                else:
                    space[name] = before
            patched.__call__ = call
            if own is _ABSENT:
                del patched.__getattr__
            else:
                patched.__getattr__ = own

    def _autowrap(self, space: dict[str, Any], patches: list[Any]) -> None:
        for name, value in list(space.items()):
            if not name.startswith("_") and callable(value) and id(value) in self._autowrapped:
                _replace(space, name, patches, value)


def _parameter_proxy(tracer: Tracer, name: str, parameter: Any, node: Node) -> Proxy:
    return ParameterProxy(tracer, node, name, parameter)


def _replace(space: dict[str, Any], name: str, patches: list[Any], function: Any) -> None:
    """Have a name stand for the function that makes a node of a call with proxies."""

    @functools.wraps(function)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        found: list[Proxy] = []

        def note(x: Any) -> Any:
            if isinstance(x, Proxy):
                found.append(x)
            return x

        map_aggregate((args, kwargs), note)
        if not found:
            return function(*args, **kwargs)
        made = found[0].tracer.create_proxy("call_function", function, args, kwargs)
        made.node.meta["is_wrapped"] = True
        return made

    patches.append((space, name, space.get(name, _ABSENT)))
    space[name] = recorded


def symbolic_trace(root: Any, concrete_args: dict[str, Any] | None = None) -> GraphModule:
    """The graph of a module or a function, as a module that runs it.

    The Python runs once, on proxies: calls of layers, functions and methods become nodes. A branch
    on a tensor is a TraceError; `concrete_args` gives arguments values that branches may see.

    >>> from argand import fx
    >>> gm = fx.symbolic_trace(lambda x: ag.relu(x + 1))
    >>> print(gm.graph)
    graph():
        %x : [num_users=1] = placeholder[target=x]
        %add : [num_users=1] = call_function[target=operator.add](args = (%x, 1), kwargs = {})
        %relu : [num_users=1] = call_function[target=argand.relu](args = (%add,), kwargs = {})
        return relu
    >>> gm(ag.tensor([-3.0, 1.0]))
    tensor([0., 2.])
    """
    tracer = Tracer()
    graph = tracer.trace(root, concrete_args)
    name = type(root).__name__ if isinstance(root, Module) else root.__name__
    return GraphModule(tracer.root, graph, name)


__all__ = ["PH", "PHBase", "Tracer", "symbolic_trace", "wrap"]
