"""What a program's machine code is known by: its text, and the slots that the entry takes.

The entry takes one slot each for: inputs, state, outputs, the arena, the table of the arena's
offsets, then the sizes of symbols.
"""

from __future__ import annotations

from collections.abc import Sequence

from argand.base.dim import Dim, Shape
from argand.base.errors import CompileError
from argand.ir.program import Node, Program


class NotLoweredError(CompileError):
    """A node that was expected to have a kernel, but none can be made."""

    def __init__(self, node: Node, reason: str) -> None:
        super().__init__(f"no kernel for {short_name(node)}: {reason}; this is a defect of Argand")
        self.node = node


def canonical_text(program: Program) -> str:
    """The program's text without the places in the user's code."""
    return "\n".join(line.split("  # ")[0] for line in str(program).splitlines())


def pointers_of(program: Program) -> int:
    """How many of the entry's slots are addresses of arrays; the sizes come after them."""
    return len(program.inputs) + len(program.state) + len(program.outputs) + 2


def short_name(node: Node) -> str:
    """A name for a node's kernel that tells what it computes."""
    ops = [n.op.name for region in node.regions for n in region.nodes] or [node.op.name]
    text = "_".join(dict.fromkeys(ops)).replace(".", "_")
    return text[:40]


def _all_nodes(node: Node) -> list[Node]:
    inner = [n for region in node.regions for one in region.nodes for n in _all_nodes(one)]
    return [node, *inner]


def symbols_of(program: Program, strides: Sequence[Shape] = ()) -> list[str]:
    """The symbols of all sizes in a program, in the order of the entry's last slots."""
    given = [v.shape for v in [*program.inputs, *program.state]]
    return sorted(symbols_in([given, list(strides), [sizes_of(n) for n in program.nodes]]))


def sizes_of(node: Node) -> list[object]:
    """The sizes in the parameters and results of a node and of its regions."""
    return [
        (tuple(one.params.values()), *(o.shape for o in one.outputs)) for one in _all_nodes(node)
    ]


def symbols_in(value: object) -> dict[str, object]:
    """The symbols of all sizes in a nest of tuples and lists."""
    if isinstance(value, Dim):
        return dict(value.symbols())
    found: dict[str, object] = {}
    if isinstance(value, tuple | list):
        for item in value:
            found |= symbols_in(item)
    return found
