"""Independent references of signs, exponents and special functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

REFERENCES: dict[str, Callable[..., Any]] = {
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "copysign": np.copysign,
    "signbit": lambda x: np.signbit(x) if x.dtype.kind == "f" else x < 0,
    "exponent": lambda x: np.frexp(x)[1].astype(np.float64),
    "nextafter": np.nextafter,  # in float64: `tests/ops/test_floating.py` has each dtype's own
    "fmax": np.fmax,
    "fmin": np.fmin,
    "gcd": np.vectorize(math.gcd, otypes=[np.int64]),
}
