"""Integer polynomials of named symbols and of floordiv, mod, min and max of such polynomials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

# A monomial is a sorted tuple of atoms (a repeated atom is a power): Symbols and Applys.
Monomial = tuple[Any, ...]


_Bounds = tuple[int | None, int | None]


class Symbol:
    """A named unknown size. `hint` is its value in the call being traced; `least` and `most` are
    the range that the user declared."""

    __slots__ = ("declared", "hint", "least", "most", "name")

    def __init__(self, name: str, hint: int | None = None, declared: bool = False) -> None:
        self.name = name
        self.hint = hint
        self.declared = declared
        self.least: int | None = None
        self.most: int | None = None

    def __repr__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Symbol) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


class Apply:
    """An opaque part of a polynomial: floordiv, mod, min or max of two polynomials."""

    __slots__ = ("_bounds", "_text", "key", "left", "op", "right")

    def __init__(self, op: str, left: Any, right: Any) -> None:
        self.op, self.left, self.right = op, left, right  # Dims
        self.key = (op, left.key, right.key)
        self._text = ""
        self._bounds: _Bounds | None = None

    def __repr__(self) -> str:
        if not self._text:  # by which atoms are sorted, again and again
            left, right = self.left.text(), self.right.text()
            if self.op in ("min", "max"):
                self._text = f"{self.op}({left}, {right})"
            else:
                self._text = f"({left}){'//' if self.op == 'floordiv' else '%'}({right})"
        return self._text

    def bounds(self) -> _Bounds:
        """What is surely its least and greatest value; found once, as parts are nested."""
        if self._bounds is None:
            left, right = self.left.bounds(), self.right.bounds()
            self._bounds = _apply_low(self.op, left, right), _apply_high(self.op, left, right)
        return self._bounds

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Apply) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class Polynomial:
    """An integer polynomial: what a size is in terms of the symbols."""

    __slots__ = ("key", "terms")

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        self.terms: dict[Monomial, int] = dict(terms)
        self.key = frozenset((_monomial_key(m), c) for m, c in self.terms.items())

    def __repr__(self) -> str:
        return self.text()

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
            c * math.prod(_evaluate_atom(a, sizes) for a in monomial)
            for monomial, c in self.terms.items()
        )

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

    def text(self) -> str:
        """It as a formula, such as ``2*n + 1``."""
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


class Linear(NamedTuple):
    """A size that is times * symbol + plus."""

    symbol: Symbol
    times: int
    plus: int


def linear(size: Polynomial) -> Linear | None:
    """A size as a multiple of one symbol, plus a number; None for any other."""
    terms = dict(size.terms)
    plus = terms.pop((), 0)
    if len(terms) != 1:
        return None
    ((atoms, times),) = terms.items()
    if len(atoms) != 1 or not isinstance(atoms[0], Symbol) or times < 1:
        return None
    return Linear(atoms[0], times, plus)


def add_term(terms: dict[Monomial, int], monomial: Monomial, c: int) -> None:
    """Add a term in place; terms that cancel are left out."""
    total = terms.get(monomial, 0) + c
    if total:
        terms[monomial] = total
    else:
        terms.pop(monomial, None)


def _factor_text(atom: Any) -> str:
    """An atom as a factor: ``4*((n)//(4))`` is not ``(4*n)//4``, nor is ``-((n)//(4))``."""
    return f"({atom})" if isinstance(atom, Apply) and atom.op in ("floordiv", "mod") else str(atom)


def _monomial_key(monomial: Monomial) -> tuple[Any, ...]:
    return tuple(a.name if isinstance(a, Symbol) else a.key for a in monomial)


def _monomial_bounds(monomial: Monomial) -> tuple[int | None, int | None]:
    low, high = 1, 1 if not monomial else None
    for atom in monomial:
        lo = max(2, atom.least or 0) if isinstance(atom, Symbol) else atom.bounds()[0]
        if lo is None or lo < 0:
            return None, None
        low *= lo
    if len(monomial) == 1:
        (atom,) = monomial
        high = atom.most if isinstance(atom, Symbol) else atom.bounds()[1]
    return low, high


def _apply_low(op: str, left: _Bounds, right: _Bounds) -> int | None:
    if op == "mod":
        return 0
    if op == "floordiv":
        return 0 if left[0] is not None and left[0] >= 0 else None
    lows = [b[0] for b in (left, right) if b[0] is not None]
    if op == "max":
        return max(lows) if lows else None
    return min(lows) if len(lows) == 2 else None


def _apply_high(op: str, left: _Bounds, right: _Bounds) -> int | None:
    if op == "mod":
        return right[1] - 1 if right[1] is not None else None
    highs = [b[1] for b in (left, right) if b[1] is not None]
    if op == "min":
        return min(highs) if highs else None
    if op == "max":
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
