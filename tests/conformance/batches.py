"""Every op as a function of the rows of a batch: what `test_same_bits` walks.

Elementwise ops are batched from their samples; the others say here how they take a batch, or why
they have none. An op that does neither fails.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from calls import ALL_OPS, calls_of, make_array

from argand.base.dtype import as_dtype
from argand.ir import families
from argand.ir.elementwise import Elementwise
from argand.ir.op import Op, ops, registry
from argand.ir.samples import T, Uniform

# Ops of these families compute nothing, or draw numbers by an element's position.
NOTHING_COMPUTED = (
    families.Move,
    families.Gather,
    families.Sort,
    families.Create,
    families.Random,
    families.Control,
)
NO_ROWS = {
    "batch_norm": "its statistics are the batch's",
    "conv2d_weight_grad": "sums over the batch",
    "conv2d_input_grad": "a gradient of conv2d",
    "avg_pool2d_grad": "a gradient of avg_pool2d",
    "max_pool2d_grad": "a gradient of max_pool2d",
    "scaled_dot_product_attention_grad": "a gradient of scaled_dot_product_attention",
    "scatter": "computes nothing",
    "divisor": "computes nothing",
    "integer_sum": "whole numbers have one sum, in any order",
    "mix_bytes": "whole numbers have one sum, in any order",
    "draw_binomial": "draws by an element's position",
    "draw_log_gamma": "draws by an element's position",
    "draw_poisson": "draws by an element's position",
    "draw_von_mises": "draws by an element's position",
    **dict.fromkeys(
        ("mersenne_choices", "mersenne_integers", "mersenne_normal", "mersenne_permutation"),
        "draws one number after the other",
    ),
    "mersenne_rejected": "draws one number after the other",
    "mersenne_uniform": "draws one number after the other",
    "libm": "the C library's, one by one",
    "mode": "computes nothing",
    "sampled_matmul": "tests/sparse: its bits on any number of threads",
    "sparse_matmul": "tests/sparse: its bits on any number of threads",
    "scatter_combine": "combines what goes to one place in order, in any row",
    "real": "computes nothing",
    "imag": "computes nothing",
    "view_as_real": "computes nothing",
    "view_as_complex": "computes nothing",
    "complex": "computes nothing",
    "index_put": "writes where it is told, in any row",
}


class Batch(NamedTuple):
    """A function of batched operands: `rows` describes a row of each, `fixed` what all share."""

    op: Op
    rows: Sequence[T]
    fixed: Sequence[T]
    apply: Callable[..., Any]

    def arrays(self, dtype: str, count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The operands of `count` rows, and those that all rows share."""
        rng = np.random.default_rng(zlib.crc32(self.op.name.encode()))

        def made(t: T, *batch: int) -> np.ndarray:
            shaped = t._replace(shape=(*batch, *t.shape), distinct=False)
            return make_array(rng, shaped, as_dtype(t.dtype or dtype), 0.0)

        if any(t.definite for t in self.rows):
            singles = [[made(t) for t in self.rows] for _ in range(count)]
            return [np.stack(column) for column in zip(*singles, strict=True)], []
        return [made(t, count) for t in self.rows], [made(t) for t in self.fixed]


# What `_tables` yield: an op's name, its row operands, its shared operands, and the call.
Entry = tuple[str, Sequence[T], Sequence[T], Callable[..., Any]]

_X = T((5, 13))
_IMAGE = T((3, 9, 8))
_CLASS = T((), 0, 4, "int64")
_PLACES = T((5, 6), 0, 5, "int64")
_PROBABILITY = T((7,), 0.1, 0.9)
_DEFINITE = T((4, 4), definite=True)


def _call(name: str, *last: Any, **params: Any) -> Callable[..., Any]:
    return lambda *operands: getattr(ops, name)(*operands, *last, **params)


def _reductions() -> Iterator[Entry]:
    for name in ("sum", "prod", "amax", "amin", "any", "all", "mean", "var", "std", "logsumexp"):
        for dim in (1, 2, (1, 2)):
            yield name, [_X], [], _call(name, dim)
        for dim in (1, (1, 3)):
            yield name, [T((3, 4, 5))], [], _call(name, dim, keepdim=True)
        yield name, [T((70, 9))], [], _call(name, 1)
        yield name, [T((700,))], [], _call(name, 1)
    for name in (
        "argmax",
        "argmin",
        "softmax",
        "log_softmax",
        "cumsum",
        "running_max",
        "running_min",
    ):
        for dim in (1, 2):
            yield name, [_X], [], _call(name, dim)


def _products() -> Iterator[Entry]:
    for inner, columns in ((13, 3), (300, 40), (5, 1), (1, 6)):
        yield "matmul", [T((inner,))], [T((inner, columns))], _call("matmul")
    yield "matmul", [_X], [T((13, 4))], _call("matmul")
    yield "matmul", [_X, T((13, 4))], [], _call("matmul")
    yield "matmul", [T((2, 5, 13)), T((2, 13, 4))], [], _call("matmul")
    yield "matmul", [T((13,))], [T((13,))], _call("matmul")
    yield "linear", [T((300,))], [T((40, 300)), T((40,))], _call("linear")
    yield "linear", [_X], [T((4, 13))], _call("linear")
    for equation, shape in (("bij,jk->bki", (13, 4)), ("bij,ij->bi", (5, 13))):
        yield "einsum", [_X], [T(shape)], functools.partial(ops.einsum, equation)
    yield "einsum", [_X, _X], [], functools.partial(ops.einsum, "bij,bkj->bik")
    yield from _factors()


def _factors() -> Iterator[Entry]:
    for name in ("inv", "cholesky", "cholesky_ex", "det", "cofactors", "slogdet", "lu_factor"):
        yield f"linalg_{name}", [_DEFINITE], [], _call(f"linalg_{name}")
    for name in ("qr", "eig", "eigh", "svd", "geqrf", "matrix_exp", "ldl_factor"):
        yield f"linalg_{name}", [_DEFINITE], [], _call(f"linalg_{name}")
    yield "linalg_solve", [_DEFINITE, _DEFINITE], [], _call("linalg_solve")
    yield "linalg_solve_triangular", [_DEFINITE, _DEFINITE], [], _call("linalg_solve_triangular")
    yield "linalg_solve_triangular", [T((40, 40), 0.1, 0.2)], [T((40, 3))], _triangle
    yield "linalg_lu_factor", [T((40, 30))], [], _call("linalg_lu_factor")
    yield (
        "linalg_pinv",
        [_DEFINITE],
        [],
        lambda x: ops.linalg_pinv(x, *[ops.full((), 0, x.dtype)] * 2),
    )
    yield "linalg_lu_permutation", [T((3,), 3, 3, "int32")], [], _call("linalg_lu_permutation", 4)
    pivots = T((4,), 4, 4, "int32")
    yield "linalg_ldl_solve", [_DEFINITE, pivots, _DEFINITE], [], _call("linalg_ldl_solve")


def _triangle(a: Any, b: Any) -> Any:
    return ops.linalg_solve_triangular(a, b, upper=False, unitriangular=True)


def _transforms() -> Iterator[Entry]:
    for size in (5, 16, 37):
        yield "fft", [T((3, size))], [], _call("fft", (2,))
        yield "fft", [T((size, 3), dtype="complex64")], [], _call("fft", (1, 2), inverse=True)
        yield "rfft", [T((3, size))], [], _call("rfft", 2)
        half = T((size // 2 + 1, 3), dtype="complex64")
        yield "irfft", [half], [], _call("irfft", size, 1)


def _weights_first(w: Any) -> Any:
    return ops.permute(ops.winograd_weight(w), (2, 0, 1))


def _windows() -> Iterator[Entry]:
    weight = T((4, 3, 3, 3))
    yield "conv2d", [_IMAGE], [weight], _call("conv2d")
    yield "conv2d", [_IMAGE], [weight], _call("conv2d", stride=2, padding=1)
    yield "conv2d", [T((2, 9, 8))], [T((2, 1, 3, 3))], _call("conv2d", groups=2)
    yield "winograd_weight", [T((3, 3, 3))], [], _weights_first
    yield "winograd_pixels", [_IMAGE], [T((16, 3, 4))], _call("winograd_pixels", 1)
    yield "winograd_conv2d", [_IMAGE], [T((4, 3, 3, 3)), T((16, 3, 4))], _call("winograd_conv2d", 1)
    rows = [T((), dtype="bool"), T((4, 9, 8)), _IMAGE]
    yield "conv2d_unless", rows, [T((4, 3, 3, 3))], _call("conv2d_unless", 1)
    for name in ("max_pool2d", "avg_pool2d"):
        yield name, [_IMAGE], [], _call(name, 3, 2, 1)


def _normalised() -> Iterator[Entry]:
    yield "layer_norm", [_X], [], _call("layer_norm", (13,))
    affine = [T((5, 13)), T((5, 13))]
    yield "layer_norm", [_X], affine, lambda x, w, b: ops.layer_norm(x, (5, 13), w, b)
    attend = "scaled_dot_product_attention"
    heads = [T((2, 4, 8)), T((2, 6, 8)), T((2, 6, 5))]
    yield attend, heads, [], _call(attend)
    yield attend, heads, [], _call(attend, is_causal=True)
    yield attend, [T(t.shape[1:]) for t in heads], [T((4, 6))], _call(attend)


def _losses() -> Iterator[Entry]:
    for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
        yield name, [_X, _X], [], _call(name, reduction="none")
    for name in ("binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div"):
        yield name, [_PROBABILITY, _PROBABILITY], [], _call(name, reduction="none")
    scores = [T((5,)), _CLASS]
    for smoothing in (0.0, 0.1):
        last = {"reduction": "none", "label_smoothing": smoothing}
        yield "cross_entropy", scores, [], _call("cross_entropy", **last)
    yield "nll_loss", scores, [], _call("nll_loss", reduction="none")
    added = [T((5, 6)), _PLACES, T((5, 6))]
    yield "scatter_add", added, [], lambda x, i, s: ops.scatter_add(x, 2, i, s)


def _elementwise(op: Elementwise) -> Iterator[Entry]:
    """The op's samples with a batch in front; operands of a sample broadcast within their row."""
    calls = [call for call in calls_of(op) if not any(0 in t.shape for t in call.tensors)]
    if isinstance(op.samples, Uniform):
        low, high, _ = op.samples
        for shape in ((5, 13), ()):
            yield op.name, [T(shape, low, high)] * len(calls[0].tensors), [], _call(op.name)
        calls = [call for call in calls if len(set(call.sample.args)) > 1]  # they broadcast
    for call in calls:
        rank = max(len(t.shape) for t in call.tensors)
        padded = [t._replace(shape=(1,) * (rank - len(t.shape)) + t.shape) for t in call.tensors]
        yield op.name, padded, [], lambda *x, c=call: c.apply(x)


def _all() -> Iterator[Batch]:
    for table in (_reductions, _products, _transforms, _windows, _normalised, _losses):
        for name, *rest in table():
            yield Batch(registry.get(name), *rest)
    for op in ALL_OPS:
        if isinstance(op, Elementwise):
            for name, *rest in _elementwise(op):
                yield Batch(registry.get(name), *rest)


ALL_BATCHES = list(_all())
