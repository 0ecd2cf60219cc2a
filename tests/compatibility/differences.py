"""How PyTorch's operators are called here, and why results that differ do."""

from __future__ import annotations

import operator
import re
from typing import Any

import torch
from conversion import to_ours

import argand as ag

F = ag.nn.functional


# Operators that the database calls in a way of its own.
def _pooled_back(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
) -> Any:
    """The gradient of the sum of a pooled image, as the database calls it."""
    window = (kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode)
    y, places = ag.nn.functional.max_pool2d_with_indices(x, *window)
    return ag.max_pool2d_with_indices_backward(ag.ones_like(y), x, *window, places)


ADAPTED: dict[str, Any] = {
    "where": lambda x, condition, other: ag.where(condition, x, other),
    "einsum": lambda tensors, equation: ag.einsum(equation, tensors),
    "nn.functional.embedding": lambda weight, index, **k: F.embedding(index, weight, **k),
    "polygamma": lambda x, n, **k: ag.polygamma(n, x, **k),
    "special.polygamma": lambda x, n, **k: ag.special.polygamma(n, x, **k),
    "nn.functional.embedding_bag": lambda weight, index, *a, **k: F.embedding_bag(
        index, weight, *a, **k
    ),
    "nn.functional.triplet_margin_with_distance_loss": lambda *xs, distance_function=None, **k: (
        F.triplet_margin_with_distance_loss(
            *xs, distance_function=distance_function and F.pairwise_distance, **k
        )
    ),
    **{
        name: getattr(ag.Tensor, f"{name}_")
        for name in ("cauchy", "exponential", "geometric", "log_normal", "uniform")
    },
    "normal.in_place": ag.Tensor.normal_,
    "zero_": lambda x: x.clone().zero_(),
    "_segment_reduce": ag.segment_reduce,
    "slice": lambda x, dim=0, start=None, end=None, step=1: x.movedim(dim, 0)[
        start:end:step
    ].movedim(0, dim),
    **{name: operator.attrgetter(name) for name in ("T", "H", "mT", "mH")},
    "max_pool2d_with_indices_backward": lambda x, **options: _pooled_back(x, **options),
    "svd_lowrank": lambda a, b, **k: ag.svd_lowrank(a @ b.mT, **k),
    "pca_lowrank": lambda a, b, **k: ag.pca_lowrank(a @ b.mT, **k),
    "linalg.pinv.singular": lambda a, b: ag.linalg.pinv(a @ b.mT),
    "linalg.lstsq.grad_oriented": lambda *a, **k: ag.linalg.lstsq(*a, **k)[:2],
}

_DRAWS = "random numbers: another generator; shapes and dtypes are compared"
_UNSET = "memory that isn't set: shapes and dtypes are compared"
# Operators whose values aren't compared, with the reason.
NO_VALUES: dict[str, str] = {
    **dict.fromkeys(
        ["special.bessel_j0", "special.bessel_y1"],
        "PyTorch's are off by up to 1e-5 in float64; tests/conformance compares SciPy's",
    ),
    **dict.fromkeys(
        [
            "bernoulli",
            "cauchy",
            "exponential",
            "geometric",
            "log_normal",
            "multinomial",
            "normal",
            "rand_like",
            "randint",
            "randint_like",
            "randn",
            "randn_like",
            "uniform",
            "nn.functional.alpha_dropout",
            "nn.functional.dropout",
            "nn.functional.dropout2d",
            "nn.functional.dropout3d",
            "nn.functional.feature_alpha_dropout",
            "nn.functional.fractional_max_pool2d",
            "nn.functional.fractional_max_pool3d",
            "nn.functional.multi_head_attention_forward",
            "nn.functional.rrelu",
        ],
        _DRAWS,
    ),
    **dict.fromkeys(
        [
            "empty",
            "empty_like",
            "empty_permuted",
            "empty_strided",
            "new_empty",
            "new_empty_strided",
        ],
        _UNSET,
    ),
}

# Operators of a triangle: PyTorch's gradient has elements in the other one too, which isn't read.
TRIANGULAR: dict[str, Any] = {
    "cholesky_inverse": lambda f: lambda L, upper=False: f(_triangle(L, upper), upper),
    "cholesky_solve": lambda f: lambda B, L, upper=False: f(B, _triangle(L, upper), upper),
}


def _triangle(x: Any, upper: bool) -> Any:
    return x.triu() if upper else x.tril()


# Operators that PyTorch computes less exactly than ours, with the reason: its result in 64 bits,
# rounded once, is compared too, as it is for every operator of 16-bit floats.
WIDE: dict[str, tuple[tuple[str, ...], str]] = {
    "matrix_exp": (("float32",), "is less exact"),
    "nn.functional.scaled_dot_product_attention": (
        ("float32",),
        "has a gradient that subtracts nearly equal sums",
    ),
    **dict.fromkeys(
        ["svd_lowrank", "pca_lowrank"],
        (("complex64",), "has gradients of an ill-conditioned product"),
    ),
    "nn.functional.ctc_loss": (("float32",), "is less exact"),
    "logsumexp": (("complex64",), "has a gradient that is off by 3 %"),
    "logcumsumexp": (
        ("float32", "complex64"),
        "has a gradient that subtracts nearly equal sums",
    ),
    "cov": (("float32", "float64", "complex128"), "adds up weights in float32"),
}

_SIGNS = "bases are determined up to signs or phases: the parts that don't depend on them"


def _sample_process(sample: Any, result: Any) -> Any:
    return sample.output_process_fn_grad(result)


def _low_rank(sample: Any, result: Any) -> Any:
    u, s, v = result
    if sample.kwargs.get("M") is not None:  # of full rank: how near it comes depends on the draws
        return [tuple(x.shape) for x in result]
    return s, (u * s[..., None, :]) @ v.mH


def _eigen(sample: Any, result: Any) -> Any:
    return result[0], abs(result[1])


def _without_turns(sample: Any, result: Any) -> Any:
    if not sample.input.is_complex():
        return result
    return result.real, result.imag.cos(), result.imag.sin()


def _at(position: int) -> Any:
    """What compares values, and the elements where an index says that they are; the dimension is
    the operator's argument of that position."""

    def process(sample: Any, result: Any) -> Any:
        values, index = result if isinstance(result, tuple) else ((), result)
        x = sample.input.detach() if isinstance(index, torch.Tensor) else to_ours(sample.input)
        given = sample.args[position] if len(sample.args) > position else -1
        dim = sample.kwargs.get("dim", given)
        if not x.ndim:
            return values, index
        if index.ndim < x.ndim:
            index = index.unsqueeze(dim)
        return values, x.detach().take_along_dim(index, dim)

    return process


_TIES = "which of equal elements is named isn't determined: the elements named"

# Operators of which something is compared that the result determines, with the reason.
COMPARED: dict[str, tuple[Any, str]] = {
    **{name: (_at(0), _TIES) for name in ("sort", "argsort", "mode")},
    **{name: (_at(1), _TIES) for name in ("topk", "kthvalue")},
    "logcumsumexp": (_without_turns, "complex logarithms are determined up to whole turns"),
    **dict.fromkeys(["svd", "linalg.svd", "linalg.eigh"], (_sample_process, _SIGNS)),
    **dict.fromkeys(["svd_lowrank", "pca_lowrank"], (_low_rank, _SIGNS)),
    "linalg.eig": (_eigen, _SIGNS),
}

_FITS = "a whole number beside integers must fit their dtype (docs/design.md)"
_WHOLE = "(uint8|int8|int16|int32) "
# Differences that stay: operators, a pattern of what differs, beginning with the dtype, the reason.
KNOWN: list[tuple[str, str, str]] = [
    ("add sub rsub index_add full_like", r"^uint\d+ .*doesn't fit into uint", _FITS),
    ("complex view_as_complex", r"^float16 ", "there is no complex32"),
    ("einsum", _WHOLE + ".*dtype int64, ours", "the dtype of the operands, whatever is summed"),
    ("as_strided_scatter", "gradient 0", "PyTorch's gradient isn't 0 where elements are replaced"),
    (
        "sort msort mode topk",
        r"^b?float16 .*gradient 0",
        "the gradient goes to another of equal elements",
    ),
    (
        "pow __rpow__",
        r"^float16 .*gradient .*(inf|nan)",
        "numbers beyond the range of 16 bits on the way",
    ),
    (
        "ldexp matmul pow __rmatmul__ masked.cumprod",
        r"^b?float16 .*gradient",
        "terms are rounded to 16 bits before they are added",
    ),
    ("histc", r"^b?float16 .*value", "PyTorch rounds the edges of bins to 16 bits"),
    (
        "logcumsumexp",
        r"^(float32|complex64) .*gradient",
        "less exact in both where sums are nearly equal",
    ),
    (
        "as_strided",
        "our result does not require grad",
        "a view of memory outside of the tensor has no gradient",
    ),
    (
        "polygamma special.polygamma",
        r"^(int8|int16|bool) .*ours inf",
        "at a pole, where PyTorch gives a large number",
    ),
    (
        "nn.functional.hinge_embedding_loss",
        r"^bfloat16 .*gradient 0",
        "the margin is rounded to 16 bits, as the operands are",
    ),
    (
        "nn.functional.poisson_nll_loss",
        r"^bfloat16 .*gradient 1: value nan",
        "PyTorch's gradient of what isn't chosen is nan",
    ),
    (
        "nn.functional.conv_transpose3d",
        r"^float32 .*value",
        "108 terms that cancel: both within 3 roundings of the sum of their sizes",
    ),
    (
        "nn.functional.scaled_dot_product_attention",
        r"float(16|32) .*gradient",
        "scores of hundreds: sums that are nearly equal are subtracted",
    ),
    (
        "grid_sampler_2d grid_sampler_3d",
        r"^float32 .*gradient 1",
        "sums of pixels that cancel, and jumps between pixels: both are as far from float64",
    ),
    (
        "masked.logsumexp",
        r"^(uint8|int8|int16) .*value",
        "PyTorch takes the least integer for minus infinity",
    ),
    (
        "aminmax complex gather multinomial",
        r"^errors .*out=",
        "out= may have another dtype, as that of other operators",
    ),
    (
        "index_select",
        r"^errors .*out=",
        "out= of another shape gets memory of its own, so that none is written twice",
    ),
    (
        "renorm",
        r"^complex64 .*gradient 0: value .nan",
        "PyTorch's gradient of the largest of complex numbers is nan",
    ),
    (
        "histogramdd",
        r"\(float\d\d\[4\], float\d\d\[3\], float",
        "edges that don't ascend: PyTorch searches them as if they did",
    ),
    (
        "__radd__ __rmul__ __rdiv__ __rand__ __ror__ __rxor__ __rsub__ __rmod__ __rpow__",
        r"^errors error 0 \(2, ",
        "the method of a number",
    ),
]


# Operators that aren't there, by the beginning of their names; the last pattern fits any.
ABSENT = (
    (r"sparse\.mm\.reduce", "products of sparse matrices are added up, not combined otherwise"),
    (r"(to_)?sparse", "sparse results are compared by tests/sparse"),
    ("jiterator", "compiles text in CUDA's language"),
    ("chalf", "there is no complex32"),
    ("", "not of PyTorch's public functions"),
)


def known_reason(name: str, text: str) -> str:
    """Why an operator differs, where that is known."""
    for names, pattern, reason in KNOWN:
        if name in names.split() and re.search(pattern, text):
            return reason
    return ""


def otherwise() -> dict[str, list[str]]:
    """The operators of which something else is compared than their results, by the reason."""
    found: dict[str, list[str]] = {}
    for name, reason in NO_VALUES.items():
        found.setdefault(reason, []).append(name)
    for name, (_, reason) in COMPARED.items():
        found.setdefault(reason, []).append(name)
    found["the elements of one triangle: PyTorch's gradient has others, which aren't read"] = [
        *TRIANGULAR
    ]
    for name, (dtypes, reason) in WIDE.items():
        where = ", ".join(dtypes)
        text = f"in {where} also PyTorch's result in float64, rounded once; the other {reason}"
        found.setdefault(text, []).append(name)
    return {reason: sorted(names) for reason, names in sorted(found.items())}


def why_absent(name: str) -> str:
    """Why there is no such operator."""
    return next(reason for pattern, reason in ABSENT if re.match(pattern, name))
