"""Symbolic sizes: integer polynomials over named dims, with floordiv, mod, min and max.

A symbolic dim is at least 2 (sizes 0 and 1 get a program of their own). A comparison that follows
from that is decided; one that doesn't is answered with the size at hand and kept as a *guard* by
the innermost `Guards` block, or is an error when there is none or the dim was declared by the user.
"""

from __future__ import annotations

import math
import operator
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from argand.base.errors import ShapeError
from argand.base.intlike import IntLike, number

# A monomial is a sorted tuple of atoms (a repeated atom is a power): Symbols and Applys.
Monomial = tuple[Any, ...]


class Symbol:
    """A named unknown size. `hint` is its value in the call being traced."""

    __slots__ = ("declared", "hint", "name")

    def __init__(self, name: str, hint: int | None = None, declared: bool = False) -> None:
        self.name = name
        self.hint = hint
        self.declared = declared

    def __repr__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Symbol) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


class Apply:
    """An opaque part of a polynomial: floordiv, mod, min or max of two polynomials."""

    __slots__ = ("key", "left", "op", "right")

    def __init__(self, op: str, left: Dim, right: Dim) -> None:
        self.op, self.left, self.right = op, Dim(left.terms), Dim(right.terms)
        self.key = (op, left.key, right.key)

    def __repr__(self) -> str:
        if self.op in ("min", "max"):
            return f"{self.op}({self.left}, {self.right})"
        sign = "//" if self.op == "floordiv" else "%"
        return f"({self.left}){sign}({self.right})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Apply) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class Guards:
    """Collects the facts about symbols that a trace relied on."""

    def __init__(self) -> None:
        self.facts: list[tuple[Dim, str, bool]] = []
        self.tests: list[Callable[[Any], bool]] = []  # of the arguments of a call
        self.read: set[str] = set()  # symbols of int arguments whose values Python wanted

    def hold(self, sizes: Mapping[str, int]) -> bool:
        """Whether the facts are true for these sizes."""
        return all(_compare(d.evaluate(sizes), op) == outcome for d, op, outcome in self.facts)


_local = threading.local()


@contextmanager
def collecting_guards(guards: Guards) -> Iterator[Guards]:
    """Undecidable comparisons inside the block become facts of `guards`."""
    before = getattr(_local, "guards", None)
    _local.guards = guards
    try:
        yield guards
    finally:
        _local.guards = before


def _is_tracing() -> bool:
    return getattr(_local, "guards", None) is not None


def reads(names: set[str]) -> None:
    """Note that Python wanted the values of symbols, whatever becomes of the error."""
    guards: Guards | None = getattr(_local, "guards", None)
    if guards is not None:
        guards.read |= names


def remember(test: Callable[[Any], bool]) -> None:
    """Have a trace's program serve only the calls whose arguments pass a test."""
    guards: Guards | None = getattr(_local, "guards", None)
    assert guards is not None
    guards.tests.append(test)


def _compare(value: int, op: str) -> bool:
    return value == 0 if op == "==" else value > 0


class Dim(IntLike):
    """A size known only when the program runs: an integer polynomial.

    `Dim("batch")` declares one for `ag.compile`: the program serves every size from 2 on (0 and 1
    get programs of their own), and a comparison that would tie it to one size raises ShapeError.
    Arithmetic (+, -, *, //, %) gives Dims; one that turns out constant is an int again.

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

    __slots__ = ("key", "terms")

    def __init__(self, terms: str | Mapping[Monomial, int], hint: int | None = None) -> None:
        if isinstance(terms, str):
            terms = {(Symbol(terms, hint, declared=True),): 1}
        self.terms: dict[Monomial, int] = dict(terms)
        self.key = frozenset((_monomial_key(m), c) for m, c in self.terms.items())

    @staticmethod
    def symbol(name: str, hint: int | None = None, declared: bool = False) -> Dim:
        """A dim that is one symbol."""
        return Dim({(Symbol(name, hint, declared),): 1})

    @property  # type: ignore[misc]  # a traced function's sizes pass for ints
    def __class__(self) -> Any:
        user = not _asked_by_library(sys._getframe(1))
        return int if user and _is_tracing() and self._is_known() else type(self)

    # -- reading -------------------------------------------------------------------------------

    def symbols(self) -> dict[str, Symbol]:
        """The symbols in it, by name."""
        found: dict[str, Symbol] = {}
        for monomial in self.terms:
            for atom in monomial:
                if isinstance(atom, Symbol):
                    found[atom.name] = atom
                else:
                    found |= atom.left.symbols() | atom.right.symbols()
        return found

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """Its value for given sizes of the symbols."""
        return sum(
            c * _product(_evaluate_atom(a, sizes) for a in monomial)
            for monomial, c in self.terms.items()
        )

    def substitute(self, dims: Mapping[str, int | Dim]) -> int | Dim:
        """The polynomial with symbols replaced by sizes or other polynomials."""
        total: int | Dim = 0
        for monomial, c in self.terms.items():
            part: int | Dim = c
            for atom in monomial:
                part = part * _substitute_atom(atom, dims)
            total = total + part
        return total

    @property
    def hint(self) -> int | None:
        """Its value in the call being traced, when known."""
        sizes = {name: s.hint for name, s in self.symbols().items()}
        if any(h is None for h in sizes.values()):
            return None
        return self.evaluate({k: v for k, v in sizes.items() if v is not None})

    def bounds(self) -> tuple[int | None, int | None]:
        """What is surely its least and greatest value; None for no bound."""
        low: int | None = 0
        high: int | None = 0
        for monomial, c in self.terms.items():
            lo, hi = _monomial_bounds(monomial)
            if c < 0:
                lo, hi = hi, lo
            low = None if low is None or lo is None else low + c * lo
            high = None if high is None or hi is None else high + c * hi
        return low, high

    def __repr__(self) -> str:
        return self._text("", sys._getframe(1))

    def __str__(self) -> str:
        return self._text("", sys._getframe(1))

    def __format__(self, spec: str) -> str:
        return self._text(spec, sys._getframe(1))

    def _text(self, spec: str, asked_by: FrameType) -> str:
        """The number in a text that a traced function makes; the polynomial anywhere else."""
        if _is_tracing() and self._is_known() and not _asked_by_library(asked_by):
            return format(self.__index__(), spec)
        return format(self._polynomial(), spec)

    def _is_known(self) -> bool:
        """Whether it has a value in the call being traced that a program may be made for."""
        return self.hint is not None and not any(s.declared for s in self.symbols().values())

    def _polynomial(self) -> str:
        parts: list[str] = []
        for monomial, c in sorted(self.terms.items(), key=lambda t: (-len(t[0]), str(t[0]))):
            alone = c == 1 and len(monomial) == 1
            name = "*".join(str(a) if alone else _factor_text(a) for a in monomial)
            if not name:
                text = str(abs(c))
            else:
                text = name if abs(c) == 1 else f"{abs(c)}*{name}"
            sign = ("-" if c < 0 else "") if not parts else (" - " if c < 0 else " + ")
            parts.append(sign + text)
        return "".join(parts) or "0"

    def __hash__(self) -> int:
        # A dictionary or a set of the user's finds a size by its value; ours by the polynomial.
        if not self._is_known() or _asked_by_library(sys._getframe(1)):
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
            _add_term(terms, monomial, c)
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
                _add_term(terms, monomial, c1 * c2)
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


def substitute(size: Extent, dims: Mapping[str, Extent]) -> Extent:
    """A size with its symbols replaced."""
    return size.substitute(dims) if isinstance(size, Dim) else size


def same(a: Extent, b: Extent) -> bool:
    """Whether two sizes are the same polynomial; asks no guard."""
    if isinstance(a, Dim) or isinstance(b, Dim):
        return isinstance(a, Dim) and isinstance(b, Dim) and a.key == b.key
    return a == b


def is_less(a: Extent, b: Extent) -> bool:
    """Whether a < b, as far as can be told: by bounds, or by a guard of the trace; else False."""
    difference: Extent = b - a
    if not isinstance(difference, Dim):
        return difference > 0
    found = _by_bounds(difference, ">")
    if found is not None:
        return found
    return _is_tracing() and difference._is_known() and _guard(difference, ">")


def _extreme(op: str, a: Extent, b: Extent) -> Extent:
    if not isinstance(a, Dim) and not isinstance(b, Dim):
        return min(a, b) if op == "min" else max(a, b)
    difference: Extent = a - b
    low, high = difference.bounds() if isinstance(difference, Dim) else (difference, difference)
    if low is not None and low >= 0:
        return b if op == "min" else a
    if high is not None and high <= 0:
        return a if op == "min" else b
    return Dim({(Apply(op, _force(a), _force(b)),): 1})


def _asked_by_library(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith("argand.")


def _decide(difference: Extent, op: str) -> bool:
    """The truth of `difference == 0` or `difference > 0`."""
    if not isinstance(difference, Dim):
        return _compare(difference, op)
    found = _by_bounds(difference, op)
    return _guard(difference, op) if found is None else found


def _by_bounds(difference: Dim, op: str) -> bool | None:
    """What the bounds tell of `difference == 0` or `difference > 0`; None for nothing."""
    low, high = difference.bounds()
    if op == "==":
        apart = (low is not None and low > 0) or (high is not None and high < 0)
        return False if apart else None
    if low is not None and low > 0:
        return True
    return False if high is not None and high <= 0 else None


def _guard(difference: Dim, op: str) -> bool:
    guards: Guards | None = getattr(_local, "guards", None)
    hint = difference.hint
    declared = [s.name for s in difference.symbols().values() if s.declared]
    if guards is None or hint is None or declared:
        what = "it is symbolic"
        if declared:
            what = f"dim {declared[0]!r} was declared to take any size"
        raise ShapeError(
            f"can't decide whether {difference} {op} 0: {what}, and the answer depends on it; "
            "remove the comparison, or give a fixed size"
        )
    outcome = _compare(hint, op)
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
    return symbolic(left, right, not _asked_by_library(asked_by))


def _rest(a: Dim, b: Dim, asked: bool) -> Extent:
    rest: Extent = a - b * _divided(a, b, asked)
    if not isinstance(rest, Dim) or not _applies(rest) or not _is_natural(a, b):
        return rest
    return Dim({(Apply("mod", a, b),): 1})


def _is_natural(*dims: Dim) -> bool:
    """Whether dims are surely not negative."""
    return all((low := dim.bounds()[0]) is not None and low >= 0 for dim in dims)


def _divided(a: Dim, b: Dim, asked: bool) -> Extent:
    """floor(a / b). Programs divide what isn't negative, so signs are decided first; those that
    don't follow from the polynomials only where a user `asked`, for no library needs them."""
    if _is_negative(b, asked):
        a, b = _force(-a), _force(-b)
    if asked and b._is_known() and b == 0:
        raise ZeroDivisionError("integer division or modulo by zero")
    return -_floordiv(_force(b - a - 1), b) if _is_negative(a, asked) else _floordiv(a, b)


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


def _factor_text(atom: Any) -> str:
    """An atom as a factor: ``4*((n)//(4))`` is not ``(4*n)//4``, nor is ``-((n)//(4))``."""
    return f"({atom})" if isinstance(atom, Apply) and atom.op in ("floordiv", "mod") else str(atom)


def _force(value: Any) -> Dim:
    dim = _as_dim(value)
    if dim is None:
        raise TypeError(f"a size must be an int or a Dim, got {type(value).__name__}")
    return dim


def _add_term(terms: dict[Monomial, int], monomial: Monomial, c: int) -> None:
    total = terms.get(monomial, 0) + c
    if total:
        terms[monomial] = total
    else:
        terms.pop(monomial, None)


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
    return set(rest.terms) <= {()} or _is_natural(rest)


def _applies(dim: Dim) -> bool:
    return any(isinstance(atom, Apply) for monomial in dim.terms for atom in monomial)


def _floordiv_rest(a: Dim, b: Dim) -> Extent:
    if set(a.terms) <= {()} and set(b.terms) == {()}:
        return a.terms.get((), 0) // b.terms[()]
    return Dim({(Apply("floordiv", a, b),): 1})


def _exact_quotient(a: Dim, b: Dim) -> Extent | None:
    """a / b when b is one term that divides every term of a, or when a is a multiple of b."""
    if len(b.terms) != 1:
        for k in (1, -1, *set(a.terms.values())):
            if same(b * k, a) if isinstance(b * k, Dim) else (b * k) == a:
                return k
        return None
    (divisor, d), *_ = b.terms.items()
    result: dict[Monomial, int] = {}
    for monomial, c in a.terms.items():
        rest = list(monomial)
        for atom in divisor:
            if atom not in rest:
                return None
            rest.remove(atom)
        if c % d:
            return None
        result[tuple(rest)] = c // d
    return _simplify(result)


def _monomial_key(monomial: Monomial) -> tuple[Any, ...]:
    return tuple(a.name if isinstance(a, Symbol) else a.key for a in monomial)


def _monomial_bounds(monomial: Monomial) -> tuple[int | None, int | None]:
    low, high = 1, 1 if not monomial else None
    for atom in monomial:
        lo = 2 if isinstance(atom, Symbol) else _apply_low(atom)
        if lo is None or lo < 0:
            return None, None
        low *= lo
    if len(monomial) == 1 and isinstance(monomial[0], Apply):
        high = _apply_high(monomial[0])
    return low, high


def _apply_low(atom: Apply) -> int | None:
    left, right = atom.left.bounds(), atom.right.bounds()
    if atom.op == "mod":
        return 0
    if atom.op == "floordiv":
        return 0 if left[0] is not None and left[0] >= 0 else None
    lows = [b[0] for b in (left, right) if b[0] is not None]
    if atom.op == "max":
        return max(lows) if lows else None
    return min(lows) if len(lows) == 2 else None


def _apply_high(atom: Apply) -> int | None:
    left, right = atom.left.bounds(), atom.right.bounds()
    if atom.op == "mod":
        return right[1] - 1 if right[1] is not None else None
    highs = [b[1] for b in (left, right) if b[1] is not None]
    if atom.op == "min":
        return min(highs) if highs else None
    if atom.op == "max":
        return max(highs) if len(highs) == 2 else None
    return left[1]


def _evaluate_atom(atom: Any, sizes: Mapping[str, int]) -> int:
    if isinstance(atom, Symbol):
        return sizes[atom.name]
    a: int = atom.left.evaluate(sizes)
    b: int = atom.right.evaluate(sizes)
    if atom.op == "floordiv":
        return a // b
    if atom.op == "mod":
        return a % b
    return min(a, b) if atom.op == "min" else max(a, b)


def _substitute_atom(atom: Any, dims: Mapping[str, Extent]) -> Extent:
    if isinstance(atom, Symbol):
        return dims.get(atom.name, Dim({(atom,): 1}))
    a: Any = atom.left.substitute(dims)
    b: Any = atom.right.substitute(dims)
    result: Extent
    if atom.op == "floordiv":
        result = a // b
    elif atom.op == "mod":
        result = a % b
    else:
        result = _extreme(atom.op, a, b)
    return result


def _product(values: Iterable[int]) -> int:
    result = 1
    for v in values:
        result *= v
    return result
