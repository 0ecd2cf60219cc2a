"""Draws as PyTorch makes them on a CPU with AVX2, from the Mersenne Twister (`ops/mersenne.py`).

Found out by experiments with PyTorch 2.13, with whose numbers `tests/tensor/test_random_numbers.py`
compares.
A number is filled in after the other, in the order in which the tensor's elements are stored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.base.dtype import DType, compute_dtype, float32, float64, int64, uint8
from argand.base.errors import ArgumentError
from argand.base.notices import notice
from argand.base.strides import common_order
from argand.ir import bind as crossroads
from argand.ir.op import ops
from argand.ops.mersenne_rejected import KINDS
from argand.ops.twister import BYTES, is_state, seed_of, seeded
from argand.tensor.core import Tensor
from argand.tensor.source import Draw, Source, check_computed, expect_state, most, scaled

_BLOCK = 16
"""Contiguous normal numbers are made in blocks of 16: 8 cosines, then the sines of their angles."""


class Mersenne(Source):
    """`state` is the uint8 tensor (5056,) of PyTorch's `get_rng_state`."""

    def started(self, seed: int) -> np.ndarray:
        return seeded(int(seed) & (1 << 64) - 1)

    def seed(self) -> int:
        return seed_of(self.state.numpy_array())

    def check(self, state: Any) -> None:
        expect_state(state, uint8, BYTES)
        if not crossroads.tracing() and not is_state(np.ascontiguousarray(state.numpy_array())):
            raise ArgumentError("set_state: the bytes are no state of a Mersenne Twister")

    def _draw(self, op: Any, *args: Any) -> Any:
        drawn, state = op(self.state, *args)
        self.advance(state)
        return drawn

    def _unit(self, shape: Sequence[Any], dtype: DType) -> Any:
        return self._draw(ops.mersenne_uniform, _counted(shape), dtype)

    # -- floats ------------------------------------------------------------------------------------

    def uniform(self, shape: Sequence[Any], dtype: Any, low: Any = 0.0, high: Any = 1.0) -> Any:
        if dtype.is_complex:
            return _complex(self.uniform((*shape, 2), dtype.to_real(), low, high))
        check_computed(dtype)
        wide: DType = float64 if dtype is float64 else float32
        if dtype is wide and (low, high) == (0, 1):
            return self._unit(shape, wide)
        first, last = (float(wide.numpy.type(x)) for x in (low, high))
        width = float(wide.numpy.type(last) - wide.numpy.type(first))
        drawn = ops.cast(ops.fma(self._unit(shape, wide), width, first), dtype)
        end = ops.cast(ops.full((), last, wide), dtype)
        return ops.where(ops.eq(drawn, end), ops.cast(ops.full((), first, wide), dtype), drawn)

    def normal(self, shape: Sequence[Any], dtype: Any, mean: Any = 0.0, std: Any = 1.0) -> Any:
        return self._normal(shape, dtype, mean, std, True)

    def _normal(
        self, shape: Sequence[Any], dtype: Any, mean: Any, std: Any, contiguous: bool
    ) -> Any:
        if dtype.is_complex:
            part = std / math.sqrt(2)
            real = dtype.to_real()
            return _complex(self._normal((*shape, 2), real, mean, part, contiguous))
        check_computed(dtype)
        shape = _counted(shape)
        if contiguous and math.prod(shape) >= _BLOCK:
            drawn = self._blocks(math.prod(shape), dtype)
        else:
            drawn = self._draw(ops.mersenne_normal, shape)
        return ops.reshape(_rounded(ops.fma(drawn, std, mean), dtype), shape)

    def _blocks(self, count: int, dtype: DType) -> Any:
        """Standard normal numbers in blocks. The last 16 are drawn again where 16 isn't a divisor;
        what they replace is drawn for 32 and 64 bits, and left out for 16."""
        rest = count % _BLOCK
        whole = count - rest
        wide: DType = float64 if dtype is float64 else float32
        if not rest:
            return _transformed(self._unit((whole,), wide))
        first = count if dtype.itemsize >= 4 else whole
        drawn = self._unit((first + _BLOCK,), wide)
        start, end = _transformed(drawn[:whole]), _transformed(drawn[first:])
        return ops.cat(start[: count - _BLOCK], end)

    def exponential(self, shape: Sequence[Any], dtype: Any, rate: Any = 1.0) -> Any:
        logarithm = ops.libm(ops.neg(self._unit(shape, float64)), "log1p")
        return _rounded(ops.mul(logarithm, -1 / rate), dtype)

    def cauchy(self, shape: Sequence[Any], dtype: Any, median: Any, sigma: Any) -> Any:
        angles = ops.mul(ops.sub(self._unit(shape, float64), 0.5), math.pi)
        return _rounded(ops.fma(ops.libm(angles, "tan"), sigma, median), dtype)

    def geometric(self, shape: Sequence[Any], dtype: Any, p: float) -> Any:
        logarithm = ops.libm(self._unit(shape, float64), "log")
        return ops.ceil(ops.div(logarithm, math.log1p(-p)))

    def log_normal(self, shape: Sequence[Any], dtype: Any, mean: Any, std: Any) -> Any:
        exponents = ops.fma(self._draw(ops.mersenne_normal, _counted(shape)), std, mean)
        return _rounded(ops.libm(exponents, "exp"), dtype)

    # -- whole numbers and choices -----------------------------------------------------------------

    def integers(self, shape: Sequence[Any], low: int, high: int) -> Any:
        return self._draw(ops.mersenne_integers, _counted(shape), int(low), int(high))

    def whole(self, shape: Sequence[Any], dtype: Any) -> Any:
        end = most(dtype) + (dtype.kind != "b")
        wide = dtype.itemsize == 8
        return self._draw(ops.mersenne_integers, _counted(shape), 0, end, wide)

    def permutation(self, count: int) -> Any:
        return self._draw(ops.mersenne_permutation, int(count))

    def chosen(self, shape: Sequence[Any], dtype: Any, chances: Any) -> Any:
        """By 24 bits where the chances are a tensor of at most 32 bits."""
        return _below(self._unit(shape, _compared_in(chances)), chances)

    def choices(self, weights: Any, count: int) -> Any:
        if count == 1:
            return self.subsets(weights, 1)
        rows = ops.reshape(weights, (-1, weights.shape[-1]))
        found = self._draw(ops.mersenne_choices, rows, int(count))
        return ops.reshape(found, (*weights.shape[:-1], count))

    def subsets(self, weights: Any, count: int) -> Any:
        rates = ops.div(weights, self.exponential(weights.shape, weights.dtype))
        return ops.topk(rates, count, -1, True)[1]

    def dropped(self, x: Any, shape: Sequence[Any], p: float) -> Any:
        def noise(shape: Sequence[Any]) -> Any:
            return ops.cast(self.chosen(shape, x.dtype, 1 - p), x.dtype)

        same = tuple(shape) == tuple(x.shape)
        return ops.mul(x, ops.div(self.like(x, noise) if same else noise(shape), 1 - p))

    def slopes(self, x: Any, low: float, high: float) -> Any:
        """Drawn for the elements that need one only, so how many there are has to be known."""
        wanted = ops.cast(ops.reshape(ops.le(x, 0), (-1,)), int64)
        count = int(ops.sum(wanted).item())
        if not count:
            return ops.full(tuple(x.shape), low, x.dtype)
        wide = compute_dtype(x.dtype)
        low, high = (float(wide.numpy.type(bound)) for bound in (low, high))
        drawn = ops.cast(scaled(self._unit((count,), float64), high - low, low), wide)
        places = ops.clamp(ops.sub(ops.cumsum(wanted, 0), 1), 0, None)
        return ops.reshape(ops.gather(drawn, 0, places), tuple(x.shape))

    def by_rejection(self, kind: str, operands: Sequence[Any]) -> Any:
        if kind in KINDS:
            return self._draw(ops.mersenne_rejected, kind, *operands)
        notice(f"{kind}: drawn from the Mersenne Twister, but by other formulas than PyTorch's")
        return getattr(ops, f"draw_{kind}")(self.integers((2,), 0, 1 << 62), *operands)

    # -- order -------------------------------------------------------------------------------------

    def like(self, target: Any, draw: Draw) -> Any:
        shape = tuple(target.shape)
        if target.is_contiguous():
            return draw(shape)
        order = _order(target)
        if order is None:
            return draw(shape)
        drawn = draw(tuple(shape[d] for d in order))
        return ops.permute(drawn, tuple(map(order.index, range(len(shape)))))

    def chosen_into(self, target: Any, chances: Any) -> Any:
        wide = _compared_in(chances)
        return _below(self.like(target, lambda shape: self._unit(shape, wide)), chances)

    def normal_into(self, target: Any, mean: Any, std: Any) -> Any:
        """In blocks only if the target is contiguous."""
        blocks = target.is_contiguous()
        return self.like(target, lambda s: self._normal(s, target.dtype, mean, std, blocks))

    def normal_like(self, target: Any, dtype: Any) -> Any:
        """In blocks only if the dimensions are stored in their order, be it with gaps."""
        blocks = _order(target) is None
        return self.like(target, lambda shape: self._normal(shape, dtype, 0.0, 1.0, blocks))


def _order(target: Any) -> tuple[int, ...] | None:
    """The order in which what is made like a tensor is stored; None for row-major."""
    return common_order(_counted(target.shape), tuple(target.stride()))


def _counted(shape: Sequence[Any]) -> tuple[int, ...]:
    """Sizes as ints: how many numbers there are decides how they are drawn."""
    return tuple(int(s) for s in shape)


def _compared_in(chances: Any) -> DType:
    return float64 if getattr(chances, "dtype", float64) is float64 else float32


def _below(drawn: Any, chances: Any) -> Any:
    """Whether numbers are below chances, in the dtype of the numbers."""
    if isinstance(chances, Tensor):
        chances = ops.cast(chances, drawn.dtype)
    return ops.lt(drawn, chances)


def _complex(parts: Any) -> Any:
    return ops.complex(parts[..., 0], parts[..., 1])


def _rounded(x: Any, dtype: DType) -> Any:
    """In a dtype; to 16 bits by way of 32."""
    narrow = dtype.is_floating_point and dtype.itemsize == 2
    return ops.cast(ops.cast(x, float32) if narrow else x, dtype)


def _transformed(u: Any) -> Any:
    """Normal numbers of uniform ones, in blocks of 16: 8 radii, and 8 angles."""
    pairs = ops.reshape(u, (-1, 2, _BLOCK // 2))
    radii, angles = pairs[:, 0], pairs[:, 1]
    if u.dtype is float64:
        radius = ops.sqrt(ops.mul(ops.libm(ops.sub(1.0, radii), "log"), -2.0))
        angle = ops.mul(angles, 2 * math.pi)
        both = [ops.mul(radius, ops.libm(angle, name)) for name in ("cos", "sin")]
    else:
        both = [ops.box_muller_cos(radii, angles), ops.box_muller_sin(radii, angles)]
    return ops.reshape(ops.cat(*(ops.reshape(x, (-1, 1, 8)) for x in both), dim=1), (-1,))
