"""Metrics of regression: means over all elements seen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.base.errors import ShapeError
from argand.base.shape import shape_text
from argand.metrics.base import Metric, array, register


def _differences(preds: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """preds - target, and the target, in float64."""
    p, t = array(preds).astype(np.float64), array(target).astype(np.float64)
    if p.shape != t.shape and p.size == t.size:
        t = t.reshape(p.shape)  # (N, 1) against (N,)
    if p.shape != t.shape:
        raise ShapeError(
            f"predictions of shape {shape_text(p.shape)} don't fit targets of shape "
            f"{shape_text(t.shape)}"
        )
    return p - t, t


class _MeanOf(Metric):
    """The mean of a function of the differences."""

    def reset(self) -> None:
        self.total = 0.0
        self.count = 0

    def of(self, difference: np.ndarray) -> Any:
        """What is averaged."""
        raise NotImplementedError(f"{type(self).__name__} does not define of")

    def update(self, preds: Any, target: Any) -> None:
        difference, _ = _differences(preds, target)
        self.total += float(self.of(difference).sum())
        self.count += difference.size

    def compute(self) -> float:
        return self.total / self.count if self.count else float("nan")


@register("mse", "mean_squared_error")
class MeanSquaredError(_MeanOf):
    """The mean of (preds - target) ** 2.

    >>> mse = ag.metrics.MeanSquaredError()
    >>> mse.update([1.0, 2.0], [1.0, 4.0])
    >>> mse.compute()
    2.0
    """

    name = "mse"

    def of(self, difference: np.ndarray) -> Any:
        return np.square(difference)


@register("rmse")
class RootMeanSquaredError(MeanSquaredError):
    """sqrt(mean((preds - target) ** 2)).

    >>> rmse = ag.metrics.RootMeanSquaredError()
    >>> rmse.update([0.0, 0.0], [3.0, 3.0])
    >>> rmse.compute()
    3.0
    """

    name = "rmse"

    def compute(self) -> float:
        return math.sqrt(super().compute())


@register("mae", "mean_absolute_error")
class MeanAbsoluteError(_MeanOf):
    """The mean of abs(preds - target).

    >>> mae = ag.metrics.MeanAbsoluteError()
    >>> mae.update([1.0, 2.0], [1.0, 4.0])
    >>> mae.compute()
    1.0
    """

    name = "mae"

    def of(self, difference: np.ndarray) -> Any:
        return np.abs(difference)


@register("r2")
class R2Score(Metric):
    """1 - sum((preds - target) ** 2) / sum((target - mean(target)) ** 2): 1 at best.

    >>> r2 = ag.metrics.R2Score()
    >>> r2.update([1.0, 2.0, 3.0], [1.0, 2.0, 6.0])
    >>> round(r2.compute(), 4)
    0.3571
    """

    name = "r2"

    def reset(self) -> None:
        self.residual = 0.0
        self.count = 0
        self.mean = 0.0
        self.spread = 0.0  # sum of squared distances from the mean (Chan's update)

    def update(self, preds: Any, target: Any) -> None:
        difference, t = _differences(preds, target)
        self.residual += float(np.square(difference).sum())
        if not t.size:
            return
        both = self.count + t.size
        distance = float(t.mean()) - self.mean
        self.spread += float(np.square(t - t.mean()).sum())
        self.spread += distance**2 * self.count * t.size / both
        self.mean += distance * t.size / both
        self.count = both

    def compute(self) -> float:
        return 1 - self.residual / self.spread if self.spread else float("nan")
