"""Modules made ready for inference: weights become constants."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from argand.jit.modules import RecursiveScriptModule, ScriptModule


def freeze(
    mod: Any, preserved_attrs: Sequence[str] | None = None, optimize_numerics: bool = True
) -> Any:
    """The module with its tensors as constants: it has no parameters, and later changes of the
    original's don't reach it.

    Args:
        mod: what `trace` or `script` gave, in eval mode.
        preserved_attrs: attributes and methods to keep beside `forward`.

    Raises RuntimeError for another module, or one in training mode.

    >>> frozen = ag.jit.freeze(ag.jit.script(nn.Linear(2, 3).eval()))
    >>> list(frozen.parameters()), frozen(ag.ones(1, 2)).shape
    ([], argand.Size([1, 3]))
    """
    if not isinstance(mod, ScriptModule):
        raise RuntimeError(
            "Freezing expects a ScriptModule as input. Please use torch.jit.script or "
            "torch.jit.trace to script your 'nn.Module'."
        )
    if mod.training:
        raise RuntimeError(
            "Freezing is currently only implemented for modules in eval mode. Please call .eval() "
            "on your module before freezing."
        )
    kept = copy.deepcopy(mod)
    made = RecursiveScriptModule()
    made.__dict__["_name"] = mod.original_name
    made.__dict__["training"] = False
    for name in preserved_attrs or ():
        if name not in kept._methods:
            setattr(made, name, getattr(kept, name))
    wanted = {"forward", *(preserved_attrs or ())}
    made.__dict__["_methods"].update({n: m for n, m in kept._methods.items() if n in wanted})
    for tensor in (*kept.parameters(), *kept.buffers()):
        tensor.requires_grad_(False)
    for method in made._methods.values():
        method.constant = True
    return made


def run_frozen_optimizations(
    mod: Any, optimize_numerics: bool = True, preserved_methods: Sequence[str] | None = None
) -> None:
    """Nothing: a program is optimised when it first runs.

    >>> ag.jit.run_frozen_optimizations(ag.jit.freeze(ag.jit.script(nn.ReLU().eval())))
    """


def optimize_for_inference(mod: Any, other_methods: Sequence[str] | None = None) -> Any:
    """The module, frozen if it is not; a program is optimised when it first runs.

    >>> ready = ag.jit.optimize_for_inference(ag.jit.script(nn.ReLU().eval()))
    >>> ready(ag.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if not isinstance(mod, ScriptModule):
        raise RuntimeError(
            "optimize_for_inference expects a ScriptModule as input. Please use torch.jit.script "
            "or torch.jit.trace to script your 'nn.Module'."
        )
    return freeze(mod.eval(), preserved_attrs=other_methods) if list(mod.parameters()) else mod


__all__ = ["freeze", "optimize_for_inference", "run_frozen_optimizations"]
