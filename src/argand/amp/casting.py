"""Which operations autocast computes in which dtype: products in bfloat16 or float16, losses and
decompositions in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base.dtype import DType, bfloat16, float32, float64
from argand.ir import bind as crossroads
from argand.ir.bind import tracing
from argand.ir.op import Op, ops
from argand.tensor.core import Tensor
from argand.transform.mode import mode
from argand.transform.tape import LEAF

# PyTorch's lists for the CPU, by the names of public functions and ops; these have no prefix of
# their own (`linalg_`, `fft_`).
LOWER = """addbmm addmm baddbmm bmm conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d
    conv_transpose3d einsum linear lstm matmul mm prelu scaled_dot_product_attention vecdot"""
FLOAT32 = """
    adaptive_avg_pool3d adaptive_max_pool3d avg_pool3d binary_cross_entropy
    binary_cross_entropy_with_logits cdist cholesky cholesky_ex cholesky_inverse cholesky_solve
    cond cosine_embedding_loss cross_entropy ctc_loss eig eigh eigvals eigvalsh fft fft2 fftn
    fractional_max_pool2d fractional_max_pool3d geqrf grid_sample hfft hinge_embedding_loss
    householder_product huber_loss ifft ifft2 ifftn ihfft inv inv_ex inverse irfft irfft2 irfftn
    kl_div l1_loss lstsq lu lu_solve margin_ranking_loss matrix_rank max_pool3d max_unpool1d
    max_unpool2d max_unpool3d mse_loss multi_margin_loss multilabel_margin_loss nanquantile
    nll_loss orgqr ormqr pinverse poisson_nll_loss polar prod qr quantile reflection_pad1d
    reflection_pad2d replication_pad1d replication_pad2d replication_pad3d rfft rfft2 rfftn
    smooth_l1_loss soft_margin_loss solve stft svd svdvals tensorinv tensorsolve trace
    triangular_solve triplet_margin_loss view_as_complex
"""
# In PyTorch they are no products that autocast knows of; here they are made of one.
UNCHANGED = """adaptive_avg_pool1d adaptive_avg_pool2d addmv dot interpolate mv upsample
    upsample_bilinear vdot"""


class Caster:
    """Casts the arguments of calls by the lists; holds the lower copies of weights."""

    def __init__(self) -> None:
        self.cache: dict[Any, tuple[Any, Any]] = {}
        self.dtype: DType = bfloat16
        self.caches = True

    def set(self, dtype: DType, caches: bool) -> None:
        """What it is to lower to, and whether copies are kept."""
        self.dtype, self.caches = dtype, caches

    @property
    def key(self) -> Any:
        """What a compiled program depends on."""
        return self.dtype

    def __call__(self, callee: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """``function(*args, **kwargs)``, its tensors in the dtype that the lists give the callee;
        what it calls in turn is computed as it is."""
        cast = _CASTS.get(_listed_name(callee, args, kwargs))
        if cast is None:
            return function(*args, **kwargs)
        args = [cast(self, x) for x in args]
        kwargs = {k: x if k == "out" else cast(self, x) for k, x in kwargs.items()}
        with crossroads.uncast():
            return function(*args, **kwargs)

    def unchanged(self, value: Any) -> Any:
        """An argument as it is."""
        return value

    def raised(self, value: Any) -> Any:
        """An argument in float32; all tensors of a list."""
        if isinstance(value, list | tuple):
            return type(value)(map(self.raised, value))
        return cast(value, float32) if eligible(value) else value

    def lowered(self, value: Any) -> Any:
        """An argument in the lower precision; a weight's is computed once until the outer block
        ends."""
        if isinstance(value, list | tuple):
            return type(value)(map(self.lowered, value))
        if not eligible(value) or value.dtype is self.dtype:
            return value
        if not (self.caches and value._node is LEAF and not tracing()):
            return cast(value, self.dtype)
        key = id(value), value._writes, self.dtype, mode.enabled
        found = self.cache.get(key)
        if found is None:
            found = self.cache[key] = (value, cast(value, self.dtype))  # holds it: ids come again
        return found[1]


_CASTS: dict[str, Callable[[Caster, Any], Any]] = {
    **dict.fromkeys(LOWER.split(), Caster.lowered),
    **dict.fromkeys(FLOAT32.split(), Caster.raised),
    **dict.fromkeys(UNCHANGED.split(), Caster.unchanged),
}


def _listed_name(callee: Any, args: Any, kwargs: Any) -> str:
    """The name that a call has in the lists."""
    name: str = callee.name if isinstance(callee, Op) else callee.__name__
    name = name.rpartition(".")[2].removeprefix("linalg_")
    if name == "pad":
        return _name_of_pad(*args[1:3], **kwargs)
    if name == "einsum" and not _contracts(*args):
        return ""
    if name == "max_pool3d" and kwargs.get("return_indices"):
        return ""  # another operation of PyTorch's, of which its lists don't know
    return name


def _name_of_pad(pad: Any = (), mode: str = "constant", **others: Any) -> str:
    kinds = {"reflect": "reflection", "replicate": "replication"}
    return f"{kinds.get(mode, mode)}_pad{len(pad) // 2}d" if isinstance(pad, list | tuple) else ""


def _contracts(equation: Any = "", *operands: Any) -> bool:
    """Whether an `einsum` sums products over a label that two operands share."""
    if not isinstance(equation, str):
        return True
    given, arrow, result = equation.partition("->")
    parts = [set(part) - set(" .") for part in given.split(",")]
    shared = {label for label in set().union(*parts) if sum(label in p for p in parts) > 1}
    return bool(shared - set(result)) if arrow else bool(shared)


def eligible(value: Any) -> bool:
    """Whether autocast may change a tensor's dtype: float64 it never does."""
    is_float = isinstance(value, Tensor) and value.dtype.is_floating_point
    return is_float and value.dtype is not float64


def cast(value: Any, to: DType) -> Any:
    """A tensor in a dtype; itself where it is."""
    return value if value.dtype is to else ops.cast(value, to)
