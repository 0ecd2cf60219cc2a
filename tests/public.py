"""What is public, and what it says about itself."""

from __future__ import annotations

import functools
import importlib
import inspect
from typing import Any

import argand as ag

# Modules of public functions and classes; the methods of Tensor come on top.
FACADES = [
    "argand",
    "argand.accelerator",
    "argand.autograd",
    "argand.autograd.functional",
    "argand.backends.cuda",
    "argand.cpu",
    "argand.cpu.amp",
    "argand.autograd.graph",
    "argand.cuda",
    "argand.cuda.amp",
    "argand.cuda.nvtx",
    "argand.fft",
    "argand.jit",
    "argand.linalg",
    "argand.masked",
    "argand.mps",
    "argand.mtia",
    "argand.nested",
    "argand.nn.attention.flex_attention",
    "argand.nn.grad",
    "argand.overrides",
    "argand.serialization",
    "argand.signal.windows",
    "argand.special",
    "argand.testing",
    "argand.utils.checkpoint",
    "argand.utils.flop_counter",
    "argand.xpu",
]

# The library.
LIBRARY = [
    "argand.amp",
    "argand.array_api",
    "argand.array_api.fft",
    "argand.array_api.linalg",
    "argand.data",
    "argand.distributions",
    "argand.distributions.constraint_registry",
    "argand.distributions.constraints",
    "argand.fit",
    "argand.io",
    "argand.metrics",
    "argand.nn",
    "argand.nn.functional",
    "argand.nn.init",
    "argand.nn.parallel",
    "argand.nn.utils",
    "argand.nn.utils.fusion",
    "argand.nn.utils.parametrizations",
    "argand.nn.utils.parametrize",
    "argand.nn.utils.prune",
    "argand.nn.utils.rnn",
    "argand.nn.utils.stateless",
    "argand.optim",
    "argand.optim.lr_scheduler",
    "argand.optim.swa_utils",
]


def public(*modules: str) -> dict[str, Any]:
    """The public functions and classes of modules by their full name, and Tensor's methods with
    those of the package itself."""
    found: dict[str, Any] = {}
    for module_name in modules:
        module = importlib.import_module(module_name)
        for name in getattr(module, "__all__", None) or dir(module):
            value = getattr(module, name)
            if not name.startswith("_") and callable(value) and not inspect.ismodule(value):
                found[f"{module_name}.{name}"] = value
    if "argand" in modules:
        for name in dir(ag.Tensor):
            value = inspect.getattr_static(ag.Tensor, name)
            if not name.startswith("_") and (
                inspect.isroutine(value) or inspect.isdatadescriptor(value)
            ):
                found[f"argand.Tensor.{name}"] = value
    return found


@functools.cache
def public_docstrings() -> dict[str, str]:
    """Each docstring of something public once, under the first name that has it."""
    names = {inspect.getdoc(value) or "": name for name, value in public(*FACADES).items()}
    return {name: text for text, name in names.items()}
