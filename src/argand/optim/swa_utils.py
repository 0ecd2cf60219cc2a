"""Averages of a model's weights over training, as `torch.optim.swa_utils`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

from argand.base.domains import check_counts, check_numbers
from argand.base.errors import ArgumentError
from argand.base.misuse import explained_classes
from argand.ir.op import ops
from argand.nn.module import Module
from argand.nn.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d, SyncBatchNorm
from argand.optim.lr_scheduler.base import LRScheduler, for_each_group
from argand.optim.optimizer import Optimizer
from argand.tensor.core import Tensor
from argand.tensor.inplace import assign
from argand.transform.mode import no_grad

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

_BATCH_NORMS = (BatchNorm1d, BatchNorm2d, BatchNorm3d, SyncBatchNorm)

AverageOne = Callable[[Any, Any, Any], Any]
AverageAll = Callable[[Sequence[Any], Sequence[Any], Any], None]


def get_ema_avg_fn(decay: float = 0.999) -> AverageOne:
    """decay * average + (1 - decay) * new: an exponential moving average, for `avg_fn`.

    >>> optim.swa_utils.get_ema_avg_fn(0.5)(ag.tensor(2.0), ag.tensor(4.0), 1)
    tensor(3.)
    """
    check_numbers("[0, 1]", decay=decay)

    def average(old: Any, new: Any, count: Any) -> Any:
        with no_grad():
            return old * decay + new * (1 - decay)

    return average


def get_swa_avg_fn() -> AverageOne:
    """average + (new - average) / (count + 1): the mean of all so far, for `avg_fn`.

    >>> optim.swa_utils.get_swa_avg_fn()(ag.tensor(2.0), ag.tensor(5.0), 2)
    tensor(3.)
    """

    def average(old: Any, new: Any, count: Any) -> Any:
        with no_grad():
            return old + (new - old) / (count + 1)

    return average


def get_ema_multi_avg_fn(decay: float = 0.999) -> AverageAll:
    """`get_ema_avg_fn` over lists, whose first is written, for `multi_avg_fn`.

    >>> old = [ag.tensor(2.0)]
    >>> optim.swa_utils.get_ema_multi_avg_fn(0.5)(old, [ag.tensor(4.0)], 1)
    >>> old
    [tensor(3.)]
    """
    return _over_lists(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> AverageAll:
    """`get_swa_avg_fn` over lists, whose first is written, for `multi_avg_fn`.

    >>> old = [ag.tensor(2.0)]
    >>> optim.swa_utils.get_swa_multi_avg_fn()(old, [ag.tensor(5.0)], 2)
    >>> old
    [tensor(3.)]
    """
    return _over_lists(get_swa_avg_fn())


def _over_lists(one: AverageOne) -> AverageAll:
    def average(old: Sequence[Any], new: Sequence[Any], count: Any) -> None:
        with no_grad():
            for target, value in zip(old, new, strict=True):
                _write(target, one(target, value, count))

    return average


def _write(target: Any, value: Any) -> None:
    """Write an average, which of whole numbers is cut to one."""
    assign(target, value if value.dtype is target.dtype else ops.cast(value, target.dtype))


class AveragedModel(Module):
    """A copy of a model whose parameters are averages: `update_parameters(model)` takes them in.

    The mean of all, unless `avg_fn(average, new, count)` or `multi_avg_fn` of lists says another
    rule. Buffers are copied, or averaged too with `use_buffers`. Izmailov et al. (2018), as
    `torch.optim.swa_utils.AveragedModel`.

    >>> layer = nn.Linear(1, 1)
    >>> averaged = optim.swa_utils.AveragedModel(layer)
    >>> averaged.update_parameters(layer)
    >>> averaged.n_averaged
    tensor(1)
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: AverageOne | None = None,
        multi_avg_fn: AverageAll | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError("AveragedModel takes avg_fn or multi_avg_fn, not both")
        self.module = deepcopy(model) if device is None else deepcopy(model).to(device)
        self.register_buffer("n_averaged", ops.full((), 0, "int64"))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model computes."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the parameters of a model into the averages; the first ones are copied."""
        with no_grad():
            old, new = self._averaged(self.module), self._averaged(model)
            if self.n_averaged.item() == 0:
                for target, value in zip(old, new, strict=True):
                    assign(target, value)
            elif self.multi_avg_fn is not None:
                self.multi_avg_fn(old, new, self.n_averaged)
            else:
                _over_lists(self.avg_fn or get_swa_avg_fn())(old, new, self.n_averaged)
            if not self.use_buffers:
                for target, value in zip(self.module.buffers(), model.buffers(), strict=True):
                    assign(target, value)
            assign(self.n_averaged, ops.add(self.n_averaged, 1))

    def _averaged(self, model: Module) -> list[Any]:
        buffers = model.buffers() if self.use_buffers else ()
        return [t.detach() for t in itertools.chain(model.parameters(), buffers)]


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of batch norms anew, as means over the batches of `loader`.

    What a batch has beside its first part (the targets) is left out. As
    `torch.optim.swa_utils.update_bn`.

    >>> norm = nn.BatchNorm1d(1)
    >>> optim.swa_utils.update_bn([ag.tensor([[1.0], [3.0]])], norm)
    >>> norm.running_mean
    tensor([2.])
    """
    norms = [m for m in model.modules() if isinstance(m, _BATCH_NORMS)]
    if not norms:
        return
    training, momenta = model.training, [m.momentum for m in norms]
    model.train()
    for module in norms:
        module.reset_running_stats()
        module.momentum = None
    try:
        with no_grad():
            for batch in loader:
                x = batch[0] if isinstance(batch, list | tuple) else batch
                model(x if device is None else x.to(device))
    finally:
        for module, momentum in zip(norms, momenta, strict=True):
            module.momentum = momentum
        model.train(training)


class SWALR(LRScheduler):
    """From the rate that each group has to `swa_lr`, in `anneal_epochs` steps, and no further.

    `anneal_strategy` "cos" or "linear" says how. As `torch.optim.swa_utils.SWALR`.

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = optim.swa_utils.SWALR(opt, swa_lr=0.5, anneal_epochs=2)
    >>> opt.step(); schedule.step(); schedule.get_last_lr()
    [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        for group, lr in zip(
            optimizer.param_groups, for_each_group("swa_lr", optimizer, swa_lr), strict=True
        ):
            group["swa_lr"] = lr
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(
                f"SWALR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}"
            )
        check_counts(0, anneal_epochs=anneal_epochs)
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How much of a rate is swa_lr after some steps."""
        part = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return part if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * part)) / 2

    def get_lr(self) -> list[float]:
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            lr, end = group["lr"], group["swa_lr"]
            start = end if before == 1 else (lr - before * end) / (1 - before)
            rates.append(end * now + start * (1 - now))
        return rates


explained_classes(globals(), ("AveragedModel", "SWALR"))
