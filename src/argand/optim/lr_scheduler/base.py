"""The base of the schedules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from argand.base.errors import ArgumentError
from argand.compile.api import on_replay
from argand.ir.bind import tracing
from argand.optim.optimizer import Optimizer


class LRScheduler:
    """Base of the schedules: a subclass defines ``rate(base, t)`` for step t and a base rate.

    Or it defines ``get_lr()``, the rates of all groups at step `last_epoch`, as with
    `torch.optim.lr_scheduler.LRScheduler`. Those that give a rate by the one before it
    (`next_rate`) work together on one optimizer.

    >>> class Halving(optim.lr_scheduler.LRScheduler):
    ...     def rate(self, base, t):
    ...         return base / 2**t
    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=0.8)
    >>> schedule = Halving(opt)
    >>> opt.step(); schedule.step(); schedule.get_last_lr()
    [0.4]
    """

    unsaved: tuple[str, ...] = ("optimizer",)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(self, optimizer)
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError("resuming a schedule needs 'initial_lr' in every parameter group")
        self.base_lrs = [g["initial_lr"] for g in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._get_lr_called_within_step = False  # a key of PyTorch's state dicts, as the others
        self._last_lr: list[float] = []
        self._initial_step()

    def _initial_step(self) -> None:
        """The step that gives the first rates."""
        self._step_count = 0
        self._is_initial = True
        self.step()
        self._is_initial = False

    def rate(self, base: float, t: int) -> float:
        """The learning rate after t steps."""
        raise NotImplementedError(f"{type(self).__name__} does not define rate")

    def next_rate(self, lr: float, base: float) -> float:
        """The rate of a group at step `last_epoch`, by the one it has."""
        return self.rate(base, self.last_epoch)

    def rates(self) -> list[float]:
        """The learning rate of each group at step `last_epoch`, whatever they have now."""
        return [self.rate(base, self.last_epoch) for base in self.base_lrs]

    def get_lr(self) -> list[float]:
        """The learning rates that the present step gives the groups."""
        groups = self.optimizer.param_groups
        return [
            self.next_rate(group["lr"], base)
            for group, base in zip(groups, self.base_lrs, strict=True)
        ]

    def step(self, epoch: int | None = None) -> None:
        """Count a step (or go to step `epoch`) and set the groups' learning rates.

        Called inside a compiled function it takes place after each call of the program; what reads
        the optimizer's numbers after it, in the same function, is refused.
        """
        if self._postponed(lambda: self.step(epoch)):
            return
        self._step_count += 1
        self._go(epoch)

    def _go(self, epoch: int | None = None) -> None:
        """Count a step, or go to one, and set the rates."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        closed = epoch is not None and type(self).rate is not LRScheduler.rate
        self._set(self.rates() if closed else self.get_lr())

    def _set(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = rates_of(self.optimizer)

    def _postponed(self, step: Callable[[], None]) -> bool:
        """Whether this is a trace, each of whose calls is followed by the step."""
        if not on_replay(step):
            return False
        for group in self.optimizer.param_groups:
            group.moves_after_call()
        return True

    def get_last_lr(self) -> list[float]:
        """The learning rates that were set last; in a trace, those of each call."""
        return rates_of(self.optimizer) if tracing() else list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes, under PyTorch's keys; functions are left out."""
        return {k: v for k, v in vars(self).items() if k not in self.unsaved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a schedule of the same kind stopped, here or in PyTorch."""
        vars(self).update(state_dict)


def rates_of(optimizer: Optimizer) -> list[float]:
    """The learning rates of an optimizer's groups."""
    return [group["lr"] for group in optimizer.param_groups]


def check_optimizer(scheduler: LRScheduler, optimizer: Any) -> None:
    """Refuse what is no optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(scheduler).__name__} takes an Optimizer, got {optimizer!r}")


def for_each_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """A value for each group: one for all, or a list."""
    count = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"expected {count} values for {name}, one a group, got {len(value)}")
    return list(value)


class MomentumCycle:
    """The momentum, or beta1, of an optimizer's groups, as a schedule moves it."""

    def __init__(self, optimizer: Optimizer) -> None:
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ArgumentError(
                f"{type(optimizer).__name__} has no momentum to cycle; give cycle_momentum=False"
            )
        self.use_beta1 = "betas" in optimizer.defaults

    def start(self, optimizer: Optimizer, base: list[float], most: list[float]) -> None:
        """Give each group its bounds, and the larger one to begin with."""
        for group, low, high in zip(optimizer.param_groups, base, most, strict=True):
            set_momentum(group, high)
            group["max_momentum"], group["base_momentum"] = high, low


def set_momentum(group: Any, momentum: float) -> None:
    """Set the momentum of a group, or its beta1."""
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum
