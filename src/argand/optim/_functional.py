"""The update rules of the optimizers as functions of lists, as `torch.optim._functional` and
`torch.optim.adam.adam`: one step for each parameter, whose state the caller keeps.

Each takes parameters, gradients and lists of states by position, then the hyper-parameters by name,
and writes parameters and states in place. Options that choose among PyTorch's implementations
(`foreach`, `fused`, `capturable`) are taken and change nothing.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from argand.ir.op import ops
from argand.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam, SparseAdam
from argand.optim.group import ParamGroup
from argand.optim.matrices import Adafactor, Muon
from argand.optim.optimizer import Optimizer
from argand.optim.rmsprop import Adadelta, Adagrad, RMSprop
from argand.optim.sgd import ASGD, SGD
from argand.optim.signs import Rprop
from argand.tensor.core import Tensor, wrap
from argand.transform.mode import no_grad

# A function a line: its optimizer, its lists of states, its options by position with their
# defaults, and behind the star its hyper-parameters.
_FUNCTIONS = {
    "adadelta": (
        Adadelta,
        "square_avgs acc_deltas state_steps",
        "capturable foreach differentiable has_complex",
        "lr rho eps weight_decay maximize",
    ),
    "adafactor": (
        Adafactor,
        "row_vars col_vars variances state_steps",
        "foreach grad_scale found_inf has_complex",
        "d lr beta2_decay weight_decay eps1 eps2 maximize",
    ),
    "adagrad": (
        Adagrad,
        "state_sums state_steps",
        "fused grad_scale found_inf has_sparse_grad foreach differentiable has_complex",
        "lr weight_decay lr_decay eps maximize",
    ),
    "adam": (
        Adam,
        "exp_avgs exp_avg_sqs max_exp_avg_sqs state_steps",
        "foreach capturable differentiable fused grad_scale found_inf has_complex "
        "decoupled_weight_decay",
        "amsgrad beta1 beta2 lr weight_decay eps maximize",
    ),
    "adamax": (
        Adamax,
        "exp_avgs exp_infs state_steps",
        "foreach maximize differentiable capturable has_complex",
        "eps beta1 beta2 lr weight_decay",
    ),
    "adamw": (
        AdamW,
        "exp_avgs exp_avg_sqs max_exp_avg_sqs state_steps",
        "foreach capturable differentiable fused grad_scale found_inf has_complex",
        "amsgrad beta1 beta2 lr weight_decay eps maximize",
    ),
    "asgd": (
        ASGD,
        "axs mus etas state_steps",
        "foreach maximize differentiable capturable has_complex",
        "lambd lr t0 alpha weight_decay",
    ),
    "muon": (
        Muon,
        "muon_momentum_bufs",
        "foreach has_complex",
        "lr weight_decay momentum nesterov ns_coefficients ns_steps eps adjust_lr_fn",
    ),
    "nadam": (
        NAdam,
        "exp_avgs exp_avg_sqs mu_products state_steps",
        "decoupled_weight_decay foreach capturable differentiable has_complex maximize",
        "beta1 beta2 lr weight_decay momentum_decay eps",
    ),
    "radam": (
        RAdam,
        "exp_avgs exp_avg_sqs state_steps",
        "decoupled_weight_decay foreach differentiable capturable has_complex maximize",
        "beta1 beta2 lr weight_decay eps",
    ),
    "rmsprop": (
        RMSprop,
        "square_avgs grad_avgs momentum_buffer_list state_steps",
        "foreach maximize differentiable capturable has_complex",
        "lr alpha eps weight_decay momentum centered",
    ),
    "rprop": (
        Rprop,
        "prevs step_sizes state_steps",
        "foreach capturable maximize differentiable has_complex",
        "step_size_min step_size_max etaminus etaplus",
    ),
    "sgd": (
        SGD,
        "momentum_buffer_list",
        "has_sparse_grad foreach fused grad_scale found_inf",
        "weight_decay momentum lr dampening nesterov maximize",
    ),
    "sparse_adam": (
        SparseAdam,
        "exp_avgs exp_avg_sqs state_steps",
        "",
        "eps beta1 beta2 lr maximize",
    ),
}
_KEYS = {
    "state_sums": "sum",
    "state_steps": "step",
    "momentum_buffer_list": "momentum_buffer",
    "muon_momentum_bufs": "momentum_buffer",
}
_PAIRS = {
    "betas": ("beta1", "beta2"),
    "etas": ("etaminus", "etaplus"),
    "step_sizes": ("step_size_min", "step_size_max"),
}
_UNUSED = ("foreach", "fused", "capturable", "has_complex", "has_sparse_grad")
_FLAGS = ("maximize", "decoupled_weight_decay", "differentiable")


def _signature(lists: str, options: str, numbers: str) -> inspect.Signature:
    one, name = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter
    found = [name(n, one) for n in ("params", "grads", *lists.split())]
    for option in options.split():
        default = False if option in _FLAGS or option.startswith("has_") else None
        found.append(name(option, one, default=default))
    found += [name(n, name.KEYWORD_ONLY) for n in numbers.split()]
    return inspect.Signature(found)


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """The hyper-parameters as an optimizer's group has them."""
    found = {k: v for k, v in given.items() if k not in _UNUSED}
    for pair, parts in _PAIRS.items():
        if parts[0] in found:
            found[pair] = tuple(found.pop(part) for part in parts)
    if "eps1" in found:
        found["eps"] = (found.pop("eps1"), found.pop("eps2"))
    return found


def _step_of(name: str) -> Callable[..., None]:
    kind, lists, options, numbers = _FUNCTIONS[name]
    signature = _signature(lists, options, numbers)

    def function(*args: Any, **kwargs: Any) -> None:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        values = given.arguments
        params, grads = values.pop("params"), values.pop("grads")
        states = {_KEYS.get(k, k.removesuffix("s")): values.pop(k) for k in lists.split()}
        grads = _unscaled(grads, values.pop("grad_scale", None), values.pop("found_inf", None))
        if kind is AdamW:
            values["decoupled_weight_decay"] = True
        if grads is not None:
            _update(kind, params, grads, states, _options(dict(values)))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"One step of `optim.{kind.__name__}` for each parameter, in place."
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def _unscaled(grads: Any, scale: Any, found_inf: Any) -> Any:
    """The gradients; None where the step is to be left out."""
    if found_inf is not None and bool(found_inf):
        return None
    return grads if scale is None else [ops.div(g, scale) for g in grads]


def _update(
    kind: type[Optimizer],
    params: Sequence[Any],
    grads: Sequence[Any],
    states: dict[str, list[Any]],
    options: dict[str, Any],
) -> None:
    rule: Any = object.__new__(kind)
    rule._derived, rule.state = {}, defaultdict(dict)
    with nullcontext() if options.pop("differentiable", False) else no_grad():
        for i, (p, g) in enumerate(zip(params, grads, strict=True)):
            state = {k: v[i] for k, v in states.items() if i < len(v) and v[i] is not None}
            _advance(kind, state)
            rule.state[p] = state
            group = ParamGroup({**options, "lr": options.get("lr", 0.0), "params": [p]})
            rule._update(p, ops.neg(g) if options.get("maximize") else g, group)
            rule._derived.clear()
            for key, listed in states.items():
                if i < len(listed) and listed[i] is None:
                    listed[i] = state.get(key)


def _advance(kind: type[Optimizer], state: dict[str, Any]) -> None:
    """Count the step, and say whether there was one before."""
    step = state.get("step")
    if isinstance(step, Tensor):
        step.add_(1)
    elif step is not None:  # a number, which the caller has counted
        state["step"] = wrap(np.array(step, np.float64))
    if kind is SGD and state.get("momentum_buffer") is not None:
        state["started"] = wrap(np.ones(()))


def __getattr__(name: str) -> Any:
    if name not in _FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = _step_of(name)
    return found


def __dir__() -> list[str]:
    return sorted(_FUNCTIONS)
