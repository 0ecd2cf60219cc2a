"""Declared late bindings: the few places where a lower room calls what a higher one provides.

`Module.fit` is in `nn`, its training loop in `fit`, which `nn` must not import. The lower room
declares the name here; the package's `__init__` resolves it on first use. The list is pinned by
tests/architecture.
"""

from __future__ import annotations

import importlib
from typing import Any

BINDINGS: dict[str, tuple[str, str]] = {
    "eager.native": ("argand.backends.cpu.eager", "run_eager"),
    "eager.has_form": ("argand.backends.cpu.eager", "has_form"),
    "eager.kernel_step": ("argand.backends.cpu.eager", "kernel_step"),
    "eager.entries": ("argand.tensor.plans", "maker"),
    "eager.plan_call": ("argand.codegen.llvm.plancall", "plan_call"),
    "export.archive": ("argand.export", "archive"),
    "export.graph": ("argand.fx.programs", "lifted"),
    "export.module": ("argand.export.modules", "ExportedModule"),
    "fit.model": ("argand.fit.keras", "ModelMethods"),
    "func.vmap": ("argand.func", "vmap"),
    "nn.parameter": ("argand.nn.parameter", "Parameter"),
    "tensor.namespace": ("argand", "array_api"),
    "tensor.sparse": ("argand.sparse", "formats"),
    "compile.compile": ("argand.compile.api", "compile"),
}


def resolve(name: str) -> Any:
    """The object behind a declared late binding."""
    module, attribute = BINDINGS[name]
    return getattr(importlib.import_module(module), attribute)
