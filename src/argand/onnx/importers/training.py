"""Updates of optimizers: ai.onnx.preview.training. (`Gradient` is a step of `graph`.)"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from argand.onnx.registry import importer
from argand.onnx.values import ag
from argand.tensor.core import Tensor

_update = functools.partial(importer, domain="ai.onnx.preview.training")


def _each(tensors: tuple[Any, ...], parts: int, update: Callable[..., Any]) -> Any:
    """`update` of each optimized tensor; inputs are all tensors, then all gradients, and so on."""
    n = len(tensors) // parts
    groups = zip(*(tensors[k * n : (k + 1) * n] for k in range(parts)), strict=True)
    found = [update(*group) for group in groups]
    return tuple(x for column in zip(*found, strict=True) for x in column)


@_update("Adagrad")
def _adagrad(
    rate: Tensor,
    count: Tensor,
    *tensors: Tensor,
    decay_factor: float = 0.0,
    epsilon: float = 1e-6,
    norm_coefficient: float = 0.0,
) -> Any:
    r = rate / (1 + count * decay_factor)

    def update(x: Any, g: Any, h: Any) -> tuple[Any, ...]:
        g = norm_coefficient * x + g
        h = h + g * g
        return x - r * g / (ag.sqrt(h) + epsilon), h

    return _each(tensors, 3, update)


@_update("Adam")
def _adam(
    rate: Tensor,
    count: Tensor,
    *tensors: Tensor,
    alpha: float = 0.9,
    beta: float = 0.999,
    epsilon: float = 1e-6,
    norm_coefficient: float = 0.0,
    norm_coefficient_post: float = 0.0,
) -> Any:
    t = count.to(rate.dtype)
    adjusted = rate * ag.sqrt(1 - beta**t) / (1 - alpha**t)
    r = ag.where(count > 0, adjusted, rate)

    def update(x: Any, g: Any, v: Any, h: Any) -> tuple[Any, ...]:
        g = norm_coefficient * x + g
        v = alpha * v + (1 - alpha) * g
        h = beta * h + (1 - beta) * g * g
        x = x - r * v / (ag.sqrt(h) + epsilon)
        return (1 - norm_coefficient_post) * x, v, h

    return _each(tensors, 4, update)


@_update("Momentum")
def _momentum(
    rate: Tensor,
    count: Tensor,
    *tensors: Tensor,
    alpha: float,
    beta: float,
    mode: str,
    norm_coefficient: float,
) -> Any:
    factor = ag.where(count > 0, ag.full_like(rate, beta), ag.ones_like(rate))

    def update(x: Any, g: Any, v: Any) -> tuple[Any, ...]:
        g = norm_coefficient * x + g
        v = alpha * v + factor * g
        return x - rate * (g + alpha * v if mode == "nesterov" else v), v

    return _each(tensors, 3, update)
