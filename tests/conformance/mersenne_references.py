"""References of the Mersenne Twister's draws: MT19937 word by word, as its paper writes it.

(Matsumoto and Nishimura, 1998.) What a draw makes of the words is the documentation of
`ops/twister.py` and `ops/mersenne.py`, in numbers of Python. State: PyTorch's 5056 bytes, by
`struct`.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

_HEAD, _KEY, _PAIR = struct.Struct("<QiiQ"), struct.Struct("<624Q"), struct.Struct("<8xd8xi")


class Generator:
    """The generator behind a state's bytes."""

    def __init__(self, state: Any) -> None:
        self.data = bytearray(np.asarray(state, np.uint8).tobytes())
        self.seed, left, self.seeded, self.next = _HEAD.unpack_from(self.data)
        self.place = min(max(625 - left, 0), 624)
        self.key = [word & 0xFFFFFFFF for word in _KEY.unpack_from(self.data, _HEAD.size)]
        self.spare, self.has_spare = _PAIR.unpack_from(self.data, _HEAD.size + _KEY.size)
        self.drew = False

    def word(self) -> int:
        """The next 32 bits."""
        self.drew = True
        key = self.key
        if self.place == 624:
            for i in range(624):
                y = (key[i] & 0x80000000) | (key[(i + 1) % 624] & 0x7FFFFFFF)
                key[i] = key[(i + 397) % 624] ^ (y >> 1) ^ (0x9908B0DF if y & 1 else 0)
            self.place = 0
        y = key[self.place]
        self.place += 1
        y ^= y >> 11
        y ^= (y << 7) & 0x9D2C5680
        y ^= (y << 15) & 0xEFC60000
        return y ^ (y >> 18)

    def wide(self) -> int:
        """The next 64 bits."""
        high = self.word()
        return high << 32 | self.word()

    def fraction(self) -> float:
        """A uniform number of 53 bits."""
        return (self.wide() % (1 << 53)) / (1 << 53)

    def normal(self) -> float:
        """A normal number of a pair, or the one that waits."""
        if self.has_spare:
            self.has_spare, found, self.spare = 0, self.spare, 0.0
            return found
        v, u = self.fraction(), self.fraction()
        r = math.sqrt(-2 * math.log1p(-u))
        self.has_spare, self.spare = 1, r * math.sin(2 * math.pi * v)
        return r * math.cos(2 * math.pi * v)

    def state(self) -> np.ndarray:
        """The bytes of the state that it is in."""
        if self.drew:
            _HEAD.pack_into(self.data, 0, self.seed, 625 - self.place, self.seeded, self.place)
            _KEY.pack_into(self.data, _HEAD.size, *self.key)
        at = _HEAD.size + _KEY.size
        struct.pack_into("<d", self.data, at + 8, self.spare)
        struct.pack_into("<i", self.data, at + 24, self.has_spare)
        return np.frombuffer(bytes(self.data), np.uint8)


def _filled(g: Generator, shape: Any, draws: Iterator[Any], dtype: Any) -> tuple[Any, Any]:
    count = math.prod(shape)
    return np.array(list(itertools.islice(draws, count)), dtype).reshape(shape), g.state()


def uniform(state: Any, shape: Any, dtype: Any = "float64") -> Any:
    """Fractions of 24 bits of a word, or of 53 bits of two."""
    g = Generator(state)

    def numbers() -> Iterator[float]:
        while True:
            yield g.fraction() if str(dtype) == "float64" else (g.word() % (1 << 24)) / (1 << 24)

    return _filled(g, shape, numbers(), np.float64)


def normal(state: Any, shape: Any) -> Any:
    """Numbers of pairs."""
    g = Generator(state)
    return _filled(g, shape, (g.normal() for _ in itertools.count()), np.float64)


def integers(state: Any, shape: Any, low: int, high: int, wide: bool | None = None) -> Any:
    """Remainders of words."""
    g, span = Generator(state), high - low
    of_two = span >= 1 << 28 if wide is None else wide
    words = (g.wide() if of_two else g.word() for _ in itertools.count())
    return _filled(g, shape, (low + word % span for word in words), np.int64)


def permutation(state: Any, count: int) -> Any:
    """Every place is exchanged with one from itself on."""
    g, order = Generator(state), list(range(count))
    for i in range(count - 1):
        j = i + g.word() % (count - i)
        order[i], order[j] = order[j], order[i]
    return np.array(order, np.int64), g.state()


def choices(state: Any, weights: Any, count: int) -> Any:
    """The first index whose share of the sum, with all before it, reaches a fraction."""
    g = Generator(state)
    found = []
    for row in weights:
        shares = list(itertools.accumulate(float(w) for w in row))
        for _ in range(count):
            u = g.fraction()
            found.append(next(i for i, s in enumerate(shares) if s / shares[-1] >= u))
    return np.array(found, np.int64).reshape(len(weights), count), g.state()


def box_muller(u: Any, v: Any, function: Any) -> Any:
    """Box and Muller's transform of one pair."""
    return np.sqrt(-2 * np.log1p(-u)) * function(2 * np.pi * v)


REFERENCES = {
    "mersenne_uniform": uniform,
    "mersenne_normal": normal,
    "mersenne_integers": integers,
    "mersenne_permutation": permutation,
    "mersenne_choices": choices,
    "libm": lambda x, name: getattr(np, name)(x),
    "fma": lambda x, y, z: x * y + z,
    "box_muller_cos": lambda u, v: box_muller(u, v, np.cos),
    "box_muller_sin": lambda u, v: box_muller(u, v, np.sin),
}
