"""The samples that ops carry, made into calls: arrays with a fixed seed, and recorded Programs."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

import argand.ops  # noqa: F401  # fills the registry
from argand.base.dtype import DType, as_dtype
from argand.ir.elementwise import Elementwise
from argand.ir.op import Op, TensorType, registry
from argand.ir.program import Program
from argand.ir.record import record
from argand.ir.samples import ErrorSample, Sample, T, Uniform

DEFAULT_TOLERANCE = {"float32": 4e-6, "float64": 1e-12, "complex64": 4e-6}


class Call:
    """One sample of an op: its tensor operands apart from the rest."""

    def __init__(self, op: Op, sample: Sample | ErrorSample) -> None:
        self.op = op
        self.sample = sample
        items = [*sample.args, *sample.kwargs.values()]
        self.tensors: list[T] = [x for x in items if isinstance(x, T)]

    def apply(self, values: Any) -> Any:
        """The op on values that stand for the tensor operands, in order."""
        left = iter(values)
        args = [next(left) if isinstance(a, T) else a for a in self.sample.args]
        kwargs = {k: next(left) if isinstance(v, T) else v for k, v in self.sample.kwargs.items()}
        return self.op(*args, **kwargs)

    def dtypes(self, dtype: str) -> list[DType]:
        """The operands' dtypes when `dtype` is under test."""
        return [as_dtype(t.dtype or dtype) for t in self.tensors]

    def program(self, dtype: str) -> Program:
        """The call recorded."""
        types = [
            TensorType(d, t.shape) for d, t in zip(self.dtypes(dtype), self.tensors, strict=True)
        ]
        return record(lambda *values: self.apply(values), types, self.op.name.replace(".", "_"))

    def arrays(self, dtype: str) -> list[np.ndarray]:
        """Operands with a seed that depends on the op alone."""
        rng = np.random.default_rng(zlib.crc32(self.op.name.encode()))
        count = len(self.tensors)
        return [
            make_array(rng, t, d, (n + 1) / (count + 1))
            for n, (t, d) in enumerate(zip(self.tensors, self.dtypes(dtype), strict=True))
        ]

    def __repr__(self) -> str:
        return f"{self.op.name}({self.sample!r})"


def make_array(rng: np.random.Generator, t: T, dtype: DType, offset: float) -> np.ndarray:
    """An array of a domain; `offset` keeps the values of several distinct operands apart."""
    if t.definite:
        a = rng.uniform(-1, 1, t.shape)
        if dtype.kind == "c":
            a = a + 1j * rng.uniform(-1, 1, t.shape)
        return (a @ np.conj(a.swapaxes(-1, -2)) + np.eye(t.shape[-1])).astype(dtype.numpy)
    if dtype.kind == "b":
        low, high = max(math.ceil(t.low), 0), min(math.floor(t.high), 1)
        low, high = (0, 1) if low > high else (low, high)
        return rng.integers(low, high, t.shape, endpoint=True).astype(bool)
    if dtype.kind in "iu":
        low, high = math.ceil(t.low), math.floor(t.high)
        low, high = min(low, high), max(low, high)
        if dtype.kind == "u":
            low, high = (-high, -low) if high < 0 else (max(low, 0), high)
        return rng.integers(low, high, t.shape, endpoint=True).astype(dtype.numpy)
    if t.distinct:
        step = (t.high - t.low) / max(math.prod(t.shape), 1)
        values = t.low + (np.arange(math.prod(t.shape)) + offset) * step
        return rng.permutation(values).reshape(t.shape).astype(dtype.numpy)
    values = rng.uniform(t.low, t.high, t.shape)
    if dtype.kind == "c":
        values = values + 1j * rng.uniform(t.low, t.high, t.shape)
    return np.asarray(values).astype(dtype.numpy)


def calls_of(op: Op) -> list[Call]:
    """An op's samples as calls."""
    samples = op.samples
    if isinstance(samples, Uniform):
        assert isinstance(op, Elementwise)
        samples = tuple(_domain_samples(samples, len(op.operands) - len(op.defaults)))
    return [Call(op, s) for s in samples]


_UNARY_SHAPES = ((2, 3), (), (0, 3), (1,), (5, 7, 3))


def _domain_samples(domain: Uniform, arity: int) -> Iterator[Sample]:
    def t(*shape: int) -> T:
        return T(shape, domain.low, domain.high, distinct=False)

    for shape in _UNARY_SHAPES:
        yield Sample(*(t(*shape) for _ in range(arity)))
    if arity == 2:
        number = math.ceil(domain.low) + 1 if domain.integers else (domain.low + domain.high) / 2
        yield Sample(t(3, 1), t(4))
        yield Sample(t(2, 3), t())
        yield Sample(t(0, 3), t(3))
        if not domain.integers or domain.low < 0:
            yield Sample(t(4), number)
            yield Sample(number, t(4))


# All but `fusion`, which only the compiler makes: it means what its region means (tests/passes).
ALL_OPS: list[Op] = [registry.get(name) for name in registry if name != "fusion"]
ALL_CALLS: list[Call] = list(itertools.chain.from_iterable(calls_of(op) for op in ALL_OPS))


def names(calls: list[Call]) -> list[str]:
    """Test ids: the op and the number of its sample."""
    count: dict[str, int] = {}
    result = []
    for c in calls:
        n = count[c.op.name] = count.get(c.op.name, -1) + 1
        result.append(f"{c.op.name}-{n}")
    return result


def tolerance(op: Op, dtype: str) -> float:
    """How far an op's result may be from the float64 one, relative to the larger of it and 1."""
    return op.tolerance.get(dtype, DEFAULT_TOLERANCE.get(dtype, 0.0))


def assert_close(actual: Any, expected: Any, tol: float, what: str = "") -> None:
    """Equal within `tol` relative to max(1, |expected|); NaN and infinity in the same places."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: {actual.shape} is not {expected.shape}"
    if expected.dtype.kind in "biu" or tol == 0:
        np.testing.assert_array_equal(actual, expected, what)
        return
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    a, e = actual.astype(wide), expected.astype(wide)
    np.testing.assert_array_equal(np.isfinite(a), np.isfinite(e), what)
    some = np.isfinite(e)
    np.testing.assert_array_equal(a[~some], e[~some], what)
    error = np.abs(a[some] - e[some]) / np.maximum(1, np.abs(e[some]))
    assert error.max(initial=0) <= tol, f"{what}: off by {error.max()}, allowed {tol}"
