"""Which of two values is better."""

from __future__ import annotations

import math
from typing import Any

from argand.base.domains import check_numbers
from argand.base.errors import ArgumentError, did_you_mean


class Monitor:
    """Which value to watch, and which way is better."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise ArgumentError(f"mode must be 'auto', 'min' or 'max', got {mode!r}")
        grows = ("acc", "auc", "f1", "precision", "recall", "r2")
        check_numbers("(-inf, inf)", min_delta=min_delta)
        self.name = monitor
        self.up = mode == "max" or (mode == "auto" and any(g in monitor for g in grows))
        self.min_delta = abs(min_delta)
        self.worst = -math.inf if self.up else math.inf

    def value(self, logs: dict[str, Any] | None, owner: str) -> float:
        if not logs or self.name not in logs:
            near = did_you_mean(self.name, logs or {})
            there = ", ".join(logs or {})
            raise ArgumentError(f"{owner}: no value {self.name!r} to monitor{near}; got {there}")
        return float(logs[self.name])

    def better(self, value: float, best: float) -> bool:
        if self.up:
            return value > best + self.min_delta
        return value < best - self.min_delta
