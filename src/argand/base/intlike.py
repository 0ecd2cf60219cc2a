"""What an int does beside adding, dividing and comparing: for sizes in the place of one.

What no polynomial says (a power of the size, its bits) takes the value, by `__index__`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

# While a function is traced a size may be used as a number: who traces tells how.
numbers: list[Callable[[Any], Any]] = []


def number(dim: Any) -> Any:
    """A size as a number to calculate with: a tensor while tracing, the size at hand otherwise."""
    for make in numbers:
        found = make(dim)
        if found is not None:
            return found
    return int(dim)


class IntLike:
    """The methods of an int that follow from its arithmetic, its comparisons and `__index__`."""

    __slots__ = ()

    def __index__(self) -> int:
        raise NotImplementedError

    def __neg__(self) -> Any:
        raise NotImplementedError

    def __ge__(self, other: Any) -> bool:
        raise NotImplementedError

    def __pow__(self, other: Any, modulo: Any = None) -> Any:
        if modulo is not None:
            return pow(self.__index__(), operator.index(other), operator.index(modulo))
        if isinstance(other, float) or hasattr(other, "weak"):
            return number(self) ** other
        if type(other) is not int or not 0 <= other <= 16:
            return self.__index__() ** operator.index(other)
        result: Any = 1
        for _ in range(other):
            result = result * self
        return result

    def __rpow__(self, other: Any, modulo: Any = None) -> Any:
        if modulo is not None:
            return pow(operator.index(other), self.__index__(), operator.index(modulo))
        if isinstance(other, float) or hasattr(other, "weak"):
            return other ** number(self)
        return other ** self.__index__()

    def __pos__(self) -> Any:
        return self

    __trunc__ = __floor__ = __ceil__ = __pos__

    def __round__(self, digits: int | None = None) -> Any:
        return self if digits is None or digits >= 0 else round(self.__index__(), digits)

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def __invert__(self) -> Any:
        return -self - 1

    @property
    def real(self) -> Any:
        """As of an int."""
        return self

    numerator = real

    @property
    def imag(self) -> int:
        """As of an int."""
        return 0

    @property
    def denominator(self) -> int:
        """As of an int."""
        return 1

    def conjugate(self) -> Any:
        """As of an int."""
        return self

    def bit_length(self) -> int:
        """As of an int."""
        return self.__index__().bit_length()

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return np.array(self.__index__(), *args)


def _of_value(function: Callable[[Any, Any], Any], reflected: bool) -> Callable[..., Any]:
    """An operator on the bits of a size, which takes its value."""

    def operate(self: IntLike, other: Any) -> Any:
        return function(other, int(self)) if reflected else function(int(self), other)

    return operate


for _function in (operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift):
    _name = _function.__name__.strip("_")
    setattr(IntLike, f"__{_name}__", _of_value(_function, reflected=False))
    setattr(IntLike, f"__r{_name}__", _of_value(_function, reflected=True))
