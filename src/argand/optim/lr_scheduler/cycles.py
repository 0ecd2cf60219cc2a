"""Schedules that raise the rate and lower it again, and move the momentum the other way."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any

from argand.base.domains import check_counts, check_numbers
from argand.base.errors import ArgumentError
from argand.optim.lr_scheduler.base import (
    LRScheduler,
    MomentumCycle,
    check_optimizer,
    for_each_group,
    set_momentum,
)
from argand.optim.lr_scheduler.cosine import along_cosine
from argand.optim.optimizer import Optimizer


class CyclicLR(LRScheduler):
    """Up from base_lr to max_lr in `step_size_up` steps, down in `step_size_down`, and again.

    `mode` "triangular" repeats the cycle, "triangular2" halves its height each time, "exp_range"
    multiplies it by gamma ** t; `scale_fn` of the cycle (or of t with ``scale_mode="iterations"``)
    does so in any other way. Smith (2017), as `torch.optim.lr_scheduler.CyclicLR`.

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0, momentum=0.9)
    >>> schedule = optim.lr_scheduler.CyclicLR(opt, base_lr=0.5, max_lr=1.0, step_size_up=2)
    >>> opt.step(); schedule.step(); schedule.get_last_lr()
    [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Any,
        max_lr: Any,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(self, optimizer)
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ArgumentError(
                "CyclicLR: mode must be 'triangular', 'triangular2' or 'exp_range' without a "
                f"scale_fn, got {mode!r}"
            )
        base_lrs = for_each_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                group["lr"] = lr
        self.max_lrs = for_each_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        self.mode, self.gamma, self.cycle_momentum = mode, gamma, cycle_momentum
        self._scale_fn_custom = scale_fn
        by_steps = mode == "exp_range"
        self.scale_mode = scale_mode if scale_fn else "iterations" if by_steps else "cycle"
        if cycle_momentum:
            cycle = MomentumCycle(optimizer)
            self.use_beta1 = cycle.use_beta1
            self.base_momentums = for_each_group("base_momentum", optimizer, base_momentum)
            self.max_momentums = for_each_group("max_momentum", optimizer, max_momentum)
            if last_epoch == -1:
                cycle.start(optimizer, self.base_momentums, self.max_momentums)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The factor of the height of cycle x, or of step x."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular2":
            return float(1 / 2.0 ** (x - 1))
        return float(self.gamma**x) if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        up = x <= self.step_ratio
        part = x / self.step_ratio if up else (x - 1) / (self.step_ratio - 1)
        part *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            bounds = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, bounds, strict=True):
                set_momentum(group, high - (high - low) * part)
        pairs = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * part for low, high in pairs]

    def state_dict(self) -> dict[str, Any]:
        """The state; of `scale_fn`, the attributes if it is an object."""
        function = self._scale_fn_custom
        plain = function is None or isinstance(function, types.FunctionType)
        saved = None if plain else dict(vars(function))
        return {**super().state_dict(), "_scale_fn_custom": saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a schedule with the same function stopped."""
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_scale_fn_custom"})
        saved = state_dict.get("_scale_fn_custom")
        if saved is not None and self._scale_fn_custom is not None:
            vars(self._scale_fn_custom).update(saved)


_UP = ("initial_lr", "max_lr", "max_momentum", "base_momentum")
_TO_THE_END = ("max_lr", "min_lr", "base_momentum", "max_momentum")
_DOWN = ("max_lr", "initial_lr", "base_momentum", "max_momentum")
_OUT = ("initial_lr", "min_lr", "max_momentum", "max_momentum")
_KEYS = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")


class OneCycleLR(LRScheduler):
    """Up from max_lr / div_factor to max_lr, then down to max_lr / div_factor / final_div_factor.

    Smith and Topin (2018), as `torch.optim.lr_scheduler.OneCycleLR`; momentum (or beta1) moves the
    other way unless `cycle_momentum` is False. With `three_phase` it goes down as it came up, and
    from there to the end. Give `total_steps`, or `epochs` and `steps_per_epoch`.

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0, momentum=0.9)
    >>> optim.lr_scheduler.OneCycleLR(opt, max_lr=1.0, total_steps=10).get_last_lr()
    [0.040000000000000036]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Any,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.85,
        max_momentum: Any = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(self, optimizer)
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        check_numbers("[0, 1]", pct_start=pct_start)
        check_numbers("(0, inf)", div_factor=div_factor, final_div_factor=final_div_factor)
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(
                f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}"
            )
        self._schedule_phases = self._phases(pct_start, three_phase)
        self._anneal_func_type, self.cycle_momentum = anneal_strategy, cycle_momentum
        highest = for_each_group("max_lr", optimizer, max_lr)
        for lr in highest:
            check_numbers("[0, inf)", max_lr=lr)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, highest, strict=True):
                group["initial_lr"], group["max_lr"] = lr / div_factor, lr
                group["min_lr"] = lr / div_factor / final_div_factor
        if cycle_momentum:
            cycle = MomentumCycle(optimizer)
            self.use_beta1 = cycle.use_beta1
            low = for_each_group("base_momentum", optimizer, base_momentum)
            high = for_each_group("max_momentum", optimizer, max_momentum)
            check_numbers("(-inf, inf)", **{f"momentum {i}": m for i, m in enumerate(low + high)})
            if last_epoch == -1:
                cycle.start(optimizer, low, high)
        super().__init__(optimizer, last_epoch)

    def _phases(self, part: float, three: bool) -> list[dict[str, Any]]:
        """When each phase ends, and between which values of a group it moves."""
        last = self.total_steps - 1
        ends = [float(part * self.total_steps) - 1]
        ends += [float(2 * part * self.total_steps) - 2] if three else []
        moves = (_UP, _DOWN, _OUT) if three else (_UP, _TO_THE_END)
        steps = zip((*ends, last), moves, strict=True)
        return [dict(zip(_KEYS, (end, *names), strict=True)) for end, names in steps]

    def _between(self, start: float, end: float, part: float) -> float:
        if self._anneal_func_type == "linear":
            return start + (end - start) * part
        return along_cosine(start, end, part)

    def get_lr(self) -> list[float]:
        t, began = self.last_epoch, 0.0
        if t > self.total_steps:
            raise ValueError(f"OneCycleLR was made for {self.total_steps} steps, not for more")
        phase = self._schedule_phases[-1]
        for candidate in self._schedule_phases[:-1]:
            if t <= candidate["end_step"]:
                phase = candidate
                break
            began = candidate["end_step"]
        length = phase["end_step"] - began
        part = (t - began) / length if length else 1.0
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], part))
            if self.cycle_momentum:
                ends = group[phase["start_momentum"]], group[phase["end_momentum"]]
                set_momentum(group, self._between(*ends, part))
        return rates


def _total_steps(total: int | None, epochs: int | None, each: int | None) -> int:
    if total is None:
        if epochs is None or each is None:
            raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
        check_counts(1, epochs=epochs, steps_per_epoch=each)
        return epochs * each
    check_counts(1, total_steps=total)
    return total
