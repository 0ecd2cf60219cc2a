"""An `int` argument of a compiled function while it is traced: any value of one sign from 2 on.

It computes and compares as the int would, symbolically, and passes for one (`isinstance(n, int)`).
What needs its very value (`range(n)`, a dict's key, a format) raises IntegerRead: the argument is
then a constant, and the program is for that value only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base.dim import Dim, floor_div
from argand.base.errors import TraceError
from argand.base.intlike import number
from argand.base.size_guards import reads

LARGEST = 2**40  # greater numbers are constants: what is computed from one should fit an int64
_SAFE = 2**62


class IntegerRead(TraceError):  # noqa: N818  # a signal, rarely seen by users
    """Python needs the value of int arguments, so they must be constants of the program."""

    def __init__(self, names: set[str]) -> None:
        super().__init__(
            "an int argument of a compiled function is used outside of the function or its trace; "
            "return it from the function instead"
        )
        self.names = names


def is_integer(value: Any) -> bool:
    """Whether an argument may become symbolic: an int or a NumPy integer; no bool, no enum."""
    kind = type(value)
    return kind is int or (getattr(kind, "__module__", "") == "numpy" and _is_numpy_integer(value))


def _is_numpy_integer(value: Any) -> bool:
    return (
        hasattr(value, "__index__")
        and getattr(value, "dtype", None) is not None
        and not (getattr(value, "shape", None) or value.dtype.kind not in "iu")
    )


class Integer(Dim):
    """An int argument, or what was computed from such: a polynomial in the place of an int."""

    __slots__ = ()
    __array_ufunc__ = None  # NumPy leaves operators to it

    @property  # type: ignore[misc]  # it passes for an int
    def __class__(self) -> Any:
        return int

    @staticmethod
    def argument(name: str, value: int) -> Integer:
        """The stand-in of an argument: the symbol, or minus it where the value is negative."""
        symbol = Integer(Dim.symbol(name, hint=abs(value)).terms)
        found: Integer = symbol if value > 0 else -symbol
        return found

    @property
    def plain(self) -> Dim:
        """The same polynomial, to be a size or a parameter."""
        small = all(len(m) < 2 and abs(c) <= 2**20 for m, c in self.terms.items())
        if not small and not -_SAFE < self < _SAFE:
            raise self._read()
        return Dim(self.terms)

    def _read(self, *_: Any) -> IntegerRead:
        names = set(self.symbols())
        reads(names)
        return IntegerRead(names)

    # -- where Python wants the value ----------------------------------------------------------

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise self._read()

    __index__ = __int__ = __float__ = __complex__ = __hash__ = _refuse
    __repr__ = __str__ = __format__ = __array__ = _refuse

    # -- arithmetic ----------------------------------------------------------------------------

    def __sub__(self, other: Any) -> Any:
        return number(self) - other if isinstance(other, float) else _of(Dim.__sub__(self, other))

    def __rsub__(self, other: Any) -> Any:
        return other - number(self) if isinstance(other, float) else -self + other

    def __neg__(self) -> Any:
        return _of(Dim.__neg__(self))

    def __and__(self, other: Any) -> Any:
        if type(other) is int and other > 0 and other & (other + 1) == 0:
            return self % (other + 1)  # the lowest bits
        return self._refuse()

    def __lshift__(self, other: Any) -> Any:
        return self * 2**other if type(other) is int and 0 <= other < 40 else self._refuse()

    def __rshift__(self, other: Any) -> Any:
        return self // 2**other if type(other) is int and 0 <= other < 40 else self._refuse()

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __floordiv__(self, other: Any) -> Any:
        return _quotient(self, other) if _is_whole(other) else NotImplemented

    def __rfloordiv__(self, other: Any) -> Any:
        return _quotient(other, self) if _is_whole(other) else NotImplemented

    def __mod__(self, other: Any) -> Any:
        return self - other * _quotient(self, other) if _is_whole(other) else NotImplemented

    def __rmod__(self, other: Any) -> Any:
        return other - self * _quotient(other, self) if _is_whole(other) else NotImplemented

    def __truediv__(self, other: Any) -> Any:
        if _is_tensor(other):
            return NotImplemented
        if other == 0:
            raise ZeroDivisionError("division by zero")
        return number(self) / (number(other) if isinstance(other, Dim) else other)

    def __rtruediv__(self, other: Any) -> Any:
        if self == 0:
            raise ZeroDivisionError("division by zero")
        return other / number(self)

    def __pow__(self, other: Any, modulo: Any = None) -> Any:
        return NotImplemented if _is_tensor(other) else super().__pow__(other, modulo)

    # -- comparison ----------------------------------------------------------------------------

    def _comparable(self, other: Any) -> bool:
        """Whether a comparison is one of whole numbers; one with a float needs the value."""
        if isinstance(other, float):
            raise self._read()
        return _is_whole(other)


def _of(value: Any) -> Any:
    return Integer(value.terms) if type(value) is Dim else value


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "weak")


def _is_whole(value: Any) -> bool:
    if isinstance(value, Dim):
        return True
    return (hasattr(value, "__index__") and not hasattr(value, "shape")) or is_integer(value)


def _quotient(a: Any, b: Any) -> Any:
    return _of(floor_div(a, b))


def _wrapped(name: str) -> Callable[..., Any]:
    plain = getattr(Dim, name)

    def operator(self: Integer, other: Any) -> Any:
        return _of(plain(self, other))

    operator.__name__ = name
    return operator


def _comparison(name: str) -> Callable[..., Any]:
    plain = getattr(Dim, name)

    def operator(self: Integer, other: Any) -> Any:
        return plain(self, other) if self._comparable(other) else NotImplemented

    operator.__name__ = name
    return operator


for _name in ("__add__", "__radd__", "__mul__", "__rmul__"):
    setattr(Integer, _name, _wrapped(_name))
for _name in ("__eq__", "__gt__", "__lt__", "__ge__", "__le__"):
    setattr(Integer, _name, _comparison(_name))


def as_plain(value: Any) -> Any:
    """A parameter of an operation with sizes in the place of int arguments, in tuples too."""
    if type(value) is Integer:
        return value.plain
    if type(value) is tuple or type(value) is list:
        return type(value)([as_plain(v) for v in value])
    if type(value) is slice:
        return slice(as_plain(value.start), as_plain(value.stop), as_plain(value.step))
    return value
