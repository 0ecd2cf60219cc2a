"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.domains import check_numbers
from argand.ir.bind import eagerly
from argand.ir.op import ops
from argand.optim.group import ParamGroup
from argand.optim.optimizer import Optimizer, decayed, fresh
from argand.tensor.core import wrap
from argand.tensor.inplace import assign


class SGD(Optimizer):
    """Stochastic gradient descent: p -= lr * d, with d = g + weight_decay * p.

    With `momentum` the step is b = momentum * b + (1 - dampening) * d, or with `nesterov` d +
    momentum * b; the first b is d itself. `maximize` goes up instead. As `torch.optim.SGD`. Raises
    ValueError for negative hyper-parameters.

    >>> w = nn.Parameter(ag.tensor([1.0]))
    >>> opt = optim.SGD([w], lr=0.1)
    >>> (3 * w).sum().backward()
    >>> opt.step()
    >>> w.detach()
    tensor([0.7000])
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_numbers("[0, inf]", lr=lr, momentum=momentum, weight_decay=weight_decay)
        check_numbers("(-inf, inf)", dampening=dampening)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("nesterov needs a momentum and no dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def update(self, p: Any, g: Any, state: dict[str, Any], group: ParamGroup) -> None:
        """One step of one parameter."""
        d = decayed(p, g, group)
        if group.option("momentum"):
            buffer = fresh(state, "momentum_buffer", p)
            share = _first_share(state, group) if group.option("dampening") else None
            added = d if share is None else ops.mul(d, share)
            assign(buffer, ops.add(ops.mul(buffer, group["momentum"]), added))
            nesterov = group.option("nesterov")
            d = ops.add(d, ops.mul(buffer, group["momentum"])) if nesterov else buffer
        assign(p, ops.sub(p, ops.mul(d, group["lr"])))


def _first_share(state: dict[str, Any], group: ParamGroup) -> Any:
    """1 - dampening, but 1 for the first step."""
    started = state.get("started")
    if started is None:
        with eagerly():
            started = state["started"] = wrap(np.zeros(()))
    share = ops.sub(1.0, ops.mul(started, group["dampening"]))
    assign(started, ops.full((), 1.0, started.dtype))
    return share
