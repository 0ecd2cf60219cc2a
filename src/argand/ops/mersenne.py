"""Random numbers of the Mersenne Twister, as PyTorch draws them on a CPU (`ops/twister.py`).

A draw is a function of the state, and gives the state behind it besides: in compiled programs,
draws are host segments in the program's order. What PyTorch makes of them beyond is in
`tensor/mersenne.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from argand.base.dtype import as_dtype, compute_dtype, float64, from_numpy, int64, uint8
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import Extent
from argand.ir import families
from argand.ir.batching import Operand, drawn, together
from argand.ir.bind import bind
from argand.ir.elementwise import Elementwise, lifted
from argand.ir.op import TensorType, describe, ops
from argand.ir.samples import ErrorSample, Sample, T, Uniform
from argand.ops.twister import BYTES, FUNCTIONS, Twister, libm

STATE = T((BYTES,), 0, 255, "uint8")
Prepared = tuple[tuple[Any, ...], dict[str, Any]]


class MersenneDraw(families.Host):
    """A draw: what is drawn, and the state behind it.

    A member states `draw(twister, *operands, **params)` and `dtype_of(params)`.
    """

    batched = drawn
    abstract = True
    required = ("samples", "draw")
    visible = 2
    merges = False
    differentiable = False
    can_fail = False
    error_samples: ClassVar[Sequence[ErrorSample]] = (
        ErrorSample(TypeError, "the state must be u8(5056,)", T((2,), 0, 1, "int64"), (3,)),
    )

    draw: ClassVar[Callable[..., np.ndarray] | None] = None

    def prepare(self, state: Any, shape: Sequence[Extent], **params: Any) -> Prepared:
        return (lifted(state),), {"shape": tuple(shape), **params}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        state = inputs[0]
        if state.dtype is not uint8 or tuple(state.shape) != (BYTES,):
            raise DTypeError(f"{self.name}: the state must be u8({BYTES},), got {describe(state)}")
        shape = tuple(params["shape"])
        return TensorType(params.get("dtype", int64), shape), TensorType(uint8, (BYTES,))

    def saves(self, params: dict[str, Any]) -> tuple[Sequence[int], Sequence[int]]:
        return (), ()

    def run(self, *arrays: Any, **params: Any) -> Any:
        twister = Twister(arrays[0])
        drawn = type(self).draw(twister, *arrays[1:], **params)  # type: ignore[misc]  # stated by every member
        return drawn.reshape(params.get("shape", drawn.shape)), twister.state()

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        raise families.no_draws()


class MersenneUniform(MersenneDraw):
    """Uniform numbers in [0, 1): of 24 bits in float32, of 53 in float64."""

    samples = (
        Sample(STATE, (3, 5), "float32"),
        Sample(STATE, (700,), "float64"),
        Sample(STATE, (0,)),
    )

    def as_call(self, inputs: Any, params: dict[str, Any]) -> Any:
        return (*inputs, params["shape"], params["dtype"]), {}

    def prepare(self, state: Any, shape: Sequence[Extent], dtype: Any = float64) -> Prepared:  # type: ignore[override]  # other parameters
        bits = 53 if as_dtype(dtype) is float64 else 24
        return super().prepare(state, shape, dtype=as_dtype(dtype), bits=bits)

    def draw(twister: Any, shape: Any, dtype: Any, bits: int) -> np.ndarray:
        return twister.fractions(math.prod(shape), bits).astype(dtype.numpy, copy=False)  # type: ignore[no-any-return]  # of NumPy


class MersenneNormal(MersenneDraw):
    """Normal numbers one by one, in float64, in pairs by Box and Muller's transform."""

    samples = Sample(STATE, (3, 5)), Sample(STATE, ()), Sample(STATE, (0,))

    def as_call(self, inputs: Any, params: dict[str, Any]) -> Any:
        return (*inputs, params["shape"]), {}

    def prepare(self, state: Any, shape: Sequence[Extent]) -> Prepared:  # type: ignore[override]  # other parameters
        return super().prepare(state, shape, dtype=float64)

    def draw(twister: Any, shape: Any, dtype: Any) -> np.ndarray:
        return twister.normals(math.prod(shape))  # type: ignore[no-any-return]  # of NumPy


class MersenneIntegers(MersenneDraw):
    """Whole numbers in [low, high), int64: remainders of words.

    The words have 32 bits, or 64 where they are `wide`: unless told, for ranges from 2 ** 28 on.
    """

    samples = (
        Sample(STATE, (3, 5), -2, 7),
        Sample(STATE, (4,), -(1 << 63), 1 << 63),
        Sample(STATE, (4,), 3, 1 << 40),
        Sample(STATE, (4,), 0, 1 << 31, False),
        Sample(STATE, (0,), 0, 1),
    )
    error_samples = (
        ErrorSample(RuntimeError, "low 3 must be below high 3", STATE, (2,), 3, 3),
        ErrorSample(RuntimeError, "don't fit into int64", STATE, (2,), 0, 1 << 64),
    )

    def prepare(  # type: ignore[override]  # other parameters
        self, state: Any, shape: Sequence[Extent], low: int, high: int, wide: bool | None = None
    ) -> Prepared:
        if low >= high:
            raise ArgumentError(f"{self.name}: low {low} must be below high {high}")
        if low < -(1 << 63) or high > 1 << 63:
            raise ArgumentError(f"{self.name}: {low} to {high - 1} don't fit into int64")
        wide = high - low >= 1 << 28 if wide is None else wide
        return super().prepare(state, shape, low=int(low), high=int(high), wide=wide)

    def draw(twister: Any, shape: Any, low: int, high: int, wide: bool) -> np.ndarray:
        return twister.integers(math.prod(shape), low, high - low, wide)  # type: ignore[no-any-return]  # of NumPy


class MersennePermutation(MersenneDraw):
    """0 to n - 1 in random order."""

    samples = Sample(STATE, 7), Sample(STATE, 0), Sample(STATE, 1)
    error_samples = (
        ErrorSample(TypeError, "the state must be u8(5056,)", T((2,), 0, 1, "int64"), 3),
    )

    def as_call(self, inputs: Any, params: dict[str, Any]) -> Any:
        return (*inputs, *params["shape"]), {}

    def prepare(self, state: Any, count: int) -> Prepared:  # type: ignore[override]  # other parameters
        return super().prepare(state, (count,))

    def batched(self, size: Any, inputs: Any, params: dict[str, Any]) -> Any:
        state, rows = inputs[0].value, []
        for _ in range(int(size)):
            y, state = bind(self, (state,), params)
            rows.append(ops.reshape(y, (1, *y.shape)))
        return [
            Operand(rows[0] if len(rows) == 1 else ops.cat(*rows, dim=0), True),
            Operand(state, False),
        ]

    def draw(twister: Any, shape: Any) -> np.ndarray:
        return twister.permutation(shape[0])  # type: ignore[no-any-return]  # of NumPy


class MersenneChoices(MersenneDraw):
    """For each row of weights (M, N), `count` indices drawn with replacement: int64 (M, count).

    The weights are added up in their dtype, in 32 bits those of 16.
    The first whose sum of all weights up to it, over their total, reaches a uniform number.
    """

    samples = Sample(STATE, T((2, 6), 0.1, 3.0), 4), Sample(STATE, T((1, 3), 1.0, 2.0), 0)

    error_samples = (
        ErrorSample(TypeError, "must be u8", T((2,), 0, 1, "int64"), T((1, 3), 1.0, 2.0), 1),
        ErrorSample(RuntimeError, "2 dimensions", STATE, T((3,), 1.0, 2.0), 1),
    )

    def as_call(self, inputs: Any, params: dict[str, Any]) -> Any:
        return (*inputs, params["shape"][1]), {}

    def prepare(self, state: Any, weights: Any, count: int) -> Prepared:  # type: ignore[override]  # other parameters
        weights = lifted(weights)
        if len(weights.shape) != 2:
            raise ShapeError(f"{self.name}: weights of 2 dimensions, got {describe(weights)}")
        if not weights.dtype.is_floating_point:
            raise DTypeError(f"{self.name}: not defined for {weights.dtype.name}")
        (state,), params = super().prepare(state, (weights.shape[0], int(count)))
        return (state, weights), params

    def draw(twister: Any, weights: np.ndarray, shape: Any) -> np.ndarray:
        rows = []
        for row in weights:
            sums = np.cumsum(row, dtype=compute_dtype(from_numpy(row.dtype)).numpy)
            sums /= sums[-1]
            sums[-1] = 1
            rows.append(np.searchsorted(sums, twister.fractions(shape[1], 53)))
        return np.array(rows, np.int64)


class Libm(families.Host):
    """A function of the C library of float64 numbers: "cos", "exp", "log", "log1p", "sin", "tan".

    Its last bits are those of programs in C, where NumPy and native code have polynomials.
    """

    batched = together
    samples = tuple(Sample(T((3, 5), 0.1, 0.9), name) for name in sorted(FUNCTIONS))
    error_samples = (
        ErrorSample(TypeError, "not defined for float32", T((2,), 0, 1, "float32"), "log"),
        ErrorSample(RuntimeError, "no function 'gamma'", T((2,), 0, 1, "float64"), "gamma"),
    )
    dtypes = ("float64",)
    differentiable = False
    can_fail = False

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: Any) -> Any:
        raise TypeError(f"op {self.name} has no derivative")

    def prepare(self, x: Any, function: str) -> Prepared:
        if function not in FUNCTIONS:
            raise ArgumentError(f"{self.name}: no function {function!r}, only {sorted(FUNCTIONS)}")
        return (lifted(x),), {"function": function}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,) = inputs
        if x.dtype is not float64:
            raise DTypeError(f"{self.name}: not defined for {x.dtype.name}, only for float64")
        return (TensorType(float64, x.shape),)

    def saves(self, params: dict[str, Any]) -> tuple[Sequence[int], Sequence[int]]:
        return (), ()

    def run(self, *arrays: Any, **params: Any) -> Any:
        self.infer(*map(families.array_type, arrays))
        return libm(params["function"], arrays[0])


class Fma(Elementwise):
    """x * y + z, rounded once."""

    samples = Uniform(-2, 2)
    kinds = "f"

    def body(b: Any, x: Any, y: Any, z: Any) -> Any:
        return b.fma(x, y, z)


# The coefficients of Cephes' logf, sinf and cosf (Moshier, 1989).
_LOG = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
_SIN = -1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1
_COS = 2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2
_EIGHTH = 0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8


def _poly(b: Any, x: Any, table: Sequence[float]) -> Any:
    total: Any = b.fma(x, table[0], table[1])
    for coefficient in table[2:]:
        total = b.fma(total, x, coefficient)
    return total


def _log(b: Any, x: Any) -> Any:
    """The logarithm of a number in [2 ** -31, 1]."""
    exponent: Any = b.where(b.lt(x, 2.0**-16), -16.0, 0.0)
    m = b.where(b.lt(x, 2.0**-16), x * 2.0**16, x)
    for step in (8, 4, 2, 1):
        small = b.lt(m, 2.0**-step)
        exponent = b.where(small, exponent - step, exponent)
        m = b.where(small, m * 2.0**step, m)
    small = b.lt(m, math.sqrt(0.5))
    exponent = b.where(small, exponent - 1, exponent)
    m = b.where(small, m - 1 + m, m - 1)
    square = m * m
    y = b.fma(_poly(b, m, _LOG) * m, square, exponent * -2.12194440e-4)
    return b.fma(exponent, 0.693359375, m + b.fma(square, -0.5, y))


def _eighths(b: Any, t: Any) -> tuple[Any, Any, Any]:
    """Of an angle from 0 to 2 pi: the even number of eighths of a circle nearest to it, and sine
    and cosine of what is left."""
    n = b.floor((b.floor(t * (4 / math.pi)) + 1) * 0.5) * 2
    x = t
    for part in _EIGHTH:
        x = b.fma(n, -part, x)
    square = x * x
    cosine = b.fma(_poly(b, square, _COS) * square, square, -(square * 0.5)) + 1
    return n, b.fma(_poly(b, square, _SIN) * square, x, x), cosine


def _of_pair(b: Any, u: Any, v: Any, function: str) -> Any:
    """Box and Muller's transform: a radius times the cosine or the sine of an angle."""
    turns = v * (2 * math.pi)
    if u.dtype is float64:
        return b.sqrt(b.log(1 - u) * -2) * getattr(b, function)(turns)
    n, sine, cosine = _eighths(b, turns)
    if function == "cos":
        sine, cosine = cosine, sine
    size = b.where(b.eq(n, 2) | b.eq(n, 6), cosine, sine)
    negative = b.eq(n, 4) | b.eq(n, 2 if function == "cos" else 6)
    return b.sqrt(_log(b, 1 - u) * -2) * b.where(negative, -size, size)


class BoxMullerCos(Elementwise):
    """sqrt(-2 log(1 - u)) cos(2 pi v), of u and v in [0, 1), by Cephes' polynomials for float32.

    Operation by operation what PyTorch computes eight at a time, with fused multiply-adds.
    """

    samples = Uniform(0.01, 0.99)
    kinds = "f"
    differentiable = False
    tolerance: ClassVar[dict[str, float]] = {"float32": 4e-6}

    def body(b: Any, u: Any, v: Any) -> Any:
        return _of_pair(b, u, v, "cos")


class BoxMullerSin(Elementwise):
    """sqrt(-2 log(1 - u)) sin(2 pi v); see `BoxMullerCos`."""

    samples = BoxMullerCos.samples
    kinds = "f"
    differentiable = False
    tolerance = BoxMullerCos.tolerance

    def body(b: Any, u: Any, v: Any) -> Any:
        return _of_pair(b, u, v, "sin")
