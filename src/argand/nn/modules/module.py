"""`argand.nn.modules.module`: functions called around the `forward` of every module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.nn.hooks import HookTable, of_all_modules
from argand.nn.module import Module
from argand.transform.hooks import RemovableHandle

__all__ = [
    "Module",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
]


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, args)`` before the `forward` of every module, and before its own hooks.

    What it gives, unless None, replaces the arguments.

    >>> from argand.nn.modules.module import register_module_forward_pre_hook
    >>> with register_module_forward_pre_hook(lambda module, args: print(type(module).__name__)):
    ...     y = nn.Sequential(nn.Linear(2, 3), nn.ReLU())(ag.ones(1, 2))
    Sequential
    Linear
    ReLU
    """
    return _added(of_all_modules.before, hook)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call ``hook(module, args, output)`` after the `forward` of every module; what it gives,
    unless None, replaces the output.

    With `with_kwargs` it is ``hook(module, args, kwargs, output)``; with `always_call` it is called
    after an error too.

    >>> from argand.nn.modules.module import register_module_forward_hook
    >>> with register_module_forward_hook(lambda module, args, output: output * 2):
    ...     print(nn.Identity()(ag.ones(2)))
    tensor([2., 2.])
    """
    handle = _added(of_all_modules.after, hook)
    if with_kwargs:
        of_all_modules.with_kwargs.add(handle.key)
    if always_call:
        of_all_modules.always.add(handle.key)
    return handle


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, grad_output)`` before the gradients of every module's inputs are
    computed; what it gives, unless None, replaces the gradients of the output.

    >>> from argand.nn.modules.module import register_module_full_backward_pre_hook
    >>> with register_module_full_backward_pre_hook(lambda module, grads: print(grads)):
    ...     nn.Identity()(ag.ones(1, requires_grad=True)).sum().backward()
    (tensor([1.]),)
    """
    return _added(of_all_modules.gradients_before, hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output)`` when the gradients of a module's inputs are
    computed, of every module; what it gives, unless None, replaces those of the inputs.

    >>> from argand.nn.modules.module import register_module_full_backward_hook
    >>> with register_module_full_backward_hook(lambda module, inputs, outputs: print(inputs)):
    ...     nn.ReLU()(ag.ones(1, requires_grad=True)).sum().backward()
    (tensor([1.]),)
    """
    return _added(of_all_modules.gradients, hook)


def _added(table: HookTable, hook: Callable[..., Any]) -> RemovableHandle:
    Module._special = of_all_modules  # what modules without hooks of their own have
    return table.add(hook)
