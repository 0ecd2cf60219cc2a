"""`argand.autograd`: gradients on demand, as `torch.autograd`."""

from argand.tensor.autograd import backward, grad
from argand.transform.mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)

__all__ = [
    "backward",
    "enable_grad",
    "grad",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]
