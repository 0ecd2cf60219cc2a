"""What lowering knows of the values around a kernel: where each is stored, and how big it is.

`backends/` makes one NestFunction for each node: it declares the parameters (a pointer a value, an
i64 a symbol), fills a `LoweringContext` with them, and calls `lower_node(b, node, context)`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from argand.base.dim import Dim, Extent, is_natural
from argand.base.dtype import DType
from argand.base.polynomial import Apply
from argand.ir.program import Value
from argand.nest.builder import NestBuilder, Reg
from argand.nest.target import Target


@dataclasses.dataclass(frozen=True, slots=True)
class StridedBuffer:
    """Memory of one value: the address of its first element, and strides counted in elements.

    Strides are non-negative; an expanded dimension has stride 0. An input may be a view of other
    memory; an output is dense in its layout.
    """

    pointer: Reg
    strides: tuple[int | Reg, ...]
    dtype: DType


@dataclasses.dataclass(slots=True)
class LoweringContext:
    """The buffers of a node's inputs and outputs, and the sizes of the symbols.

    An output may be stored exactly over an input (same address and strides) when every result
    element depends on that input's element at the same index alone; otherwise they don't overlap.
    """

    buffers: dict[Value, StridedBuffer]
    dims: dict[str, Reg]
    target: Target
    # What `fail` returns when the node can't be computed (an index out of range): tells the node.
    status: int | Reg = 1

    def size(self, b: NestBuilder, size: Extent) -> int | Reg:
        """A size as a number, or as a register when it is symbolic."""
        if not isinstance(size, Dim):
            return int(size)
        total: Reg = b.i64(0)
        for monomial, c in sorted(size.terms.items(), key=lambda t: str(t[0])):
            factors = [self._atom(b, atom) for atom in monomial]
            total = b.add(total, b.mul(c, *factors) if factors else c)
        return total

    def shape(self, b: NestBuilder, shape: Sequence[Extent]) -> tuple[int | Reg, ...]:
        """The sizes of a shape."""
        return tuple(self.size(b, s) for s in shape)

    def _atom(self, b: NestBuilder, atom: object) -> int | Reg:
        if not isinstance(atom, Apply):
            return self.dims[str(atom)]
        left, right = self.size(b, atom.left), self.size(b, atom.right)
        if atom.op == "floordiv" and not is_natural(atom.left, atom.right):
            return _floor(b, b.index(left), b.index(right))
        operation = {"floordiv": b.div, "mod": b.rem, "min": b.min, "max": b.max}[atom.op]
        return operation(left, right)


def _floor(b: NestBuilder, x: Reg, y: Reg) -> Reg:
    """x // y of numbers that may be negative."""
    negative = b.apply("lt", y, 0)
    x, y = b.where(negative, b.sub(0, x), x), b.where(negative, b.sub(0, y), y)
    below = b.apply("lt", x, 0)
    found = b.div(b.where(below, b.sub(b.sub(y, 1), x), x), y)
    return b.where(below, b.sub(0, found), found)
