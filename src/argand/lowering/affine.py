"""Symbolic indices: affine expressions over the axes of a kernel's loops.

A kernel loops over an iteration space of `Axis`. The index of a value's element along one dimension
is an `Affine`: a sum of variables times sizes, plus a size. Views (reshape, permute, slice, flip)
only transform them, so a view of a buffer becomes strides; what is not linear becomes a variable
of its own (`QuotientVar`, `RemainderVar` or `LoadedIndex`), computed where it is needed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from argand.base.dim import Extent, is_natural, same
from argand.base.errors import CompileError


class IndexVar:
    """A variable of expressions. `axes` are the loops it changes with; equal keys, equal values."""

    __slots__ = ("axes", "key")

    key: str
    axes: frozenset[Axis]

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IndexVar) and self.key == other.key

    def __repr__(self) -> str:
        return self.key

    def highest(self) -> Extent | None:
        """The greatest value it can have, if known; the least is 0."""
        return None


class Axis(IndexVar):
    """One loop: 0 <= axis < extent."""

    __slots__ = ("extent",)

    def __init__(self, name: str, extent: Extent) -> None:
        self.key = name
        self.extent = extent
        self.axes = frozenset((self,))

    def highest(self) -> Extent | None:
        return self.extent - 1


class QuotientVar(IndexVar):
    """dividend // divisor, where it doesn't come out even."""

    __slots__ = ("dividend", "divisor")

    def __init__(self, dividend: Affine, divisor: Extent) -> None:
        self.dividend, self.divisor = dividend, divisor
        self.key = f"({dividend})//{divisor}"
        self.axes = dividend.axes

    def highest(self) -> Extent | None:
        top = self.dividend.highest()
        return None if top is None else top // self.divisor


class RemainderVar(IndexVar):
    """dividend % divisor."""

    __slots__ = ("dividend", "divisor")

    def __init__(self, dividend: Affine, divisor: Extent) -> None:
        self.dividend, self.divisor = dividend, divisor
        self.key = f"({dividend})%{divisor}"
        self.axes = dividend.axes

    def highest(self) -> Extent | None:
        return self.divisor - 1


class LoadedIndex(IndexVar):
    """An index that the kernel computes itself: an element of an integer tensor (`point`).

    It must be below `size`; negative ones count from the end when it `wraps`.
    """

    __slots__ = ("point", "size", "wraps")

    def __init__(self, point: Any, size: Extent, wraps: bool = False) -> None:
        self.point, self.size, self.wraps = point, size, wraps
        self.key = f"[{point.key}{'~' if wraps else '<'}{_text(size)}]"
        self.axes = point.axes

    def highest(self) -> Extent | None:
        return self.size - 1


_NO_AXES: frozenset[Axis] = frozenset()


class Affine:
    """The sum of variable * coefficient, plus a constant; all numbers are sizes."""

    __slots__ = ("axes", "const", "key", "terms")

    def __init__(self, terms: Iterable[tuple[IndexVar, Extent]] = (), const: Extent = 0) -> None:
        merged: dict[str, tuple[IndexVar, Extent]] = {}
        for var, c in terms:
            before = merged.get(var.key)
            merged[var.key] = (var, c) if before is None else (before[0], before[1] + c)
        self.terms = tuple(merged[key] for key in sorted(merged) if not _zero(merged[key][1]))
        self.const = const
        parts = [v.key if _one(c) else f"{v.key}*{_text(c)}" for v, c in self.terms]
        if not _zero(const) or not parts:
            parts.append(_text(const))
        self.key = "+".join(parts)
        self.axes: frozenset[Axis] = _NO_AXES
        for var, _ in self.terms:
            self.axes = self.axes | var.axes if self.axes else var.axes

    def __repr__(self) -> str:
        return self.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Affine) and self.key == other.key

    def highest(self) -> Extent | None:
        """An upper bound of the value, if known."""
        total: Extent = self.const
        for var, c in self.terms:
            if is_natural(-c):
                continue
            top = var.highest()
            if top is None or not is_natural(c):
                return None
            total = total + c * top
        return total

    def linear(self) -> bool:
        """Whether all variables are loop axes."""
        return all(isinstance(v, Axis) for v, _ in self.terms)

    def coefficient(self, axis: Axis) -> Extent | None:
        """How far a step along the axis goes; None when that is no fixed number."""
        total: Extent = 0
        for var, c in self.terms:
            if var == axis:
                total = total + c
            elif axis in var.axes:
                return None
        return total


def affine_of(x: Affine | IndexVar | Extent) -> Affine:
    """An affine expression of a variable or a size."""
    if isinstance(x, Affine):
        return x
    if isinstance(x, IndexVar):
        return Affine(((x, 1),))
    return _constant(x) if isinstance(x, int) else Affine((), x)


@functools.lru_cache(maxsize=1024)
def _constant(x: int) -> Affine:
    return Affine((), x)


def add(a: Affine, b: Affine, scale: Extent = 1) -> Affine:
    """a + scale * b."""
    if _zero(scale) or b is ZERO:
        return a
    if a is ZERO and _one(scale):
        return b
    return Affine((*a.terms, *((v, c * scale) for v, c in b.terms)), a.const + b.const * scale)


def scaled(a: Affine, scale: Extent) -> Affine:
    """a * scale."""
    if a is ZERO or _one(scale):
        return a
    return Affine(((v, c * scale) for v, c in a.terms), a.const * scale)


def div(a: Affine, divisor: Extent) -> Affine:
    """a // divisor for a >= 0, simplified where the divisor divides coefficients."""
    if _one(divisor) or _zero(divisor):  # a size of 0: nothing is ever there
        return a
    whole, rest = _split(a, divisor)
    if _below(rest, divisor):
        return whole
    if rest.terms != a.terms and _nonnegative(rest):
        return add(whole, affine_of(QuotientVar(rest, divisor)))
    return affine_of(QuotientVar(a, divisor))


def rem(a: Affine, divisor: Extent) -> Affine:
    """a % divisor for a >= 0."""
    if _one(divisor):
        return ZERO
    if _zero(divisor):
        return a
    _, rest = _split(a, divisor)
    if _below(rest, divisor):
        return rest
    return affine_of(RemainderVar(rest if _nonnegative(rest) else a, divisor))


def linearised(index: Sequence[Affine], shape: Sequence[Extent]) -> Affine:
    """The position in row-major order."""
    total = ZERO
    for affine, size in zip(index, shape, strict=True):
        total = add(affine, total, size)
    return total


def _split(a: Affine, divisor: Extent) -> tuple[Affine, Affine]:
    """(whole, rest) with a = whole * divisor + rest."""
    whole, rest = [], []
    for var, c in a.terms:
        quotient = exact_quotient(c, divisor)
        if quotient is None:
            rest.append((var, c))
        else:
            whole.append((var, quotient))
    const = exact_quotient(a.const, divisor)
    if const is not None:
        return Affine(whole, const), Affine(rest)
    if isinstance(a.const, int) and isinstance(divisor, int):
        return Affine(whole, a.const // divisor), Affine(rest, a.const % divisor)
    return Affine(whole), Affine(rest, a.const)


def _nonnegative(affine: Affine) -> bool:
    """Whether 0 <= affine for sure; a flipped axis counts down from a constant."""
    low = affine.const
    for var, c in affine.terms:
        if is_natural(c):
            continue
        top = var.highest()
        if top is None or not is_natural(-c):
            return False
        low = low + c * top
    return is_natural(low)


def _below(affine: Affine, bound: Extent) -> bool:
    """Whether 0 <= affine < bound for sure."""
    if not _nonnegative(affine):
        return False
    top = affine.highest()
    return top is not None and surely_positive(bound - top)


def surely_positive(size: Extent) -> bool:
    """Whether a size is greater than 0 whatever its symbols are."""
    return is_natural(size - 1)


def exact_quotient(a: Extent, b: Extent) -> Extent | None:
    """a / b when it comes out even for sure."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b if b and a % b == 0 else None
    if isinstance(a, int) and a == 0:
        return 0
    quotient = a // b
    return quotient if same(quotient * b, a) else None


def _zero(c: Extent) -> bool:
    return isinstance(c, int) and c == 0


def _one(c: Extent) -> bool:
    return isinstance(c, int) and c == 1


def _text(c: Extent) -> str:
    return str(c) if isinstance(c, int) else f"{{{c}}}"


ZERO = _constant(0)


# conditions ---------------------------------------------------------------------------------------


class Condition:
    """A comparison of two affine expressions, or the conjunction of several."""

    __slots__ = ("axes", "key", "left", "parts", "prim", "right")

    key: str

    def __init__(
        self,
        prim: str,
        left: Affine = ZERO,
        right: Affine = ZERO,
        parts: tuple[Condition, ...] = (),
    ) -> None:
        self.prim, self.left, self.right, self.parts = prim, left, right, parts
        self.key = "&".join(p.key for p in parts) if parts else f"{left.key} {prim} {right.key}"
        self.axes: frozenset[Axis] = left.axes | right.axes
        for part in parts:
            self.axes |= part.axes


def both(a: Condition | None, b: Condition | None) -> Condition | None:
    """The conjunction; None is true."""
    if a is None or b is None:
        return b if a is None else a
    return a if a.key == b.key else Condition("and", parts=(a, b))


def always(c: Condition) -> bool:
    """Whether a comparison holds whatever the axes are."""
    if c.parts:
        return all(always(p) for p in c.parts)
    difference = add(c.right, c.left, -1)
    if c.prim == "le":
        return _nonnegative(difference)
    if c.prim == "lt":
        if c.right.terms:
            return False
        top = c.left.highest()
        return top is not None and surely_positive(c.right.const - top)
    return False


class AffineBuilder:
    """The `b` of a Move's `source`: index arithmetic on affine expressions."""

    def add(self, a: Any, b: Any) -> Affine:
        """a + b."""
        return add(affine_of(a), affine_of(b))

    def sub(self, a: Any, b: Any) -> Affine:
        """a - b."""
        return add(affine_of(a), affine_of(b), -1)

    def mul(self, a: Any, b: Any) -> Affine:
        """a * b, one of them a size."""
        x, y = affine_of(a), affine_of(b)
        if x.terms and y.terms:
            raise CompileError("a product of two indices")
        return scaled(x, y.const) if x.terms else scaled(y, x.const)

    def div(self, a: Any, b: Any) -> Affine:
        """a // b, b a size."""
        return div(affine_of(a), _size_of(b))

    def rem(self, a: Any, b: Any) -> Affine:
        """a % b, b a size."""
        return rem(affine_of(a), _size_of(b))

    def lt(self, a: Any, b: Any) -> Condition:
        """a < b."""
        return Condition("lt", affine_of(a), affine_of(b))

    def le(self, a: Any, b: Any) -> Condition:
        """a <= b."""
        return Condition("le", affine_of(a), affine_of(b))

    def eq(self, a: Any, b: Any) -> Condition:
        """a == b."""
        return Condition("eq", affine_of(a), affine_of(b))

    def apply(self, prim: str, a: Condition, b: Condition) -> Condition:
        """The conjunction of two conditions."""
        if prim != "and":
            raise CompileError(f"conditions on indices have no {prim!r}")
        found = both(a, b)
        assert found is not None
        return found


AFFINE = AffineBuilder()


def _size_of(x: Any) -> Extent:
    affine = affine_of(x)
    if affine.terms:
        raise CompileError("an index as a divisor")
    return affine.const
