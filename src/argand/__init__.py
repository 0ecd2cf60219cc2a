"""Argand: deep learning, define-by-run and compiled to native code, in pure Python."""

from __future__ import annotations

import importlib
import math as _math
from typing import Any

import argand.ops as _ops  # fills the registry
from argand.base.dim import Dim
from argand.base.dtype import (
    DType as dtype,
)
from argand.base.dtype import (
    bfloat16,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)
from argand.base.dtype import (
    bool_ as bool,
)
from argand.base.errors import did_you_mean as _did_you_mean
from argand.base.settings import settings
from argand.tensor.core import Size, Tensor
from argand.tensor.device import device
from argand.tensor.random import Generator, default_generator
from argand.tensor.surface import functions as _functions
from argand.transform.mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)

__version__ = "0.1.0"

half, float, double = float16, float32, float64
short, int, long = int16, int32, int64
cfloat, cdouble = complex64, complex128
pi, e, inf, nan, newaxis = _math.pi, _math.e, _math.inf, _math.nan, None

globals().update(_functions)

# Loaded on first use: a module, or an attribute of one.
_LAZY: dict[str, tuple[str, str | None]] = {
    "autograd": ("argand.autograd", None),
    "compile": ("argand.compile.api", "compile"),
    "cond": ("argand.compile.control", "cond"),
    "data": ("argand.data", None),
    "fit": ("argand.fit", None),
    "io": ("argand.io", None),
    "load": ("argand.io", "load"),
    "metrics": ("argand.metrics", None),
    "nn": ("argand.nn", None),
    "optim": ("argand.optim", None),
    "save": ("argand.io", "save"),
    "utils": ("argand.utils", None),
    "vision": ("argand.vision", None),
}


def __getattr__(name: str) -> Any:
    found = _LAZY.get(name)
    if found is None:
        if name.startswith("__"):
            raise AttributeError(name)
        hint = _did_you_mean(name, __dir__())
        raise AttributeError(f"module 'argand' has no attribute {name!r}{hint}")
    module = importlib.import_module(found[0])
    value = module if found[1] is None else getattr(module, found[1])
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_LAZY})


__all__ = [n for n in globals() if not n.startswith("_")]
