"""Gradient clipping, and parameters as one vector."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from argand.base.dtype import compute_dtype
from argand.base.errors import ArgumentError, ShapeError
from argand.base.notices import notice
from argand.ir.op import ops
from argand.tensor.core import Tensor
from argand.tensor.inplace import assign
from argand.transform.mode import no_grad

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "parameters_to_vector",
    "vector_to_parameters",
]


def _gradients(parameters: Any) -> list[Any]:
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    found = (p.grad for p in listed)
    return [g for g in found if g is not None]


def get_total_norm(
    tensors: Iterable[Any],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """The norm of all the tensors' elements together: the `norm_type`-norm of the tensors' norms.

    With `error_if_nonfinite` one that is NaN or infinite is a RuntimeError. `foreach` chooses
    between equal ways of computing in PyTorch; here there is one.

    >>> nn.utils.get_total_norm([ag.tensor([3.0]), ag.tensor([4.0])])
    tensor(5.)
    """
    norms = [_norm(g, norm_type) for g in tensors]
    if not norms:
        return ops.full((), 0.0, "float32")
    total = _norm(ops.cat(*(ops.reshape(n, (1,)) for n in norms)), norm_type)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"the total norm of order {norm_type} of the gradients is {total.item()}, so they "
            "can't be clipped"
        )
    return total


def _norm(x: Any, p: float) -> Any:
    if p == math.inf:
        return ops.amax(ops.abs(x))
    wide = ops.cast(x, compute_dtype(x.dtype))
    if p == 2:
        found = ops.sqrt(ops.sum(ops.square(wide)))
    else:
        found = ops.pow(ops.sum(ops.pow(ops.abs(wide), p)), 1 / p)
    return ops.cast(found, x.dtype)


def clip_grad_norm_(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """Scale the gradients so that their total norm is at most `max_norm`; returns what it was.

    The factor is min(1, max_norm / (norm + 1e-6)). With `error_if_nonfinite` a norm that is NaN or
    infinite is a RuntimeError.

    >>> w = nn.Parameter(ag.tensor([3.0, 4.0]))
    >>> w.grad = ag.tensor([30.0, 40.0])
    >>> nn.utils.clip_grad_norm_([w], 1.0)
    tensor(50.)
    >>> w.grad
    tensor([0.6000, 0.8000])
    """
    with no_grad():
        gradients = _gradients(parameters)
        total = get_total_norm(gradients, float(norm_type), error_if_nonfinite)
        _scale(gradients, max_norm, total)
    return total


def clip_grad_norm(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """The older name of `clip_grad_norm_`.

    >>> import warnings
    >>> warnings.simplefilter("ignore", FutureWarning)
    >>> nn.utils.clip_grad_norm([], 1.0)
    tensor(0.)
    """
    notice("clip_grad_norm is the older name of clip_grad_norm_", FutureWarning)
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite)


def _scale(gradients: list[Any], max_norm: float, total: Any) -> None:
    scale = ops.clamp(ops.div(max_norm, ops.add(total, 1e-6)), max=1.0)
    for g in gradients:
        assign(g, ops.mul(g, scale), "clip_grad_norm_")


def clip_grads_with_norm_(
    parameters: Any, max_norm: float, total_norm: Any, foreach: bool | None = None
) -> None:
    """Scale the gradients by min(1, max_norm / (total_norm + 1e-6)): the second half of
    `clip_grad_norm_`, for a norm that `get_total_norm` gave.

    >>> w = nn.Parameter(ag.zeros(1))
    >>> w.grad = ag.tensor([4.0])
    >>> nn.utils.clip_grads_with_norm_([w], 1.0, ag.tensor(4.0))
    >>> w.grad
    tensor([1.0000])
    """
    with no_grad():
        _scale(_gradients(parameters), max_norm, total_norm)


def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Keep every gradient's elements within +-clip_value, in place.

    >>> w = nn.Parameter(ag.zeros(2))
    >>> w.grad = ag.tensor([-3.0, 0.5])
    >>> nn.utils.clip_grad_value_([w], 1.0)
    >>> w.grad
    tensor([-1.0000,  0.5000])
    """
    with no_grad():
        for g in _gradients(parameters):
            assign(g, ops.clamp(g, -float(clip_value), float(clip_value)), "clip_grad_value_")


def parameters_to_vector(parameters: Iterable[Tensor]) -> Any:
    """All parameters as one vector, in their order.

    >>> nn.utils.parameters_to_vector(nn.Linear(3, 2).parameters()).shape
    argand.Size([8])
    """
    parts = [ops.reshape(p, (math.prod(p.shape),)) for p in parameters]
    if not parts:
        raise ArgumentError("parameters_to_vector: there are no parameters")
    return ops.cat(*parts)


def vector_to_parameters(vec: Any, parameters: Iterable[Tensor]) -> None:
    """Write the parts of a vector into the parameters, in their order: `parameters_to_vector`
    undone.

    >>> layer = nn.Linear(1, 1)
    >>> nn.utils.vector_to_parameters(ag.tensor([2.0, 3.0]), layer.parameters())
    >>> layer.bias.detach()
    tensor([3.])
    """
    listed: Sequence[Tensor] = list(parameters)
    wanted = sum(math.prod(p.shape) for p in listed)
    if tuple(vec.shape) != (wanted,):
        raise ShapeError(
            f"vector_to_parameters: the parameters take a vector of {wanted} elements, got shape "
            f"{tuple(vec.shape)}"
        )
    start = 0
    with no_grad():
        for p in listed:
            stop = start + math.prod(p.shape)
            part = ops.slice(vec, (start,), (stop,))
            assign(p, ops.reshape(part, tuple(p.shape)), "vector_to_parameters")
            start = stop
