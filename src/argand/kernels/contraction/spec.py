"""What a contraction is: axes, operands that are (almost) affine in them, and what becomes of C.

    C[batch.., m.., n..] = sum over k.. of A[batch.., m.., k..] * B[batch.., k.., n..]

Matrix products in every transposition, batched ones, einsum pairs, convolutions and both of their
gradients are this one sum. An operand is a pointer and a stride per axis; where a convolution's
window hangs over the edge, a `Bound` says so and the operand reads as zero there: nothing is copied
into columns and nothing is padded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from argand.nest.builder import IntOrReg, NestBuilder, Reg, Ty, static

__all__ = [
    "Bound",
    "Contraction",
    "ContractionAxis",
    "Epilogue",
    "Operand",
    "accumulator",
    "put",
    "take",
]

AxisValues = Mapping["ContractionAxis", Reg]
Epilogue = Callable[[NestBuilder, AxisValues, Reg, Reg | None], None]
"""epilogue(b, index, value, mask): `value` holds neighbours along the last n axis, finished;
`index` gives every batch, m and n axis its i64 (of lane 0 along the last n axis). Called once an
element."""


@dataclasses.dataclass(frozen=True, eq=False)
class ContractionAxis:
    """One direction of the sum or of the result."""

    name: str
    extent: IntOrReg

    def __repr__(self) -> str:
        size = static(self.extent)
        return f"{self.name}={'?' if size is None else size}"


@dataclasses.dataclass(frozen=True, eq=False)
class Bound:
    """In range when 0 <= offset + sum of index * coefficient < extent; else the operand is zero."""

    terms: Mapping[ContractionAxis, IntOrReg]
    offset: IntOrReg
    extent: IntOrReg


@dataclasses.dataclass(frozen=True, eq=False)
class Operand:
    """Elements `ptr[offset + sum of index * stride]`; an axis without a stride repeats them."""

    ptr: Reg
    elem: str
    strides: Mapping[ContractionAxis, IntOrReg]
    offset: IntOrReg = 0
    bounds: tuple[Bound, ...] = ()

    def stride(self, axis: ContractionAxis) -> IntOrReg:
        return self.strides.get(axis, 0)

    def unit(self, axis: ContractionAxis) -> bool:
        """Whether neighbours along the axis are known to be neighbours in memory."""
        return static(self.stride(axis)) == 1

    def contiguous(self, axes: Iterable[ContractionAxis]) -> tuple[ContractionAxis, ...]:
        """The axes whose elements are known to be one run of memory together, outermost first."""
        left, step = list(axes), 1
        found: list[ContractionAxis] = []
        while True:
            axis = next((a for a in left if static(self.stride(a)) == step), None)
            extent = None if axis is None else static(axis.extent)
            if axis is None or extent is None:
                return tuple(reversed(found))
            left.remove(axis)
            found.append(axis)
            step *= extent


@dataclasses.dataclass(frozen=True, eq=False)
class Contraction:
    """The sum over `k` (in this order, the last one innermost) of a * b for each batch, m and n.

    Vectors run along the last n axis, so put there what is contiguous in the result. `long_k`
    allows K to be cut into a number of pieces fixed by the shape (weight gradients), which gives up
    that the sum of an element does not depend on M and N.

    `across` are the groups of a convolution: the epilogue can take neighbours across them, whole
    groups at a time. Then m is (image, y, x) and k (ky, kx, i), or the other way round for the
    weight, and the bounds are of (y, ky) and of (x, kx).
    """

    a: Operand
    b: Operand
    batch: tuple[ContractionAxis, ...]
    m: tuple[ContractionAxis, ...]
    n: tuple[ContractionAxis, ...]
    k: tuple[ContractionAxis, ...]
    epilogue: Epilogue
    acc: str = "float32"
    long_k: bool = False
    across: ContractionAxis | None = None


def accumulator(elem: str) -> str:
    """The type that products of `elem` are summed in."""
    return "float32" if elem in ("float16", "bfloat16") else elem


def put(b: NestBuilder, ptr: Reg, at: Reg, stride: IntOrReg, value: Reg, mask: Reg | None) -> None:
    """Store a vector whose lanes are `stride` elements apart."""
    if static(stride) == 1:
        b.store(ptr, at, value, mask)
        return
    b.scatter(ptr, b.apply("add", b.ramp(stride, value.ty.lanes), at), value, mask)


def take(b: NestBuilder, ptr: Reg, at: IntOrReg, stride: IntOrReg, ty: Ty, mask: Reg | None) -> Reg:
    """Load a vector whose lanes are `stride` elements apart."""
    if static(stride) == 1:
        return b.load(ptr, at, ty, mask)
    return b.gather(ptr, b.apply("add", b.ramp(stride, ty.lanes), at), ty, mask)
