"""Optimizers that treat a parameter as a matrix: Adafactor and Muon."""

from __future__ import annotations

import math
from typing import Any

from argand.base.domains import check_counts, check_numbers
from argand.base.errors import ArgumentError
from argand.ir.op import ops
from argand.optim.group import ParamGroup
from argand.optim.optimizer import Optimizer
from argand.optim.options import implementation_options
from argand.optim.rules import fresh, move_mean, root, shaped, shrunk
from argand.tensor.elementary import finfo
from argand.tensor.inplace import assign


class Adafactor(Optimizer):
    """Adam without m, whose v of a matrix is the product of its rows' and its columns' means.

    The step is min(lr, 1 / sqrt(step)) times the size of the parameter (at least eps[1]), and at
    most `d` of it. Shazeer and Stern (2018), as `torch.optim.Adafactor`.

    >>> w = nn.Parameter(ag.ones(3, 2))
    >>> opt = optim.Adafactor([w])
    >>> w.sum().backward()
    >>> opt.step()
    >>> opt.state[w]["row_var"].shape, opt.state[w]["col_var"].shape
    (argand.Size([3, 1]), argand.Size([1, 2]))
    """

    counts = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_numbers("[0, inf]", lr=lr, weight_decay=weight_decay)
        check_numbers("[-inf, 0]", beta2_decay=beta2_decay)
        check_numbers("[0, inf]", **{f"eps[{i}]": e for i, e in enumerate(eps) if e is not None})
        check_numbers("[1, inf]", d=d)
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            **implementation_options("Adafactor", foreach=foreach),
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def update(self, p: Any, g: Any, state: Any, group: ParamGroup) -> None:
        """One step of one parameter."""
        if p.dtype.is_complex:
            raise RuntimeError("Adafactor does not support complex parameters")
        weight, size = self.derived(state, group, _relative_step)
        tiny, least = group["eps"]
        tiny = float(finfo(p.dtype).eps) if tiny is None else tiny
        size = ops.mul(ops.maximum(_mean_size(p), least), size)
        start = shrunk(p, group)
        second = _factored(state, p, g, weight, tiny) if g.ndim > 1 else _whole(state, p, g, weight)
        u = ops.div(g, ops.sqrt(ops.maximum(second, tiny * tiny)))
        too_large = ops.maximum(ops.div(_mean_size(u), group["d"]), 1.0)
        assign(p, ops.sub(start, ops.mul(u, ops.div(size, too_large))))

    def state_shape(self, key: str, p: Any) -> tuple[int, ...] | None:
        """The means of rows and columns have the size 1 where they were taken."""
        shape = tuple(int(s) for s in p.shape)
        rows, columns = (*shape[:-1], 1), (*shape[:-2], 1, *shape[-1:])
        return {"row_var": rows, "col_var": columns}.get(key, shape)


def _relative_step(group: ParamGroup, t: Any) -> tuple[Any, Any]:
    """The weight of the new squares, and the step relative to the parameter's size."""
    lr, most = group["lr"], 1 / root(t)
    size = min(lr, most) if isinstance(most, float) else ops.minimum(lr, most)
    return t ** group["beta2_decay"], size


def _mean_size(x: Any) -> Any:
    """The root of the mean of squares, in float64."""
    return ops.sqrt(ops.cast(ops.mean(ops.square(x)), "float64"))


def _factored(state: Any, p: Any, g: Any, weight: Any, tiny: Any) -> Any:
    """The squares as the product of the rows' and the columns' means."""
    shape = tuple(int(s) for s in p.shape)
    squares = ops.square(g)
    rows = shaped(state, "row_var", p, (*shape[:-1], 1))
    columns = shaped(state, "col_var", p, (*shape[:-2], 1, shape[-1]))
    move_mean(rows, ops.mean(squares, dim=-1, keepdim=True), weight)
    move_mean(columns, ops.mean(squares, dim=-2, keepdim=True), weight)
    mean = ops.maximum(ops.mean(rows, dim=-2, keepdim=True), tiny)
    return ops.div(ops.mul(rows, columns), mean)


def _whole(state: Any, p: Any, g: Any, weight: Any) -> Any:
    """The running mean of the squares."""
    return move_mean(fresh(state, "variance", p), ops.square(g), weight)


class Muon(Optimizer):
    """p = p * (1 - lr * weight_decay) - lr * ratio * O, with O the momentum made orthogonal.

    A few steps of a Newton-Schulz iteration, rounded to bfloat16, bring the singular values of the
    momentum near 1. The ratio is sqrt(max(1, rows / columns)), or 0.2 * sqrt(max(rows, columns))
    with `adjust_lr_fn` "match_rms_adamw". For matrices only. Jordan et al. (2024), as
    `torch.optim.Muon`.

    >>> opt = optim.Muon([nn.Linear(2, 2).weight])
    >>> opt.param_groups[0]["ns_steps"]
    5
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_numbers("[0, inf]", lr=lr, weight_decay=weight_decay, momentum=momentum)
        check_counts(0, ns_steps=ns_steps)
        if ns_steps >= 100 or len(ns_coefficients) != 3:
            raise ValueError("Muon takes three ns_coefficients, and fewer than 100 ns_steps")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ArgumentError(
                "Muon: adjust_lr_fn must be None, 'original' or 'match_rms_adamw', got "
                f"{adjust_lr_fn!r}"
            )
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for p in (p for group in self.param_groups for p in group["params"]):
            if p.ndim != 2:
                raise ValueError(
                    f"Muon takes matrices only, got a parameter of {p.ndim} dimensions"
                )

    def update(self, p: Any, g: Any, state: Any, group: ParamGroup) -> None:
        """One step of one parameter."""
        if p.dtype.is_complex:
            raise RuntimeError("Muon does not support complex parameters")
        momentum = group["momentum"]
        step = move_mean(fresh(state, "momentum_buffer", p), g, 1 - momentum)
        if group.option("nesterov"):
            step = ops.add(g, ops.mul(ops.sub(step, g), momentum))
        size = group["lr"] * _ratio(p, group.option("adjust_lr_fn"))
        direction = ops.cast(_orthogonal(step, group), p.dtype)
        assign(p, ops.sub(shrunk(p, group), ops.mul(direction, size)))


def _ratio(p: Any, rule: str | None) -> float:
    rows, columns = (int(s) for s in p.shape)
    if rule == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))


def _orthogonal(matrix: Any, group: ParamGroup) -> Any:
    """A matrix with its singular values brought near 1, by an odd polynomial of degree 5."""
    a, b, c = group["ns_coefficients"]
    tall = matrix.shape[0] > matrix.shape[1]
    x = _rounded(ops.permute(matrix, (1, 0)) if tall else matrix)
    length = _rounded(ops.sqrt(ops.sum(ops.square(x))))
    x = _rounded(ops.div(x, ops.maximum(length, group["eps"])))
    for _ in range(group.option("ns_steps")):
        gram = _rounded(ops.matmul(x, ops.permute(x, (1, 0))))
        both = _rounded(ops.add(ops.mul(gram, b), ops.mul(ops.matmul(gram, gram), c)))
        x = _rounded(ops.add(ops.mul(x, a), ops.matmul(both, x)))
    return ops.permute(x, (1, 0)) if tall else x


def _rounded(x: Any) -> Any:
    """The values rounded to bfloat16, as float32: products are summed in float32."""
    return ops.cast(ops.cast(x, "bfloat16"), "float32")
