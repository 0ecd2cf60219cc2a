"""Proxies: values of which only the calls are known; what is done with them becomes nodes."""

from __future__ import annotations

import dis
import enum
import inspect
import operator
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from argand.base.dim import Dim
from argand.base.dtype import DType
from argand.fx.graph import Graph
from argand.fx.node import Node, map_aggregate
from argand.overrides import is_tensor_method_or_property
from argand.tensor.core import Tensor
from argand.tensor.device import device

BASE_TYPES = (str, int, float, bool, complex, DType, Tensor, device, Dim, enum.Enum, type(None))


class TraceError(ValueError):
    """Code can't be traced symbolically."""


class TracerBase:
    """What makes nodes of calls on proxies; `Tracer` traces whole modules."""

    graph: Graph
    trace_asserts = False
    proxy_buffer_attributes = False
    check_mutable_operations = False
    record_stack_traces = False
    traced_func_name = "forward"

    def create_node(
        self,
        kind: str,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        name: str | None = None,
        type_expr: Any = None,
    ) -> Node:
        """A node of the graph; to be overridden by those who want to see each."""
        return self.graph.create_node(kind, target, args, kwargs, name, type_expr)

    def proxy(self, node: Node) -> Proxy:
        """The proxy of a node."""
        return Proxy(node, self)

    def create_proxy(
        self,
        kind: str,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        name: str | None = None,
        type_expr: Any = None,
        proxy_factory_fn: Callable[[Node], Proxy] | None = None,
    ) -> Any:
        """A node of a call, and its proxy."""
        args_, kwargs_ = self.create_arg(args), self.create_arg(kwargs)
        node = self.create_node(kind, target, args_, kwargs_, name, type_expr)
        return (proxy_factory_fn or self.proxy)(node)

    def create_arg(self, a: Any) -> Any:
        """A value as a node's argument: the nodes of proxies, in containers too.

        Raises NotImplementedError for what a node can't have.
        """
        if isinstance(a, Proxy):
            return a.node
        if hasattr(a, "__fx_create_arg__"):
            return a.__fx_create_arg__(self)
        if isinstance(a, tuple):
            parts = [self.create_arg(x) for x in a]
            return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
        if isinstance(a, list):
            return [self.create_arg(x) for x in a]
        if isinstance(a, dict):
            return self._dictionary(a)
        if isinstance(a, slice):
            return slice(*[self.create_arg(x) for x in (a.start, a.stop, a.step)])
        if isinstance(a, range):
            return range(a.start, a.stop, a.step)
        if isinstance(a, BASE_TYPES) or a is ... or callable(a):
            return a
        raise NotImplementedError(f"argument of type: {type(a)}")

    def _dictionary(self, a: dict[Any, Any]) -> dict[Any, Any]:
        found = {}
        for key, value in a.items():
            if isinstance(self.create_arg(key), Node):
                raise RuntimeError(
                    "Keys for dictionaries used as an argument cannot contain a Node. Got key: "
                    f"{key}"
                )
            found[key] = self.create_arg(value)
        return found

    def to_bool(self, obj: Proxy) -> bool:
        """The truth of a proxy, which is not known: TraceError, unless overridden."""
        raise TraceError(
            "symbolically traced variables cannot be used as inputs to control flow. Write "
            "torch.where or torch.cond in place of the branch, give the value by concrete_args, or "
            "make the function a node of its own by torch.fx.wrap"
        )

    def iter(self, obj: Proxy) -> Iterator[Any]:
        """Its parts, where they are assigned to as many names; else TraceError."""
        count = _unpacked(sys._getframe(2))
        if count is not None:
            indexed: Any = obj
            return (indexed[i] for i in range(count))
        raise TraceError(
            "Proxy object cannot be iterated. This can be attempted when the Proxy is used in a "
            "loop or as a *args or **kwargs function argument. See the torch.fx docs on pytorch.org"
            " for a more detailed explanation of what types of control flow can be traced, and "
            "check out the Proxy docstring for help troubleshooting Proxy iteration errors"
        )

    def keys(self, obj: Proxy) -> Any:
        """What `**` of a proxy gives."""
        return Attribute(obj, "keys")()


def _unpacked(frame: FrameType) -> int | None:
    """How many names a line assigns the value to, if it unpacks it."""
    code = frame.f_code
    for instruction in dis.get_instructions(code):
        if instruction.offset == frame.f_lasti:
            return instruction.argval if instruction.opname == "UNPACK_SEQUENCE" else None
    return None


class GraphAppendingTracer(TracerBase):
    """Adds what is done with proxies to a graph that is there."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph


class Proxy:
    """Stands for a value while code is traced: operators, methods and functions of it are recorded.

    >>> from argand import fx
    >>> graph = fx.Graph()
    >>> x = fx.Proxy(graph.placeholder("x"))
    >>> (x + 1).relu()
    Proxy(relu)
    """

    def __init__(self, node: Node, tracer: TracerBase | None = None) -> None:
        self.tracer = tracer or GraphAppendingTracer(node.graph)
        self.node = node

    def __repr__(self) -> str:
        return f"Proxy({self.node.name})"

    def __getattr__(self, k: str) -> Any:
        if k.startswith("__") and k.endswith("__"):  # Python asks whether it is an array, say
            raise AttributeError(f"a Proxy has no {k}")
        return Attribute(self, k)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state

    def __deepcopy__(self, memo: dict[int, Any]) -> Proxy:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", "__call__", (self, *args), kwargs)

    def __iter__(self) -> Iterator[Any]:
        return self.tracer.iter(self)

    def __abs__(self) -> Any:
        return self.tracer.create_proxy("call_function", abs, (self,), {})

    def __bool__(self) -> bool:
        return self.tracer.to_bool(self)

    def keys(self) -> Any:
        """What `**` of it gives."""
        return self.tracer.keys(self)

    def __len__(self) -> int:
        raise RuntimeError(
            "'len' is not supported in symbolic tracing by default. If you want this call to be "
            "recorded, please call torch.fx.wrap('len') at module scope"
        )

    @classmethod
    def __torch_function__(
        cls, orig_method: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        tracers: dict[Any, None] = {}
        map_aggregate((args, dict(kwargs or {})), lambda x: _note(x, tracers))
        if len(tracers) > 1:
            raise RuntimeError(
                f"Found multiple different tracers {list(tracers)} while trying to trace operations"
                f" {orig_method}"
            )
        tracer = next(iter(tracers))
        if is_tensor_method_or_property(orig_method):
            name = orig_method.__name__
            if name in ("__get__", "__set__"):
                attribute = orig_method.__self__.fget.__name__
                return tracer.create_proxy("call_function", getattr, (args[0], attribute), {})
            return tracer.create_proxy("call_method", name, tuple(args), dict(kwargs or {}))
        return tracer.create_proxy("call_function", orig_method, tuple(args), dict(kwargs or {}))


def _note(x: Any, tracers: dict[Any, None]) -> Any:
    if isinstance(x, Proxy):
        tracers[x.tracer] = None
    return x


class Attribute(Proxy):
    """An attribute of a proxy: a method when it is called, else a node of its own."""

    def __init__(self, root: Proxy, attr: str) -> None:
        self.root = root
        self.attr = attr
        self.tracer = root.tracer
        self._node: Node | None = None

    @property
    def node(self) -> Node:  # type: ignore[override]  # an attribute there
        """The node, made when something needs it."""
        if self._node is None:
            made = self.tracer.create_proxy("call_function", getattr, (self.root, self.attr), {})
            self._node = made.node
        return self._node

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)


class ParameterProxy(Proxy):
    """The proxy of a parameter, whose shape is known."""

    def __init__(self, tracer: TracerBase, node: Node, name: str, param: Any) -> None:
        super().__init__(node, tracer)
        self.param, self.name = param, name

    @property
    def shape(self) -> Any:
        """The parameter's shape."""
        return self.param.shape

    def size(self, *args: Any) -> Any:
        """The parameter's sizes."""
        return self.param.size(*args)

    def dim(self) -> int:
        """The number of its dimensions."""
        return int(self.param.dim())

    ndim = property(dim)

    def numel(self) -> int:
        """The number of its elements."""
        return int(self.param.numel())


_ARITHMETIC = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and_", "or_",
    "xor", "matmul",
)  # fmt: skip
_OTHERS = ("getitem", "eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "invert")


def _operation(function: Callable[..., Any]) -> Callable[..., Any]:
    def record(self: Proxy, *args: Any) -> Any:
        return self.tracer.create_proxy("call_function", function, (self, *args), {})

    return record


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    def record(self: Proxy, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", function, (other, self), {})

    return record


for _name in (*_ARITHMETIC, *_OTHERS):
    setattr(Proxy, f"__{_name.strip('_')}__", _operation(getattr(operator, _name)))
for _name in _ARITHMETIC:
    setattr(Proxy, f"__r{_name.strip('_')}__", _reflected(getattr(operator, _name)))
Proxy.__hash__ = object.__hash__  # type: ignore[method-assign]  # by identity


def caller_frame(depth: int = 2) -> FrameType:
    """The frame of who calls the function that asks."""
    frame = inspect.currentframe()
    for _ in range(depth):
        assert frame is not None
        frame = frame.f_back
    assert frame is not None
    return frame


__all__ = [
    "Attribute",
    "GraphAppendingTracer",
    "ParameterProxy",
    "Proxy",
    "TraceError",
    "TracerBase",
]
