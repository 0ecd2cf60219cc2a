"""The online softmax of blocks of scores: running maxima, sums, and what they change.

Scores are held times log2(e), so that probabilities are powers of two. Some rows go together,
whose maxima are one small vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from argand.nest import math_tables as tables
from argand.nest.builder import NestBuilder, Reg
from argand.nest.math_value import VectorValue

__all__ = ["LN2", "LOG2E", "across", "exp2_below_zero", "larger"]

LOG2E: Final = 1.4426950408889634
LN2: Final = 0.6931471805599453
_LEAST: Final = -127.0
_MAGIC: Final = 1.5 * 2.0**23
_BIAS: Final = 127


def exp2_below_zero(b: NestBuilder, x: Reg) -> Reg:
    """2^x for x below about 1: 0 below 2^-126, NaN for NaN.

    Shorter than the primitive, since nothing overflows and nothing is a denormal number.
    """
    if x.ty.elem != "float32":
        return b.apply("exp2", x)
    least = b.const(x.ty, _LEAST)
    v = VectorValue(b, b.where(b.apply("lt", x, least), least, x))
    total = v + (_MAGIC + _BIAS)
    r = v - (total - (_MAGIC + _BIAS))
    # at the least x the exponent's bits are all 0, and so is the power
    power = (total.bits() << 23).floats()
    return (r.fma(r.poly(tables.EXP2), 1.0) * power).reg


def larger(b: NestBuilder, x: Reg, most: Reg) -> Reg:
    """The larger of two; a NaN in x counts for nothing."""
    return b.where(b.apply("lt", most, x), x, most)


def across(
    b: NestBuilder, rows: Sequence[Reg], combine: Callable[[NestBuilder, Reg, Reg], Reg]
) -> Reg:
    """One lane for each of the rows: all its lanes combined, by a fixed tree."""
    group = rows[0].ty.lanes
    vectors = list(rows)
    while len(vectors) > 1:
        half = len(vectors) // 2
        pairs = zip(vectors[:half], vectors[half:], strict=True)
        vectors = [combine(b, *_halves(b, (x, y), group)) for x, y in pairs]
        group //= 2
    (vector,) = vectors
    while group > 1:
        vector = combine(b, *_halves(b, (vector,), group))
        group //= 2
    return vector


def _halves(b: NestBuilder, vectors: Sequence[Reg], group: int) -> list[Reg]:
    """The lower halves of all groups of lanes, those of the vectors in turn; and the upper ones."""
    lanes = vectors[0].ty.lanes
    starts = [
        number * lanes + start for start in range(0, lanes, group) for number in range(len(vectors))
    ]
    return [
        b.shuffle(
            vectors[0],
            vectors[-1],
            [start + part + j for start in starts for j in range(group // 2)],
        )
        for part in (0, group // 2)
    ]
