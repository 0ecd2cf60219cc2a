"""Int arguments: constants at first, symbols once a second value was seen.

The value of a symbol comes to the program as the size of an input that has no elements, so the
passes and the back ends know it as any size. Values 0, 1 and -1, and very large ones, get programs
of their own, and so does every value of an argument that Python takes the value of.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from argand.base.dim import Dim
from argand.base.dtype import int8
from argand.base.integer import LARGEST, Integer, is_integer
from argand.ir.program import Value
from argand.tensor.core import Tensor

# Where the values of symbols are found: each one's name, leaf and dimension.
Sources = tuple[tuple[str, int, int], ...]

NO_INTEGERS: Mapping[int, Integer] = {}


def may_vary(value: Any) -> bool:
    """Whether a value can be one of a symbol."""
    return is_integer(value) and 2 <= abs(int(value)) < LARGEST


def varying_integers(
    leaves: Sequence[Any],
    seen: Sequence[Sequence[Any]],
    constants: Collection[int],
    everything: bool = False,
) -> dict[int, Integer]:
    """The int arguments to be symbols, by leaf: those that other calls gave other values.

    `seen` are the values at each leaf in the calls that programs were made for, `constants` the
    leaves that must stay constants; `everything` makes a symbol of each.
    """
    return {
        i: Integer.argument(f"int{i}", int(x))
        for i, x in enumerate(leaves)
        if i not in constants and may_vary(x) and (everything or any(s[i] != x for s in seen))
    }


def fits_integer(integer: Integer, value: Any, sizes: dict[str, int]) -> bool:
    """Whether a value is one of a symbol; notes which."""
    (((symbol,), sign),) = integer.terms.items()  # read directly: this is on the way of each call
    if not may_vary(value) or (value > 0) != (sign > 0):
        return False
    sizes[symbol.name] = abs(int(value))
    return True


def carried(integer: Integer) -> str:
    """The name of an argument's symbol."""
    (name,) = integer.symbols()
    return name


def carrier_value(integer: Integer, label: str) -> Value:
    """The input whose size is the value of an int argument."""
    (symbol,) = integer.symbols().values()
    return Value(int8, (0, Dim({(symbol,): 1})), label)


def carrier(value: Any) -> np.ndarray[Any, Any]:
    """What a call gives for that input: nothing, of the right size."""
    return np.empty((0, abs(int(value))), np.int8)


def sizes_of(sources: Sources, leaves: Sequence[Any]) -> dict[str, int]:
    """The values of symbols in a call."""
    return {name: _size(leaves[i], d) for name, i, d in sources}


def _size(leaf: Any, dimension: int) -> int:
    return int(leaf._array.shape[dimension]) if isinstance(leaf, Tensor) else abs(int(leaf))
