"""Streaming metrics: `update` with each batch, `compute` for the value over all of them."""

from __future__ import annotations

from typing import Any

from argand.base.errors import unknown_name
from argand.metrics.base import Mean, MeanMetric, Metric, get
from argand.metrics.classification import (
    Accuracy,
    ConfusionMatrix,
    F1Score,
    Precision,
    Recall,
    TopKAccuracy,
)
from argand.metrics.regression import (
    MeanAbsoluteError,
    MeanSquaredError,
    R2Score,
    RootMeanSquaredError,
)

__all__ = [
    "Accuracy",
    "ConfusionMatrix",
    "F1Score",
    "Mean",
    "MeanAbsoluteError",
    "MeanMetric",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "TopKAccuracy",
    "get",
]


def __getattr__(name: str) -> Any:
    raise unknown_name(__name__, name, __all__)
