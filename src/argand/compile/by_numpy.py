"""Constant values computed by NumPy: to pack a weight once takes less time than to compile how.

Only where that gives the bits that kernels give: every node moves data or is exact, and computes in
32 or 64 bits. Where values are computed again and again, or are large, kernels are worth their
compilation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from argand.base.shape import numel
from argand.ir.families import Composite, Move
from argand.ir.interpret import interpret
from argand.ir.program import Node, Program, Value
from argand.ir.record import record_body
from argand.runtime.memory import empty
from argand.tensor.eager import is_exact

__all__ = ["Packing", "packing"]

MOST_BYTES: Final = 128 << 20
"""NumPy copies a transposed weight at about 1 GB/s, kernels several times as fast."""


class Packing:
    """A program that NumPy runs, each result in row-major memory of its own."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def run(self, inputs: Sequence[Any], state: Sequence[Any]) -> list[Any]:
        """The outputs as new arrays, aligned as kernels like them."""
        found = []
        for result, output in zip(
            interpret(self.program, state), self.program.outputs, strict=True
        ):
            assert isinstance(output, Value)
            made = empty(result.shape, output.dtype.numpy)
            made[...] = result
            found.append(made)
        return found

    def explain(self) -> list[str]:
        """One line: by whom."""
        return [f"{len(self.program.nodes)} nodes by NumPy"]


def packing(program: Program) -> Packing | None:
    """The program as NumPy runs it; None where kernels should, or their bits would differ."""
    made = sum(int(numel(o.shape)) * o.dtype.itemsize for n in program.nodes for o in n.outputs)
    if made > 2 * MOST_BYTES or not all(map(_is_exact, program.nodes)):
        return None
    return Packing(program)


def _is_exact(node: Node) -> bool:
    if isinstance(node.op, Move):
        return True
    if isinstance(node.op, Composite):
        body = record_body(node.op, [v.type for v in node.values], node.params)
        return all(map(_is_exact, body.nodes))
    dtypes = [v.dtype for v in (*node.values, *node.outputs)]
    if node.regions or min(d.itemsize for d in dtypes) < 4:
        return False
    return is_exact(node.op, [v.dtype for v in node.values])
