"""Constant folding and neutral elements: what a builder needn't emit.

No rounding and no NaN of floats is lost; integers are folded where the result fits their type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from argand.nest.types import COMPARE, Number, Reg, Ty

Constant = Callable[[Ty, Number], Reg]
"""Makes the register of a constant."""

_FOLD: Final[dict[str, Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "floordiv": lambda a, b: a // b if b else None,
    "mod": lambda a, b: a % b if b else None,
    "min": min,
    "max": max,
    "and": lambda a, b: a & b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
}
_ROUNDINGS: Final = frozenset(("floor", "ceil", "trunc", "round"))


def simplify(prim: str, operands: tuple[Reg, ...], constant: Constant) -> Reg | None:
    """The register that the primitive's result is known to equal, or None."""
    first = operands[0]
    if prim == "where":
        return _simplify_where(*operands)
    if prim in ("and", "or") and first.ty.kind == "b":
        return _simplify_logic(prim, *operands)
    if len(operands) == 1 and not first.ty.is_float:
        if prim in ("isnan", "isinf"):
            return constant(first.ty.with_elem("bool"), False)
        return first if prim in _ROUNDINGS else None
    if not first.ty.is_int or len(operands) != 2:
        return None
    folded = _fold(prim, *operands, constant)
    return folded if folded is not None else _drop_neutral(prim, *operands, constant)


def _simplify_where(condition: Reg, yes: Reg, no: Reg) -> Reg | None:
    if isinstance(condition.const, (bool, int)):
        return yes if condition.const else no
    return yes if yes is no else None


def _simplify_logic(prim: str, a: Reg, b: Reg) -> Reg | None:
    for x, y in ((a, b), (b, a)):
        if isinstance(x.const, (bool, int)):
            return y if bool(x.const) == (prim == "and") else x
    return a if a is b else None


def _fold(prim: str, a: Reg, b: Reg, constant: Constant) -> Reg | None:
    """Of two constants; those of vectors and unsigned integers stay."""
    if not (isinstance(a.const, int) and isinstance(b.const, int) and a.ty.kind == "i"):
        return None
    value = _FOLD[prim](a.const, b.const) if prim in _FOLD else None
    if value is None or not (isinstance(value, bool) or _fits(a.ty, value)):
        return None
    return constant(a.ty.with_elem("bool") if prim in COMPARE else a.ty, value)


def _fits(ty: Ty, value: int) -> bool:
    bound: int = 1 << (8 * ty.bytes - 1)
    return -bound <= value < bound


def _drop_neutral(prim: str, a: Reg, b: Reg, constant: Constant) -> Reg | None:
    if isinstance(a.const, int) and prim in ("add", "mul"):
        a, b = b, a
    if b.const == 0 and prim in ("add", "sub", "shl", "shr", "or", "xor"):
        return a
    if prim == "mul" and b.const == 0:
        return b
    if b.const == 1 and prim in ("mul", "floordiv"):
        return a
    if (b.const == 1 and prim == "mod") or (a is b and prim == "sub"):
        return constant(a.ty, 0)
    return a if a is b and prim in ("min", "max", "and", "or") else None
