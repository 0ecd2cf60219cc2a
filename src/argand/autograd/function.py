"""`argand.autograd.function`: PyTorch's address of custom functions."""

from argand.transform.custom import Function, FunctionCtx, once_differentiable

__all__ = ["Function", "FunctionCtx", "once_differentiable"]
