"""A graph with the modules and tensors that it uses, as a module."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

from argand.export import ExportedProgram, export
from argand.fx.graph import Graph
from argand.fx.node import Node
from argand.fx.text import PythonCode
from argand.nn.module import Module
from argand.tensor.core import Tensor


class GraphModule(Module):
    """A module whose `forward` runs a graph, node by node: `code` is text to be read, no code is
    generated or run.

    Args:
        root: a module, or a dictionary, that has what the nodes name.
        graph: the graph. After an edit, `recompile` makes it what `forward` runs.
        class_name: the name of the class.

    >>> from argand import fx
    >>> gm = fx.symbolic_trace(nn.Sequential(nn.Linear(2, 3)))
    >>> gm(ag.ones(1, 2)).shape
    argand.Size([1, 3])
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """An object of a class of its own, which has the graph's `forward`."""
        for kind in cls.__mro__:
            if kind.__dict__.get("_is_own_class"):
                cls = kind.__mro__[1]
        name = cls.__name__
        return super().__new__(
            type(name, (cls,), {"_is_own_class": True, "__module__": cls.__module__})
        )

    def __init__(self, root: Any, graph: Graph, class_name: str = "GraphModule") -> None:
        super().__init__()
        type(self).__name__ = type(self).__qualname__ = class_name
        if isinstance(root, Module):
            self.training = root.training
            for node in graph.nodes:
                if node.op in ("get_attr", "call_module"):
                    _copy_attr(root, self, node.target)
        elif isinstance(root, dict):
            self._take(root, graph)
        else:
            raise RuntimeError("Unsupported type " + str(root) + " passed for root!")
        self.graph = graph
        self._tracer_cls = graph._tracer_cls
        self._tracer_extras: Any = None
        self.meta: dict[str, Any] = {}

    def _take(self, root: dict[str, Any], graph: Graph) -> None:
        targets = []
        for node in graph.nodes:
            if node.op in ("get_attr", "call_module"):
                if node.target not in root:
                    raise RuntimeError(
                        f"Node {node} referenced target {node.target} but that target was not "
                        "provided in `root`!"
                    )
                targets.append(node.target)
        for target in sorted(targets, key=lambda t: t.count(".")):
            _assign_attr(root[target], self, target)

    @property
    def graph(self) -> Graph:
        """The graph that `forward` runs."""
        return self._graph

    @graph.setter
    def graph(self, graph: Graph) -> None:
        if not isinstance(graph, Graph):
            raise AssertionError(f"Expected a Graph instance, but got {type(graph)}")
        self._graph = graph
        graph.owning_module = self
        self.recompile()

    @property
    def code(self) -> str:
        """The graph as the text of a function."""
        return self.graph.python_code("self").src

    def recompile(self) -> PythonCode:
        """Have `forward` run the graph as it is now; returns its text."""
        kind: Any = type(self)
        kind.forward = _forward(self._graph)
        return self.graph.python_code("self")

    def program(self, *args: Any, **kwargs: Any) -> ExportedProgram:
        """The Program below: what the graph computes for these arguments, by ops of Argand's.

        >>> from argand import fx
        >>> gm = fx.symbolic_trace(lambda x: ag.relu(x + 1))
        >>> [node.op.name for node in gm.program(ag.ones(2)).program.nodes]
        ['add', 'relu']
        """
        return export(self, args, kwargs)

    def add_submodule(self, target: str, m: Module) -> bool:
        """Add a module under a dotted name; False where something else is in the way."""
        *path, last = target.split(".")
        owner: Module = self
        for part in path:
            if not hasattr(owner, part):
                setattr(owner, part, Module())
            owner = getattr(owner, part)
            if not isinstance(owner, Module):
                return False
        owner.add_module(last, m)
        return True

    def delete_submodule(self, target: str) -> bool:
        """Remove a submodule by its dotted name; whether there was one."""
        path, _, last = target.rpartition(".")
        try:
            owner = self.get_submodule(path)
        except AttributeError:
            return False
        if not isinstance(getattr(owner, last, None), Module):
            return False
        delattr(owner, last)
        return True

    def delete_all_unused_submodules(self) -> None:
        """Remove the submodules that no node calls."""
        used: set[str] = set()
        for node in self.graph.nodes:
            if node.op in ("call_module", "get_attr"):
                parts = node.target.split(".")
                used |= {".".join(parts[: i + 1]) for i in range(len(parts))}
            if node.op == "call_module":
                inner = self.get_submodule(node.target).named_modules()
                used |= {f"{node.target}.{name}" for name, _ in inner if name}
        for name in [name for name, _ in self.named_modules() if name and name not in used]:
            self.delete_submodule(name)

    def print_readable(self, print_output: bool = True, **options: Any) -> str:
        """Print the text of the graph, and those of submodules that are graphs."""
        code = self.code.strip()
        lines = [f"class {self._get_name()}(torch.nn.Module):"]
        lines += [f"    {line}" for line in code.splitlines()]
        for module in self.children():
            if isinstance(module, GraphModule):
                lines += [f"    {x}" for x in module.print_readable(False).splitlines()]
        text = "\n".join(lines)
        if print_output:
            print(text)
        return text

    def __deepcopy__(self, memo: dict[int, Any]) -> GraphModule:
        """The same graph on modules and tensors of its own."""
        state = {k: v for k, v in self.__dict__.items() if k != "_graph"}
        kind: Any = type(self).__mro__[1]
        made: GraphModule = kind.__new__(kind)
        type(made).__name__ = type(made).__qualname__ = type(self).__name__
        memo[id(self)] = made
        made.__dict__.update(copy.deepcopy(state, memo))
        made.graph = copy.deepcopy(self.graph)
        return made

    def __copy__(self) -> GraphModule:
        """The same graph on the same tensors."""
        made = GraphModule(self, copy.deepcopy(self.graph), type(self).__name__)
        made.meta = dict(self.meta)
        return made

    def __reduce__(self) -> Any:
        state = {k: v for k, v in self.__dict__.items() if k not in ("_graph", "_tracer_cls")}
        return _rebuilt, (state, self._graph, type(self).__name__)

    def __str__(self) -> str:
        more = "# To see more debug info, please use `graph_module.print_readable()`"
        return f"{super().__repr__()}\n{self.code}\n{more}"


def _rebuilt(state: dict[str, Any], graph: Graph, name: str) -> GraphModule:
    made: GraphModule = GraphModule.__new__(GraphModule)
    type(made).__name__ = type(made).__qualname__ = name
    made.__dict__.update(state, _tracer_cls=None)
    made.graph = graph
    return made


def _forward(graph: Graph) -> Callable[..., Any]:
    """The function that runs a graph as it is now."""
    nodes = [(n, n.op, n.target, n.args, n.kwargs) for n in graph.nodes]
    inputs = [n for n, op, *_ in nodes if op == "placeholder"]
    signature = signature_of(inputs)
    names = [n.target.lstrip("*") for n in inputs]
    ends = _ends(nodes)

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        env = dict(zip(inputs, map(bound.arguments.__getitem__, names), strict=True))
        for node, op, target, given, named in nodes:
            if op == "placeholder":
                continue
            given = map_arg_to(given, env)
            if op == "output":
                return given[0]
            env[node] = _run(self, op, target, given, map_arg_to(named, env))
            for used in ends.get(node, ()):
                del env[used]
        return None

    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if "self" not in signature.parameters:
        parameters = [own, *signature.parameters.values()]
        forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what inspect reads
    return forward


def _ends(nodes: list[Any]) -> dict[Node, list[Node]]:
    """For each node, those whose values nobody needs after it."""
    last: dict[Node, Node] = {}
    for node, op, *_ in nodes:
        if op != "placeholder":
            last[node] = node
        for used in node.all_input_nodes:
            last[used] = node
    found: dict[Node, list[Node]] = {}
    for used, node in last.items():
        found.setdefault(node, []).append(used)
    return found


def map_arg_to(arg: Any, env: dict[Node, Any]) -> Any:
    """An argument with the values of its nodes, in plain containers."""
    if isinstance(arg, Node):
        return env[arg]
    if isinstance(arg, tuple):
        parts = [map_arg_to(x, env) for x in arg]
        return type(arg)(*parts) if hasattr(arg, "_fields") else tuple(parts)
    if isinstance(arg, list):
        return [map_arg_to(x, env) for x in arg]
    if isinstance(arg, dict):
        return {k: map_arg_to(v, env) for k, v in arg.items()}
    if isinstance(arg, slice):
        return slice(*[map_arg_to(x, env) for x in (arg.start, arg.stop, arg.step)])
    return arg


def _run(module: Any, op: str, target: Any, args: Any, kwargs: Any) -> Any:
    if op == "call_function":
        return target(*args, **kwargs)
    if op == "call_method":
        return getattr(args[0], target)(*args[1:], **kwargs)
    found = attribute_of(module, target)
    return found if op == "get_attr" else found(*args, **kwargs)


def attribute_of(module: Any, target: str) -> Any:
    """What a module has under a dotted name."""
    for part in target.split("."):
        module = getattr(module, part)
    return module


def signature_of(inputs: list[Node]) -> inspect.Signature:
    """The parameters of a graph's function."""
    P = inspect.Parameter
    found = []
    kind: Any = P.POSITIONAL_OR_KEYWORD
    for node in inputs:
        name = node.target.lstrip("*")
        stars = len(node.target) - len(name)
        own = (kind, P.VAR_POSITIONAL, P.VAR_KEYWORD)[stars]
        default = node.args[0] if node.args and not stars else P.empty
        found.append(P(name, own, default=default))
        kind = P.KEYWORD_ONLY if stars else kind
    behind = False
    for i, p in enumerate(found):  # none without a default behind one that has it
        behind = behind or p.default is not P.empty
        if behind and p.default is P.empty and p.kind is P.POSITIONAL_OR_KEYWORD:
            found = [q.replace(default=P.empty) if j < i else q for j, q in enumerate(found)]
    return inspect.Signature(found)


def _copy_attr(from_module: Any, to_module: Any, target: str) -> None:
    """Have one module what another has under a dotted name."""
    *path, last = target.split(".")
    for part in path:
        below, own = getattr(from_module, part), getattr(to_module, part, None)
        if own is below:
            return  # it is there as a whole
        if own is None:
            own = Module()
            setattr(to_module, part, own)
        from_module, to_module = below, own
    value = getattr(from_module, last)
    if isinstance(value, Tensor) and last in getattr(from_module, "_buffers", {last: value}):
        to_module.register_buffer(last, value)
    else:
        setattr(to_module, last, value)


def _assign_attr(value: Any, to_module: Any, target: str) -> None:
    """Set what a module has under a dotted name."""
    *path, last = target.split(".")
    for part in path:
        own = getattr(to_module, part, None)
        if own is None:
            own = Module()
            setattr(to_module, part, own)
        to_module = own
    setattr(to_module, last, value)


def reduce_graph_module(body: dict[Any, Any], import_block: str) -> Any:
    """PyTorch's pickled modules have source text, which is never run here: RuntimeError."""
    raise RuntimeError("a GraphModule that PyTorch has pickled is source text, which is not run")


__all__ = ["GraphModule", "reduce_graph_module"]
