"""Optimizers that divide by running or summed squares of the gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argand.base.domains import check_numbers
from argand.ir.op import ops
from argand.optim.group import ParamGroup
from argand.optim.optimizer import Optimizer, seen
from argand.optim.options import implementation_options
from argand.optim.rules import decayed, fresh, move_mean, move_square
from argand.tensor.inplace import assign


class RMSprop(Optimizer):
    """p -= lr * g / (sqrt(v) + eps), with a running mean v of g ** 2, as `torch.optim.RMSprop`.

    `alpha` is the mean's factor, `centered` subtracts the squared running mean of g from v,
    `momentum` keeps a buffer of steps. Tieleman and Hinton (2012).

    >>> optim.RMSprop(nn.Linear(2, 2).parameters()).param_groups[0]["alpha"]
    0.99
    """

    counts = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_numbers("[0, inf]", lr=lr, eps=eps, weight_decay=weight_decay)
        check_numbers("[0, inf]", momentum=momentum, alpha=alpha)
        options = implementation_options(
            "RMSprop", capturable=capturable, foreach=foreach, differentiable=differentiable
        )
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            **options,
        }
        super().__init__(params, defaults)

    def update(self, p: Any, g: Any, state: Any, group: ParamGroup) -> None:
        """One step of one parameter."""
        alpha = group["alpha"]
        g = decayed(p, g, group)
        square = fresh(state, "square_avg", p)
        variance = move_square(square, g, alpha)
        if group.option("centered"):
            mean = fresh(state, "grad_avg", p)
            move_mean(mean, g, 1 - alpha)
            variance = ops.sub(square, ops.square(mean))
        d = ops.div(g, ops.add(ops.sqrt(variance), group["eps"]))
        if group.option("momentum"):
            buffer = fresh(state, "momentum_buffer", p)
            assign(buffer, ops.add(ops.mul(buffer, group["momentum"]), d))
            d = buffer
        assign(p, ops.sub(p, ops.mul(d, group["lr"])))


class Adagrad(Optimizer):
    """p -= lr / (1 + (step - 1) * lr_decay) * g / (sqrt(sum of g ** 2) + eps).

    Duchi, Hazan and Singer (2011), as `torch.optim.Adagrad`.

    >>> w = nn.Parameter(ag.tensor([1.0]))
    >>> opt = optim.Adagrad([w], lr=0.1)
    >>> (3 * w).sum().backward()
    >>> opt.step()
    >>> w.detach()
    tensor([0.9000])
    """

    counts = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_numbers("[0, inf]", lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps)
        check_numbers("[0, inf]", initial_accumulator_value=initial_accumulator_value)
        options = implementation_options(
            "Adagrad", foreach=foreach, differentiable=differentiable, fused=fused
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            **options,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add parameters; their state is made at once."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for p in group["params"]:
            _total(self.parts(p), group, seen(p))
        self._set_steps([(p, 0.0) for p in group["params"]])

    def update(self, p: Any, g: Any, state: Any, group: ParamGroup) -> None:
        """One step of one parameter."""
        size = self.derived(state, group, _size)
        g = decayed(p, g, group)
        total = _total(state, group, p)
        assign(total, ops.add(total, ops.square(g)))
        d = ops.div(ops.mul(g, size), ops.add(ops.sqrt(total), group["eps"]))
        assign(p, ops.sub(p, d))


def _total(state: Any, group: ParamGroup, p: Any) -> Any:
    """The sum of squares so far."""
    return fresh(state, "sum", p, group.option("initial_accumulator_value"))


def _size(group: ParamGroup, t: Any) -> Any:
    return group["lr"] / ((t - 1) * group["lr_decay"] + 1)


class Adadelta(Optimizer):
    """p -= lr * d, with d = g * sqrt(running mean of d ** 2 + eps) / sqrt(that of g ** 2 + eps).

    Zeiler (2012), as `torch.optim.Adadelta`; `rho` is the means' factor.

    >>> optim.Adadelta(nn.Linear(2, 2).parameters()).param_groups[0]["rho"]
    0.9
    """

    counts = True

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_numbers("[0, inf]", lr=lr, eps=eps, weight_decay=weight_decay)
        check_numbers("[0, 1]", rho=rho)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            **implementation_options(
                "Adadelta", capturable=capturable, foreach=foreach, differentiable=differentiable
            ),
        }
        super().__init__(params, defaults)

    def update(self, p: Any, g: Any, state: Any, group: ParamGroup) -> None:
        """One step of one parameter."""
        rho, eps = group["rho"], group["eps"]
        g = decayed(p, g, group)
        square, steps = fresh(state, "square_avg", p), fresh(state, "acc_delta", p)
        move_square(square, g, rho)
        ratio = ops.div(ops.sqrt(ops.add(steps, eps)), ops.sqrt(ops.add(square, eps)))
        d = ops.mul(ratio, g)
        move_square(steps, d, rho)
        assign(p, ops.sub(p, ops.mul(d, group["lr"])))
