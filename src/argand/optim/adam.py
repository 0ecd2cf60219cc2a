"""Adam and its relatives."""

from __future__ import annotations

from typing import Any, NamedTuple

from argand.base.domains import check_numbers
from argand.ir.op import ops
from argand.optim.group import ParamGroup
from argand.optim.optimizer import Optimizer, check_betas, decayed, fresh, root
from argand.tensor.inplace import assign


class Adam(Optimizer):
    """p -= lr * m / (sqrt(v) + eps), with bias-corrected running means m of g and v of g ** 2.

    Kingma and Ba (2015), as `torch.optim.Adam`: `betas` are the means' factors, `amsgrad` takes the
    largest v so far, `decoupled_weight_decay` is AdamW.

    >>> w = nn.Parameter(ag.tensor([1.0]))
    >>> opt = optim.Adam([w], lr=0.1)
    >>> (3 * w).sum().backward()
    >>> opt.step()
    >>> w.detach()
    tensor([0.9000])
    """

    counts = True

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
        check_numbers("[0, inf]", lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(betas)
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
        n = self.derived(state, group, _numbers)
        start = p
        if not group.option("decoupled_weight_decay"):
            g = decayed(p, g, group)
        elif group.option("weight_decay"):
            start = ops.mul(p, n.shrink)
        m, v = fresh(state, "exp_avg", p), fresh(state, "exp_avg_sq", p)
        assign(m, ops.add(m, ops.mul(ops.sub(g, m), n.new_mean)))
        assign(v, ops.add(ops.mul(v, n.keep_square), ops.mul(ops.mul(g, n.new_square), g)))
        second = v
        if group.option("amsgrad"):
            second = fresh(state, "max_exp_avg_sq", p)
            assign(second, ops.maximum(second, v))
        denominator = ops.add(ops.mul(ops.sqrt(second), n.scale), n.eps)
        assign(p, ops.sub(start, ops.div(ops.mul(m, n.size), denominator)))


class _Numbers(NamedTuple):
    """What Adam's formula needs of the hyper-parameters and the step."""

    new_mean: Any
    keep_square: Any
    new_square: Any
    size: Any
    scale: Any
    eps: Any
    shrink: Any


def _numbers(group: ParamGroup, t: Any) -> _Numbers:
    lr, (beta1, beta2) = group["lr"], group["betas"]
    return _Numbers(
        new_mean=1 - beta1,
        keep_square=beta2,
        new_square=1 - beta2,
        size=lr / (1 - beta1**t),
        scale=1 / root(1 - beta2**t),
        eps=group["eps"],
        shrink=1 - lr * group["weight_decay"],
    )


class AdamW(Adam):
    """Adam with decoupled weight decay: p *= 1 - lr * weight_decay before each step.

    Loshchilov and Hutter (2019), as `torch.optim.AdamW`.

    >>> layer = nn.Linear(2, 2)
    >>> groups = [{"params": layer.weight}, {"params": layer.bias, "weight_decay": 0.0}]
    >>> opt = optim.AdamW(groups, lr=3e-4)
    >>> [group["weight_decay"] for group in opt.param_groups]
    [0.01, 0.0]
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
    """Adam with the running maximum u = max(beta2 * u, abs(g) + eps) in place of sqrt(v).

    Kingma and Ba (2015), as `torch.optim.Adamax`.

    >>> optim.Adamax(nn.Linear(2, 2).parameters()).param_groups[0]["betas"]
    (0.9, 0.999)
    """

    counts = True

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
        check_numbers("[0, inf]", lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(betas)
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
        size = self.derived(state, group, lambda group, t: group["lr"] / (1 - beta1**t))
        g = decayed(p, g, group)
        m, u = fresh(state, "exp_avg", p), fresh(state, "exp_inf", p)
        assign(m, ops.add(m, ops.mul(ops.sub(g, m), 1 - beta1)))
        assign(u, ops.maximum(ops.mul(u, beta2), ops.add(ops.abs(g), group["eps"])))
        assign(p, ops.sub(p, ops.div(ops.mul(m, size), u)))
