"""Draws from the counter-based generator Philox4x32-10 (`ops/random.py`): Argand's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.base.dtype import float32, float64, get_default_dtype, int64
from argand.ir import bind as crossroads
from argand.ir.elementwise import is_number
from argand.ir.op import ops
from argand.tensor.core import wrap
from argand.tensor.inplace import assign
from argand.tensor.source import Source, check_computed, expect_state, scaled
from argand.transform.mode import no_grad

_KEYS = (1 << 64) - 1
_BITS = {"float16": 11, "bfloat16": 8}


class Philox(Source):
    """A draw is a function of the state (key, ticket) and the element's position; drawing advances
    the ticket by one, whatever the number of elements. `state` is the int64 tensor [key, ticket].
    """

    def started(self, seed: int) -> np.ndarray:
        key = int(seed) & _KEYS
        return np.array([key - (1 << 64) if key >> 63 else key, 0], np.int64)

    def seed(self) -> int:
        return int(self.state.numpy_array()[0])

    def check(self, state: Any) -> None:
        expect_state(state, int64, 2)

    def draw(self, op: Any, *args: Any) -> Any:
        """Apply a random op to the state, and advance the ticket."""
        state = self.state
        out = op(state, *args)
        if crossroads.pushed:
            with no_grad():
                assign(state, ops.add(state, wrap(np.array([0, 1], np.int64))))
        else:
            state._array[1] += 1
            state._cold_part().version += 1
        return out

    def uniform(self, shape: Sequence[Any], dtype: Any, low: Any = 0.0, high: Any = 1.0) -> Any:
        drawn = self._unit(shape, dtype)
        if is_number(low) and is_number(high) and (low, high) == (0, 1):
            return drawn
        return scaled(drawn, high - low, low)

    def _unit(self, shape: Sequence[Any], dtype: Any) -> Any:
        if dtype.is_complex:
            parts = self._unit((2, *shape), dtype.to_real())
            return ops.complex(parts[0], parts[1])
        if dtype.itemsize >= 4:
            return self.draw(ops.uniform, tuple(shape), dtype)
        check_computed(dtype)
        # Rounding could reach 1 in 16 bits: keep as many bits as the mantissa has.
        bits = _BITS[dtype.name]
        wide = self.draw(ops.uniform, tuple(shape), float32)
        return ops.cast(ops.mul(ops.floor(ops.mul(wide, 2.0**bits)), 2.0**-bits), dtype)

    def normal(self, shape: Sequence[Any], dtype: Any, mean: Any = 0.0, std: Any = 1.0) -> Any:
        drawn = self._standard(shape, dtype)
        if is_number(mean) and is_number(std) and (mean, std) == (0, 1):
            return drawn
        return scaled(drawn, std, mean)

    def _standard(self, shape: Sequence[Any], dtype: Any) -> Any:
        if dtype.is_complex:
            parts = ops.mul(self._standard((2, *shape), dtype.to_real()), math.sqrt(0.5))
            return ops.complex(parts[0], parts[1])
        if dtype.itemsize >= 4:
            return self.draw(ops.normal, tuple(shape), dtype)
        check_computed(dtype)
        return ops.cast(self.draw(ops.normal, tuple(shape), float32), dtype)

    def integers(self, shape: Sequence[Any], low: int, high: int) -> Any:
        span = int(high) - int(low)
        if not 1 << 32 < span < 1 << 63:
            return self.draw(ops.randint, tuple(shape), int(low), int(high))
        first = self.draw(ops.randint, tuple(shape), 0, 1 << 32)
        whole = ops.add(ops.mul(first, 1 << 31), self.draw(ops.randint, tuple(shape), 0, 1 << 31))
        return ops.add(ops.remainder(whole, span), int(low))

    def permutation(self, count: int) -> Any:
        return ops.sort(self.draw(ops.uniform, (count,), float64), 0)[1]

    def chosen(self, shape: Sequence[Any], dtype: Any, chances: Any) -> Any:
        wide = dtype if dtype.is_floating_point else get_default_dtype()
        return ops.lt(self.uniform(shape, wide), chances)

    def exponential(self, shape: Sequence[Any], dtype: Any, rate: Any = 1.0) -> Any:
        return ops.div(ops.neg(ops.log1p(ops.neg(self.uniform(shape, dtype)))), rate)

    def cauchy(self, shape: Sequence[Any], dtype: Any, median: Any, sigma: Any) -> Any:
        turned = ops.tan(ops.mul(ops.sub(self.uniform(shape, dtype), 0.5), math.pi))
        return scaled(turned, sigma, median)

    def geometric(self, shape: Sequence[Any], dtype: Any, p: float) -> Any:
        wide = dtype if dtype.is_floating_point else get_default_dtype()
        draws = ops.log1p(ops.neg(self.uniform(shape, wide)))
        return ops.clamp(ops.ceil(ops.div(draws, math.log1p(-p))), 1, None)

    def log_normal(self, shape: Sequence[Any], dtype: Any, mean: Any, std: Any) -> Any:
        return ops.exp(scaled(self.normal(shape, dtype), std, mean))

    def choices(self, weights: Any, count: int) -> Any:
        wide, lead = ops.cast(weights, float64), tuple(weights.shape[:-1])
        width = weights.shape[-1]
        total = ops.cumsum(wide, -1)
        draws = self.uniform((*lead, count, 1), float64)
        reached = ops.mul(draws, ops.reshape(total[..., -1:], (*lead, 1, 1)))
        below = _count_up_to(ops.reshape(total, (*lead, 1, width)), reached)
        return ops.clamp(below, 0, width - 1)

    def subsets(self, weights: Any, count: int) -> Any:
        """The places of the smallest of exponential numbers of the rates that the weights are
        (Efraimidis and Spirakis, 2006)."""
        noise = ops.neg(ops.log(ops.sub(1.0, self.uniform(weights.shape, float64))))
        return ops.topk(ops.div(noise, ops.cast(weights, float64)), count, -1, False)[1]

    def dropped(self, x: Any, shape: Sequence[Any], p: float) -> Any:
        keep = ops.ge(self.uniform(shape, x.dtype), p)
        return ops.where(keep, ops.mul(x, 1 / (1 - p)), 0.0)

    def by_rejection(self, kind: str, operands: Sequence[Any]) -> Any:
        return self.draw(getattr(ops, f"draw_{kind}"), *operands)


# From this many on the elements of a row are searched by halves, before that all compared.
_SEARCHED = 64


def _count_up_to(row: Any, values: Any) -> Any:
    """How many elements of ascending rows (..., 1, N) are at most each value (..., M, 1).

    No value is the last element or above.
    """
    count = row.shape[-1]
    if not isinstance(count, int) or count < _SEARCHED:
        return ops.sum(ops.le(row, values), -1)
    rows, wanted = (
        ops.reshape(row, (*row.shape[:-2], count)),
        ops.reshape(values, values.shape[:-1]),
    )
    found = ops.full(tuple(wanted.shape), 0, int64)
    for bit in reversed(range(count.bit_length())):
        further = ops.add(found, 1 << bit)
        last = ops.gather(rows, -1, ops.clamp(ops.sub(further, 1), None, count - 1))
        found = ops.where(ops.le(last, wanted), further, found)
    return found
