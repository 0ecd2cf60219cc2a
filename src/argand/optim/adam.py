"""Adam and its relatives."""

from __future__ import annotations

from typing import Any, NamedTuple

from argand.base.domains import check_numbers
from argand.ir.op import ops
from argand.optim.group import ParamGroup
from argand.optim.optimizer import Optimizer
from argand.optim.options import implementation_options
from argand.optim.rules import (
    check_betas,
    decay_apart,
    decayed,
    fresh,
    fresh_number,
    move_mean,
    move_square,
    number,
    root,
)
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
        weight_decay: float = 0,
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
            **implementation_options(
                type(self).__name__,
                foreach=foreach,
                capturable=capturable,
                differentiable=differentiable,
                fused=fused,
            ),
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def update(self, p: Any, g: Any, state: Any, group: ParamGroup) -> None:
        """One step of one parameter."""
        n = self.derived(state, group, _numbers)
        start, g = decay_apart(p, g, group)
        m, v = fresh(state, "exp_avg", p), fresh(state, "exp_avg_sq", p)
        move_mean(m, g, n.new_mean)
        second = move_square(v, g, n.keep_square)
        if group.option("amsgrad"):
            second = fresh(state, "max_exp_avg_sq", p)
            assign(second, ops.maximum(second, v))
        denominator = ops.add(ops.mul(ops.sqrt(second), n.scale), n.eps)
        assign(p, ops.sub(start, ops.div(ops.mul(m, n.size), denominator)))


class _Numbers(NamedTuple):
    """What Adam's formula needs of the hyper-parameters and the step."""

    new_mean: Any
    keep_square: Any
    size: Any
    scale: Any
    eps: Any


def _numbers(group: ParamGroup, t: Any) -> _Numbers:
    lr, (beta1, beta2) = group["lr"], group["betas"]
    return _Numbers(
        new_mean=1 - beta1,
        keep_square=beta2,
        size=lr / (1 - beta1**t),
        scale=1 / root(1 - beta2**t),
        eps=group["eps"],
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
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_numbers("[0, inf]", lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(betas)
        options = implementation_options(
            "Adamax", foreach=foreach, differentiable=differentiable, capturable=capturable
        )
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            **options,
        }
        super().__init__(params, defaults)

    def update(self, p: Any, g: Any, state: Any, group: ParamGroup) -> None:
        """One step of one parameter."""
        beta1, beta2 = group["betas"]
        size = self.derived(state, group, lambda group, t: group["lr"] / (1 - beta1**t))
        g = decayed(p, g, group)
        m, u = fresh(state, "exp_avg", p), fresh(state, "exp_inf", p)
        move_mean(m, g, 1 - beta1)
        assign(u, ops.maximum(ops.mul(u, beta2), ops.add(ops.abs(g), group["eps"])))
        assign(p, ops.sub(p, ops.div(ops.mul(m, size), u)))


class NAdam(Optimizer):
    """Adam with Nesterov's momentum: p -= lr * (next share of m + share of g) / (sqrt(v) + eps).

    The momentum of step t is beta1 * (1 - 0.96 ** (t * momentum_decay) / 2); the state
    ``mu_product`` is the product of those so far. Dozat (2016), as `torch.optim.NAdam`.

    >>> optim.NAdam(nn.Linear(2, 2).parameters()).param_groups[0]["momentum_decay"]
    0.004
    """

    counts = True

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_numbers("[0, inf]", lr=lr, eps=eps, weight_decay=weight_decay)
        check_numbers("[0, inf]", momentum_decay=momentum_decay)
        check_betas(betas)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            **implementation_options(
                "NAdam", foreach=foreach, capturable=capturable, differentiable=differentiable
            ),
        }
        super().__init__(params, defaults)

    def update(self, p: Any, g: Any, state: Any, group: ParamGroup) -> None:
        """One step of one parameter."""
        lr, (beta1, beta2) = group["lr"], group["betas"]
        correction, now, later = self.derived(state, group, _momenta)
        start, g = decay_apart(p, g, group)
        product = fresh_number(state, "mu_product", 1.0)
        assign(product, ops.mul(product, now))
        so_far = number(product)
        m, v = fresh(state, "exp_avg", p), fresh(state, "exp_avg_sq", p)
        move_mean(m, g, 1 - beta1)
        move_square(v, g, beta2)
        denominator = ops.add(ops.sqrt(ops.div(v, correction)), group["eps"])
        of_g = ops.mul(g, lr * (1 - now) / (1 - so_far))
        of_m = ops.mul(m, lr * later / (1 - so_far * later))
        assign(p, ops.sub(ops.sub(start, ops.div(of_g, denominator)), ops.div(of_m, denominator)))


def _momenta(group: ParamGroup, t: Any) -> tuple[Any, Any, Any]:
    """The bias correction of v, and the momentum of this step and the next."""
    beta1, beta2 = group["betas"]
    decay = group["momentum_decay"]
    now, later = (beta1 * (1 - 0.5 * 0.96 ** (at * decay)) for at in (t, t + 1))
    return 1 - beta2**t, now, later


class RAdam(Optimizer):
    """Adam whose step is rectified by the variance of 1 / sqrt(v), and is not divided by it at all
    while too few gradients are known.

    Liu et al. (2020), as `torch.optim.RAdam`.

    >>> optim.RAdam(nn.Linear(2, 2).parameters()).param_groups[0]["lr"]
    0.001
    """

    counts = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_numbers("[0, inf]", lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(betas)
        options = implementation_options(
            "RAdam", foreach=foreach, capturable=capturable, differentiable=differentiable
        )
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            **options,
        }
        super().__init__(params, defaults)

    def update(self, p: Any, g: Any, state: Any, group: ParamGroup) -> None:
        """One step of one parameter."""
        beta1, beta2 = group["betas"]
        known, size, plain = self.derived(state, group, _rectified)
        start, g = decay_apart(p, g, group)
        m, v = fresh(state, "exp_avg", p), fresh(state, "exp_avg_sq", p)
        move_mean(m, g, 1 - beta1)
        move_square(v, g, beta2)
        rectified = ops.div(ops.mul(m, size), ops.add(ops.sqrt(v), group["eps"]))
        if isinstance(known, bool):
            step = rectified if known else ops.mul(m, plain)
        else:
            step = ops.where(known, rectified, ops.mul(m, plain))
        assign(p, ops.sub(start, step))


def _rectified(group: ParamGroup, t: Any) -> tuple[Any, Any, Any]:
    """Whether enough is known of v's variance, the factor of m / sqrt(v) then, and that of m
    alone otherwise."""
    lr, (beta1, beta2) = group["lr"], group["betas"]
    plain = lr / (1 - beta1**t)
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * t * beta2**t / (1 - beta2**t)
    known = length > 5.0
    if known is False:
        return known, plain, plain
    top = (length - 4) * (length - 2) * longest
    part = top / ((longest - 4) * (longest - 2) * length)
    if known is not True:
        part = ops.where(known, part, 1.0)
    return known, plain * root(part) * root(1 - beta2**t), plain


class SparseAdam(Optimizer):
    """Adam that leaves alone the rows whose gradient is zero: their means don't decay.

    As `torch.optim.SparseAdam`, for embeddings. There are no sparse gradients here, so a row counts
    as looked up where any of its gradient isn't zero; a row that was looked up and has a gradient
    of exact zeros is left alone too.

    >>> table = nn.Embedding(3, 2)
    >>> opt = optim.SparseAdam(table.parameters(), lr=0.1)
    >>> before = table.weight.detach().clone()
    >>> table(ag.tensor([1])).sum().backward()
    >>> opt.step()
    >>> (table.weight != before).any(1)
    tensor([False,  True, False])
    """

    counts = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        check_numbers("(0, inf]", lr=lr, eps=eps)
        check_betas(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        if any(p.dtype.is_complex for group in self.param_groups for p in group["params"]):
            raise ValueError("SparseAdam does not support complex parameters")

    def update(self, p: Any, g: Any, state: Any, group: ParamGroup) -> None:
        """One step of one parameter."""
        beta1, beta2 = group["betas"]
        size = self.derived(state, group, _sparse_size)
        touched = _rows_with_gradient(g)
        m, v = fresh(state, "exp_avg", p), fresh(state, "exp_avg_sq", p)
        mean = ops.add(m, ops.mul(ops.sub(g, m), 1 - beta1))
        square = ops.add(v, ops.mul(ops.sub(ops.square(g), v), 1 - beta2))
        assign(m, ops.where(touched, mean, m))
        assign(v, ops.where(touched, square, v))
        step = ops.mul(ops.div(m, ops.add(ops.sqrt(v), group["eps"])), size)
        assign(p, ops.where(touched, ops.sub(p, step), p))


def _sparse_size(group: ParamGroup, t: Any) -> Any:
    beta1, beta2 = group["betas"]
    return group["lr"] * root(1 - beta2**t) / (1 - beta1**t)


def _rows_with_gradient(g: Any) -> Any:
    """Which rows of the first dimension have a gradient."""
    rest = tuple(range(1, g.ndim))
    used = ops.ne(g, 0.0)
    return ops.any(used, dim=rest, keepdim=True) if rest else used
