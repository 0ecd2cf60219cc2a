"""Matrix products as contractions, and as functions of their own, for the tests of this folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from argand.kernels.contraction.blocked import contraction
from argand.kernels.contraction.spec import (
    AxisValues,
    Contraction,
    ContractionAxis,
    Epilogue,
    IntOrReg,
    Operand,
    accumulator,
    put,
)
from argand.nest.builder import I64, PTR, NestBuilder, NestFunction, Param, Reg
from argand.nest.target import Target


def store_to(
    ptr: Reg, elem: str, strides: Mapping[ContractionAxis, IntOrReg], lanes_along: ContractionAxis
) -> Epilogue:
    """The plain epilogue: C goes to memory, cast to `elem`."""

    def epilogue(b: NestBuilder, index: AxisValues, value: Reg, mask: Reg | None) -> None:
        at = b.affine(0, *((index[axis], stride) for axis, stride in strides.items()))
        put(b, ptr, at, strides.get(lanes_along, 0), b.cast(value, elem), mask)

    return epilogue


@dataclasses.dataclass(frozen=True)
class Matrices:
    """Sizes and layout of C = A @ B, batched: a stride per batch axis, then per row and column.

    A size or stride is a number, or None where it is only known at run time.
    """

    batch: tuple[int | None, ...]
    m: int | None
    n: int | None
    k: int | None
    a: tuple[int | None, ...]
    b: tuple[int | None, ...]
    c: tuple[int | None, ...]

    def fields(self) -> tuple[tuple[str, int | None], ...]:
        """Name and value of every number, in the order of the function's parameters."""
        named: list[tuple[str, int | None]] = [(f"batch{i}", s) for i, s in enumerate(self.batch)]
        named += [("m", self.m), ("n", self.n), ("k", self.k)]
        for name, strides in (("a", self.a), ("b", self.b), ("c", self.c)):
            named += [(f"{name}{i}", s) for i, s in enumerate(strides)]
        return tuple(named)


def matmul(
    a: Reg,
    b: Reg,
    elem: str,
    sizes: tuple[Sequence[IntOrReg], IntOrReg, IntOrReg, IntOrReg],
    a_strides: Sequence[IntOrReg],
    b_strides: Sequence[IntOrReg],
    epilogue: Epilogue | None = None,
) -> Contraction:
    """C[.., m, n] = sum of A[.., m, k] * B[.., k, n] for `sizes` (batch, m, n, k); an epilogue
    reads its index in the order (batch.., m, n) of the contraction's axes."""
    batch = tuple(ContractionAxis(f"batch{i}", extent) for i, extent in enumerate(sizes[0]))
    m, n, k = (ContractionAxis(name, extent) for name, extent in zip("mnk", sizes[1:], strict=True))
    return Contraction(
        a=Operand(a, elem, dict(zip((*batch, m, k), a_strides, strict=True))),
        b=Operand(b, elem, dict(zip((*batch, k, n), b_strides, strict=True))),
        batch=batch,
        m=(m,),
        n=(n,),
        k=(k,),
        epilogue=epilogue or _nothing,
        acc=accumulator(elem),
    )


def _nothing(*_: object) -> None:
    raise ValueError("a contraction without an epilogue")


def matmul_function(
    name: str, elem: str, of: Matrices, target: Target, *, out: str = "", long_k: bool = False
) -> NestFunction:
    """`name(a, b, c, ...)` computing C = A @ B; the parameters after the pointers are the numbers
    that `of` leaves open, in the order of `Matrices.fields`."""
    numbers = of.fields()
    pointers = [Param(p, PTR, noalias=True) for p in "abc"]
    b = NestBuilder(name, [*pointers, *(Param(n, I64) for n, value in numbers if value is None)])
    opened = iter(b.params[3:])
    sizes = [next(opened) if value is None else value for _, value in numbers]
    rank = len(of.batch)
    strides = [sizes[rank + 3 + i * (rank + 2) :][: rank + 2] for i in range(3)]
    shape = (sizes[:rank], sizes[rank], sizes[rank + 1], sizes[rank + 2])
    spec = matmul(b.params[0], b.params[1], elem, shape, strides[0], strides[1])
    places = dict(zip((*spec.batch, *spec.m, *spec.n), strides[2], strict=True))
    epilogue = store_to(b.params[2], out or elem, places, spec.n[-1])
    contraction(b, dataclasses.replace(spec, epilogue=epilogue, long_k=long_k), target)
    return b.finish()


def in_panels(b: np.ndarray, width: int) -> np.ndarray:
    """B as (n / width, k, width)."""
    k, n = b.shape
    return np.ascontiguousarray(b.reshape(k, n // width, width).transpose(1, 0, 2))


def spec_of(
    m: Reg | int, n: int, k: int, width: int, elem: str, at: tuple[Reg, Reg, Reg]
) -> Contraction:
    """C = A @ B with B as (n / width, k, width), and C row by row."""
    rows, inner = ContractionAxis("m", m), ContractionAxis("k", k)
    panel, column = ContractionAxis("panel", n // width), ContractionAxis("column", width)
    return Contraction(
        a=Operand(at[0], elem, {rows: k, inner: 1}),
        b=Operand(at[1], elem, {panel: k * width, inner: width, column: 1}),
        batch=(),
        m=(rows,),
        n=(panel, column),
        k=(inner,),
        epilogue=store_to(at[2], elem, {rows: n, panel: width, column: 1}, column),
        acc=elem,
    )


def panelled(m: int | None, n: int, k: int, width: int, elem: str, target: Target) -> NestFunction:
    """The product as a function of A, B in panels, C and, where it is not known, m."""
    opened = [Param("m", I64)] if m is None else []
    b = NestBuilder("panelled", [*(Param(p, PTR, noalias=True) for p in "abc"), *opened])
    pa, pb, pc, *rest = b.params
    contraction(b, spec_of(rest[0] if m is None else m, n, k, width, elem, (pa, pb, pc)), target)
    return b.finish()
