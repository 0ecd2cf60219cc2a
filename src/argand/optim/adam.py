"""Adam and its relatives."""

from __future__ import annotations

from typing import Any

from argand.ir.op import ops
from argand.optim.group import ParamGroup
from argand.optim.optimizer import Optimizer, advanced, check_range, decayed, fresh, root
from argand.tensor.inplace import assign


class Adam(Optimizer):
    """p -= lr * m / (sqrt(v) + eps), with bias-corrected running means m of g and v of g ** 2.

    Kingma and Ba (2015), as `torch.optim.Adam`; `amsgrad` takes the largest v so far,
    `decoupled_weight_decay` is AdamW.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_range("lr", lr, 0)
        check_range("eps", eps, 0)
        for i, beta in enumerate(betas):
            check_range(f"betas[{i}]", beta, 0, 1)
        check_range("weight_decay", weight_decay, 0)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def update(self, p: Any, g: Any, state: dict[str, Any], group: ParamGroup) -> None:
        """One step of one parameter."""
        lr, (beta1, beta2) = group["lr"], group["betas"]
        step = advanced(state)
        start = p
        if not group.option("decoupled_weight_decay"):
            g = decayed(p, g, group)
        elif group.option("weight_decay"):
            start = ops.mul(p, 1 - lr * group["weight_decay"])
        m, v = fresh(state, "exp_avg", p), fresh(state, "exp_avg_sq", p)
        assign(m, ops.add(m, ops.mul(ops.sub(g, m), 1 - beta1)))
        assign(v, ops.add(ops.mul(v, beta2), ops.mul(ops.mul(g, 1 - beta2), g)))
        second = v
        if group.option("amsgrad"):
            second = fresh(state, "max_exp_avg_sq", p)
            assign(second, ops.maximum(second, v))
        size = lr / (1 - beta1**step)
        scale = 1 / root(1 - beta2**step)
        denominator = ops.add(ops.mul(ops.sqrt(second), scale), group["eps"])
        assign(p, ops.sub(start, ops.div(ops.mul(m, size), denominator)))


class AdamW(Adam):
    """Adam with decoupled weight decay: p *= 1 - lr * weight_decay before each step.

    Loshchilov and Hutter (2019), as `torch.optim.AdamW`.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, decoupled_weight_decay=True, **options
        )


class Adamax(Optimizer):
    """Adam with the running maximum of abs(g) in place of sqrt(v), as `torch.optim.Adamax`."""

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
    ) -> None:
        check_range("lr", lr, 0)
        for i, beta in enumerate(betas):
            check_range(f"betas[{i}]", beta, 0, 1)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def update(self, p: Any, g: Any, state: dict[str, Any], group: ParamGroup) -> None:
        """One step of one parameter."""
        beta1, beta2 = group["betas"]
        step = advanced(state)
        g = decayed(p, g, group)
        m, u = fresh(state, "exp_avg", p), fresh(state, "exp_inf", p)
        assign(m, ops.add(m, ops.mul(ops.sub(g, m), 1 - beta1)))
        assign(u, ops.maximum(ops.mul(u, beta2), ops.add(ops.abs(g), group["eps"])))
        size = group["lr"] / (1 - beta1**step)
        assign(p, ops.sub(p, ops.div(ops.mul(m, size), u)))
