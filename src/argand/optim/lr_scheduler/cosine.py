"""Schedules along a cosine."""

from __future__ import annotations

import math

from argand.base.domains import check_counts, check_numbers
from argand.optim.lr_scheduler.base import LRScheduler
from argand.optim.optimizer import Optimizer


def along_cosine(start: float, end: float, part: float) -> float:
    """From start to end along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (base - eta_min) * (1 + cos(pi * t / T_max)) / 2 (Loshchilov and Hutter,
    2017).

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = optim.lr_scheduler.CosineAnnealingLR(opt, T_max=2)
    >>> opt.step(); schedule.step(); schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        check_counts(1, T_max=T_max)
        check_numbers("(-inf, inf)", eta_min=eta_min)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int) -> float:
        return along_cosine(base, self.eta_min, t / self.T_max)

    def next_rate(self, lr: float, base: float) -> float:
        t, end, least = self.last_epoch, self.T_max, self.eta_min
        if self._is_initial:
            return lr
        if self._step_count == 1 and t > 0:
            return self.rate(base, t)
        if (t - 1 - end) % (2 * end) == 0:  # it was at the bottom, where the quotient has no sense
            return lr + (base - least) * (1 - math.cos(math.pi / end)) / 2
        now, before = (1 + math.cos(math.pi * at / end) for at in (t, t - 1))
        return now / before * (lr - least) + least


class CosineAnnealingWarmRestarts(LRScheduler):
    """Cosine annealing that starts again after T_0 steps, then after T_0 * T_mult, and so on
    (Loshchilov and Hutter, 2017). ``step(epoch)`` takes fractions too.

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, T_0=1)
    >>> opt.step(); schedule.step(); schedule.get_last_lr()
    [1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        check_counts(1, T_0=T_0, T_mult=T_mult)
        check_numbers("(-inf, inf)", eta_min=eta_min)
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        self.T_i = T_0
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        part = self.T_cur / self.T_i
        return [along_cosine(base, self.eta_min, part) for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Count a step, or go to step `epoch`, and set the groups' learning rates."""
        if self._postponed(lambda: self.step(epoch)):
            return
        if epoch is None:
            epoch = max(self.last_epoch + 1, 0)
            self._place(self.T_cur + 1 if epoch else 0, self.T_i)
        elif epoch < 0:
            raise ValueError(f"step takes an epoch of at least 0, got {epoch}")
        else:
            self._place(epoch, self.T_0)
        self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())

    def _place(self, at: float, length: int) -> None:
        """Where in which period a step is, counted from the start of a period."""
        while at >= length:
            if self.T_mult == 1:
                at %= length
                break
            at -= length
            length *= self.T_mult
        self.T_cur, self.T_i = at, length
