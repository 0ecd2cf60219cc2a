"""A graph as the text of a drawing, in the language DOT."""

from __future__ import annotations

from typing import Any

from argand.fx.graph_module import GraphModule
from argand.fx.node import Node, qualified_name

_COLOURS = {
    "placeholder": "AliceBlue",
    "call_module": "LemonChiffon1",
    "get_param": "Yellow2",
    "get_attr": "LightGrey",
    "output": "PowderBlue",
}


class Drawing:
    """The text of a drawing.

    >>> from argand.fx.passes.graph_drawer import Drawing
    >>> print(Drawing("f", ['x [label="x"];']))
    digraph "f" {
    rankdir=TB;
    x [label="x"];
    }
    """

    def __init__(self, name: str, lines: list[str]) -> None:
        self.name, self.lines = name, lines

    def to_string(self) -> str:
        """The text, for the programs of Graphviz."""
        return "\n".join([f'digraph "{self.name}" {{', "rankdir=TB;", *self.lines, "}"])

    __str__ = to_string

    def write(self, path: Any, **options: Any) -> None:
        """Write the text to a file."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.to_string())

    write_raw = write_dot = write


class FxGraphDrawer:
    """Draws a graph: `get_dot_graph()` gives the text, which Graphviz's `dot` makes a picture of.

    >>> from argand import fx
    >>> from argand.fx.passes.graph_drawer import FxGraphDrawer
    >>> drawing = FxGraphDrawer(fx.symbolic_trace(lambda x: ag.relu(x)), "f").get_dot_graph()
    >>> "x -> relu;" in drawing.to_string()
    True
    """

    def __init__(self, graph_module: GraphModule, name: str, **options: Any) -> None:
        self._drawings = {name: _drawing(graph_module, name)}
        for path, module in graph_module.named_modules():
            if path and isinstance(module, GraphModule):
                title = f"{name}_{path.replace('.', '_')}"
                self._drawings[title] = _drawing(module, title)

    def get_dot_graph(self, submod_name: str | None = None) -> Drawing:
        """The drawing of the graph, or of a submodule's."""
        if submod_name is None:
            return self.get_main_dot_graph()
        return self.get_submod_dot_graph(submod_name)

    def get_main_dot_graph(self) -> Drawing:
        """The drawing of the graph."""
        return next(iter(self._drawings.values()))

    def get_submod_dot_graph(self, submod_name: str) -> Drawing:
        """The drawing of a submodule's graph, by the graph's name and the submodule's."""
        return self._drawings[submod_name]

    def get_all_dot_graphs(self) -> dict[str, Drawing]:
        """All drawings by their names."""
        return dict(self._drawings)


def _drawing(module: GraphModule, name: str) -> Drawing:
    nodes = list(module.graph.nodes)
    lines = [f"{node.name} [{_attributes(node)}];" for node in nodes]
    lines += [f"{used.name} -> {node.name};" for node in nodes for used in node.all_input_nodes]
    return Drawing(name, lines)


def _attributes(node: Node) -> str:
    target = node.target if isinstance(node.target, str) else qualified_name(node.target)
    parts = [f"name=%{node.name}", f"op_code={node.op}", f"target={target}"]
    known = node.meta.get("tensor_meta")
    if known is not None:
        parts += [f"dtype={known.dtype}", f"shape={tuple(known.shape)}"]
    label = "|".join(parts).replace('"', "'")
    colour = _COLOURS.get(node.op, "CadetBlue1")
    return f'label="{{{label}}}", shape=record, style="filled,rounded", fillcolor={colour}'


__all__ = ["Drawing", "FxGraphDrawer"]
