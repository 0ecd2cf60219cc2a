"""Symbolic sizes: integer polynomials that compute and compare as the ints would.

A symbolic dim is at least 2 (sizes 0 and 1 get a program of their own). A comparison that follows
from that is decided; one that doesn't is answered with the size at hand and kept as a *guard* by
the innermost `Guards` block, or is an error when there is none or the dim was declared by the user.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from types import FrameType
from typing import Any

from argand.base.errors import ShapeError
from argand.base.intlike import IntLike, number
from argand.base.polynomial import Apply, Monomial, Polynomial, Symbol, add_term
from argand.base.size_guards import compare, current_guards
from argand.base.userstack import asked_by_library


class DimHint(Enum):
    """What `dynamic_shapes` may say of a size in the place of a Dim."""

    AUTO = "symbolic, unless the function ties it to a number"
    DYNAMIC = "symbolic"
    STATIC = "the number that it is in the example"


class Dim(Polynomial, IntLike):
    """A size known only when the program runs: an integer polynomial.

    `Dim("batch")` declares one for `ag.compile`: the program serves every size from 2 on (0 and 1
    get programs of their own), and a comparison that would tie it to one size raises ShapeError.
    Arithmetic (+, -, *, //, %) gives Dims; one that is constant is an int again. `min` and `max`
    state the sizes that an exported program accepts (`ag.export`), 0 and 1 among them, and those
    that share the program of `ag.compile`, which others don't.

    >>> n = ag.Dim("n")
    >>> n * 2 + n
    3*n
    >>> (n * 4) // 4 == n
    True
    >>> @ag.compile(dynamic={"x": ("batch", None)})
    ... def f(x):
    ...     return x * 2
    >>> f(ag.ones(5, 2)).shape, f(ag.ones(9, 2)).shape, len(f.programs)
    (argand.Size([5, 2]), argand.Size([9, 2]), 1)
    """

    __slots__ = ()

    AUTO = DimHint.AUTO
    DYNAMIC = DimHint.DYNAMIC
    STATIC = DimHint.STATIC

    def __init__(
        self,
        terms: str | Mapping[Monomial, int],
        hint: int | None = None,
        *,
        min: int | None = None,  # PyTorch's name
        max: int | None = None,  # PyTorch's name
    ) -> None:
        if isinstance(terms, str):
            if not terms.isidentifier():
                raise ValueError(f"Dim takes a name that could be a variable's, got {terms!r}")
            symbol = Symbol(terms, hint, declared=True)
            symbol.least, symbol.most = _range(terms, min, max)
            terms = {(symbol,): 1}
        super().__init__(terms)

    @staticmethod
    def symbol(name: str, hint: int | None = None, declared: bool = False) -> Dim:
        """A dim that is one symbol."""
        return Dim({(Symbol(name, hint, declared),): 1})

    @property  # type: ignore[misc]  # a traced function's sizes pass for ints
    def __class__(self) -> Any:
        user = not asked_by_library(sys._getframe(1))
        return int if user and current_guards() is not None and self._is_known() else type(self)

    # -- reading -------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return self._text("", sys._getframe(1))

    def __str__(self) -> str:
        return self._text("", sys._getframe(1))

    def __format__(self, spec: str) -> str:
        return self._text(spec, sys._getframe(1))

    def _text(self, spec: str, asked_by: FrameType) -> str:
        """The number in a text that a traced function makes; the polynomial anywhere else."""
        if current_guards() is not None and self._is_known() and not asked_by_library(asked_by):
            return format(self.__index__(), spec)
        return format(self.text(), spec)

    def _is_known(self) -> bool:
        """Whether it has a value in the call being traced that a program may be made for."""
        return self.hint is not None and not any(s.declared for s in self.symbols().values())

    def __hash__(self) -> int:
        # A dictionary or a set of the user's finds a size by its value; ours by the polynomial.
        if not self._is_known() or asked_by_library(sys._getframe(1)):
            return hash(self.key)
        return hash(self.__index__())

    def __index__(self) -> int:
        hint = self.hint
        if hint is None or not self._is_known():
            raise ShapeError(
                f"the size {self} is symbolic here and can't be used as a plain int; "
                "keep it in shape arithmetic, or call with a fixed size"
            )
        _decide(self - hint, "==")
        return hint

    __int__ = __index__

    def __bool__(self) -> bool:
        return self != 0

    # -- arithmetic ----------------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        if isinstance(other, float):
            return number(self) + other
        other = _as_dim(other)
        if other is None:
            return NotImplemented
        terms = dict(self.terms)
        for monomial, c in other.terms.items():
            add_term(terms, monomial, c)
        return _simplify(terms)

    __radd__ = __add__

    def __neg__(self) -> Any:
        return _simplify({m: -c for m, c in self.terms.items()})

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, float):
            return number(self) - other
        other = _as_dim(other)
        return NotImplemented if other is None else self + (-1 * other)

    def __rsub__(self, other: Any) -> Any:
        if isinstance(other, float):
            return other - number(self)
        return -1 * self + other

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, float):
            return number(self) * other
        other = _as_dim(other)
        if other is None:
            return NotImplemented
        terms: dict[Monomial, int] = {}
        for m1, c1 in self.terms.items():
            for m2, c2 in other.terms.items():
                monomial = tuple(sorted(m1 + m2, key=str))
                add_term(terms, monomial, c1 * c2)
        return _simplify(terms)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return number(self) / (number(other) if isinstance(other, Dim) else other)

    def __rtruediv__(self, other: Any) -> Any:
        return other / number(self)

    def __divmod__(self, other: Any) -> Any:
        quotient = _quotient(self, other, sys._getframe(1))
        return quotient, self - other * quotient

    def __rdivmod__(self, other: Any) -> Any:
        quotient = _quotient(other, self, sys._getframe(1))
        return quotient, other - quotient * self

    def __floordiv__(self, other: Any) -> Any:
        return _quotient(self, other, sys._getframe(1))

    def __rfloordiv__(self, other: Any) -> Any:
        return _quotient(other, self, sys._getframe(1))

    def __mod__(self, other: Any) -> Any:
        return _remainder(self, other, sys._getframe(1))

    def __rmod__(self, other: Any) -> Any:
        return _remainder(other, self, sys._getframe(1))

    # -- comparison ----------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Dim) and self.key == other.key:
            return True
        if isinstance(other, float):
            return other.is_integer() and self == int(other)
        difference = self - other
        return False if difference is NotImplemented else _decide(difference, "==")

    def __gt__(self, other: Any) -> bool:
        if isinstance(other, float):
            return self > math.floor(other) if math.isfinite(other) else other < 0
        return _decide(self - other, ">")

    def __lt__(self, other: Any) -> bool:
        if isinstance(other, float):
            return self < math.ceil(other) if math.isfinite(other) else other > 0
        return _decide(other - self, ">")

    def __ge__(self, other: Any) -> bool:
        return other == other and not self < other  # nothing compares with NaN

    def __le__(self, other: Any) -> bool:
        return other == other and not self > other


def _range(name: str, least: int | None, most: int | None) -> tuple[int | None, int | None]:
    """A range that was declared, checked."""
    for word, limit in (("min", least), ("max", most)):
        if limit is not None and (not isinstance(limit, int) or limit < 0):
            raise ValueError(f"Dim {name!r}: {word} must be a size, got {limit!r}")
    if least is not None and most is not None and least > most:
        raise ValueError(f"Dim {name!r}: no size is at least {least} and at most {most}")
    return least, most


def substitute(size: Extent, sizes: Mapping[str, Extent]) -> Extent:
    """A size with others, or numbers, in the place of some of its symbols."""
    if not isinstance(size, Dim):
        return size
    total: Extent = 0
    for monomial, c in size.terms.items():
        product: Extent = c
        for atom in monomial:
            product = product * _substituted(atom, sizes)
        total = total + product
    return total


def _substituted(atom: Any, sizes: Mapping[str, Extent]) -> Extent:
    if not isinstance(atom, Apply):
        return sizes[atom.name] if atom.name in sizes else Dim({(atom,): 1})
    left, right = substitute(atom.left, sizes), substitute(atom.right, sizes)
    if atom.op in ("min", "max"):
        return _extreme(atom.op, left, right)
    divided = atom.op == "floordiv"
    if not isinstance(left, Dim) and not isinstance(right, Dim):
        return left // right if divided else left % right
    return (_divided if divided else _rest)(_force(left), _force(right), False)


def in_call(size: Extent) -> Extent:
    """The number that a size has in the call being traced, without a guard: for messages, since
    users know no symbols. What has none is given as it is."""
    if not isinstance(size, Dim) or current_guards() is None or not size._is_known():
        return size
    hint = size.hint
    return size if hint is None else hint


def shown(sizes: Iterable[Extent], asked_by: FrameType) -> str:
    """Sizes in a text that a frame asked for: numbers for a traced function of the user's."""
    return ", ".join(s._text("", asked_by) if isinstance(s, Dim) else str(s) for s in sizes)


Extent = int | Dim
Shape = tuple[Extent, ...]


def dim_min(a: Extent, b: Extent) -> Extent:
    """The smaller size, symbolic where it can't be decided."""
    return _extreme("min", a, b)


def dim_max(a: Extent, b: Extent) -> Extent:
    """The larger size, symbolic where it can't be decided."""
    return _extreme("max", a, b)


def evaluate(size: Extent, sizes: Mapping[str, int]) -> int:
    """The value of a size for given sizes of the symbols."""
    return size.evaluate(sizes) if isinstance(size, Dim) else int(size)


def same(a: Extent, b: Extent) -> bool:
    """Whether two sizes are the same polynomial; asks no guard."""
    if isinstance(a, Dim) or isinstance(b, Dim):
        return isinstance(a, Dim) and isinstance(b, Dim) and a.key == b.key
    return a == b


def is_natural(*sizes: Extent) -> bool:
    """Whether numbers made of sizes are surely not negative."""
    least = (size.bounds()[0] if isinstance(size, Dim) else size for size in sizes)
    return all(low is not None and low >= 0 for low in least)


def is_less(a: Extent, b: Extent, trusted: bool = False) -> bool:
    """Whether a < b, as far as can be told: by bounds, or by a guard of the trace; else False.

    `trusted` sizes are never less in a trace, as its callers see to it, and a guard would bind it
    to the sizes at hand; in a program from outside they may be anything.
    """
    return _is_told(b - a, ">", trusted)


def is_equal(a: Extent, b: Extent) -> bool:
    """Whether a == b, as far as can be told: by bounds, or by a guard of the trace; else False."""
    return _is_told(a - b, "==", False)


def _is_told(difference: Extent, op: str, trusted: bool) -> bool:
    if not isinstance(difference, Dim):
        return compare(difference, op)
    found = _by_bounds(difference, op)
    if found is not None:
        return found
    guards = current_guards()
    if guards is None or (trusted and not guards.doubts):
        return False
    return difference._is_known() and _guard(difference, op)


def _extreme(op: str, a: Extent, b: Extent) -> Extent:
    if not isinstance(a, Dim) and not isinstance(b, Dim):
        return min(a, b) if op == "min" else max(a, b)
    if _is_at_most(b, a):
        return b if op == "min" else a
    if _is_at_most(a, b):
        return a if op == "min" else b
    return _applied(op, _force(a), _force(b))


def _is_at_most(a: Extent, b: Extent) -> bool:
    """Whether a <= b by the bounds."""
    difference: Extent = a - b
    if not isinstance(difference, Dim):
        return difference <= 0
    return _by_bounds(difference, ">") is False


def _decide(difference: Extent, op: str) -> bool:
    """The truth of `difference == 0` or `difference > 0`."""
    if not isinstance(difference, Dim):
        return compare(difference, op)
    found = _by_bounds(difference, op)
    return _guard(difference, op) if found is None else found


def _by_bounds(difference: Dim, op: str) -> bool | None:
    """What the bounds tell of `difference == 0` or `difference > 0`; None for nothing."""
    low, high = difference.bounds()
    if low is not None and low > 0:
        return _noted(difference, op, op == ">")
    if high is not None and (high <= 0 if op == ">" else high < 0):
        return _noted(difference, op, False)
    return None


def _noted(difference: Dim, op: str, outcome: bool) -> bool:
    """A comparison that the bounds decided, for a trace whose sizes may be out of them in calls."""
    guards = current_guards()
    if guards is not None:
        guards.decided[difference.key, op] = Dim(difference.terms), op, outcome
    return outcome


def _guard(difference: Dim, op: str) -> bool:
    guards = current_guards()
    hint = difference.hint
    declared = [s.name for s in difference.symbols().values() if s.declared]
    if guards is None or hint is None or declared:
        what = "it is symbolic"
        if declared:
            what = f"dim {declared[0]!r} was declared to take any size in its range"
        raise ShapeError(
            f"can't decide whether {difference} {op} 0: {what}, and the answer depends on it; "
            "remove the comparison, declare a range that decides it (ag.Dim(name, min=, max=)), or "
            "give a fixed size"
        )
    outcome = compare(hint, op)
    guards.facts.append((Dim(difference.terms), op, outcome))
    return outcome


def floor_div(a: Extent, b: Extent) -> Extent:
    """floor(a / b), also of what may be negative: where a sign doesn't follow, it is decided by a
    guard."""
    if not isinstance(a, Dim) and not isinstance(b, Dim):
        return a // b
    return _divided(_force(a), _force(b), True)


def floor_mod(a: Extent, b: Extent) -> Extent:
    """a - b * floor(a / b), as `floor_div`."""
    if not isinstance(a, Dim) and not isinstance(b, Dim):
        return a % b
    return _rest(_force(a), _force(b), True)


def _quotient(a: Any, b: Any, asked_by: FrameType) -> Any:
    return _operate(operator.floordiv, _divided, a, b, asked_by)


def _remainder(a: Any, b: Any, asked_by: FrameType) -> Any:
    return _operate(operator.mod, _rest, a, b, asked_by)


def _operate(
    plain: Callable[[Any, Any], Any],
    symbolic: Callable[[Dim, Dim, bool], Extent],
    a: Any,
    b: Any,
    asked_by: FrameType,
) -> Any:
    """`plain` of floats, `symbolic` of whole numbers; NotImplemented for what is no number."""
    if isinstance(a, float) or isinstance(b, float):
        return plain(*(number(x) if isinstance(x, Dim) else x for x in (a, b)))
    left, right = _as_dim(a), _as_dim(b)
    if left is None or right is None:
        return NotImplemented
    return symbolic(left, right, not asked_by_library(asked_by))


def _rest(a: Dim, b: Dim, asked: bool) -> Extent:
    rest: Extent = a - b * _divided(a, b, asked)
    if not isinstance(rest, Dim) or not _applies(rest) or not is_natural(a, b):
        return rest
    return _applied("mod", a, b)


def _divided(a: Dim, b: Dim, asked: bool) -> Extent:
    """floor(a / b), where that can be of something that is surely not negative.

    Signs that don't follow from the polynomials are decided where a user `asked`.
    """
    if _is_negative(b, asked):
        a, b = _force(-a), _force(-b)
    if asked and b._is_known() and b == 0:
        raise ZeroDivisionError("integer division or modulo by zero")
    exact = _exact_quotient(a, b) if b.terms else None
    if exact is not None:
        return exact
    turned = _force(b - a - 1)  # floor(a / b) = -floor(turned / b)
    if _is_negative(a, asked) or (not is_natural(a) and is_natural(turned)):
        return -_floordiv(turned, b)
    return _floordiv(a, b)


def _is_negative(dim: Dim, asked: bool) -> bool:
    if asked:
        return is_less(dim, 0)
    high = dim.bounds()[1]
    return high is not None and high < 0


def _as_dim(value: Any) -> Dim | None:
    if isinstance(value, Dim):
        return value
    if hasattr(value, "weak"):
        return None  # a tensor, which knows what to do with a size
    try:
        number = value.__index__()
    except AttributeError:
        return None
    return Dim({(): int(number)} if number else {})


def _applied(op: str, a: Dim, b: Dim) -> Dim:
    return Dim({(Apply(op, Dim(a.terms), Dim(b.terms)),): 1})


def _force(value: Any) -> Dim:
    dim = _as_dim(value)
    if dim is None:
        raise TypeError(f"a size must be an int or a Dim, got {type(value).__name__}")
    return dim


def _simplify(terms: dict[Monomial, int]) -> Extent:
    if not terms:
        return 0
    if len(terms) == 1 and () in terms:
        return terms[()]
    return Dim(terms)


def _floordiv(a: Dim, b: Dim) -> Extent:
    if not b.terms:
        raise ZeroDivisionError(f"size {a} divided by 0")
    exact = _exact_quotient(a, b)
    if exact is not None:
        return exact
    if set(b.terms) == {()}:
        c = b.terms[()]
        whole = {m: k // c for m, k in a.terms.items() if k % c == 0}
        rest = {m: k for m, k in a.terms.items() if k % c != 0}
        if whole and _surely_not_negative(Dim(rest)):
            return _simplify(whole) + _floordiv_rest(Dim(rest), b)
    return _floordiv_rest(a, b)


def _surely_not_negative(rest: Dim) -> bool:
    """Whether a program, which divides numbers that aren't negative, may divide this."""
    return set(rest.terms) <= {()} or is_natural(rest)


def _applies(dim: Dim) -> bool:
    return any(isinstance(atom, Apply) for monomial in dim.terms for atom in monomial)


def _floordiv_rest(a: Dim, b: Dim) -> Extent:
    if set(a.terms) <= {()} and set(b.terms) == {()}:
        return a.terms.get((), 0) // b.terms[()]
    return _applied("floordiv", a, b)


_LONGEST_DIVISION = 1000  # terms times atoms
_LONGEST_QUOTIENT = 64  # terms


def _exact_quotient(a: Dim, b: Dim) -> Extent | None:
    """a / b where b divides a as a polynomial: leading terms are divided until nothing is left."""
    atoms = sorted({atom for m in (*a.terms, *b.terms) for atom in m}, key=str)
    if len(a.terms) * len(atoms) > _LONGEST_DIVISION:
        return None

    def powers(monomial: Monomial) -> tuple[int, ...]:
        return tuple(monomial.count(atom) for atom in atoms)

    leading = max(b.terms, key=powers)
    result: dict[Monomial, int] = {}
    rest = a
    while rest.terms:
        first = max(rest.terms, key=powers)
        quotient, remainder = divmod(rest.terms[first], b.terms[leading])
        left = _without(first, leading)
        if left is None or remainder or len(result) == _LONGEST_QUOTIENT:
            return None
        result[left] = quotient
        rest = _force(rest - b * Dim({left: quotient}))
    return _simplify(result)


def _without(monomial: Monomial, divisor: Monomial) -> Monomial | None:
    """A product without some of its factors; None where it lacks one."""
    rest = list(monomial)
    for atom in divisor:
        if atom not in rest:
            return None
        rest.remove(atom)
    return tuple(rest)
