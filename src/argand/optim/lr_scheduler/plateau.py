"""The schedule that follows a metric."""

from __future__ import annotations

import math
from typing import Any

from argand.base.domains import check_counts, check_numbers
from argand.base.errors import TraceError
from argand.optim.lr_scheduler.base import (
    LRScheduler,
    check_optimizer,
    for_each_group,
    rates_of,
)
from argand.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """The rate times `factor` when a metric has not got better for more than `patience` calls of
    ``step(metric)``.

    `mode` "min" or "max" says what better is; by `threshold`, relative to the best ("rel") or
    absolute ("abs").

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = optim.lr_scheduler.ReduceLROnPlateau(opt, patience=0)
    >>> for loss in (1.0, 1.0):
    ...     schedule.step(loss)
    >>> opt.param_groups[0]["lr"]
    0.1
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: Any = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(f"unknown mode {mode!r} or threshold_mode {threshold_mode!r}")
        check_numbers("(-inf, 1)", factor=factor)
        check_optimizer(self, optimizer)
        least = for_each_group("min_lr", optimizer, min_lr)
        check_numbers("(-inf, inf)", threshold=threshold, eps=eps)
        for value in least:
            check_numbers("(-inf, inf)", min_lr=value)
        check_counts(0, patience=patience, cooldown=cooldown)
        self.optimizer = optimizer
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.eps = cooldown, eps
        self.default_min_lr = None if isinstance(min_lr, list | tuple) else min_lr
        self.min_lrs = least
        self.best = self.mode_worse = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = rates_of(optimizer)

    def step(self, metrics: Any = None, epoch: int | None = None) -> None:  # type: ignore[override]
        """Look at the metric of this epoch.

        Inside a compiled function the metric must be a number: a tensor's value isn't known there.
        """
        if metrics is None:
            raise TypeError("ReduceLROnPlateau.step takes the metric to watch")
        value = self._number(metrics)
        if self._postponed(lambda: self.step(value, epoch)):
            return
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.is_better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = rates_of(self.optimizer)

    @staticmethod
    def _number(metric: Any) -> float:
        try:
            return float(metric)
        except TraceError as error:
            raise TraceError(
                "ReduceLROnPlateau.step compares the metric in Python, but a tensor's value is not "
                "known while a function is traced; return the metric from the compiled function "
                "and call step(metric) outside"
            ) from error

    def is_better(self, value: float) -> bool:
        """Whether the metric improved by more than the threshold."""
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "abs":
            return sign * value > sign * self.best + self.threshold
        if math.isinf(self.best):
            return sign * value > sign * self.best
        return sign * value > sign * self.best * (1 + sign * self.threshold)

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"the optimizer has {len(groups)} groups now, ReduceLROnPlateau a min_lr for "
                    f"{len(self.min_lrs)}; set its min_lrs"
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, least in zip(groups, self.min_lrs, strict=True):
            new = max(group["lr"] * self.factor, least)
            if group["lr"] - new > self.eps:
                group["lr"] = new
