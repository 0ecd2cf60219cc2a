"""Schedules made of others: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from argand.optim.lr_scheduler.base import LRScheduler, rates_of
from argand.optim.lr_scheduler.plateau import ReduceLROnPlateau
from argand.optim.optimizer import Optimizer


class _Combined(LRScheduler):
    """A schedule that steps others."""

    _schedulers: list[LRScheduler]

    def _take(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
        """Check the parts."""
        name = type(self).__name__
        if not schedulers:
            raise ValueError(f"{name} takes at least one scheduler")
        if not all(isinstance(s, LRScheduler) for s in schedulers):
            raise TypeError(f"{name} takes schedulers, got {schedulers!r}")
        if any(isinstance(s, ReduceLROnPlateau) for s in schedulers):
            raise ValueError(f"{name} can't step a ReduceLROnPlateau, which takes a metric")
        self.optimizer = optimizer or schedulers[0].optimizer
        if any(s.optimizer is not self.optimizer for s in schedulers):
            raise ValueError("all schedulers must belong to the optimizer")
        self._schedulers = list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        """The state, and that of each part."""
        return {**super().state_dict(), "_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a schedule of the same parts stopped."""
        for scheduler, saved in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(saved)
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_schedulers"})


class SequentialLR(_Combined):
    """One schedule after the other: schedule i + 1 takes over at step milestones[i].

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> warm_up = optim.lr_scheduler.ConstantLR(opt, factor=0.1, total_iters=1)
    >>> after = optim.lr_scheduler.ExponentialLR(opt, gamma=0.5)
    >>> schedule = optim.lr_scheduler.SequentialLR(opt, [warm_up, after], milestones=[1])
    >>> schedule.get_last_lr()
    [0.1]
    >>> opt.step(); schedule.step(); schedule.get_last_lr()
    [1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        self._take(schedulers, optimizer)
        if len(schedulers) != len(milestones) + 1:
            raise ValueError(
                f"expected one milestone less than schedulers, got {len(milestones)} and "
                f"{len(schedulers)}"
            )
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        _undo(self)
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self, epoch: int | None = None) -> None:
        if epoch is not None:
            raise TypeError("SequentialLR.step takes no epoch: it counts for its schedulers")
        if self._postponed(self.step):
            return
        self._go()

    def _go(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        i = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[i]
        if i and self._milestones[i - 1] == self.last_epoch:
            scheduler._go(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


def _undo(scheduler: LRScheduler) -> None:
    """Take back the steps that the parts made when they were built."""
    if isinstance(scheduler, _Combined):
        for part in scheduler._schedulers:
            _undo(part)
    else:
        scheduler.last_epoch -= 1


class ChainedScheduler(_Combined):
    """All schedules at once, each going on with the rate that the one before it gave.

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> warm_up = optim.lr_scheduler.ConstantLR(opt, factor=0.5, total_iters=2)
    >>> after = optim.lr_scheduler.ExponentialLR(opt, gamma=0.5)
    >>> schedule = optim.lr_scheduler.ChainedScheduler([warm_up, after])
    >>> opt.step(); schedule.step(); schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        self._take(schedulers, optimizer)
        self._last_lr = rates_of(self.optimizer)

    def step(self, epoch: int | None = None) -> None:
        if epoch is not None:
            raise TypeError("ChainedScheduler.step takes no epoch: its schedulers count")
        if self._postponed(self.step):
            return
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = rates_of(self.optimizer)

    def _go(self, epoch: int | None = None) -> None:
        for scheduler in self._schedulers:
            scheduler._go(epoch)
        self._last_lr = rates_of(self.optimizer)
