"""A graph as text: a table, or a function in Python. Neither is ever run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from argand.fx.node import Node, qualified_name, type_name

_MAGIC = {
    "eq": "{} == {}", "ne": "{} != {}", "lt": "{} < {}", "gt": "{} > {}", "le": "{} <= {}",
    "ge": "{} >= {}", "pos": "+{}", "neg": "-{}", "invert": "~{}", "add": "{} + {}",
    "sub": "{} - {}", "mul": "{} * {}", "floordiv": "{} // {}", "truediv": "{} / {}",
    "mod": "{} % {}", "pow": "{} ** {}", "lshift": "{} << {}", "rshift": "{} >> {}",
    "and_": "{} & {}", "or_": "{} | {}", "xor": "{} ^ {}", "getitem": "{}[{}]",
    "matmul": "{} @ {}",
}  # fmt: skip


@dataclass
class PythonCode:
    """A graph as the text of a function, with the objects that it names."""

    src: str
    globals: dict[str, Any] = field(default_factory=dict)


def python_code(graph: Any, root: str) -> PythonCode:
    """The text of a graph as a method of `root`."""
    inputs: list[str] = []
    lines: list[str] = []
    known: dict[str, Any] = {}
    ends = _last_uses(graph)
    returned = ""
    for node in graph.nodes:
        if node.op == "placeholder":
            default = f" = {node.args[0]!r}" if node.args else ""
            inputs.append(f"{node.target}{_annotation(node)}{default}")
            raw = node.target.replace("*", "")
            lines += [f"{node} = {raw}"] if raw != node.name else []
        elif node.op == "output":
            returned = f" -> {type_name(node.type)}" if node.type else ""
            lines.append(f"return {node.args[0]!r}")
        else:
            ended = ends.get(node, [])
            ended = ended if node.users else [*ended, node]
            rest = ";  " + " = ".join([*map(repr, ended), "None"]) if ended else ""
            lines.append(f"{_statement(node, root, known)}{rest}")
    head = f"def forward({', '.join([root, *inputs])}){returned}:"
    return PythonCode(
        "\n\n\n" + head + "".join(f"\n    {x}" for x in lines or ["pass"]) + "\n    ", known
    )


def _last_uses(graph: Any) -> dict[Node, list[Node]]:
    """For each node, those that it is the last to use."""
    last: dict[Node, Node] = {}
    for node in reversed(graph.nodes):
        for used in node.all_input_nodes:
            last.setdefault(used, node)
    found: dict[Node, list[Node]] = {}
    for used, node in last.items():
        found.setdefault(node, []).append(used)
    return found


def _annotation(node: Node) -> str:
    return f" : {type_name(node.type)}" if node.type else ""


def _statement(node: Node, root: str, known: dict[str, Any]) -> str:
    left = f"{node}{_annotation(node)} = "
    if node.op == "get_attr":
        return left + attribute(root, node.target)
    if node.op == "call_module":
        return left + f"{attribute(root, node.target)}({_given(node.args, node.kwargs)})"
    if node.op == "call_method":
        called = attribute(repr(node.args[0]), node.target)
        return left + f"{called}({_given(node.args[1:], node.kwargs)})"
    name = qualified_name(node.target)
    module, _, short = name.rpartition(".")
    if module in ("operator", "_operator") and short in _MAGIC and not node.kwargs:
        return left + _MAGIC[short].format(*map(repr, node.args))
    if name == "getattr" and len(node.args) == 2 and isinstance(node.args[1], str):
        return left + attribute(repr(node.args[0]), node.args[1])
    known[name] = node.target
    return left + f"{name}({_given(node.args, node.kwargs)})"


def _given(args: Any, kwargs: Any) -> str:
    return ", ".join([*map(_argument, args), *(f"{k} = {_argument(v)}" for k, v in kwargs.items())])


def _argument(value: Any) -> str:
    return qualified_name(value) if callable(value) and not isinstance(value, Node) else repr(value)


def attribute(base: str, path: str) -> str:
    """An attribute of an expression, to any depth."""
    for part in path.split("."):
        base = f"{base}.{part}" if part.isidentifier() else f'getattr({base}, "{part}")'
    return base


def table(graph: Any) -> str:
    """The nodes of a graph, one a line."""
    rows = [["opcode", "name", "target", "args", "kwargs"], []]
    rows += [list(map(str, (n.op, n.name, n.target, n.args, n.kwargs))) for n in graph.nodes]
    widths = [max(len(r[i]) for r in rows if r) for i in range(5)]
    rows[1] = ["-" * w for w in widths]
    lines = ["  ".join(x.ljust(w) for x, w in zip(r, widths, strict=True)) for r in rows]
    return "\n".join(line.rstrip() for line in lines)


__all__ = ["PythonCode", "attribute", "python_code", "table"]
