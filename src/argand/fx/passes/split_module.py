"""A graph taken apart into submodules."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from argand.fx.graph import Graph
from argand.fx.graph_module import GraphModule, attribute_of
from argand.fx.node import Node, map_arg
from argand.nn.module import Module


class Partition:
    """The nodes of one submodule, what they read from outside, and what others read of them."""

    def __init__(self, name: Any) -> None:
        self.name = str(name)
        self.submod_name = f"submod_{name}"
        self.nodes: list[Node] = []
        self.inputs: dict[Node, None] = {}
        self.outputs: dict[Node, None] = {}
        self.needs: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"{self.submod_name}({[n.name for n in self.nodes]})"


def split_module(
    m: GraphModule,
    root_m: Module,
    split_callback: Callable[[Node], int],
    qualname_map: dict[str, str] | None = None,
    keep_original_order: bool | None = False,
    keep_original_node_name: bool | None = False,
    keep_original_input_name: bool = True,
    **options: Any,
) -> GraphModule:
    """A graph of calls of submodules `submod_0`, `submod_1`, ...: the nodes for which
    `split_callback` gives one number are in one of them.

    Args:
        m: the graph.
        root_m: the module that has what the nodes name.
        split_callback: the number, or the name, of a node's submodule.
        qualname_map: filled with the old names of what is in the submodules.

    Raises RuntimeError where two submodules would need each other's results.

    >>> from argand import fx
    >>> from argand.fx.passes.split_module import split_module
    >>> gm = fx.symbolic_trace(lambda x: ag.relu(x) + 1)
    >>> parts = split_module(gm, gm, lambda node: 0 if node.name == "relu" else 1)
    >>> [name for name, _ in parts.named_children()], parts(ag.tensor([-1.0, 2.0]))
    (['submod_0', 'submod_1'], tensor([1., 3.]))
    """
    parts = _partitions(m, split_callback)
    base = Graph()
    env: dict[Node, Node] = {}
    holder = Module()
    for node in m.graph.nodes:
        if node.op in ("placeholder", "get_attr"):
            env[node] = base.node_copy(node)
    for part in parts if keep_original_order else _in_order(parts):
        made = _submodule(part, root_m, qualname_map)
        setattr(holder, part.submod_name, made)
        called = base.call_module(part.submod_name, tuple(env[n] for n in part.inputs))
        outputs = list(part.outputs)
        if len(outputs) == 1:
            env[outputs[0]] = called
        for i, node in enumerate(outputs if len(outputs) > 1 else ()):
            env[node] = base.call_function(operator.getitem, (called, i))
    base.output(map_arg(m.graph.output_node().args[0], env.__getitem__))
    targets = {p.submod_name: getattr(holder, p.submod_name) for p in parts}
    targets |= {n.target: attribute_of(root_m, n.target) for n in base.nodes if n.op == "get_attr"}
    return GraphModule(targets, base)


def _partitions(m: GraphModule, split_callback: Callable[[Node], Any]) -> list[Partition]:
    found: dict[str, Partition] = {}
    home: dict[Node, Partition] = {}
    for node in m.graph.nodes:
        if node.op in ("placeholder", "get_attr", "output"):
            continue
        name = str(split_callback(node))
        home[node] = found.setdefault(name, Partition(name))
        home[node].nodes.append(node)
    for node in m.graph.nodes:
        for used in node.all_input_nodes:
            _connect(used, home.get(used), home.get(node))
    return list(found.values())


def _connect(used: Node, source: Partition | None, target: Partition | None) -> None:
    """Note that a node of one partition, or an input, is used in another, or returned."""
    if source is target:
        return
    if target is not None:
        target.inputs[used] = None
    if source is not None:
        source.outputs[used] = None
        if target is not None:
            target.needs[source.name] = None


def _in_order(parts: Sequence[Partition]) -> list[Partition]:
    """Each partition behind those that it needs."""
    left, done = list(parts), dict[str, Partition]()
    while left:
        ready = [p for p in left if all(name in done for name in p.needs)]
        if not ready:
            raise RuntimeError("cycle exists between partitions!")
        done |= {p.name: p for p in ready}
        left = [p for p in left if p.name not in done]
    return list(done.values())


def _submodule(part: Partition, root_m: Module, names: dict[str, str] | None) -> GraphModule:
    graph = Graph()
    env: dict[Node, Node] = {}
    targets: dict[str, Any] = {}
    for node in part.inputs:
        env[node] = graph.placeholder(node.name, node.type)

    def own(target: str) -> str:
        name = target.replace(".", "_")
        targets[name] = attribute_of(root_m, target)
        if names is not None:
            names[f"{part.submod_name}.{name}"] = target
        return name

    for node in part.nodes:
        target = own(node.target) if node.op == "call_module" else node.target
        args, kwargs = (map_arg(x, env.__getitem__) for x in (node.args, node.kwargs))
        env[node] = graph.create_node(node.op, target, args, kwargs, node.name, node.type)
        env[node].meta = dict(node.meta)
    outputs = tuple(env[node] for node in part.outputs)
    graph.output(outputs[0] if len(outputs) == 1 else outputs)
    return GraphModule(targets, graph)


__all__ = ["Partition", "split_module"]
