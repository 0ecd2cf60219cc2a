"""Every op that has samples, exported and run on them by ONNX Runtime, which judges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from calls import ALL_OPS, Call, assert_close, calls_of, tolerance
from onnxrun import run

from argand.base.dtype import as_dtype
from argand.base.errors import ArgandError
from argand.ir.interpret import interpret
from argand.ir.op import Op
from argand.onnx.exporting import OnnxExporterError, program_to_model

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

NEWEST = onnx.defs.onnx_opset_version()
TOLERANCE = {"float16": 4e-3, "bfloat16": 3e-2}
# ONNX has no operator for them, and no formula in its operators is known.
ABSENT = {
    *("airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "igamma", "igammac", "zeta"),
    *("modified_bessel_k0", "modified_bessel_k1", "log_gamma_slope", "gcd", "libm", "mode"),
    *("scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "running_max", "running_min"),
    *(f"chebyshev_polynomial_{kind}" for kind in "tuvw"),
    *(f"shifted_chebyshev_polynomial_{kind}" for kind in "tuvw"),
    *("hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l"),
    "legendre_polynomial_p",
    *("fft", "rfft", "irfft", "real", "imag", "complex", "view_as_real", "view_as_complex"),
    *("uniform", "normal", "randint", "draw_binomial", "draw_log_gamma", "draw_poisson"),
    *("draw_von_mises", "mersenne_choices", "mersenne_integers", "mersenne_normal"),
    *("mersenne_permutation", "mersenne_rejected", "mersenne_uniform"),
    *("linalg_cholesky", "linalg_cholesky_ex", "linalg_cofactors", "linalg_eig"),
    *("linalg_eigh", "linalg_geqrf", "linalg_inv", "linalg_ldl_factor", "linalg_ldl_solve"),
    *("linalg_lu_factor", "linalg_lu_permutation", "linalg_matrix_exp", "linalg_pinv", "linalg_qr"),
    *("linalg_slogdet", "linalg_solve", "linalg_solve_triangular", "linalg_svd"),
}
EXPORTED = [op for op in ALL_OPS if op.name not in ABSENT]


def compare(call: Call, dtype: str, opset: int) -> None:
    """Export one sample, check the model and compare what a runtime finds."""
    program, arrays = call.program(dtype), call.arrays(dtype)
    expected = interpret(program, arrays)
    model = program_to_model(program, {}, opset=opset)
    onnx.checker.check_model(model, full_check=True)
    found = run(model, arrays)
    if found is None:
        return
    for a, e in zip(found, expected[: call.op.visible], strict=False):
        assert np.asarray(a).dtype == e.dtype, f"{call} of {dtype}"
        least = 1e-12 if dtype == "float64" else 4e-6
        allowed = TOLERANCE.get(dtype) or max(tolerance(call.op, dtype), least)
        assert_close(np.asarray(a), e, allowed, f"{call} of {dtype}")


def dtypes_of(op: Op) -> list[str]:
    """The dtypes that an op is tested in, 16-bit floats too where it takes floats."""
    found = [d for d in op.dtypes if not as_dtype(d).is_complex]
    return [*found, "float16", "bfloat16"] if "float32" in found else found


def possible(call: Call, dtype: str) -> bool:
    """Whether the op itself takes the sample in a dtype."""
    try:
        interpret(call.program(dtype), call.arrays(dtype))
    except (ArgandError, TypeError, ValueError):
        return False
    return True


def check(op: Op, dtypes: list[str], opset: int) -> int:
    """Compare the samples of an op; how many there were."""
    count = 0
    for call in calls_of(op):
        for dtype in dtypes:
            if possible(call, dtype):
                compare(call, dtype, opset)
                count += 1
    return count


@pytest.mark.parametrize("op", EXPORTED, ids=lambda op: op.name)
def test_ops_agree_with_the_runtime(op: Op) -> None:
    assert check(op, dtypes_of(op)[:1], 20)


@pytest.mark.slow
@pytest.mark.parametrize("opset", range(17, NEWEST + 1))
@pytest.mark.parametrize("op", EXPORTED, ids=lambda op: op.name)
def test_ops_agree_in_every_dtype_and_opset(op: Op, opset: int) -> None:
    try:
        check(op, dtypes_of(op), opset)
    except OnnxExporterError as error:
        assert opset == 17, error
        assert "opset 18" in str(error), error


@pytest.mark.parametrize("name", sorted(ABSENT))
def test_absent_ops_say_why(name: str) -> None:
    op: Any = next(op for op in ALL_OPS if op.name == name)
    dtype = op.dtypes[0]
    call = next(c for c in calls_of(op) if possible(c, dtype))
    with pytest.raises(OnnxExporterError, match="nothing was written"):
        program_to_model(call.program(dtype), {})
