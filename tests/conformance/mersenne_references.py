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


def _poisson(g: Generator, rate: float) -> float:
    """Knuth's products, or Hoermann's transformed rejection (1993)."""
    if rate < 10:
        product, k = g.fraction() if rate else 0.0, 0
        while product > math.exp(-rate):
            product, k = product * g.fraction(), k + 1
        return k
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = 0.02483 * b - 0.059
    while True:
        u, v = g.fraction() - 0.5, g.fraction()
        us = 0.5 - abs(u)
        k = math.floor((2 * a / us + b) * u + rate + 0.43)
        if us >= 0.07 and v <= 0.9277 - 3.6224 / (b - 2):
            return k
        if k >= 0 and not (us < 0.013 and v > us):
            scaled = v * (1.1239 + 1.1328 / (b - 3.4)) / (a / us**2 + b)
            if math.log(scaled) <= k * math.log(rate) - rate - math.lgamma(k + 1):
                return k


def _log_gamma(g: Generator, shape: float) -> float:
    """Marsaglia and Tsang, 2000."""
    first = (1 - g.fraction()) ** (1 / shape) if shape < 1 else 1.0
    d = shape - 1 / 3 + (shape < 1)
    while True:
        x = g.normal()
        cube = (1 + x / (9 * d) ** 0.5) ** 3
        if cube > 0:
            u = 1 - g.fraction()
            bound = x * x / 2 + d - d * cube + d * math.log(cube)
            if u < 1 - 0.0331 * x**4 or math.log(u) < bound:
                return math.log(first * d * cube)


def _binomial(g: Generator, count: float, chance: float) -> float:
    """Geometric waiting times, or Hoermann's transformed rejection (1993)."""
    n, p = int(count), min(chance, 1 - chance)
    rarer = 0
    if n * p < 10:
        waited = math.ceil(math.log(g.fraction()) / math.log1p(-p))
        while waited <= n:
            waited += math.ceil(math.log(g.fraction()) / math.log1p(-p))
            rarer += 1
        return n - rarer if chance > 0.5 else rarer
    deviation = math.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = 0.0248 * b + 0.01 * p - 0.0873
    mode = math.floor((n + 1) * p)

    def probability(k: int) -> float:
        return math.comb(n, k) * p**k * (1 - p) ** (n - k)

    while True:
        u, v = g.fraction() - 0.5, g.fraction()
        us = 0.5 - abs(u)
        rarer = math.floor((2 * a / us + b) * u + n * p + 0.5)
        inside = 0 <= rarer <= n
        scaled = v * (2.83 + 5.1 / b) * deviation / (a / us**2 + b)
        if (us >= 0.07 and v <= 0.92 - 4.2 / b) or (
            inside and scaled <= probability(rarer) / probability(mode)
        ):
            return n - rarer if chance > 0.5 else rarer


def rejected(state: Any, kind: str, *operands: Any) -> Any:
    """One element after the other."""
    g = Generator(state)
    function: Any = {"poisson": _poisson, "log_gamma": _log_gamma, "binomial": _binomial}[kind]
    rows = zip(*(np.asarray(x).reshape(-1).tolist() for x in operands), strict=True)
    found = np.array([function(g, *row) for row in rows], np.float64)
    return found.reshape(np.shape(operands[0])), g.state()


def box_muller(u: Any, v: Any, function: Any) -> Any:
    """Box and Muller's transform of one pair."""
    return np.sqrt(-2 * np.log1p(-u)) * function(2 * np.pi * v)


REFERENCES = {
    "mersenne_uniform": uniform,
    "mersenne_normal": normal,
    "mersenne_integers": integers,
    "mersenne_permutation": permutation,
    "mersenne_choices": choices,
    "mersenne_rejected": rejected,
    "libm": lambda x, name: getattr(np, name)(x),
    "fma": lambda x, y, z: x * y + z,
    "box_muller_cos": lambda u, v: box_muller(u, v, np.cos),
    "box_muller_sin": lambda u, v: box_muller(u, v, np.sin),
}
