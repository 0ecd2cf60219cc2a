"""Random numbers whose distribution depends on operands, by rejection, on the host in float64.

The state is that of `ops/random.py`. Attempt t of the element at position i, in row-major order,
reads block t * 2 ** 40 + i of the draw (blocks 2 i and 2 i + 1 where it needs four numbers): two
uniform numbers of 53 bits a block. So an element depends on its operands and its position alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from argand.base.dtype import float64, int64
from argand.base.errors import DTypeError, ShapeError
from argand.base.shape import same_shape
from argand.ir import families
from argand.ir.batching import drawn
from argand.ir.elementwise import lifted
from argand.ir.op import TensorType, describe
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.random import doubles, words_of_blocks

_STATE = T((2,), 0, 1 << 40, "int64")


class _HostDraw(families.Host):
    """A draw of the shape of its operands, which are float64 of one shape.

    A member states `attempt(numbers, t, *operands)`, of flat operands: the values of attempt t, and
    which of them are accepted. `numbers(count)` are the uniform numbers of the attempt.
    """

    batched = drawn
    abstract = True
    required = ("samples", "attempt")
    dtypes = ("float64",)
    merges = False
    differentiable = False
    can_fail = False

    attempt: Callable[..., tuple[np.ndarray, np.ndarray]] | None = None

    def prepare(self, state: Any, *operands: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (lifted(state), *map(lifted, operands)), {}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        state, *operands = inputs
        if state.dtype is not int64 or tuple(state.shape) != (2,):
            raise DTypeError(f"{self.name}: the state must be i64(2,), got {describe(state)}")
        for x in operands:
            if x.dtype is not float64:
                raise DTypeError(f"{self.name}: not defined for {x.dtype.name}, only for float64")
            if not same_shape(x.shape, operands[0].shape):
                raise ShapeError(f"{self.name}: {describe(x)} is not of the first operand's shape")
        return (TensorType(float64, operands[0].shape),)

    def saves(self, params: dict[str, Any]) -> tuple[Sequence[int], Sequence[int]]:
        return (), ()

    def run(self, *arrays: Any, **params: Any) -> Any:
        self.infer(*map(families.array_type, arrays))  # eager code has not asked before
        state, *operands = arrays
        flat = [np.asarray(x, np.float64).reshape(-1) for x in operands]
        drawn = np.full(flat[0].size, np.nan)
        # NaN operands give NaN: no attempt of theirs would ever be accepted
        left = np.flatnonzero(~np.isnan(sum(flat)))
        t = 0
        while left.size:
            numbers = _Numbers(state, left, t)
            with np.errstate(all="ignore"):
                values, accepted = type(self).attempt(numbers, *[x[left] for x in flat])  # type: ignore[misc]  # stated by every member
            drawn[left[accepted]] = values[accepted]
            left = left[~accepted]
            t += 1
        return drawn.reshape(np.shape(operands[0]))

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        raise families.no_draws()


class _Numbers(NamedTuple):
    """The uniform numbers of one attempt for some elements."""

    state: Any
    positions: np.ndarray
    attempt: int

    def two(self) -> tuple[np.ndarray, np.ndarray]:
        """Two numbers in [0, 1) for each element."""
        u = self._block(self.positions)
        return u[..., 0], u[..., 1]

    def four(self) -> tuple[np.ndarray, ...]:
        """Four numbers in [0, 1) for each element."""
        u = self._block(np.stack([2 * self.positions, 2 * self.positions + 1], axis=-1))
        return u[..., 0, 0], u[..., 0, 1], u[..., 1, 0], u[..., 1, 1]

    def _block(self, positions: np.ndarray) -> np.ndarray:
        blocks = positions.astype(np.uint64) + np.uint64(self.attempt << 40)
        return doubles(words_of_blocks(self.state, blocks)) * 2.0**-53


def _log_factorial(k: Any) -> Any:
    """ln(k!) of whole numbers: a table, and Stirling's series from 16 on."""
    large = np.maximum(k, 16.0) + 1
    inverse = 1 / (large * large)
    series = 1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse / 1680))
    stirling = (large - 0.5) * np.log(large) - large + 0.5 * np.log(2 * np.pi) + series / large
    return np.where(k < 16, _SMALL[np.clip(k, 0, 15).astype(np.int64)], stirling)


_SMALL = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1.0, 16.0)))])


class DrawLogGamma(_HostDraw):
    """Logarithms of gamma random numbers of the given shape parameters and rate 1.

    By the method of Marsaglia and Tsang (2000); a parameter below 1 takes the number of the
    parameter above it by 1, and adds ln(u) / parameter. A logarithm is no infinity where the number
    itself would be too small for float64.
    """

    samples = (
        Sample(_STATE, T((3, 5), 0.1, 4.0)),
        Sample(_STATE, T((), 20.0, 30.0)),
        Sample(_STATE, T((0,))),
    )
    error_samples = (
        ErrorSample(TypeError, "not defined for float32", _STATE, T((2,), 1, 2, "float32")),
    )

    def attempt(numbers: Any, shape: Any) -> tuple[np.ndarray, np.ndarray]:
        u, v, w, last = numbers.four()
        z = np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * v)
        d = np.where(shape < 1, shape + 1, shape) - 1 / 3
        root = 1 + z / np.sqrt(9 * d)
        log_cube = 3 * np.log(np.maximum(root, 0))
        bound = 0.5 * z * z + d - d * root**3 + d * log_cube
        raised = np.where(shape < 1, np.log(1 - last) / shape, 0.0)
        degenerate = ~(shape > 0) | np.isinf(shape)
        limit = np.where(shape > 0, np.inf, np.where(shape == 0, -np.inf, np.nan))
        values = np.where(degenerate, limit, np.log(d) + log_cube + raised)
        return values, degenerate | ((root > 0) & (np.log(1 - w) < bound))


class DrawPoisson(_HostDraw):
    """Poisson random numbers of the given rates; NaN for a rate below 0.

    Below a rate of 10 by inversion of one uniform number, from there on by Hoermann's transformed
    rejection PTRS (1993).
    """

    samples = (
        Sample(_STATE, T((3, 5), 0.0, 9.0)),
        Sample(_STATE, T((4,), 10.0, 300.0)),
        Sample(_STATE, T((), 10.0, 12.0)),
        Sample(_STATE, T((0,))),
    )
    error_samples = (
        ErrorSample(TypeError, "not defined for float32", _STATE, T((2,), 1, 2, "float32")),
    )

    def attempt(numbers: Any, rate: Any) -> tuple[np.ndarray, np.ndarray]:
        u, v = numbers.two()
        few, wide = rate < 10, np.maximum(rate, 10.0)
        small = _inverted(u, np.exp(-rate), lambda k: rate / k, few)
        b = 0.931 + 2.53 * np.sqrt(wide)
        hat = _Hat(u, v, b, -0.059 + 0.02483 * b, wide + 0.43, 0.9277 - 3.6224 / (b - 2))
        inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
        bound = -wide + hat.k * np.log(wide) - _log_factorial(hat.k)
        values = np.where(few, small, hat.k)
        impossible = ~(rate >= 0) | np.isinf(rate)
        accepted = impossible | few | hat.accepts(np.log(inverse_alpha), bound, hat.k >= 0)
        return np.where(impossible, np.nan, values), accepted


class DrawBinomial(_HostDraw):
    """How many of `count` trials succeed, each with a probability; NaN for what can't be.

    Where fewer than 10 succeed, or fail, on average by inversion of one uniform number, otherwise
    by Hoermann's transformed rejection BTRS (1993).
    """

    samples = (
        Sample(_STATE, T((3, 5), 8.0, 8.0), T((3, 5), 0.0, 1.0)),
        Sample(_STATE, T((6,), 100.0, 100.0), T((6,), 0.3, 0.7)),
        Sample(_STATE, T((), 4.0, 4.0), T((), 0.2, 0.3)),
        Sample(_STATE, T((0,)), T((0,))),
    )
    error_samples = (
        ErrorSample(
            RuntimeError,
            "not of the first operand's shape",
            _STATE,
            T((2,), dtype="float64"),
            T((3,), dtype="float64"),
        ),
    )

    def attempt(numbers: Any, count: Any, chance: Any) -> tuple[np.ndarray, np.ndarray]:
        u, v = numbers.two()
        n = np.floor(count)
        p = np.minimum(chance, 1 - chance)  # of the rarer outcome
        few = n * p < 10
        odds = p / (1 - p)
        small = _inverted(
            u, np.exp(n * np.log1p(-p)), lambda k: np.maximum(n - k + 1, 0) / k * odds, few
        )
        deviation = np.sqrt(np.maximum(n * p * (1 - p), 2.5))
        b = 1.15 + 2.53 * deviation
        hat = _Hat(u, v, b, -0.0873 + 0.0248 * b + 0.01 * p, n * p + 0.5, 0.92 - 4.2 / b)
        mode = np.floor((n + 1) * p)
        bound = _log_factorial(mode) + _log_factorial(n - mode) + (hat.k - mode) * np.log(odds)
        bound = bound - _log_factorial(hat.k) - _log_factorial(n - hat.k)
        inside = (hat.k >= 0) & (hat.k <= n)
        log_alpha = np.log((2.83 + 5.1 / b) * deviation)
        rarer = np.where(few, small, hat.k)
        values = np.where(chance > 0.5, n - rarer, rarer)
        impossible = ~((n >= 0) & (p >= 0)) | np.isinf(n)
        accepted = impossible | few | hat.accepts(log_alpha, bound, inside)
        return np.where(impossible, np.nan, values), accepted


class DrawVonMises(_HostDraw):
    """Angles in [-pi, pi) of von Mises' distribution around 0, of the given concentrations.

    By the wrapped Cauchy envelope of Best and Fisher (1979); beyond a concentration of 1e6, where
    that loses all its digits, a normal number of variance 1 / concentration.
    """

    samples = (
        Sample(_STATE, T((3, 5), 0.1, 9.0)),
        Sample(_STATE, T((), 1e-6, 1e-5)),
        Sample(_STATE, T((0,))),
    )
    error_samples = (
        ErrorSample(TypeError, "not defined for float32", _STATE, T((2,), 1, 2, "float32")),
    )

    def attempt(numbers: Any, kappa: Any) -> tuple[np.ndarray, np.ndarray]:
        u, v, w, last = numbers.four()
        normal = np.sqrt(-2 * np.log(1 - w) / kappa) * np.cos(2 * np.pi * last)
        tau = 1 + np.sqrt(1 + 4 * kappa * kappa)
        rho = (tau - np.sqrt(2 * tau)) / (2 * kappa)
        r = np.where(kappa < 1e-5, 1 / kappa + kappa, (1 + rho * rho) / (2 * rho))
        z = np.cos(np.pi * u)
        f = (1 + r * z) / (r + z)
        c = kappa * (r - f)
        accepted = (c * (2 - c) > v) | (np.log(c) - np.log(v) + 1 - c >= 0)
        angle = np.arccos(np.clip(f, -1, 1))
        narrow = kappa > 1e6
        values = np.where(narrow, normal, np.where(w < 0.5, -angle, angle))
        impossible = ~(kappa > 0)
        return np.where(impossible, np.nan, values), accepted | narrow | impossible


def _inverted(
    u: np.ndarray, first: np.ndarray, ratio: Callable[[int], np.ndarray], where: np.ndarray
) -> np.ndarray:
    """The smallest k whose cumulated probability exceeds u, for elements `where` says so.

    `first` is the probability of 0, `ratio(k)` that of k by that of k - 1.
    """
    k, term, total = np.zeros(u.shape), first.copy(), first.copy()
    for step in range(1, 200):
        above = where & (u >= total) & (term > 0)
        if not above.any():
            break
        k += above
        term = np.where(above, term * ratio(step), term)
        total = np.where(above, total + term, total)
    return k


class _Hat:
    """The proposal of a transformed rejection, and when it is accepted (Hoermann 1993)."""

    def __init__(self, u: Any, v: Any, b: Any, a: Any, centre: Any, squeeze: Any) -> None:
        half = u - 0.5
        self.us = 0.5 - np.abs(half)
        self.v, self.squeeze = v, squeeze
        self.k = np.floor((2 * a / self.us + b) * half + centre)
        self.log_width = np.log(a / (self.us * self.us) + b)

    def accepts(self, log_scale: Any, bound: Any, inside: Any) -> Any:
        """Whether v, scaled to the hat, is below the probability whose logarithm is `bound`."""
        quick = (self.us >= 0.07) & (self.v <= self.squeeze)
        log_v = np.log(self.v) + log_scale - self.log_width
        outside = ~inside | ((self.us < 0.013) & (self.v > self.us))
        return quick | (~outside & (log_v <= bound))
