"""References of random draws: Philox4x32-10 as its paper writes it, one block at a time.

(Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011, section 3.) What a draw makes
of the words is the documentation of `ops/random.py` and `ops/draws.py`, in numbers of Python.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
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


def _of_attempt(state: Any, place: int, t: int, count: int) -> list[float]:
    """The numbers of attempt t of the element at a place, of `count` / 2 blocks."""
    key, ticket = (int(s) % (1 << 64) for s in state)
    found: list[float] = []
    for n in range(place * count // 2, (place + 1) * count // 2):
        n += t << 40
        counter = (n & _MASK, n >> 32, ticket & _MASK, ticket >> 32)
        words = philox(counter, (key & _MASK, key >> 32))
        found += [((h >> 5) * 2**26 + (w >> 6)) / 2**53 for h, w in (words[:2], words[2:])]
    return found


def _by_rejection(count: int, attempt: Callable[..., float | None]) -> Callable[..., Any]:
    """Element by element: `attempt` of `count` numbers and operands gives None for a refusal."""

    def draw(state: Any, *operands: Any) -> Any:
        flat = [np.asarray(x, np.float64).reshape(-1) for x in operands]
        found = []
        for place, own in enumerate(zip(*flat, strict=True)):
            tries = (attempt(_of_attempt(state, place, t, count), *own) for t in itertools.count())
            found.append(next(x for x in tries if x is not None))
        return np.array(found, np.float64).reshape(np.shape(operands[0]))

    return draw


def _log_gamma(numbers: list[float], shape: float) -> float | None:
    """Marsaglia and Tsang, "A simple method for generating gamma variables", 2000."""
    u, v, w, last = numbers
    d = (shape + 1 if shape < 1 else shape) - 1 / 3
    z = math.sqrt(-2 * math.log(1 - u)) * math.cos(2 * math.pi * v)
    cube = (1 + z / math.sqrt(9 * d)) ** 3
    if cube <= 0 or math.log(1 - w) >= z * z / 2 + d - d * cube + d * math.log(cube):
        return None
    return math.log(d * cube) + (math.log(1 - last) / shape if shape < 1 else 0)


def _inverse(u: float, probability: Callable[[int], float]) -> float:
    """The smallest k with a cumulated probability above u."""
    k, total = 0, probability(0)
    while u >= total:
        k += 1
        total += probability(k)
    return k


def _poisson(numbers: list[float], rate: float) -> float | None:
    """Hoermann, "The transformed rejection method for generating Poisson random variables"."""
    u, v = numbers

    def log_probability(k: float) -> float:
        return k * math.log(rate) - rate - math.lgamma(k + 1)

    if rate < 10:
        return _inverse(u, lambda k: math.exp(log_probability(k)) if rate else k == 0)
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    us = 0.5 - abs(u - 0.5)
    k = math.floor((2 * a / us + b) * (u - 0.5) + rate + 0.43)
    if us >= 0.07 and v <= 0.9277 - 3.6224 / (b - 2):
        return k
    if k < 0 or (us < 0.013 and v > us):
        return None
    scaled = v * (1.1239 + 1.1328 / (b - 3.4)) / (a / us**2 + b)
    return k if math.log(scaled) <= log_probability(k) else None


def _binomial(numbers: list[float], count: float, chance: float) -> float | None:
    """Hoermann, "The generation of binomial random variates", 1993, algorithm BTRS."""
    u, v = numbers
    n, p = int(count), min(chance, 1 - chance)
    deviation = math.sqrt(n * p * (1 - p))

    def probability(k: int) -> float:
        return math.comb(n, k) * p**k * (1 - p) ** (n - k)

    if n * p < 10:
        rarer = _inverse(u, probability)
    else:
        b = 1.15 + 2.53 * deviation
        a = -0.0873 + 0.0248 * b + 0.01 * p
        us = 0.5 - abs(u - 0.5)
        rarer = math.floor((2 * a / us + b) * (u - 0.5) + n * p + 0.5)
        if not (us >= 0.07 and v <= 0.92 - 4.2 / b):
            if not 0 <= rarer <= n or (us < 0.013 and v > us):
                return None
            mode = math.floor((n + 1) * p)
            scaled = v * (2.83 + 5.1 / b) * deviation / (a / us**2 + b)
            if scaled > probability(int(rarer)) / probability(mode):
                return None
    return n - rarer if chance > 0.5 else rarer


def _von_mises(numbers: list[float], kappa: float) -> float | None:
    """Best and Fisher, "Efficient simulation of the von Mises distribution", 1979."""
    u, v, w, _ = numbers
    tau = 1 + math.sqrt(1 + 4 * kappa**2)
    rho = (tau - math.sqrt(2 * tau)) / (2 * kappa)
    r = (1 + rho**2) / (2 * rho) if kappa >= 1e-5 else 1 / kappa + kappa
    z = math.cos(math.pi * u)
    f = (1 + r * z) / (r + z)
    c = kappa * (r - f)
    if not (c * (2 - c) > v or math.log(c / v) + 1 - c >= 0):
        return None
    return math.copysign(math.acos(f), w - 0.5)


draw_log_gamma = _by_rejection(4, _log_gamma)
draw_poisson = _by_rejection(2, _poisson)
draw_binomial = _by_rejection(2, _binomial)
draw_von_mises = _by_rejection(4, _von_mises)


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
