"""Graphs: nodes in order, and their text."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable, Iterator
from inspect import Parameter as Argument
from inspect import Signature
from typing import Any

from argand.fx.node import Node, map_arg, qualified_name
from argand.fx.text import PythonCode, python_code, table

_EMPTY: Any = Signature.empty
_ILLEGAL = {*keyword.kwlist, *dir(builtins), "inf", "nan", "NoneType", "torch", "device"}


class Names:
    """Names that are given once each."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self._counts: dict[str, int] = {}

    def create_name(self, candidate: str, obj: Any = None) -> str:
        """The candidate, with a number behind it where it is taken or means something in Python."""
        candidate = re.sub(r"[^0-9a-zA-Z_]+", "_", candidate) or "_unnamed"
        candidate = f"_{candidate}" if candidate[0].isdigit() else candidate
        found = re.match(r"^([a-zA-Z_0-9]*?)(?:_(\d+))?$", candidate)
        assert found is not None
        base, number = found.group(1, 2)
        if number is None or candidate in self.used:
            count = self._counts.get(candidate, 0)
            if candidate in _ILLEGAL:
                count += 1
                candidate = f"{base}_{count}"
        else:
            count = int(number)
        while candidate in self.used:
            count += 1
            candidate = f"{base}_{count}"
        self.used.add(candidate)
        self._counts[base] = count
        return candidate


class NodeList:
    """The nodes of a graph in order."""

    def __init__(self, graph: Graph, backwards: bool = False) -> None:
        self._graph = graph
        self._backwards = backwards

    def __len__(self) -> int:
        return self._graph._len

    def __iter__(self) -> Iterator[Node]:
        root = self._graph._root
        at = root._prev if self._backwards else root._next
        while at is not root:
            if not at._erased:
                yield at
            at = at._prev if self._backwards else at._next

    def __reversed__(self) -> NodeList:
        return NodeList(self._graph, not self._backwards)


class InsertPoint:
    """Where new nodes go; as a block, until it is left."""

    def __init__(self, graph: Graph, place: Node) -> None:
        self.graph, self.before = graph, graph._place
        graph._place = place

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        self.graph._place = self.before


class Graph:
    """Nodes in the order in which they run: inputs, calls, one output.

    It is made by `symbolic_trace` or by hand, edited through its nodes, and run by a `GraphModule`
    or an `Interpreter`: no code is generated, `python_code` is text to be read.

    >>> from argand import fx
    >>> graph = fx.Graph()
    >>> x = graph.placeholder("x")
    >>> _ = graph.output(graph.call_function(ag.relu, (x,)))
    >>> fx.GraphModule(nn.Module(), graph)(ag.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def __init__(
        self, owning_module: Any = None, tracer_cls: Any = None, tracer_extras: Any = None
    ) -> None:
        self._root = Node(self, "", "root", "", (), {})
        self._place = self._root  # new nodes go before it
        self._len = 0
        self._names = Names()
        self._tracer_cls = tracer_cls
        self._tracer_extras = tracer_extras
        self._codegen: Any = None
        self.owning_module = owning_module

    @property
    def nodes(self) -> NodeList:
        """The nodes, in order; `reversed` gives them from the last on."""
        return NodeList(self)

    def output_node(self) -> Node:
        """The node of the output."""
        return next(n for n in reversed(self.nodes) if n.op == "output")

    def find_nodes(self, *, op: str, target: Any = None, sort: bool = True) -> list[Node]:
        """The nodes of an op, and of a target where it is given."""
        if op == "call_function" and target is None:
            raise ValueError("find_nodes needs a target for call_function")
        alike = [n for n in self.nodes if n.op == op]
        return alike if target is None else [n for n in alike if n.target == target]

    # -- making --------------------------------------------------------------------------------

    def create_node(
        self,
        op: str,
        target: Any,
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
        name: str | None = None,
        type_expr: Any = None,
    ) -> Node:
        """A new node at the place for new ones, which is the end unless `inserting_before` or
        `inserting_after` says otherwise."""
        args, kwargs = args or (), kwargs or {}
        if not isinstance(args, tuple):
            raise AssertionError("args must be a tuple")
        if not isinstance(kwargs, dict):
            raise AssertionError("kwargs must be a dict")
        name = self._names.create_name(name if name is not None else _text_of(target))
        node = Node(self, name, op, target, args, kwargs, type_expr)
        self._place.prepend(node)
        self._len += 1
        return node

    def placeholder(
        self, name: str, type_expr: Any = None, default_value: Any = Signature.empty
    ) -> Node:
        """An input; `name` may have * or ** before it."""
        args = () if default_value is Signature.empty else (default_value,)
        return self.create_node("placeholder", name, args, type_expr=type_expr)

    def get_attr(self, qualified_name: str, type_expr: Any = None) -> Node:
        """A parameter, a buffer or another attribute of the module."""
        return self.create_node("get_attr", qualified_name, type_expr=type_expr)

    def call_module(
        self, module_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None
    ) -> Node:
        """A call of a submodule."""
        return self.create_node("call_module", module_name, args, kwargs, type_expr=type_expr)

    def call_method(
        self, method_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None
    ) -> Node:
        """A call of a method of the first argument."""
        return self.create_node("call_method", method_name, args, kwargs, type_expr=type_expr)

    def call_function(
        self,
        the_function: Callable[..., Any],
        args: Any = None,
        kwargs: Any = None,
        type_expr: Any = None,
        name: str | None = None,
    ) -> Node:
        """A call of a function."""
        return self.create_node("call_function", the_function, args, kwargs, name, type_expr)

    def output(self, result: Any, type_expr: Any = None) -> Node:
        """What the graph returns: a node, or nodes in tuples, lists and dictionaries."""
        return self.create_node("output", "output", (result,), type_expr=type_expr)

    def node_copy(self, node: Node, arg_transform: Callable[[Node], Any] = lambda x: x) -> Node:
        """A copy of a node of another graph; `arg_transform` gives this graph's node for each of
        the other's."""
        args = map_arg(node.args, arg_transform)
        kwargs = map_arg(node.kwargs, arg_transform)
        made = self.create_node(node.op, node.target, args, kwargs, node.name, node.type)
        made.meta = dict(node.meta)
        return made

    def graph_copy(
        self, g: Graph, val_map: dict[Node, Node], return_output_node: bool = False
    ) -> Any:
        """Copy the nodes of another graph, but its output; returns this graph's nodes for what it
        outputs. `val_map` has nodes that are there already, and gets the others."""
        for node in g.nodes:
            if node in val_map:
                continue
            if node.op == "output":
                found = map_arg(node.args[0], val_map.__getitem__)
                return (found, node) if return_output_node else found
            val_map[node] = self.node_copy(node, val_map.__getitem__)
        return None

    def inserting_before(self, n: Node | None = None) -> InsertPoint:
        """New nodes go before `n`; at the beginning where it is None."""
        if n is None:
            return InsertPoint(self, self._root._next)
        if n.graph is not self:
            raise AssertionError("Node to insert before is not in graph.")
        return InsertPoint(self, n)

    def inserting_after(self, n: Node | None = None) -> InsertPoint:
        """New nodes go behind `n`; at the end where it is None."""
        if n is None:
            return InsertPoint(self, self._root)
        if n.graph is not self:
            raise AssertionError("Node to insert after is not in graph.")
        return InsertPoint(self, n._next)

    def erase_node(self, to_erase: Node) -> None:
        """Remove a node that nothing uses; RuntimeError where something does."""
        if to_erase.users:
            raise RuntimeError(
                f"Tried to erase Node {to_erase} but it still had {len(to_erase.users)} users in "
                f"the graph: {to_erase.users}!"
            )
        if to_erase.graph is not self:
            raise RuntimeError(f"Attempting to remove {to_erase} from wrong graph!")
        if to_erase._erased:
            return
        to_erase._unlink()
        if self._place is to_erase:
            self._place = to_erase._next
        to_erase._erased = True
        to_erase._set((), {})
        self._len -= 1

    def eliminate_dead_code(self, is_impure_node: Any = None) -> bool:
        """Remove calls whose results nobody uses; whether there were any."""
        self.lint()
        impure = is_impure_node or Node.is_impure
        before = self._len
        for node in reversed(self.nodes):
            if not node.users and not impure(node):
                self.erase_node(node)
        return self._len < before

    # -- checking and text ---------------------------------------------------------------------

    def lint(self) -> None:
        """Raise RuntimeError where a node is used before its place, a name is there twice, or the
        module lacks what is called."""
        seen: set[Node] = set()
        names: set[str] = set()
        for node in self.nodes:
            for used in node.all_input_nodes:
                if used.graph is not self:
                    raise RuntimeError(
                        f"Argument '{used}' of Node '{node}' does not belong to this Graph, but "
                        "was used as an argument! If you are copying nodes from another graph, "
                        "make sure to use ``arg_transform`` on node_copy() to remap values"
                    )
                if used not in seen:
                    raise RuntimeError(
                        f"Argument '{used}' of Node '{node}' was used before it has been defined! "
                        f"Please check that Nodes in the graph are topologically ordered\n{self}"
                    )
            if node.name in names:
                raise RuntimeError(f"Node redefined name {node.name}!")
            seen.add(node)
            names.add(node.name)
            if self.owning_module is not None and node.op in ("get_attr", "call_module"):
                _check_there(self.owning_module, node)

    def python_code(self, root_module: str = "self", **options: Any) -> PythonCode:
        """The graph as the text of a function, to be read: it is never run."""
        return python_code(self, root_module)

    def print_tabular(self) -> None:
        """Print a table of the nodes."""
        print(table(self))

    def __str__(self) -> str:
        lines = [node.format_node() for node in self.nodes]
        return "graph():" + "".join(f"\n    {line}" for line in lines if line)

    def set_codegen(self, codegen: Any) -> None:
        """Keep an object of PyTorch's kind for generating code; graphs are run without."""
        self._codegen = codegen

    def process_inputs(self, *args: Any) -> Any:
        """The inputs, as they are."""
        return args

    def process_outputs(self, out: Any) -> Any:
        """The outputs, as they are."""
        return out

    # -- copies --------------------------------------------------------------------------------

    def __deepcopy__(self, memo: Any = None) -> Graph:
        made = Graph(tracer_cls=self._tracer_cls)
        mapped: dict[Node, Node] = {}
        for node in self.nodes:
            mapped[node] = made.node_copy(node, mapped.__getitem__)
        return made

    def __reduce__(self) -> Any:
        nodes = [
            (n.op, n.name, n.target, map_arg(n.args, Ref), map_arg(n.kwargs, Ref), n.type)
            for n in self.nodes
        ]
        return graph_of, (nodes,)


class Ref:
    """A node in a pickled graph."""

    def __init__(self, node: Node) -> None:
        self.name = node.name


def graph_of(nodes: list[Any]) -> Graph:
    """The graph of pickled nodes."""
    from argand.fx.node import map_aggregate

    made = Graph()
    known: dict[str, Node] = {}

    def found(x: Any) -> Any:
        return known[x.name] if isinstance(x, Ref) else x

    for op, name, target, args, kwargs, kind in nodes:
        args, kwargs = map_aggregate(args, found), map_aggregate(kwargs, found)
        known[name] = made.create_node(op, target, args, kwargs, name, kind)
    return made


def _text_of(target: Any) -> str:
    """What a node of a target is called."""
    name = target if isinstance(target, str) else getattr(target, "__name__", type(target).__name__)
    if name.startswith("__") and name.endswith("__"):
        name = name[2:-2]
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()


def _check_there(module: Any, node: Node) -> None:
    at = module
    for part in node.target.split("."):
        at = getattr(at, part, _EMPTY)
        if at is _EMPTY:
            raise RuntimeError(
                f"Node {node} target {node.target} references nonexistent attribute {part} of "
                f"{module.__class__.__name__}"
            )


__all__ = ["Argument", "Graph", "InsertPoint", "NodeList", "PythonCode", "qualified_name"]
