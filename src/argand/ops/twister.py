"""The Mersenne Twister MT19937, and what PyTorch makes of its words on a CPU.

(Matsumoto and Nishimura, "Mersenne Twister: a 623-dimensionally equidistributed uniform
pseudorandom number generator", 1998.) The state is the 5056 bytes of PyTorch's `get_rng_state`, so
states can be exchanged with it.

A uniform number of 24 bits is made of the low bits of one word, one of 53 bits of the low bits of
two, the first of which is the higher half.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

_N, _SHIFT = 624, 397
_LAYOUT = np.dtype(
    {
        "names": ["seed", "left", "seeded", "next", "key", "spare", "has_spare"],
        "formats": ["<u8", "<i4", "<i4", "<u8", ("<u8", _N), "<f8", "<i4"],
        "offsets": [0, 8, 12, 16, 24, 24 + 8 * _N + 8, 24 + 8 * _N + 24],
        "itemsize": 5056,
    }
)
BYTES = _LAYOUT.itemsize
_LONG = 50_000
"""From this many words on NumPy's generator is faster, in spite of 0.3 ms to set its state."""
_PART = 1 << 16


def seeded(seed: int) -> np.ndarray:
    """The state that a seed starts: of 64 bits, the lowest 32 of which count."""
    state = np.zeros(1, _LAYOUT)
    state["seed"], state["left"], state["seeded"] = seed, 1, 1
    start: Any = np.random.RandomState(seed & 0xFFFFFFFF).get_state()
    state["key"] = start[1]
    return state.view(np.uint8)


def seed_of(state: np.ndarray) -> int:
    """The seed that a state was started from."""
    return int(state.view(_LAYOUT)["seed"][0])


def is_state(state: np.ndarray) -> bool:
    """Whether bytes of the right number are a state."""
    s = state.view(_LAYOUT)[0]
    return bool(
        s["seeded"] == 1
        and 1 <= s["left"] <= _N
        and s["next"] <= _N
        and (s["left"] == 1 or s["next"] == _N + 1 - s["left"])
        and (s["key"] <= 0xFFFFFFFF).all()
    )


class Twister:
    """The generator between one state and the next."""

    def __init__(self, state: Any) -> None:
        self._fields = np.array(state, np.uint8).view(_LAYOUT)[0]
        self._key = self._fields["key"].astype(np.uint32)
        # the first word not yet taken; any bytes are a state
        self._next = min(max(_N + 1 - int(self._fields["left"]), 0), _N)
        self._moved = False

    def state(self) -> np.ndarray:
        """The state behind all that was drawn."""
        if self._moved:
            self._fields["key"] = self._key
            self._fields["left"] = _N + 1 - self._next
            self._fields["next"] = self._next
        found: np.ndarray = self._fields.reshape(1).view(np.uint8)
        return found

    def words(self, count: int) -> np.ndarray:
        """The next words of 32 bits, as uint64."""
        self._moved = self._moved or count > 0
        if count >= _LONG:
            return self._drawn_by_numpy(count).astype(np.uint64)
        parts = [np.empty(0, np.uint32)]
        while count:
            if self._next == _N:
                self._twist()
            taken = self._key[self._next : self._next + count]
            parts.append(taken.copy())
            self._next += taken.size
            count -= taken.size
        return _tempered(np.concatenate(parts)).astype(np.uint64)

    def _drawn_by_numpy(self, count: int) -> np.ndarray:
        """Words as uint32, drawn by NumPy's generator."""
        with self._numpy() as generator:
            return generator.integers(0, 1 << 32, count, np.uint32)

    @contextmanager
    def _numpy(self) -> Iterator[np.random.Generator]:
        """NumPy's generator in this state, which becomes the state that it is left in."""
        self._moved = True
        source = np.random.MT19937()
        inner: Any = {"key": self._key, "pos": self._next}
        source.state = {"bit_generator": "MT19937", "state": inner}
        yield np.random.Generator(source)
        after: Any = source.state["state"]
        self._key, self._next = after["key"], int(after["pos"])

    def _twist(self) -> None:
        """The next 624 words: each depends on three of 624 before it, 227 at a time."""
        key = self._key
        mixed = (key & np.uint32(0x80000000)) | (np.roll(key, -1) & np.uint32(0x7FFFFFFF))
        halves = (mixed >> np.uint32(1)) ^ (mixed & np.uint32(1)) * np.uint32(0x9908B0DF)
        far = _N - _SHIFT
        key[:far] = key[_SHIFT:] ^ halves[:far]
        key[far : 2 * far] = key[:far] ^ halves[far : 2 * far]
        key[2 * far : -1] = key[far : _SHIFT - 1] ^ halves[2 * far : -1]
        last = (int(key[-1]) & 0x80000000) | (int(key[0]) & 0x7FFFFFFF)  # key[0] is new by now
        key[-1] = int(key[_SHIFT - 1]) ^ (last >> 1) ^ (last & 1) * 0x9908B0DF
        self._next = 0

    def wide_words(self, count: int) -> np.ndarray:
        """Words of 64 bits, each of two of 32, the higher half first."""
        words = self.words(2 * count)
        found: np.ndarray = (words[0::2] << np.uint64(32)) | words[1::2]
        return found

    def fractions(self, count: int, bits: int) -> np.ndarray:
        """Uniform numbers in [0, 1), of 24 bits as float32 or of 53 as float64."""
        if bits == 24 and count >= _LONG:
            return self._many_fractions(count)
        whole = self.words(count) if bits == 24 else self.wide_words(count)
        found: np.ndarray = (whole & np.uint64((1 << bits) - 1)) * 2.0**-bits
        return found.astype(np.float32) if bits == 24 else found

    def _many_fractions(self, count: int) -> np.ndarray:
        """Those of 24 bits, part by part: a part's words stay in the processor's cache."""
        found = np.empty(count, np.float32)
        with self._numpy() as generator:
            for start in range(0, count, _PART):
                part = found[start : start + _PART]
                words = generator.integers(0, 1 << 32, part.size, np.uint32)
                words &= np.uint32((1 << 24) - 1)
                np.multiply(
                    words.view(np.int32),
                    np.float32(2.0**-24),
                    out=part,
                    dtype=np.float32,
                    casting="unsafe",
                )
        return found

    def fraction(self) -> float:
        """One uniform number of 53 bits."""
        return float(self.fractions(1, 53)[0])

    def integers(self, count: int, low: int, span: int, wide: bool) -> np.ndarray:
        """Whole numbers from `low` on, below `low` + `span`, as int64: remainders of words."""
        if not wide:
            whole = self.words(count) % np.uint64(span)
        else:
            whole = self.wide_words(count)
            whole = whole if span == 1 << 64 else whole % np.uint64(span)
        return whole.view(np.int64) + np.int64(low)

    def normals(self, count: int) -> np.ndarray:
        """Box and Muller's pairs; the second of a pair that only one is taken of waits."""
        spare = [float(self._fields["spare"])] if self._fields["has_spare"] and count else []
        pairs = (count - len(spare) + 1) // 2
        u = self.fractions(2 * pairs, 53).reshape(-1, 2)
        r = np.sqrt(-2 * libm("log1p", -u[:, 1]))
        t = 2 * math.pi * u[:, 0]
        drawn = np.stack([r * libm("cos", t), r * libm("sin", t)], axis=1).reshape(-1)
        found = np.concatenate([np.array(spare), drawn])
        if count:
            waits = found.size > count
            self._fields["has_spare"] = waits
            self._fields["spare"] = found[-1] if waits else 0
        return found[:count]

    def permutation(self, count: int) -> np.ndarray:
        """0 to count - 1 in random order, by exchanges from the front (Fisher and Yates)."""
        order = list(range(count))
        left = np.arange(count, 1, -1, dtype=np.uint64)
        steps = self.words(max(count - 1, 0)) % left
        for i, step in enumerate(steps.tolist()):
            order[i], order[i + step] = order[i + step], order[i]
        return np.array(order, np.int64)


def _tempered(y: np.ndarray) -> np.ndarray:
    y ^= y >> np.uint32(11)
    y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
    y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
    y ^= y >> np.uint32(18)
    return y


FUNCTIONS = {"cos": math.cos, "exp": math.exp, "log": math.log, "log1p": math.log1p}
FUNCTIONS |= {"sin": math.sin, "tan": math.tan}


def libm(name: str, x: np.ndarray) -> np.ndarray:
    """A function of the C library, element by element: NumPy's own have other last bits."""
    flat = np.asarray(x, np.float64).reshape(-1)
    function = FUNCTIONS[name]
    try:
        found = np.fromiter(map(function, flat.tolist()), np.float64, flat.size)
    except (ValueError, OverflowError):  # Python has errors where C has infinities and NaN
        with np.errstate(all="ignore"):
            found = getattr(np, name)(flat)
        for i, value in enumerate(flat.tolist()):
            with suppress(ValueError, OverflowError):
                found[i] = function(value)
    return found.reshape(np.shape(x))
