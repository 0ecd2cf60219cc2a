"""Random numbers whose distribution depends on operands, one after the other from the Mersenne
Twister: by inversion and rejection, in the order in which PyTorch takes numbers on a CPU."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from argand.base.dtype import float64
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import same_shape
from argand.ir.elementwise import lifted
from argand.ir.op import TensorType, describe
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.mersenne import STATE, MersenneDraw, Prepared
from argand.ops.twister import Twister


def _poisson(source: Twister, rate: float) -> float:
    """By products of uniform numbers below a rate of 10, then by Hoermann's PTRS (1993)."""
    if not 0 <= rate < math.inf:
        return math.nan
    if rate < 10:
        k, product, end = 0, 1.0, math.exp(-rate)
        while rate:
            product *= source.fraction()
            if product <= end:
                break
            k += 1
        return k
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    squeeze, inverse_alpha = 0.9277 - 3.6224 / (b - 2), 1.1239 + 1.1328 / (b - 3.4)
    while True:
        u, v = source.fraction() - 0.5, source.fraction()
        us = 0.5 - abs(u)
        k = math.floor((2 * a / us + b) * u + rate + 0.43)
        if us >= 0.07 and v <= squeeze:
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        height = math.log(v) + math.log(inverse_alpha) - math.log(a / (us * us) + b)
        if height <= -rate + k * math.log(rate) - math.lgamma(k + 1):
            return k


def _log_gamma(source: Twister, shape: float) -> float:
    """The logarithm of a number by the method of Marsaglia and Tsang (2000)."""
    if not 0 < shape < math.inf:
        return -math.inf if shape == 0 else math.inf if shape == math.inf else math.nan
    raised = math.log(1 - source.fraction()) / shape if shape < 1 else 0.0
    d = (shape + 1 if shape < 1 else shape) - 1 / 3
    while True:
        x = float(source.normals(1)[0])
        y = 1 + x / math.sqrt(9 * d)
        if y <= 0:
            continue
        cube, u = y * y * y, 1 - source.fraction()
        squeezed = u < 1 - 0.0331 * (x * x) * (x * x)
        if squeezed or math.log(u) < 0.5 * x * x + d * (1 - cube + math.log(cube)):
            return math.log(d * cube) + raised


def _binomial(source: Twister, count: float, chance: float) -> float:
    """By waiting times where fewer than 10 succeed, or fail, on average, otherwise by Hoermann's
    BTRS (1993)."""
    if not (0 <= count < math.inf and 0 <= chance <= 1):
        return math.nan
    if count == 0 or chance == 0 or chance == 1:
        return count * chance
    if chance > 0.5:
        return count - _rarer(source, count, 1 - chance)
    return _rarer(source, count, chance)


def _rarer(source: Twister, n: float, p: float) -> float:
    if n * p < 10:
        k, waited, scale = 0, 0.0, math.log1p(-p)
        while True:
            u = source.fraction()
            waited += math.ceil(math.log(u) / scale) if u else math.inf
            if waited > n:
                return k
            k += 1
    deviation = math.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    squeeze, alpha, odds = 0.92 - 4.2 / b, (2.83 + 5.1 / b) * deviation, p / (1 - p)
    mode = math.floor((n + 1) * p)
    while True:
        u, v = source.fraction() - 0.5, source.fraction()
        us = 0.5 - abs(u)
        k = math.floor((2 * a / us + b) * u + n * p + 0.5)
        if us >= 0.07 and v <= squeeze:
            return k
        if not 0 <= k <= n:
            continue
        bound = math.lgamma(mode + 1) + math.lgamma(n - mode + 1) + (k - mode) * math.log(odds)
        bound -= math.lgamma(k + 1) + math.lgamma(n - k + 1)
        if v <= 0 or math.log(v * alpha / (a / (us * us) + b)) <= bound:
            return k


KINDS: dict[str, tuple[Callable[..., float], int]] = {
    "binomial": (_binomial, 2),
    "log_gamma": (_log_gamma, 1),
    "poisson": (_poisson, 1),
}


class MersenneRejected(MersenneDraw):
    """A draw of a kind of distribution for each element of its operands, float64 of one shape.

    "poisson" of rates, "log_gamma": logarithms of gamma random numbers of rate 1 of the given shape
    parameters, "binomial" of counts and probabilities. NaN for what can't be.
    """

    samples = (
        Sample(STATE, "poisson", T((3, 5), 0.0, 9.0, "float64")),
        Sample(STATE, "poisson", T((4,), 10.0, 300.0, "float64")),
        Sample(STATE, "log_gamma", T((3, 5), 0.1, 4.0, "float64")),
        Sample(STATE, "binomial", T((3,), 8.0, 8.0, "float64"), T((3,), 0.0, 1.0, "float64")),
        Sample(STATE, "binomial", T((6,), 99.0, 99.0, "float64"), T((6,), 0.3, 0.7, "float64")),
        Sample(STATE, "poisson", T((0,), dtype="float64")),
    )
    error_samples = (
        ErrorSample(
            TypeError, "not defined for float32", STATE, "poisson", T((2,), 1, 2, "float32")
        ),
        ErrorSample(RuntimeError, "no kind 'zipf'", STATE, "zipf", T((2,), 1, 2, "float64")),
    )

    def as_call(self, inputs: Any, params: dict[str, Any]) -> Any:
        return (inputs[0], params["kind"], *inputs[1:]), {}

    def prepare(self, state: Any, kind: str, *operands: Any) -> Prepared:  # type: ignore[override]  # other parameters
        if kind not in KINDS or len(operands) != KINDS[kind][1]:
            raise ArgumentError(f"{self.name}: no kind {kind!r} of {len(operands)} operands")
        lifted_operands = [lifted(x) for x in operands]
        for x in lifted_operands:
            if x.dtype is not float64:
                raise DTypeError(f"{self.name}: not defined for {x.dtype.name}, only for float64")
            if not same_shape(x.shape, lifted_operands[0].shape):
                raise ShapeError(f"{self.name}: {describe(x)} is not of the first operand's shape")
        return (lifted(state), *lifted_operands), {"kind": kind}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        return super().infer(*inputs, shape=inputs[1].shape, dtype=float64)

    def draw(twister: Any, *operands: np.ndarray, kind: str) -> np.ndarray:
        function = KINDS[kind][0]
        rows = zip(*(x.reshape(-1).tolist() for x in operands), strict=True)
        drawn = np.array([function(twister, *row) for row in rows], np.float64)
        return drawn.reshape(operands[0].shape)
