"""Modules as functions, and several of them as one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from argand.func.calls import value_of
from argand.nn.module import Module
from argand.nn.norm import _BatchNorm
from argand.tensor.core import Tensor
from argand.tensor.joining import stack


def stack_module_state(
    models: Sequence[Module],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(parameters, buffers) of modules of one class, by name, those of a name stacked.

    New leaves, that want gradients where the modules' parameters do. With `functional_call` and
    `vmap` they are an ensemble that runs as one. RuntimeError for no module, for modules of several
    classes, or in different modes. Follows `torch.func.stack_module_state`.

    >>> parameters, buffers = ag.func.stack_module_state([nn.Linear(3, 2) for _ in range(5)])
    >>> parameters["weight"].shape
    argand.Size([5, 2, 3])
    """
    if not len(models):
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({m.training for m in models}) > 1:
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    if len({type(m) for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    parameters = [dict(m.named_parameters()) for m in models]
    buffers = [dict(m.named_buffers()) for m in models]
    return _stacked(parameters), _stacked(buffers)


def _stacked(states: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        name: stack([s[name].detach() for s in states]).requires_grad_(first.requires_grad)
        for name, first in states[0].items()
    }


def replace_all_batch_norm_modules_(root: Module) -> Module:
    """Let all batch norms of a module keep no running statistics; returns the module.

    In `vmap` these can't be written, being the same for all examples. Follows
    `torch.func.replace_all_batch_norm_modules_`.

    >>> model = ag.func.replace_all_batch_norm_modules_(nn.Sequential(nn.BatchNorm1d(2)))
    >>> model[0].running_mean is None
    True
    """
    for module in root.modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """`func` itself: what it computes is the same without in-place operations on intermediates.

    PyTorch's removes them for the sake of tracers; `ag.compile` removes them by itself. ValueError
    unless `remove` is "mutations" or "mutations_and_views". Follows `torch.func.functionalize`.

    >>> ag.func.functionalize(lambda x: x.clone().add_(1))(ag.zeros(2))
    tensor([1., 1.])
    """
    if remove not in ("mutations", "mutations_and_views"):
        raise ValueError(
            f"functionalize: expected remove to be 'mutations' or 'mutations_and_views', got "
            f"{remove!r}"
        )

    @functools.wraps(func)
    def same(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return same


def debug_unwrap(tensor: Any, *, recurse: bool = True) -> Any:
    """The tensor of all examples behind one that a function inside `vmap` sees.

    With their number first; through all levels of maps, or with `recurse` False through the
    innermost. For looking at it in a debugger. Any other tensor is given back as it is. Follows
    `torch.func.debug_unwrap`.

    >>> ag.vmap(lambda x: print(ag.func.debug_unwrap(x).shape) or x)(ag.zeros(3, 2)).shape
    argand.Size([3, 2])
    argand.Size([3, 2])
    """
    if not isinstance(tensor, Tensor):
        raise ValueError(f"debug_unwrap: expected a Tensor, got {type(tensor).__name__}")
    value = value_of(tensor)
    while value is not None:
        tensor = value.level.read(tensor).value
        value = value_of(tensor) if recurse else None
    return tensor
