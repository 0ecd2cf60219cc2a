"""Nodes: one call, input or output of a graph each."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable
from typing import Any

from argand.base.naming import naming
from argand.fx.immutable_collections import immutable_dict, immutable_list
from argand.fx.operator_schemas import normalize_function, normalize_module
from argand.ir.op import Op
from argand.library import CustomOpDef
from argand.overrides import resolve_name

Argument = Any
Target = Any

OPS = ("placeholder", "call_method", "call_module", "call_function", "get_attr", "output", "root")
_side_effects: set[Any] = set()


def has_side_effect(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function whose calls `eliminate_dead_code` leaves, even if nothing uses them.

    >>> from argand import fx
    >>> fx.has_side_effect(print) is print
    True
    """
    _side_effects.add(fn)
    return fn


def map_arg(a: Any, fn: Callable[[Node], Any]) -> Any:
    """The argument with `fn` of each node in it, to any depth.

    >>> from argand import fx
    >>> graph = fx.Graph()
    >>> fx.map_arg([graph.placeholder("x"), 3], lambda node: node.name)
    ['x', 3]
    """
    return map_aggregate(a, lambda x: fn(x) if isinstance(x, Node) else x)


def map_aggregate(a: Any, fn: Callable[[Any], Any]) -> Any:
    """The argument with `fn` of each leaf; containers become ones that don't change."""
    if isinstance(a, tuple):
        parts = [map_aggregate(x, fn) for x in a]
        return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
    if isinstance(a, list):
        return immutable_list([map_aggregate(x, fn) for x in a])
    if isinstance(a, dict):
        return immutable_dict({k: map_aggregate(v, fn) for k, v in a.items()})
    if isinstance(a, slice):
        parts = [map_aggregate(x, fn) for x in (a.start, a.stop, a.step)]
        return slice(*parts)
    return fn(a)


def qualified_name(function: Any) -> str:
    """The name of a function with its module, as code would say it."""
    if isinstance(function, str):
        return function
    name = getattr(function, "__name__", type(function).__name__)
    if getattr(builtins, name, None) is function:
        return str(name)
    found = resolve_name(function)
    if found is not None:
        return found
    if isinstance(function, CustomOpDef):
        space, _, short = function._qualname.partition("::")
        has_overloads = space != "higher_order" and "." not in short
        return f"torch.ops.{space}.{short}{'.default' if has_overloads else ''}"
    if isinstance(function, Op):
        return f"argand.ops.{function.name}"
    if function.__module__ == "argand.checks":
        return f"{naming.package}.{name}"
    module = "operator" if getattr(operator, name, None) is function else function.__module__
    return f"{module}.{name}"


def type_name(kind: Any) -> str:
    """A type as annotations write it."""
    if isinstance(kind, type) and not hasattr(kind, "__args__"):
        builtin = kind.__module__ == "builtins"
        return kind.__qualname__ if builtin else f"{kind.__module__}.{kind.__qualname__}"
    return "..." if kind is ... else repr(kind)


class Node:
    """A node of a `Graph`.

    Attributes:
        op: "placeholder" (an input), "get_attr" (a parameter), "call_function", "call_method",
            "call_module" or "output".
        name: what it is called, once in a graph.
        target: the function, or the name of the input, method, module or attribute.
        args, kwargs: the arguments, with nodes in them; assign new ones to change them.
        users: the nodes that use it, as a dictionary's keys.
        meta: a dictionary for passes to keep things in.

    >>> from argand import fx
    >>> node = next(iter(fx.symbolic_trace(nn.ReLU()).graph.nodes))
    >>> node.op, node.name, list(node.users)
    ('placeholder', 'input_1', [relu])
    """

    def __init__(
        self,
        graph: Any,
        name: str,
        op: str,
        target: Target,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        return_type: Any = None,
    ) -> None:
        if op not in OPS:
            raise ValueError(f"{op!r} is no op of a node; there are {', '.join(OPS)}")
        if op == "call_function" and not callable(target):
            raise ValueError(
                f"Node [graph = {graph}, name = '{name}'] target {target} has type "
                f"{type(target).__name__}; a call_function needs a function"
            )
        if op not in ("call_function", "root") and not isinstance(target, str):
            raise ValueError(
                f"Node [graph = {graph}, name = '{name}'] target {target} has type "
                f"{type(target).__name__}; a {op} needs a str"
            )
        self.graph = graph
        self.name = name
        self.op = op
        self.target = target
        self.type = return_type
        self.users: dict[Node, None] = {}
        self.meta: dict[str, Any] = {}
        self.stack_trace: str | None = None
        self._input_nodes: dict[Node, None] = {}
        self._prev = self._next = self
        self._erased = False
        self._args: Any = ()
        self._kwargs: Any = {}
        self._set(args, kwargs)

    # -- place ---------------------------------------------------------------------------------

    @property
    def next(self) -> Node:
        """The node behind it."""
        return self._next

    @property
    def prev(self) -> Node:
        """The node before it."""
        return self._prev

    def prepend(self, x: Node) -> None:
        """Move `x` to the place before this node."""
        if self.graph is not x.graph:
            raise AssertionError("Attempting to move a Node into a different Graph")
        if self is x:
            return
        x._unlink()
        before = self._prev
        before._next, x._prev = x, before
        x._next, self._prev = self, x

    def append(self, x: Node) -> None:
        """Move `x` to the place behind this node."""
        self._next.prepend(x)

    def _unlink(self) -> None:
        self._prev._next, self._next._prev = self._next, self._prev

    def __lt__(self, other: Node) -> bool:
        for node in self.graph.nodes:
            if node is self or node is other:
                return node is self and self is not other
        return False

    def __gt__(self, other: Node) -> bool:
        return other < self

    # -- arguments -----------------------------------------------------------------------------

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments."""
        found: tuple[Any, ...] = self._args
        return found

    @args.setter
    def args(self, given: Any) -> None:
        self._set(given, self._kwargs)

    @property
    def kwargs(self) -> dict[str, Any]:
        """The arguments by name."""
        found: dict[str, Any] = self._kwargs
        return found

    @kwargs.setter
    def kwargs(self, given: Any) -> None:
        self._set(self._args, given)

    def _set(self, args: Any, kwargs: Any) -> None:
        for node in self._input_nodes:
            node.users.pop(self, None)
        self._input_nodes = {}

        def use(node: Node) -> Node:
            self._input_nodes[node] = None
            node.users[self] = None
            return node

        self._args = map_arg(tuple(args), use)
        self._kwargs = map_arg(dict(kwargs), use)

    @property
    def all_input_nodes(self) -> list[Node]:
        """The nodes among the arguments, each once."""
        return list(self._input_nodes)

    def update_arg(self, idx: int, arg: Any) -> None:
        """Change one positional argument."""
        args = list(self.args)
        args[idx] = arg
        self.args = tuple(args)

    def insert_arg(self, idx: int, arg: Any) -> None:
        """Insert a positional argument."""
        if not 0 <= idx <= len(self.args):
            raise AssertionError("insert_args index must be between 0 and len(self.args)")
        self.args = (*self.args[:idx], arg, *self.args[idx:])

    def update_kwarg(self, key: str, arg: Any) -> None:
        """Change one argument by name."""
        self.kwargs = {**self.kwargs, key: arg}

    def replace_input_with(self, old_input: Node, new_input: Node) -> None:
        """Use another node in place of one of the inputs."""

        def swap(node: Node) -> Node:
            return new_input if node is old_input else node

        self._set(map_arg(self._args, swap), map_arg(self._kwargs, swap))

    def replace_all_uses_with(
        self,
        replace_with: Node,
        delete_user_cb: Callable[[Node], bool] = lambda user: True,
        *,
        propagate_meta: bool = False,
    ) -> list[Node]:
        """Let all users of this node use another one; returns the users."""
        if propagate_meta:
            if replace_with.meta:
                raise AssertionError(
                    "Called node.replace_all_uses_with(replace_with, propagate_meta=True), but "
                    "replace_with already has .meta keys"
                )
            replace_with.meta.update(self.meta)
        users = [user for user in self.users if delete_user_cb(user)]
        for user in users:
            user.replace_input_with(self, replace_with)
        return users

    def is_impure(self, impure_random: bool = True) -> bool:
        """Whether dropping it would change more than its result."""
        if self.op in ("placeholder", "output"):
            return True
        if self.op == "call_function":
            return self.target in _side_effects or getattr(self.target, "__name__", "") == "_assert"
        if self.op == "call_method":
            return self.target.endswith("_") and not self.target.endswith("__")
        if self.op == "call_module" and self.graph.owning_module is not None:
            module = self.graph.owning_module.get_submodule(self.target)
            return bool(getattr(module, "_is_impure", False))
        return False

    def normalized_arguments(
        self,
        root: Any,
        arg_types: Any = None,
        kwarg_types: Any = None,
        normalize_to_only_use_kwargs: bool = False,
    ) -> Any:
        """The arguments with the defaults of what is called, as a pair of `args` and `kwargs`; None
        where the signature isn't known. See `fx.operator_schemas`."""
        only = normalize_to_only_use_kwargs
        if self.op == "call_function":
            target, args, kwargs = self.target, self.args, self.kwargs
            return normalize_function(target, args, kwargs, arg_types, kwarg_types, only)
        if self.op == "call_module":
            return normalize_module(root, self.target, self.args, self.kwargs, only)
        return None

    # -- text ----------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return self.name

    def _pretty_print_target(self, target: Any) -> str:
        if isinstance(target, str):
            return target
        name = qualified_name(target)
        return name if "." in name else f"builtins.{name}"

    def format_node(self, *args: Any, **kwargs: Any) -> str | None:
        """The line of this node in the text of the graph."""
        kind = f"{type_name(self.type)} " if self.type else ""
        head = f"%{self.name} : {kind}[num_users={len(self.users)}] = {self.op}"
        if self.op == "placeholder":
            default = f"(default={self.args[0]})" if self.args else ""
            return f"{head}[target={self.target}]{default}"
        if self.op == "get_attr":
            return f"{head}[target={self._pretty_print_target(self.target)}]"
        if self.op == "output":
            return f"return {self.args[0]}"
        target = self._pretty_print_target(self.target)
        given = f"(args = {with_marks(self.args)}, kwargs = {with_marks(self.kwargs)})"
        return f"{head}[target={target}]{given}"


def with_marks(arg: Any) -> str:
    """An argument as text, with % before the nodes."""
    if isinstance(arg, list):
        return f"[{', '.join(map(with_marks, arg))}]"
    if isinstance(arg, tuple):
        return f"({', '.join(map(with_marks, arg))}{',' if len(arg) == 1 else ''})"
    if isinstance(arg, dict):
        return "{" + ", ".join(f"{k}: {with_marks(v)}" for k, v in arg.items()) + "}"
    return f"%{arg}" if isinstance(arg, Node) else str(arg)


__all__ = [
    "Argument",
    "Node",
    "Target",
    "has_side_effect",
    "map_aggregate",
    "map_arg",
    "qualified_name",
    "type_name",
]
