"""Random numbers, drawn from Argand's generator, or one of their own where a seed is given."""

from __future__ import annotations

from typing import Any

from argand.onnx.registry import importer
from argand.onnx.values import ag, dtype_of
from argand.tensor.core import Tensor


def _generator(seed: float | None) -> Any:
    return None if seed is None else ag.Generator().manual_seed(int(seed))


def _normal(shape: Any, dtype: Any, mean: float, scale: float, seed: float | None) -> Any:
    return (ag.randn(*shape, generator=_generator(seed)) * scale + mean).to(dtype)


def _uniform(shape: Any, dtype: Any, low: float, high: float, seed: float | None) -> Any:
    return (ag.rand(*shape, generator=_generator(seed)) * (high - low) + low).to(dtype)


@importer("RandomNormal", draws=True)
def _random_normal(
    *,
    dtype: int = 1,
    mean: float = 0.0,
    scale: float = 1.0,
    seed: float | None = None,
    shape: Any,
) -> Any:
    return _normal(shape, dtype_of(dtype), mean, scale, seed)


@importer("RandomNormalLike", draws=True)
def _random_normal_like(
    x: Tensor,
    *,
    dtype: int | None = None,
    mean: float = 0.0,
    scale: float = 1.0,
    seed: float | None = None,
) -> Any:
    return _normal(x.shape, x.dtype if dtype is None else dtype_of(dtype), mean, scale, seed)


@importer("RandomUniform", draws=True)
def _random_uniform(
    *,
    dtype: int = 1,
    high: float = 1.0,
    low: float = 0.0,
    seed: float | None = None,
    shape: Any,
) -> Any:
    return _uniform(shape, dtype_of(dtype), low, high, seed)


@importer("RandomUniformLike", draws=True)
def _random_uniform_like(
    x: Tensor,
    *,
    dtype: int | None = None,
    high: float = 1.0,
    low: float = 0.0,
    seed: float | None = None,
) -> Any:
    return _uniform(x.shape, x.dtype if dtype is None else dtype_of(dtype), low, high, seed)


@importer("Bernoulli", draws=True)
def _bernoulli(x: Tensor, *, dtype: int | None = None, seed: float | None = None) -> Any:
    drawn = _uniform(x.shape, ag.float32, 0.0, 1.0, seed) < x
    return drawn.to(x.dtype if dtype is None else dtype_of(dtype))


@importer("Multinomial", draws=True)
def _multinomial(
    x: Tensor, *, dtype: int = 6, sample_size: int = 1, seed: float | None = None
) -> Any:
    shares = ag.softmax(x.to(ag.float32), -1)
    drawn = ag.multinomial(shares, sample_size, replacement=True, generator=_generator(seed))
    return drawn.to(dtype_of(dtype))
