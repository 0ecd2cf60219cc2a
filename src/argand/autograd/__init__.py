"""`argand.autograd`: gradients on demand and custom derivatives, as `torch.autograd`."""

import warnings
from typing import Any

from argand.autograd import forward_ad, function, functional, graph
from argand.tensor.autograd import backward, grad
from argand.tensor.gradcheck import GradcheckError, gradcheck, gradgradcheck
from argand.transform.anomaly import detect_anomaly, set_detect_anomaly
from argand.transform.custom import Function, FunctionCtx, once_differentiable
from argand.transform.mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)


def Variable(  # noqa: N802  # PyTorch's name
    data: Any, requires_grad: bool = False, volatile: bool | None = None
) -> Any:
    """The tensor itself; from the days when tensors and variables were different things, and
    `volatile` said what `no_grad` says now: it does nothing.

    >>> ag.autograd.Variable(ag.ones(2), requires_grad=True)
    tensor([1., 1.], requires_grad=True)
    """
    if volatile:
        message = "volatile was removed and now has no effect. Use `with ag.no_grad():` instead."
        warnings.warn(message, stacklevel=2)
    return data.requires_grad_() if requires_grad else data


__all__ = [
    "Function",
    "FunctionCtx",
    "GradcheckError",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "forward_ad",
    "function",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "once_differentiable",
    "set_detect_anomaly",
    "set_grad_enabled",
]
