"""Random numbers: Philox4x32-10.

(Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.)

The state is int64 [key, ticket]. Block n of a draw is Philox of the counter words (low and high
half of n, low and high half of the ticket) under the key words (low and high half of the key):
four words of 32 bits. The uniform number j of a draw with at most 32 bits is made of word j % 4 of
block j // 4: its highest `bits` bits, times 2 ** -bits. One with 53 bits is made of the words
2 * (j % 2) and 2 * (j % 2) + 1 of block j // 2: 27 bits of the first, then 26 of the second.

`element` of each op is the same in the scalar language, for the compiler: the value of one element
from the key, the ticket and the element's position in row-major order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.base.dim import is_less
from argand.base.dtype import DType, as_dtype, compute_dtype, float32, int64
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import Extent
from argand.ir import families
from argand.ir.elementwise import lifted
from argand.ir.op import TensorType, describe
from argand.ir.samples import ErrorSample, Sample, T

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = 0xFFFFFFFF
_BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
_STATE = T((2,), 0, 1 << 40, "int64")
Prepared = tuple[tuple[Any, ...], dict[str, Any]]


def philox(b: Any, key: Any, ticket: Any, block: Any) -> tuple[Any, Any, Any, Any]:
    """The four words of a block, as int64; `b` is any builder with `apply` of primitives.

    A product of two 32-bit numbers wraps around in int64, but its bits are right.
    """

    def low(x: Any) -> Any:
        return b.apply("and", x, _LOW)

    def high(x: Any) -> Any:
        return low(b.apply("shr", x, 32))

    c0, c1, c2, c3 = low(block), high(block), low(ticket), high(ticket)
    k0, k1 = low(key), high(key)
    for _ in range(10):
        p0, p1 = b.apply("mul", c0, _MULTIPLIERS[0]), b.apply("mul", c2, _MULTIPLIERS[1])
        c0, c1 = b.apply("xor", b.apply("xor", high(p1), c1), k0), low(p1)
        c2, c3 = b.apply("xor", b.apply("xor", high(p0), c3), k1), low(p0)
        k0, k1 = low(b.apply("add", k0, _WEYL[0])), low(b.apply("add", k1, _WEYL[1]))
    return c0, c1, c2, c3


def philox_words(state: Any, first: int, blocks: int) -> np.ndarray:
    """The words of `blocks` blocks from block `first` on: uint64 of shape (blocks, 4)."""
    return words_of_blocks(state, np.arange(first, first + blocks, dtype=np.uint64))


_FEW = 4
"""As many blocks are sooner computed by Python than by NumPy."""


def _words_of_block(key: int, ticket: int, n: int) -> tuple[int, int, int, int]:
    """The words of one block, in Python's integers."""
    c0, c1, c2, c3 = n & _LOW, n >> 32, ticket & _LOW, ticket >> 32
    k0, k1 = key & _LOW, key >> 32
    for _ in range(10):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & _LOW, (p0 >> 32) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return c0, c1, c2, c3


def words_of_blocks(state: Any, n: np.ndarray) -> np.ndarray:
    """The words of the blocks of these numbers (uint64): uint64 of shape (..., 4)."""
    key, ticket = (int(s) & (1 << 64) - 1 for s in state)
    if n.size <= _FEW:
        found = [_words_of_block(key, ticket, block) for block in n.reshape(-1).tolist()]
        return np.array(found, np.uint64).reshape(*n.shape, 4)
    low, shift = np.uint64(_LOW), np.uint64(32)
    c0, c1 = n & low, n >> shift
    c2, c3 = (np.full(n.shape, half, np.uint64) for half in (ticket & _LOW, ticket >> 32))
    k0, k1 = key & _LOW, key >> 32
    for _ in range(10):
        p0, p1 = c0 * np.uint64(_MULTIPLIERS[0]), c2 * np.uint64(_MULTIPLIERS[1])
        c0, c1 = (p1 >> shift) ^ c1 ^ np.uint64(k0), p1 & low
        c2, c3 = (p0 >> shift) ^ c3 ^ np.uint64(k1), p0 & low
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return np.stack([c0, c1, c2, c3], axis=-1)


def doubles(words: np.ndarray) -> np.ndarray:
    """Whole numbers of 53 bits from (..., 4) words: (..., 2), of 27 bits and 26 of the next."""
    high, low = words[..., 0::2] >> np.uint64(5), words[..., 1::2] >> np.uint64(6)
    return (high << np.uint64(26)) | low


def _whole_numbers(state: Any, count: int, bits: int) -> np.ndarray:
    """`count` random whole numbers of `bits` bits."""
    per_block = 2 if bits > 32 else 4
    words = philox_words(state, 0, -(-count // per_block))
    if bits > 32:
        return doubles(words).reshape(-1)[:count]
    return (words >> np.uint64(32 - bits)).reshape(-1)[:count]


def _whole_number(b: Any, key: Any, ticket: Any, j: Any, bits: int) -> Any:
    """Random whole number j of `bits` bits, with builder `b`, as int64."""
    per_block = 2 if bits > 32 else 4
    shift = 1 if bits > 32 else 2
    words = philox(b, key, ticket, b.apply("shr", j, shift))
    lane = b.apply("and", j, per_block - 1)
    if bits > 32:
        first = b.apply("eq", lane, 0)
        high = b.apply("shr", b.apply("where", first, words[0], words[2]), 5)
        low = b.apply("shr", b.apply("where", first, words[1], words[3]), 6)
        return b.apply("or", b.apply("shl", high, 26), low)
    return b.apply("shr", _pick(b, lane, words), 32 - bits)


def _pick(b: Any, lane: Any, words: Sequence[Any]) -> Any:
    picked = words[-1]
    for n in range(len(words) - 2, -1, -1):
        picked = b.apply("where", b.apply("eq", lane, n), words[n], picked)
    return picked


class _Draw(families.Random):
    """A draw of given shape."""

    abstract = True

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (state,) = inputs
        if state.dtype is not int64 or tuple(state.shape) != (2,):
            raise DTypeError(f"{self.name}: the state must be i64(2,), got {describe(state)}")
        return (TensorType(params.get("dtype", int64), tuple(params["shape"])),)


def _float_params(op: str, shape: Sequence[Extent], dtype: Any) -> dict[str, Any]:
    d = as_dtype(dtype)
    if d.name not in _BITS:
        raise DTypeError(f"{op}: not defined for {d.name}")
    if any(is_less(s, 0) for s in shape):
        raise ShapeError(f"{op}: sizes can't be negative, got {tuple(shape)}")
    return {"shape": tuple(shape), "dtype": d, "bits": _BITS[d.name]}


class Uniform(_Draw):
    """Uniform numbers in [0, 1): whole multiples of 2 ** -bits, 24 bits for float32."""

    samples = Sample(_STATE, (3, 5), "float32"), Sample(_STATE, (), "float64"), Sample(_STATE, (0,))
    error_samples = (ErrorSample(TypeError, "not defined for int64", _STATE, (2,), "int64"),)

    def as_call(self, inputs: Any, params: dict[str, Any]) -> Any:
        return inputs, {k: v for k, v in params.items() if k != "bits"}

    def prepare(self, state: Any, shape: Sequence[Extent], dtype: Any = float32) -> Prepared:
        return (lifted(state),), _float_params(self.name, shape, dtype)

    def run(self, *arrays: Any, **params: Any) -> Any:
        shape, bits = params["shape"], params["bits"]
        whole = _whole_numbers(arrays[0], math.prod(shape), bits)
        return (whole * 2.0**-bits).astype(params["dtype"].numpy).reshape(shape)

    def element(self, b: Any, key: Any, ticket: Any, i: Any, params: dict[str, Any]) -> Any:
        bits, dtype = params["bits"], params["dtype"]
        return _fraction(b, _whole_number(b, key, ticket, i, bits), bits, dtype)


def _fraction(b: Any, whole: Any, bits: int, dtype: DType) -> Any:
    return b.cast(b.cast(whole, compute_dtype(dtype)) * 2.0**-bits, dtype)


class Normal(_Draw):
    """Normal numbers of mean 0 and variance 1 (Box and Muller, 1958).

    Elements 2 p and 2 p + 1 are r cos(t) and r sin(t), with r = sqrt(-2 log(1 - u)), t = 2 pi v,
    and u, v the uniform numbers 2 p and 2 p + 1 of the draw. 16-bit floats take float32's numbers.
    """

    samples = Uniform.samples
    tolerance = {"float32": 2e-5}
    error_samples = (ErrorSample(RuntimeError, "sizes can't be negative", _STATE, (-1,)),)

    def as_call(self, inputs: Any, params: dict[str, Any]) -> Any:
        return inputs, {k: v for k, v in params.items() if k != "bits"}

    def prepare(self, state: Any, shape: Sequence[Extent], dtype: Any = float32) -> Prepared:
        params = _float_params(self.name, shape, dtype)
        return (lifted(state),), {**params, "bits": max(params["bits"], 24)}

    def run(self, *arrays: Any, **params: Any) -> Any:
        shape, bits, dtype = params["shape"], params["bits"], params["dtype"]
        count = math.prod(shape)
        u = (_whole_numbers(arrays[0], count + count % 2, bits) * 2.0**-bits).reshape(-1, 2)
        u = u.astype(compute_dtype(dtype).numpy)
        r, t = np.sqrt(-2 * np.log(1 - u[:, 0])), (2 * math.pi) * u[:, 1]
        pairs = np.stack([r * np.cos(t), r * np.sin(t)], axis=1)
        return pairs.reshape(-1)[:count].astype(dtype.numpy).reshape(shape)

    def element(self, b: Any, key: Any, ticket: Any, i: Any, params: dict[str, Any]) -> Any:
        bits, dtype = params["bits"], params["dtype"]
        wide = compute_dtype(dtype)
        even = b.apply("and", i, ~1)
        first, second = (
            _fraction(b, _whole_number(b, key, ticket, j, bits), bits, wide)
            for j in (even, b.apply("or", i, 1))
        )
        r, t = b.sqrt(-2 * b.log(1 - first)), second * (2 * math.pi)
        return b.cast(r * b.where(b.eq(b.apply("and", i, 1), 0), b.cos(t), b.sin(t)), dtype)


class Randint(_Draw):
    """Whole numbers in [low, high), int64: low + floor(word * (high - low) / 2 ** 32).

    The range high - low is at most 2 ** 32.
    """

    samples = Sample(_STATE, (3, 5), -2, 7), Sample(_STATE, (), 0, 1), Sample(_STATE, (0,), 0, 3)
    error_samples = (
        ErrorSample(RuntimeError, "low 3 must be below high 3", _STATE, (2,), 3, 3),
        ErrorSample(RuntimeError, "at most 2 ** 32", _STATE, (2,), 0, 1 << 40),
    )

    def prepare(self, state: Any, shape: Sequence[Extent], low: int, high: int) -> Prepared:
        if low >= high:
            raise ArgumentError(f"randint: low {low} must be below high {high}")
        if high - low > 1 << 32:
            raise ArgumentError(f"randint: the range {low}..{high} is at most 2 ** 32 wide")
        return (lifted(state),), {"shape": tuple(shape), "low": int(low), "high": int(high)}

    def run(self, *arrays: Any, **params: Any) -> Any:
        shape, low, high = params["shape"], params["low"], params["high"]
        words = _whole_numbers(arrays[0], math.prod(shape), 32)
        return (((words * np.uint64(high - low)) >> np.uint64(32)).astype(np.int64) + low).reshape(
            shape
        )

    def element(self, b: Any, key: Any, ticket: Any, i: Any, params: dict[str, Any]) -> Any:
        span = params["high"] - params["low"]
        word = _whole_number(b, key, ticket, i, 32)
        scaled = b.apply("and", b.apply("shr", b.apply("mul", word, span), 32), _LOW)
        return scaled + params["low"]
