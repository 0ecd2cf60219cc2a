"""Schedules that multiply the base rate by a function of the step."""

from __future__ import annotations

import types
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from argand.base.domains import check_counts, check_numbers
from argand.optim.lr_scheduler.base import LRScheduler
from argand.optim.optimizer import Optimizer


class _OfFunctions(LRScheduler):
    """A schedule by one function of the step, or one for each group."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        count = len(optimizer.param_groups)
        listed = list(lr_lambda) if isinstance(lr_lambda, list | tuple) else [lr_lambda] * count
        if len(listed) != count:
            raise ValueError(f"expected {count} functions, got {len(listed)}")
        if not all(map(callable, listed)):
            raise TypeError(f"{type(self).__name__}: lr_lambda must be a function, or several")
        self.lr_lambdas: list[Callable[[int], float]] = listed
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """The state; of the functions, the attributes of those that are objects."""
        plain = types.FunctionType
        saved = [None if isinstance(f, plain) else dict(vars(f)) for f in self.lr_lambdas]
        return {**super().state_dict(), "lr_lambdas": saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a schedule with the same functions stopped."""
        rest = {k: v for k, v in state_dict.items() if k != "lr_lambdas"}
        super().load_state_dict(rest)
        saved = state_dict.get("lr_lambdas", [])
        for function, attributes in zip(self.lr_lambdas, saved, strict=False):
            if attributes is not None:
                vars(function).update(attributes)


class LambdaLR(_OfFunctions):
    """lr = base * f(t), with one function, or one for each group.

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = optim.lr_scheduler.LambdaLR(opt, lambda t: 0.5**t)
    >>> opt.step(); schedule.step(); schedule.get_last_lr()
    [0.5]
    """

    def get_lr(self) -> list[float]:
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base * f(self.last_epoch) for base, f in pairs]


class MultiplicativeLR(_OfFunctions):
    """lr = lr * f(t) from step 1 on, with one function, or one for each group.

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = optim.lr_scheduler.MultiplicativeLR(opt, lambda t: 0.5)
    >>> opt.step(); schedule.step(); schedule.get_last_lr()
    [0.5]
    """

    def get_lr(self) -> list[float]:
        pairs = list(zip(self.optimizer.param_groups, self.lr_lambdas, strict=True))
        if self._is_initial:
            return [group["lr"] for group, _ in pairs]
        return [group["lr"] * f(self.last_epoch) for group, f in pairs]


class StepLR(LRScheduler):
    """lr = base * gamma ** (t // step_size).

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = optim.lr_scheduler.StepLR(opt, step_size=1, gamma=0.5)
    >>> opt.step(); schedule.step(); schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        check_counts(1, step_size=step_size)
        check_numbers("(-inf, inf)", gamma=gamma)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int) -> float:
        return base * self.gamma ** (t // self.step_size)

    def next_rate(self, lr: float, base: float) -> float:
        t = self.last_epoch
        return lr * self.gamma if t and t % self.step_size == 0 else lr


class MultiStepLR(LRScheduler):
    """lr = base times gamma for every one of the `milestones` (numbers of steps) that is reached.

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = optim.lr_scheduler.MultiStepLR(opt, milestones=[1, 3], gamma=0.5)
    >>> opt.step(); schedule.step(); schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        check_numbers("(-inf, inf)", gamma=gamma)
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int) -> float:
        return base * self.gamma ** bisect_right(sorted(self.milestones.elements()), t)

    def next_rate(self, lr: float, base: float) -> float:
        return lr * self.gamma ** self.milestones[self.last_epoch]


class ConstantLR(LRScheduler):
    """lr = base * factor for the first `total_iters` steps, then base.

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> optim.lr_scheduler.ConstantLR(opt, factor=0.25).get_last_lr()
    [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        check_numbers("[0, 1]", factor=factor)
        check_counts(0, total_iters=total_iters)
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int) -> float:
        return base * (self.factor if t < self.total_iters else 1.0)

    def next_rate(self, lr: float, base: float) -> float:
        if self.last_epoch == 0:
            return lr * self.factor
        if self.last_epoch != self.total_iters:
            return lr
        return lr * (1 / self.factor) if self.factor else base


class LinearLR(LRScheduler):
    """lr = base times a factor that goes evenly from `start_factor` to `end_factor` in
    `total_iters` steps.

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = optim.lr_scheduler.LinearLR(opt, start_factor=0.5, total_iters=2)
    >>> opt.step(); schedule.step(); schedule.get_last_lr()
    [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        check_numbers("(0, 1]", start_factor=start_factor)
        check_numbers("[0, 1]", end_factor=end_factor)
        check_counts(1, total_iters=total_iters)
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int) -> float:
        done = min(t, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * done)

    def next_rate(self, lr: float, base: float) -> float:
        if self.last_epoch == 0:
            return lr * self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return lr
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return lr * (1 + rise / before)


class ExponentialLR(LRScheduler):
    """lr = base * gamma ** t.

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = optim.lr_scheduler.ExponentialLR(opt, gamma=0.5)
    >>> opt.step(); schedule.step(); schedule.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        check_numbers("(-inf, inf)", gamma=gamma)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int) -> float:
        return float(base * self.gamma**t)

    def next_rate(self, lr: float, base: float) -> float:
        return lr if self._is_initial else lr * self.gamma


class PolynomialLR(LRScheduler):
    """lr = base * (1 - t / total_iters) ** power, then 0.

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = optim.lr_scheduler.PolynomialLR(opt, total_iters=4)
    >>> opt.step(); schedule.step(); schedule.get_last_lr()
    [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        check_counts(1, total_iters=total_iters)
        check_numbers("(-inf, inf)", power=power)
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int) -> float:
        left = 1 - min(t, self.total_iters) / self.total_iters
        return float(base * left**self.power)

    def next_rate(self, lr: float, base: float) -> float:
        t, end = self.last_epoch, self.total_iters
        if self._is_initial or t > end:
            return lr
        return float(lr * ((1 - t / end) / (1 - (t - 1) / end)) ** self.power)
