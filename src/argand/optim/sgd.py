"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from argand.base.domains import check_numbers
from argand.ir.op import ops
from argand.optim.group import ParamGroup
from argand.optim.optimizer import Optimizer
from argand.optim.options import implementation_options
from argand.optim.rules import decayed, fresh, fresh_number, number
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

    unsaved = ("started",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
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
            **implementation_options(
                "SGD", foreach=foreach, differentiable=differentiable, fused=fused
            ),
        }
        super().__init__(params, defaults)

    def update(self, p: Any, g: Any, state: Any, group: ParamGroup) -> None:
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

    def resumed(self, values: Mapping[str, Any], p: Any) -> dict[str, Any]:
        """The saved state; where there is a buffer, a first step was taken."""
        state = super().resumed(values, p)
        if state.get("momentum_buffer") is not None:
            state["started"] = np.ones(())
        return state


def _first_share(state: Any, group: ParamGroup) -> Any:
    """1 - dampening, but 1 for the first step."""
    started = fresh_number(state, "started", 0.0, np.float64)
    share = ops.sub(1.0, ops.mul(started, group["dampening"]))
    assign(started, ops.full((), 1.0, started.dtype))
    return share


class ASGD(Optimizer):
    """Averaged stochastic gradient descent: p = p * (1 - lambd * eta) - eta * g, and a mean of p.

    eta = lr / (1 + lambd * lr * step) ** alpha; the state ``ax`` is p itself until step t0, then
    the mean of what p has been since. Polyak and Juditsky (1992), as `torch.optim.ASGD`.

    >>> optim.ASGD(nn.Linear(2, 2).parameters()).param_groups[0]["t0"]
    1000000.0
    """

    counts = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_numbers("[0, inf]", lr=lr, weight_decay=weight_decay)
        check_numbers("(-inf, inf)", lambd=lambd, alpha=alpha, t0=t0)
        options = implementation_options(
            "ASGD", foreach=foreach, differentiable=differentiable, capturable=capturable
        )
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            **options,
        }
        super().__init__(params, defaults)

    def update(self, p: Any, g: Any, state: Any, group: ParamGroup) -> None:
        """One step of one parameter."""
        g = decayed(p, g, group)
        average = fresh(state, "ax", p)
        eta = fresh_number(state, "eta", group.option("lr"))
        share = fresh_number(state, "mu", 1.0)
        size = number(eta)
        assign(p, ops.sub(ops.mul(p, 1 - group["lambd"] * size), ops.mul(g, size)))
        moved = ops.add(average, ops.mul(ops.sub(p, average), share))
        assign(average, ops.where(ops.eq(share, 1.0), p, moved))
        later, part = self.derived(state, group, _next_step)
        assign(eta, ops.full((), later, eta.dtype) if isinstance(later, float) else later)
        assign(share, ops.full((), part, share.dtype) if isinstance(part, float) else part)


def _next_step(group: ParamGroup, t: Any) -> tuple[Any, Any]:
    """The size of the next step, and its share of the mean."""
    lr = group["lr"]
    since = t - group["t0"]
    counted = max(1.0, since) if isinstance(since, float) else ops.maximum(since, 1.0)
    return lr / (1 + group["lambd"] * lr * t) ** group["alpha"], 1 / counted
