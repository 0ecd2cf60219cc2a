"""How far a result may be from an independent reference: roundings of its dtype, counted.

Floats and complex numbers of 32 and 64 bits a part may be off by `ROUNDINGS` units of eps, relative
to the larger of the result and 1. Results of 16 bits are computed in float32 and rounded once: half
a unit of the result itself. `NARROW` lists the ops that round more often on their way, and why.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from calls import Call

EPS = {
    "float16": 2.0**-10,
    "bfloat16": 2.0**-7,
    "float32": 2.0**-23,
    "float64": 2.0**-52,
    "complex64": 2.0**-23,
    "complex128": 2.0**-52,
}
STORED = {  # a cast rounds to them once
    "float8_e4m3fn": 2.0**-3,
    "float8_e4m3fnuz": 2.0**-3,
    "float8_e5m2": 2.0**-2,
    "float8_e5m2fnuz": 2.0**-2,
    "float8_e8m0fnu": 1.0,
}
HALVES = ("float16", "bfloat16")
_ELEMENTWISE = 4
LINALG = """
    cholesky cholesky_ex cofactors det eig eigh geqrf inv ldl_factor ldl_solve lu_factor matrix_exp
    pinv qr slogdet solve solve_triangular svd
"""
# Where terms are added up, each addition rounds a sum that may be larger than what is left.
ROUNDINGS = {
    "sum": 8,
    "prod": 8,
    "mean": 8,
    "einsum": 8,
    "softmax": 8,
    "log_softmax": 8,
    "logsumexp": 8,
    "scaled_dot_product_attention": 8,
    "scaled_dot_product_attention_grad": 8,
    "log_gamma_slope": 256,  # a quadrature, and a series of differences
    **dict.fromkeys(("box_muller_cos", "box_muller_sin"), 16),  # a rounded angle times a radius
    "trigamma": 8,  # SciPy's own: it sums a series of powers
    # three terms a degree
    **{f"chebyshev_polynomial_{kind}": 16 for kind in "tuvw"},
    **{f"shifted_chebyshev_polynomial_{kind}": 16 for kind in "tuvw"},
    "fft": 16,
    "rfft": 16,
    "irfft": 16,
    "matmul": 64,
    "linear": 64,
    "conv2d": 32,
    "conv2d_input_grad": 32,
    "conv2d_weight_grad": 32,
    "conv2d_unless": 32,
    **dict.fromkeys(("winograd_conv2d", "winograd_pixels"), 64),  # a tile shares its rounding
    **{f"linalg_{name}": 32 for name in LINALG.split()},
}
# How often an op of 16-bit floats rounds to 16 bits on its way.
NARROW = {
    "lerp": 2,  # a number as weight is rounded to the dtype of the operands first
    "nextafter": 2,  # a step of the dtype is none of the reference's
    "linear": 2,  # the product, before the bias
    "einsum": 2,  # the product of two operands, before the third
    "scatter_add": 5,  # each addition to one place
    "index_put": 3,  # the same, with `accumulate`
    "while_loop": 3,  # each round of the samples
}


def assert_within(actual: Any, expected: Any, call: Call, what: str) -> None:
    """Of one shape and kind, and within the bound; integers and booleans are equal."""
    name = actual.dtype.name
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, not {expected.shape}"
    known = {**EPS, **STORED}
    kind = "f" if name in known and not name.startswith("complex") else actual.dtype.kind
    kinds = kind + expected.dtype.kind
    assert kinds in ("bb", "ff", "cc", "ii", "uu", "iu", "ui"), f"{what}: kinds {kinds}"
    if kind in "biu":
        np.testing.assert_array_equal(actual, expected, what)
        return
    wide = actual.astype(expected.dtype)
    some = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(wide), some, what)
    np.testing.assert_array_equal(wide[~some], expected[~some], what)
    error = np.abs(wide[some] - expected[some])
    allowed = _allowed(expected[some], call, name)
    worst = np.argmax(error / allowed) if error.size else 0
    assert (error <= allowed).all(), f"{what}: off by {error[worst]}, allowed {allowed[worst]}"


def _allowed(expected: Any, call: Call, dtype: str) -> Any:
    size = np.abs(expected)
    if dtype in STORED:
        return STORED[dtype] / 2 * size + 2.0**-10  # half of the smallest step there is
    steps = ROUNDINGS.get(call.op.name, _ELEMENTWISE)
    if dtype not in HALVES:
        return steps * EPS[dtype] * np.maximum(1, size)
    narrow = NARROW.get(call.op.name, 1)
    if narrow > 1:
        size = np.full(
            size.shape,
            max(1.0, *(abs(t.low) + abs(t.high) for t in call.tensors), size.max(initial=0)),
        )
    return narrow * EPS[dtype] / 2 * size + steps * EPS["float32"] * np.maximum(1, size)
