"""References of random draws: Philox4x32-10 as its paper writes it, one block at a time.

(Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011, section 3.) What a draw makes
of the words is the documentation of `ops/random.py`, in whole numbers of Python.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

_MASK = 0xFFFFFFFF
_BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}


def philox(counter: tuple[int, ...], key: tuple[int, int]) -> tuple[int, ...]:
    """Ten rounds on four words under two, each key word raised by its Weyl constant a round."""
    k0, k1 = key
    for _ in range(10):
        x0, x1, x2, x3 = counter
        p0, p1 = 0xD2511F53 * x0, 0xCD9E8D57 * x2
        counter = ((p1 >> 32) ^ x1 ^ k0, p1 & _MASK, (p0 >> 32) ^ x3 ^ k1, p0 & _MASK)
        k0, k1 = (k0 + 0x9E3779B9) & _MASK, (k1 + 0xBB67AE85) & _MASK
    return counter


def _words(state: Any) -> Iterator[tuple[int, ...]]:
    """The blocks of a draw, one after the other."""
    key, ticket = (int(s) % (1 << 64) for s in state)
    for n in itertools.count():
        counter = (n & _MASK, n >> 32, ticket & _MASK, ticket >> 32)
        yield philox(counter, (key & _MASK, key >> 32))


def _fractions(state: Any, bits: int) -> Iterator[float]:
    """Numbers of `bits` bits in [0, 1): a word's highest bits, or 27 and 26 bits of two words."""
    for block in _words(state):
        if bits <= 32:
            yield from ((word >> (32 - bits)) / 2**bits for word in block)
        else:
            for high, low in (block[:2], block[2:]):
                yield ((high >> 5) * 2**26 + (low >> 6)) / 2**53


def _filled(shape: Any, numbers: Iterator[Any]) -> Any:
    count = math.prod(shape)
    return np.array(list(itertools.islice(numbers, count))).reshape(shape)


def uniform(state: Any, shape: Any, dtype: Any = "float32") -> Any:
    """Whole multiples of 2 ** -bits."""
    return _filled(shape, _fractions(state, _BITS[str(dtype)])).astype(np.float64)


def normal(state: Any, shape: Any, dtype: Any = "float32") -> Any:
    """Box and Muller's pairs of two uniform numbers."""

    def numbers() -> Iterator[float]:
        fractions = _fractions(state, max(_BITS[str(dtype)], 24))
        while True:
            u, v = next(fractions), next(fractions)
            r = math.sqrt(-2 * math.log(1 - u))
            yield r * math.cos(2 * math.pi * v)
            yield r * math.sin(2 * math.pi * v)

    return _filled(shape, numbers()).astype(np.float64)


def randint(state: Any, shape: Any, low: int, high: int) -> Any:
    """A word scaled to the range, rounded down."""
    words = itertools.chain.from_iterable(_words(state))
    return _filled(shape, (low + (w * (high - low) >> 32) for w in words)).astype(np.int64)
