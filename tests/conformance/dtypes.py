"""Which dtypes each op takes, and which ops the host computes in compiled programs: pinned lists.

What isn't listed runs in every dtype, as machine code. `test_dtypes` fails for an op that refuses
what it took before, or takes what it refused, and for one that newly falls to the host, or got a
kernel and is still listed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from calls import Call, calls_of

from argand.base.dtype import ALL
from argand.ir.op import Op
from argand.ir.program import Program
from argand.ir.samples import Sample, T

DTYPES = tuple(d.name for d in ALL)
GROUPS = {
    "bool": ("bool",),
    "whole": ("uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"),
    "half": ("float16", "bfloat16"),
    "float": ("float32", "float64"),
    "complex": ("complex64", "complex128"),
    "stored": tuple(d.name for d in ALL if d.kind == "s"),
}


UNSIGNED = frozenset(d for d in DTYPES if d.startswith("uint"))
WIDE = UNSIGNED - {"uint8"}
"""What does not promote with integers of other dtypes."""


def _each(ops: str, groups: str) -> dict[str, frozenset[str]]:
    dtypes = frozenset(d for g in groups.split() for d in GROUPS[g])
    return dict.fromkeys(ops.split(), dtypes)


LINALG = """
    linalg_cholesky linalg_cholesky_ex linalg_cofactors linalg_det linalg_eig linalg_eigh
    linalg_geqrf linalg_inv linalg_ldl_factor linalg_ldl_solve linalg_lu_factor linalg_matrix_exp
    linalg_pinv linalg_qr linalg_slogdet linalg_solve linalg_solve_triangular linalg_svd
"""

POLYNOMIALS = """
    chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w
    hermite_polynomial_h hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p
    shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v
    shifted_chebyshev_polynomial_w
"""

# The dtypes for which an op raises DTypeError, whatever the operands.
REFUSED: dict[str, frozenset[str]] = {
    **_each("abs avg_pool2d conj linear matmul neg sub", "bool"),
    **_each("digamma entr erfc erfcx erfinv i0 i0e i1 i1e lgamma log_ndtr ndtr ndtri", "complex"),
    **_each("trigamma xlog1py xlogy igamma igammac zeta airy_ai bessel_j0 bessel_j1", "complex"),
    **_each("bessel_y0 bessel_y1 modified_bessel_k0 modified_bessel_k1", "complex"),
    **_each(f"scaled_modified_bessel_k0 scaled_modified_bessel_k1 {POLYNOMIALS}", "complex"),
    **_each("atan2 copysign erf fmax fmin sign signbit", "complex"),
    **_each("exponent", "bool whole complex"),
    "nextafter": frozenset(GROUPS["complex"]),
    **_each("gcd", "bool half float complex"),
    # without an order
    **_each("amax amin clamp floor_divide fmod ge gt le lt maximum minimum", "complex"),
    **_each("remainder sort topk", "complex"),
    **_each("argmax argmin ceil floor hardtanh relu relu6 round trunc", "bool complex"),
    **_each("max_pool2d max_pool2d_grad", "bool complex"),
    **_each("mode running_max running_min scatter_combine", "complex"),
    # means and gradients of what has fractions
    **_each("avg_pool2d_grad l1_loss mean std var", "bool whole"),
    **_each("batch_norm elu gelu gelu_tanh layer_norm leaky_relu", "bool whole complex"),
    **_each("log_softmax logsumexp silu softmax softplus", "bool whole complex"),
    **_each("scaled_dot_product_attention normal uniform", "bool whole complex"),
    **_each("scaled_dot_product_attention_grad", "bool whole complex"),
    **_each("conv2d conv2d_input_grad", "bool whole"),
    **_each("conv2d_weight_grad", "bool whole complex"),
    **_each("conv2d_unless winograd_conv2d", "bool whole half complex"),
    **_each("winograd_pixels winograd_weight", "bool whole half complex"),
    **_each("binary_cross_entropy binary_cross_entropy_with_logits", "bool whole complex"),
    **_each("cross_entropy nll_loss kl_div", "bool whole complex"),
    **_each("huber_loss mse_loss smooth_l1_loss", "bool whole complex"),
    **_each("bitwise_and bitwise_not bitwise_or bitwise_xor", "half float complex"),
    **_each("bitwise_left_shift bitwise_right_shift", "half float complex"),
    # float64 alone
    **dict.fromkeys(
        ("draw_binomial", "draw_log_gamma", "draw_poisson", "draw_von_mises", "libm"),
        frozenset(DTYPES) - {"float64"},
    ),
    **_each("fma mersenne_choices", "bool whole complex"),
    **_each("box_muller_cos box_muller_sin", "complex"),
    "log_gamma_slope": frozenset((*GROUPS["bool"], *GROUPS["whole"], *GROUPS["complex"])),
    # LAPACK's dtypes, and those of complex numbers' parts
    **_each(LINALG, "bool whole half"),
    **_each("complex", "bool whole half complex"),
    **_each("real imag view_as_real", "bool whole half float"),
    **_each("view_as_complex", "bool whole half complex"),
    **_each("fft", "bool whole half"),
    **_each("rfft", "bool whole half complex"),
    **_each("irfft", "bool whole half float"),
}

# The ops that take 8-bit floats, which are stored, moved and compared.
TAKES_STORED = frozenset(
    [
        "abs",
        "all",
        "any",
        "as_strided",
        "cast",
        "cat",
        "contiguous",
        "diagonal",
        "diagonal_scatter",
        "einsum",
        "embedding",
        "eq",
        "expand",
        "flip",
        "full",
        "gather",
        "index",
        "index_put",
        "isfinite",
        "isinf",
        "isnan",
        "ne",
        "pad",
        "permute",
        "reshape",
        "scatter",
        "slice",
        "slice_scatter",
        "unfold",
        "where",
    ]
)


def refused(op: str) -> frozenset[str]:
    """The dtypes that an op refuses."""
    stored = GROUPS["stored"] if op not in TAKES_STORED else ()
    return REFUSED.get(op, frozenset()) | frozenset(stored)


# Where some samples are refused: a number beside the tensors makes floats or int64 of the others.
PARTLY: dict[str, frozenset[str]] = {
    **_each("bitwise_left_shift bitwise_right_shift", "bool"),
    **_each("floor_divide fmod remainder", "bool"),
    "hardtanh": UNSIGNED,  # which holds no lower bound of -1
    **_each("lerp nextafter pow", "bool whole"),
    **_each("box_muller_cos box_muller_sin", "bool whole"),
    **_each("cond", "bool whole"),  # whose branches would give different dtypes
    **_each("einsum", "bool stored"),
    **_each("index_put", "stored"),  # which it does not add up
    # a sample's second operand is an int64 tensor
    **dict.fromkeys(f"igamma igammac zeta {POLYNOMIALS}".split(), WIDE),
}

# What NumPy computes also in compiled programs, as segments that `explain()` lists.
HOST: dict[str, frozenset[str]] = {
    # LAPACK, through NumPy and SciPy
    **_each(f"{LINALG} linalg_lu_permutation", "float"),
    # NumPy's pocketfft
    **_each("fft rfft", "float"),
    **_each("irfft", "complex"),
    # no kernel yet
    **_each("cond while_loop", "bool whole half float complex"),
    # SciPy's, and recurrences as long as the degree
    **_each(
        "igamma igammac zeta airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1",
        "bool whole half float",
    ),
    **_each(
        "modified_bessel_k0 modified_bessel_k1 scaled_modified_bessel_k0", "bool whole half float"
    ),
    **_each(f"scaled_modified_bessel_k1 {POLYNOMIALS}", "bool whole half float"),
    # by rejection, in float64; and what NumPy sums up
    **_each("draw_binomial draw_log_gamma draw_poisson draw_von_mises", "float"),
    **_each("log_gamma_slope", "half float"),
    # one state after the other, and the C library's functions
    **_each("libm", "float"),
    **_each(
        "mersenne_choices mersenne_integers mersenne_normal mersenne_permutation mersenne_rejected "
        "mersenne_uniform",
        "bool whole half float complex stored",
    ),
    # NumPy's
    **_each("gcd", "whole"),
    **_each("mode scatter_combine", "bool whole half float"),
    # its quotients are rounded towards 0
    **_each("avg_pool2d", "whole"),
}


# Native ops whose gradient is the host's.
HOST_GRADIENT = {"trigamma": "zeta"}


def assert_place(call: Call, dtype: str, program: Program, compiled: Any) -> None:
    """The call runs where it is pinned to: as machine code, or on the host."""
    found = [node.op.name for s in compiled.segments if s.call is None for node in s.nodes]
    values = [*program.inputs, *program.outputs]
    # complex numbers have no machine code
    pinned = any(v.dtype.is_complex for v in values) or dtype in HOST.get(call.op.name, ())
    if pinned:
        empty = any(0 in v.shape for v in values)  # nothing of nothing is a constant
        assert found or empty, f"{call} {dtype} has a kernel: take it off the list"
    else:
        assert not found, f"{call} {dtype} runs on the host: {found}"


def assert_gradient_place(call: Call, compiled: Any) -> None:
    """The call and its gradient in float32 leave to the host what is pinned there alone."""
    found = {node.op.name for s in compiled.segments if s.call is None for node in s.nodes}
    found = {name.removesuffix(".backward") for name in found}  # of a loop
    assert found <= set(HOST), f"{call}: the gradient runs {found} on the host"
    pinned = call.op.name in (*HOST, *HOST_GRADIENT)
    assert pinned or not found, f"{call}: the gradient runs {found} on the host"


def _with_dtype(op: Op, dtype: str) -> Iterable[Sample] | None:
    """Samples of an op to which the dtype is an argument of its own."""
    key = T((2,), 0, 1 << 40, "int64")
    if op.name in ("uniform", "normal"):
        return Sample(key, (3, 5), dtype), Sample(key, (), dtype), Sample(key, (0,), dtype)
    if op.name == "full":
        return Sample((2, 3), 1, dtype), Sample((), True, dtype), Sample((0, 4), 0, dtype)
    if op.name == "arange":
        return Sample(0, 1, 5, dtype), Sample(1, 3, 6, dtype), Sample(3, 2, 0, dtype)
    if op.name == "cast":
        shapes = itertools.cycle([(2, 3), (), (0, 2), (7,)])
        reals = [d for d in DTYPES if d not in GROUPS["complex"] or dtype in GROUPS["complex"]]
        return [Sample(T(next(shapes), 0, 5), dtype=target) for target in reals]
    if op.name == "randint":  # in int64, whatever is under test
        return () if dtype != "int64" else (c.sample for c in calls_of(op))  # type: ignore[misc]
    return None


def calls_in(op: Op, dtype: str) -> list[Call]:
    """The op's samples that depend on the dtype under test, which is `dtype`."""
    samples = _with_dtype(op, dtype)
    if samples is not None:
        return [Call(op, s) for s in samples]
    return [c for c in calls_of(op) if any(t.dtype is None for t in c.tensors)]
