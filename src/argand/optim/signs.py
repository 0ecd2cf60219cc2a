"""Optimizers whose steps follow the sign of the gradient."""

from __future__ import annotations

from typing import Any

from argand.base.domains import check_numbers
from argand.ir.op import ops
from argand.optim.group import ParamGroup
from argand.optim.optimizer import Optimizer
from argand.optim.options import implementation_options
from argand.optim.rules import check_betas, fresh, move_mean, shrunk
from argand.tensor.inplace import assign


class Rprop(Optimizer):
    """p -= sign(g) * step_size, with a size of its own for every element.

    A size grows by etas[1] while the gradient keeps its sign and shrinks by etas[0] when it
    changes, within `step_sizes`; the gradient of such a step counts as zero. Riedmiller and Braun
    (1993), as `torch.optim.Rprop`.

    >>> w = nn.Parameter(ag.tensor([1.0]))
    >>> opt = optim.Rprop([w], lr=0.1)
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
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_numbers("[0, inf]", lr=lr)
        check_numbers("(0, 1)", **{"etas[0]": etas[0]})
        check_numbers("(1, inf]", **{"etas[1]": etas[1]})
        options = implementation_options(
            "Rprop", foreach=foreach, differentiable=differentiable, capturable=capturable
        )
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            **options,
        }
        super().__init__(params, defaults)

    def update(self, p: Any, g: Any, state: Any, group: ParamGroup) -> None:
        """One step of one parameter."""
        (shrink, grow), (least, most) = group["etas"], group["step_sizes"]
        before, size = fresh(state, "prev", p), fresh(state, "step_size", p, group.option("lr"))
        agreement = ops.mul(g, before)
        turned = ops.lt(agreement, 0.0)
        grown = ops.where(ops.gt(agreement, 0.0), ops.mul(size, grow), size)
        new = ops.where(turned, ops.mul(size, shrink), grown)
        assign(size, ops.minimum(ops.maximum(new, least), most))
        g = ops.where(turned, 0.0, g)
        assign(p, ops.sub(p, ops.mul(ops.sign(g), size)))
        assign(before, g)


class Lion(Optimizer):
    """p -= lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * p), then m moves to beta2 * m +
    (1 - beta2) * g.

    Chen et al. (2023), "Symbolic discovery of optimization algorithms". PyTorch has none; the
    arguments are named as its optimizers name theirs.

    >>> w = nn.Parameter(ag.tensor([1.0]))
    >>> opt = optim.Lion([w], lr=0.1)
    >>> (3 * w).sum().backward()
    >>> opt.step()
    >>> w.detach()
    tensor([0.9000])
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_numbers("[0, inf]", lr=lr, weight_decay=weight_decay)
        check_betas(betas)
        defaults = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "maximize": maximize,
            **implementation_options(
                "Lion",
                foreach=foreach,
                capturable=capturable,
                differentiable=differentiable,
                fused=fused,
            ),
        }
        super().__init__(params, defaults)

    def update(self, p: Any, g: Any, state: Any, group: ParamGroup) -> None:
        """One step of one parameter."""
        beta1, beta2 = group["betas"]
        m = fresh(state, "exp_avg", p)
        direction = ops.sign(ops.add(ops.mul(m, beta1), ops.mul(g, 1 - beta1)))
        assign(p, ops.sub(shrunk(p, group), ops.mul(direction, group["lr"])))
        move_mean(m, g, 1 - beta2)
