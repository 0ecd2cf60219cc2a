"""`argand.quasirandom`: Sobol's sequences, points that fill a cube more evenly than random ones."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from argand.base.dtype import as_dtype, get_default_dtype
from argand.base.errors import ArgumentError
from argand.tensor.core import Tensor
from argand.tensor.creation import from_numpy
from argand.tensor.generators import Generator
from argand.tensor.random import randint

__all__ = ["SobolEngine"]

_TABLE = Path(__file__).with_name("sobol_directions.txt")
"""Of each dimension a primitive polynomial of 0 and 1, and the numbers that its recurrence starts
from: those of Joe and Kuo, "Constructing Sobol sequences with better two-dimensional projections"
(2008), new-joe-kuo-6, to degree 13."""


class SobolEngine:
    """Points of Sobol's sequence in the cube [0, 1)^dimension, in Gray code's order.

    With `scramble` each dimension's bits are multiplied by a random triangular matrix and shifted
    (Owen, 1998; Matousek, 1998), which keeps the points even; `seed` makes that the same each time.
    Raises ValueError for a dimension that isn't from 1 to 1111 (PyTorch's goes on to 21201).
    Follows `torch.quasirandom.SobolEngine`.

    >>> ag.quasirandom.SobolEngine(dimension=2).draw(3)
    tensor([[0.0000, 0.0000],
            [0.5000, 0.5000],
            [0.7500, 0.2500]])
    """

    MAXBIT = 30
    MAXDIM = 1111

    def __init__(self, dimension: int, scramble: bool = False, seed: int | None = None) -> None:
        if not 1 <= dimension <= self.MAXDIM:
            raise ValueError(
                f"SobolEngine: dimension must be from 1 to {self.MAXDIM}, got {dimension}"
            )
        self.dimension, self.scramble, self.seed = dimension, scramble, seed
        self._directions = np.stack([_directions(d) for d in range(dimension)])
        self._shift = np.zeros(dimension, np.int64)
        if scramble:
            self._scrambled(None if seed is None else Generator().manual_seed(seed))
        self.num_generated = 0

    def _scrambled(self, generator: Generator | None) -> None:
        weights = 1 << np.arange(self.MAXBIT)
        bits = randint(2, (self.dimension, self.MAXBIT), generator=generator).numpy()
        self._shift = bits @ weights
        shape = (self.dimension, self.MAXBIT, self.MAXBIT)
        rows = np.tril(randint(2, shape, generator=generator).numpy(), -1) @ weights[::-1]
        rows |= weights[::-1]
        scrambled = np.zeros_like(self._directions)
        for row, weight in zip(rows.T, weights[::-1], strict=True):
            odd = np.bitwise_count(self._directions & row[:, None]) & 1
            scrambled |= odd.astype(np.int64) * weight
        self._directions = scrambled

    def draw(self, n: int = 1, out: Tensor | None = None, dtype: Any = None) -> Tensor:
        """The next `n` points, (n, dimension), in the default dtype unless given.

        >>> ag.quasirandom.SobolEngine(1).draw(4, dtype=ag.float64).flatten()
        tensor([0.0000, 0.5000, 0.7500, 0.2500], dtype=argand.float64)
        """
        wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
        if not wanted.is_floating_point:
            raise ArgumentError(f"SobolEngine.draw: dtype must be of floats, got {wanted.name}")
        places = np.arange(self.num_generated, self.num_generated + n)
        points = np.repeat(self._shift[None], n, axis=0)
        gray = places ^ (places >> 1)
        for bit in range(self.MAXBIT):
            points ^= ((gray >> bit) & 1)[:, None] * self._directions[:, bit]
        self.num_generated += n
        wide = "float64" if wanted.name == "float64" else "float32"  # by which it is rounded
        found = from_numpy(np.ldexp(points.astype(wide), -self.MAXBIT)).to(wanted)
        if out is None:
            return found  # type: ignore[no-any-return]  # a tensor
        return out.resize_(found.shape).copy_(found)  # type: ignore[no-any-return]  # a tensor

    def draw_base2(self, m: int, out: Tensor | None = None, dtype: Any = None) -> Tensor:
        """The next 2^m points. Raises ValueError where the number of all points drawn would not be
        a power of 2: only then are they balanced.

        >>> ag.quasirandom.SobolEngine(3).draw_base2(2).shape
        argand.Size([4, 3])
        """
        total = self.num_generated + (1 << m)
        if total & (total - 1):
            raise ValueError(
                f"SobolEngine.draw_base2: {self.num_generated} points and 2^{m} are {total}, which "
                "is no power of 2; use draw(n), or reset() first"
            )
        return self.draw(1 << m, out=out, dtype=dtype)

    def reset(self) -> SobolEngine:
        """Begin again at the first point.

        >>> ag.quasirandom.SobolEngine(1).fast_forward(3).reset().num_generated
        0
        """
        self.num_generated = 0
        return self

    def fast_forward(self, n: int) -> SobolEngine:
        """Leave the next `n` points out.

        >>> ag.quasirandom.SobolEngine(1).fast_forward(3).draw()
        tensor([[0.2500]])
        """
        self.num_generated += n
        return self

    def __repr__(self) -> str:
        parts = [f"dimension={self.dimension}"]
        parts += ["scramble=True"] if self.scramble else []
        parts += [f"seed={self.seed}"] if self.seed is not None else []
        return f"{type(self).__name__}({', '.join(parts)})"


@functools.cache
def _starts() -> list[list[int]]:
    """A line of the table for each dimension."""
    return [[int(word) for word in line.split()] for line in _TABLE.read_text().splitlines()]


def _directions(dimension: int) -> np.ndarray:
    """The numbers of 30 bits that the points of a dimension are made of."""
    polynomial, *numbers = _starts()[dimension]
    degree = polynomial.bit_length() - 1
    if not degree:  # the first dimension, van der Corput's sequence
        numbers = [1] * SobolEngine.MAXBIT
    while len(numbers) < SobolEngine.MAXBIT:
        value = numbers[-degree]
        for k in range(1, degree + 1):
            if polynomial >> (degree - k) & 1:
                value ^= numbers[-k] << k
        numbers.append(value)
    return np.array([m << (SobolEngine.MAXBIT - 1 - i) for i, m in enumerate(numbers)], np.int64)
