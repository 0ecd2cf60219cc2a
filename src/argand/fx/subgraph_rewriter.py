"""Finding what looks like a pattern in a graph, and replacing it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from argand.fx._symbolic_trace import symbolic_trace
from argand.fx.graph import Graph
from argand.fx.graph_module import GraphModule, _assign_attr, attribute_of
from argand.fx.node import Node, map_arg


class Match(NamedTuple):
    """A place that looks like the pattern: its last node, and the graph's node for each of the
    pattern's."""

    anchor: Node
    nodes_map: dict[Node, Any]


@dataclass
class ReplacedPatterns:
    """A replacement that was made."""

    anchor: Node
    nodes_map: dict[Node, Any]
    replacements: list[Node] = field(default_factory=list)


def replace_pattern(gm: GraphModule, pattern: Any, replacement: Any) -> list[Match]:
    """Replace all that looks like a pattern; the module's graph is changed, and recompiled.

    Args:
        gm: the module.
        pattern: a function or a graph: the same calls of the same targets, of whatever its inputs
            stand for. What lies inside must not be used outside.
        replacement: a function or a graph of as many inputs, which takes its place.

    Returns the places, in order; they don't overlap.

    >>> from argand import fx
    >>> gm = fx.symbolic_trace(lambda x: ag.relu(x + x) + 1)
    >>> _ = fx.replace_pattern(gm, lambda a: ag.relu(a + a), lambda a: a * 3)
    >>> gm(ag.ones(1))
    tensor([4.])
    """
    return [Match(m.anchor, m.nodes_map) for m in _replaced(gm, pattern, replacement, None)]


def replace_pattern_with_filters(
    gm: GraphModule,
    pattern: Any,
    replacement: Any = None,
    match_filters: Any = None,
    ignore_literals: bool = False,
    replacement_callback: Any = None,
    node_name_match: str = "",
) -> list[ReplacedPatterns]:
    """`replace_pattern` of those places for which each of `match_filters` says so."""
    return _replaced(gm, pattern, replacement, match_filters)


def _graph_of(what: Any) -> tuple[Graph, Any]:
    if isinstance(what, GraphModule):
        return what.graph, what
    if isinstance(what, Graph):
        return what, what.owning_module
    traced = symbolic_trace(what)
    return traced.graph, traced


def _replaced(
    gm: GraphModule, pattern: Any, replacement: Any, filters: Any
) -> list[ReplacedPatterns]:
    pattern_graph, _ = _graph_of(pattern)
    new_graph, new_owner = _graph_of(replacement)
    inputs = [n for n in pattern_graph.nodes if n.op == "placeholder"]
    new_inputs = [n for n in new_graph.nodes if n.op == "placeholder"]
    if len(inputs) != len(new_inputs):
        raise RuntimeError(
            f"the pattern has {len(inputs)} inputs, the replacement {len(new_inputs)}; they must "
            "have as many"
        )
    found = _matches(gm.graph, pattern_graph)
    for test in filters or ():
        found = [m for m in found if test(m, gm.graph, pattern_graph)]
    changed: dict[Node, Node] = {}  # a later match may take what an earlier one has replaced
    both = ((pattern_graph, inputs), (new_graph, new_inputs))
    done = [_replace(gm.graph, match, *both, changed) for match in found]
    _take_attributes(gm, new_graph, new_owner)
    gm.recompile()
    return done


def _matches(graph: Graph, pattern: Graph) -> list[Match]:
    """The places, from the first on, that don't overlap."""
    ends = pattern.output_node().all_input_nodes
    found: list[Match] = []
    taken: set[Node] = set()
    for node in graph.nodes:
        for places in _candidates(ends, node, graph):
            nodes_map: dict[Node, Any] = {}
            pairs = zip(ends, places, strict=True)
            if not all(_is_alike(p, n, nodes_map) for p, n in pairs):
                continue
            inside = {n for p, n in nodes_map.items() if p.op != "placeholder"}
            if inside & taken or not _is_closed(nodes_map, set(places)):
                continue
            taken |= inside
            found.append(Match(max(places), nodes_map))
            break
    return found


def _candidates(ends: list[Node], first: Node, graph: Graph) -> Any:
    """Nodes for the results of a pattern, the first of them given."""
    if len(ends) == 1:
        return [[first]]
    if not _same_call(ends[0], first):
        return []
    choices = [[first]]
    for end in ends[1:]:
        alike = [n for n in graph.nodes if _same_call(end, n)]
        choices = [[*c, n] for c in choices for n in alike if n not in c]
    return choices


def _same_call(p: Node, n: Node) -> bool:
    return p.op == n.op and (p.target == n.target or p.op == "get_attr")


def _is_alike(p: Any, n: Any, nodes_map: dict[Node, Any]) -> bool:
    """Whether a part of the pattern is a part of the graph; notes the nodes."""
    if isinstance(p, Node):
        if p in nodes_map:
            return bool(nodes_map[p] is n) if isinstance(n, Node) else bool(nodes_map[p] == n)
        if p.op == "placeholder":
            nodes_map[p] = n
            return True
        if not isinstance(n, Node) or not _same_call(p, n):
            return False
        nodes_map[p] = n
        return _is_alike(p.args, n.args, nodes_map) and _is_alike(p.kwargs, n.kwargs, nodes_map)
    if isinstance(n, Node):
        return False
    if isinstance(p, list | tuple):
        alike = isinstance(n, list | tuple) and len(p) == len(n)
        return alike and all(_is_alike(a, b, nodes_map) for a, b in zip(p, n, strict=True))
    if isinstance(p, dict):
        alike = isinstance(n, dict) and p.keys() == n.keys()
        return alike and all(_is_alike(p[k], n[k], nodes_map) for k in p)
    if isinstance(p, slice):
        parts = [(p.start, n.start), (p.stop, n.stop), (p.step, n.step)] if type(n) is slice else []
        return bool(parts) and all(_is_alike(a, b, nodes_map) for a, b in parts)
    return type(p) is type(n) and bool(p == n)


def _is_closed(nodes_map: dict[Node, Any], ends: set[Node]) -> bool:
    """Whether nothing outside uses what is inside, but for the results."""
    inside = {n for p, n in nodes_map.items() if p.op not in ("placeholder", "get_attr")}
    return all(user in inside for n in inside - ends for user in n.users)


def _replace(graph: Graph, match: Match, pattern: Any, new: Any, changed: Any) -> ReplacedPatterns:
    (pattern_graph, inputs), (new_graph, new_inputs) = pattern, new
    nodes_map = {
        p: changed.get(n, n) if isinstance(n, Node) else n for p, n in match.nodes_map.items()
    }
    known: dict[Node, Any] = {
        into: nodes_map.get(p) for into, p in zip(new_inputs, inputs, strict=True)
    }
    ends = [nodes_map[p] for p in pattern_graph.output_node().all_input_nodes]
    made = []
    users = [user for end in ends for user in end.users]
    with graph.inserting_before(min(users) if users else match.anchor):
        for node in new_graph.nodes:
            if node.op == "output":
                result = map_arg(node.args[0], known.__getitem__)
            elif node not in known:
                known[node] = graph.node_copy(node, known.__getitem__)
                made.append(known[node])
    results = [result] if isinstance(result, Node) else [x for x in result if isinstance(x, Node)]
    if len(results) != len(ends):
        raise RuntimeError(f"the pattern gives {len(ends)} results, the replacement {len(results)}")
    for old, fresh in zip(ends, results, strict=True):
        old.replace_all_uses_with(fresh, lambda user: user not in made)
        changed[old] = fresh
    inside = {n for p, n in nodes_map.items() if p.op != "placeholder" and isinstance(n, Node)}
    for node in reversed(graph.nodes):
        if node in inside and not node.users:
            graph.erase_node(node)
    return ReplacedPatterns(match.anchor, match.nodes_map, made)


def _take_attributes(gm: GraphModule, graph: Graph, owner: Any) -> None:
    """Give the module what the replacement's nodes name."""
    for node in graph.nodes:
        if node.op not in ("get_attr", "call_module"):
            continue
        try:
            attribute_of(gm, node.target)
        except AttributeError:
            try:
                value = attribute_of(owner, node.target)
            except AttributeError:
                raise RuntimeError(
                    f'Attempted to create a "{node.op}" node during subgraph rewriting with '
                    f"target {node.target}, but the referenced attribute does not exist in the "
                    "replacement GraphModule"
                ) from None
            _assign_attr(value, gm, node.target)


__all__ = ["Match", "ReplacedPatterns", "replace_pattern", "replace_pattern_with_filters"]
