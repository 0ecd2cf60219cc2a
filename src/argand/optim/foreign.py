"""What optimizers of other libraries import from `torch.optim.optimizer`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

from argand.transform.mode import enable_grad, no_grad

ParamsT: TypeAlias = Any
_params_t = ParamsT


def _get_capturable_supported_devices(supports_xla: bool = True) -> list[str]:
    return []


def _default_to_fused_or_foreach(
    params: Any, differentiable: bool, use_fused: bool = False
) -> tuple[bool, bool]:
    """Neither: one tensor after the other is as fast here."""
    return False, False


def _use_grad_for_differentiable(step: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(step)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with enable_grad() if self.defaults.get("differentiable") else no_grad():
            return step(self, *args, **kwargs)

    return call


def _disable_dynamo_if_unsupported(single_tensor_fn: Any = None) -> Callable[[Any], Any]:
    return lambda function: function


def _get_value(x: Any) -> Any:
    return x.item() if hasattr(x, "item") else x


def _stack_if_compiling(x: Any) -> Any:
    return x


def _view_as_real(params: Any, *states: Any) -> None:
    """Nothing: parameters are real."""
