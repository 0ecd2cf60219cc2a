"""Learning-rate schedules, as `torch.optim.lr_scheduler`.

A schedule is a function of the number of steps taken: `step()` counts one and sets every group's
``lr``. A compiled training step reads the new rate at its next call without being traced again.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from argand.base.domains import check_counts, check_numbers
from argand.base.errors import ArgumentError, TraceError, unknown_name
from argand.base.misuse import explained_classes
from argand.compile.api import on_replay
from argand.optim.optimizer import Optimizer

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


class LRScheduler:
    """Base of the schedules: a subclass defines ``rate(base, t)`` for step t and a base rate.

    >>> class Halving(optim.lr_scheduler.LRScheduler):
    ...     def rate(self, base, t):
    ...         return base / 2**t
    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=0.8)
    >>> schedule = Halving(opt)
    >>> opt.step(); schedule.step(); schedule.get_last_lr()
    [0.4]
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__} takes an Optimizer, got {optimizer!r}")
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError("resuming a schedule needs 'initial_lr' in every parameter group")
        self.base_lrs = [g["initial_lr"] for g in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def rate(self, base: float, t: int) -> float:
        """The learning rate after t steps."""
        raise NotImplementedError(f"{type(self).__name__} does not define rate")

    def rates(self) -> list[float]:
        """The learning rate of each group now."""
        return [self.rate(base, self.last_epoch) for base in self.base_lrs]

    def step(self, epoch: int | None = None) -> None:
        """Count a step (or go to step `epoch`) and set the groups' learning rates.

        Called inside a compiled function it takes place after each call of the program; what reads
        the optimizer's numbers after it, in the same function, is refused.
        """
        if self._postponed(lambda: self.step(epoch)):
            return
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        for group, rate in zip(self.optimizer.param_groups, self.rates(), strict=True):
            group["lr"] = rate

    def _postponed(self, step: Callable[[], None]) -> bool:
        """Whether this is a trace, each of whose calls is followed by the step."""
        if not on_replay(step):
            return False
        for group in self.optimizer.param_groups:
            group.moves_after_call()
        return True

    def get_last_lr(self) -> list[float]:
        """The learning rates that were set last."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def get_lr(self) -> list[float]:
        """The learning rates of the present step."""
        return self.rates()

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes; functions are left out."""
        return {k: v for k, v in vars(self).items() if k != "optimizer" and not callable(v)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a schedule of the same kind stopped."""
        vars(self).update(state_dict)


class LambdaLR(LRScheduler):
    """lr = base * f(t), with one function, or one for each group.

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = optim.lr_scheduler.LambdaLR(opt, lambda t: 0.5**t)
    >>> opt.step(); schedule.step(); schedule.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        count = len(optimizer.param_groups)
        listed = list(lr_lambda) if isinstance(lr_lambda, list | tuple) else [lr_lambda] * count
        if len(listed) != count:
            raise ValueError(f"expected {count} functions, got {len(listed)}")
        self.lr_lambdas: Sequence[Callable[[int], float]] = listed
        super().__init__(optimizer, last_epoch)

    def rates(self) -> list[float]:
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base * f(self.last_epoch) for base, f in pairs]

    def state_dict(self) -> dict[str, Any]:
        return {k: v for k, v in super().state_dict().items() if k != "lr_lambdas"}


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
        milestones: Sequence[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        check_numbers("(-inf, inf)", gamma=gamma)
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int) -> float:
        return base * self.gamma ** bisect_right(sorted(self.milestones.elements()), t)


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


def _cosine(start: float, end: float, part: float) -> float:
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
        return _cosine(base, self.eta_min, t / self.T_max)


class CosineAnnealingWarmRestarts(LRScheduler):
    """Cosine annealing that starts again after T_0 steps, then after T_0 * T_mult, and so on
    (Loshchilov and Hutter, 2017).

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
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int) -> float:
        length = self.T_0
        while t >= length:
            t -= length
            length *= self.T_mult
        return _cosine(base, self.eta_min, t / length)


class OneCycleLR(LRScheduler):
    """Up from max_lr / div_factor to max_lr, then down to max_lr / div_factor / final_div_factor.

    Smith and Topin (2018), as `torch.optim.lr_scheduler.OneCycleLR`; momentum (or beta1) moves the
    other way unless `cycle_momentum` is False. Give `total_steps`, or `epochs` and
    `steps_per_epoch`.

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0, momentum=0.9)
    >>> optim.lr_scheduler.OneCycleLR(opt, max_lr=1.0, total_steps=10).get_last_lr()
    [0.040000000000000036]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            check_counts(1, epochs=epochs, steps_per_epoch=steps_per_epoch)
            total_steps = epochs * steps_per_epoch
        check_counts(1, total_steps=total_steps)
        check_numbers("[0, inf)", max_lr=max_lr)
        check_numbers("[0, 1]", pct_start=pct_start)
        check_numbers("(0, inf)", div_factor=div_factor, final_div_factor=final_div_factor)
        check_numbers("(-inf, inf)", base_momentum=base_momentum, max_momentum=max_momentum)
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(
                f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}"
            )
        self.total_steps, self.pct_start = total_steps, pct_start
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        self.base_momentum, self.max_momentum = base_momentum, max_momentum
        self.max_lr = max_lr
        self.initial_lr = max_lr / div_factor
        self.min_lr = self.initial_lr / final_div_factor
        for group in optimizer.param_groups:
            group["initial_lr"] = self.initial_lr
        super().__init__(optimizer, last_epoch)

    def _between(self, low: float, high: float, end: float, t: int) -> float:
        """From low to high until the peak, then to end."""
        if t >= self.total_steps:
            raise ValueError(f"OneCycleLR was made for {self.total_steps} steps, not for more")
        peak = float(self.pct_start * self.total_steps) - 1
        last = self.total_steps - 1
        if t <= peak or last == peak:
            start, stop, part = low, high, t / peak if peak else 1.0
        else:
            start, stop, part = high, end, (t - peak) / (last - peak)
        if self.anneal_strategy == "linear":
            return start + (stop - start) * part
        return _cosine(start, stop, part)

    def rate(self, base: float, t: int) -> float:
        return self._between(self.initial_lr, self.max_lr, self.min_lr, t)

    def step(self, epoch: int | None = None) -> None:
        if self._postponed(lambda: self.step(epoch)):
            return
        super().step(epoch)
        if not self.cycle_momentum:
            return
        high, low = self.max_momentum, self.base_momentum
        momentum = self._between(high, low, high, self.last_epoch)
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            elif "momentum" in group:
                group["momentum"] = momentum


class SequentialLR(LRScheduler):
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
        if len(schedulers) != len(milestones) + 1:
            raise ValueError(
                f"expected one milestone less than schedulers, got {len(milestones)} and "
                f"{len(schedulers)}"
            )
        if any(s.optimizer is not optimizer for s in schedulers):
            raise ValueError("all schedulers must belong to the optimizer")
        self._schedulers, self.milestones = list(schedulers), list(milestones)
        super().__init__(optimizer, last_epoch)

    def step(self, epoch: int | None = None) -> None:
        if self._postponed(lambda: self.step(epoch)):
            return
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        i = bisect_right(self.milestones, self.last_epoch)
        start = self.milestones[i - 1] if i else 0
        self._schedulers[i].step(self.last_epoch - start)

    def state_dict(self) -> dict[str, Any]:
        state = {k: v for k, v in super().state_dict().items() if k != "_schedulers"}
        return {**state, "schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = dict(state_dict)
        for scheduler, saved in zip(self._schedulers, state.pop("schedulers"), strict=True):
            scheduler.load_state_dict(saved)
        super().load_state_dict(state)


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
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(f"unknown mode {mode!r} or threshold_mode {threshold_mode!r}")
        check_numbers("(-inf, 1)", factor=factor)
        check_numbers("(-inf, inf)", threshold=threshold, min_lr=min_lr, eps=eps)
        check_counts(0, patience=patience, cooldown=cooldown)
        self.optimizer = optimizer
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.min_lr, self.eps = cooldown, min_lr, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

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
        for group in self.optimizer.param_groups:
            new = max(group["lr"] * self.factor, self.min_lr)
            if group["lr"] - new > self.eps:
                group["lr"] = new


explained_classes(globals(), __all__)


def __getattr__(name: str) -> Any:
    raise unknown_name(__name__, name, __all__)
