"""What update rules share: tensors of the state, running means, weight decay."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.base.domains import check_numbers
from argand.base.dtype import get_default_dtype
from argand.ir.bind import eagerly, tracing
from argand.ir.op import ops
from argand.optim.group import ParamGroup
from argand.tensor.core import wrap
from argand.tensor.inplace import assign


def fresh(state: Any, key: str, like: Any, value: float = 0.0) -> Any:
    """The state tensor `key` in the shape of `like`; made as real memory, also inside a trace."""
    return shaped(state, key, like, tuple(int(s) for s in like.shape), value)


def shaped(state: Any, key: str, like: Any, shape: tuple[int, ...], value: float = 0.0) -> Any:
    """The state tensor `key` of a shape and the dtype of `like`, made where it is missing."""
    if state.get(key) is None:
        with eagerly():
            state[key] = wrap(np.full(shape, value, like.dtype.numpy))
    return state.get(key)


def fresh_number(state: Any, key: str, value: float, dtype: Any = None) -> Any:
    """The 0-d state tensor `key`; of the default dtype as PyTorch's are, unless one is given."""
    if state.get(key) is None:
        with eagerly():
            state[key] = wrap(np.array(value, dtype or number_dtype()))
    return state.get(key)


def number_dtype() -> Any:
    """The NumPy dtype of counts and other 0-d states: float64 where that is the default dtype."""
    return np.float64 if get_default_dtype().name == "float64" else np.float32


def number(tensor: Any) -> Any:
    """The value of a 0-d state: a number, inside a trace a 0-d float64 tensor."""
    return ops.cast(tensor, "float64") if tracing() else float(tensor.numpy_array())


def root(x: Any) -> Any:
    """The square root of a number or a 0-d tensor."""
    return math.sqrt(x) if isinstance(x, float) else ops.sqrt(x)


def decayed(p: Any, g: Any, group: ParamGroup) -> Any:
    """The gradient with the weight decay's added: g + weight_decay * p."""
    if not group.option("weight_decay"):
        return g
    return ops.add(g, ops.mul(p, group["weight_decay"]))


def decay_apart(p: Any, g: Any, group: ParamGroup) -> tuple[Any, Any]:
    """The parameter and the gradient with the weight decay: in the parameter if it is decoupled."""
    if not group.option("decoupled_weight_decay"):
        return p, decayed(p, g, group)
    return shrunk(p, group), g


def shrunk(p: Any, group: ParamGroup) -> Any:
    """The parameter after decoupled weight decay: p * (1 - lr * weight_decay)."""
    if not group.option("weight_decay"):
        return p
    return ops.mul(p, 1 - group["lr"] * group["weight_decay"])


def move_mean(mean: Any, new: Any, weight: Any) -> Any:
    """mean += weight * (new - mean), in place; returns it."""
    return assign(mean, ops.add(mean, ops.mul(ops.sub(new, mean), weight)))


def move_square(mean: Any, g: Any, keep: Any) -> Any:
    """mean = keep * mean + (1 - keep) * g ** 2, in place; returns it."""
    return assign(mean, ops.add(ops.mul(mean, keep), ops.mul(ops.mul(g, 1 - keep), g)))


def check_betas(betas: Any) -> None:
    """Refuse factors of running means outside [0, 1)."""
    check_numbers("[0, 1)", **{f"betas[{i}]": beta for i, beta in enumerate(betas)})
