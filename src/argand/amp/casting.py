"""`autocast`: products in bfloat16 or float16, losses and other sums in float32."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from argand.base.dtype import DType, as_dtype, bfloat16, float16, float32, float64
from argand.base.errors import ArgumentError
from argand.base.notices import notice
from argand.ir import bind as crossroads
from argand.ir.bind import tracing
from argand.ir.op import Op, ops
from argand.tensor.core import Tensor
from argand.transform.mode import mode
from argand.transform.tape import LEAF

# PyTorch's lists for the CPU, by the names of public functions and ops.
LOWER = frozenset(
    [
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "conv_tbc",
        "bmm",
        "mm",
        "linear",
        "addmm",
        "addbmm",
        "baddbmm",
        "matmul",
        "scaled_dot_product_attention",
        "einsum",
    ]
)
FLOAT32 = frozenset(
    [
        "avg_pool3d",
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "grid_sample",
        "polar",
        "prod",
        "quantile",
        "nanquantile",
        "stft",
        "cdist",
        "trace",
        "view_as_complex",
        "cholesky",
        "cholesky_inverse",
        "cholesky_solve",
        "inverse",
        "lu_solve",
        "orgqr",
        "ormqr",
        "pinverse",
        "max_pool3d",
        "max_unpool2d",
        "max_unpool3d",
        "adaptive_avg_pool3d",
        "mse_loss",
        "cosine_embedding_loss",
        "nll_loss",
        "hinge_embedding_loss",
        "poisson_nll_loss",
        "smooth_l1_loss",
        "cross_entropy",
        "l1_loss",
        "huber_loss",
        "margin_ranking_loss",
        "soft_margin_loss",
        "triplet_margin_loss",
        "multi_margin_loss",
        "ctc_loss",
        "kl_div",
        "multilabel_margin_loss",
        "binary_cross_entropy",
        "fft",
        "ifft",
        "fft2",
        "ifft2",
        "fftn",
        "ifftn",
        "rfft",
        "irfft",
        "rfft2",
        "irfft2",
        "rfftn",
        "irfftn",
        "hfft",
        "ihfft",
        "cond",
        "matrix_rank",
        "solve",
        "qr",
        "svd",
        "svdvals",
        "eig",
        "eigvals",
        "eigh",
        "eigvalsh",
        "inv",
        "lstsq",
        "fractional_max_pool2d",
        "fractional_max_pool3d",
        "adaptive_max_pool3d",
        "geqrf",
        "cholesky_ex",
        "inv_ex",
        "householder_product",
        "tensorinv",
        "tensorsolve",
        "triangular_solve",
    ]
)
_OTHERS = ("cuda", "mps", "xpu", "hpu", "mtia", "xla")


class Setting(NamedTuple):
    """What autocast does in a thread."""

    enabled: bool = False
    dtype: DType = bfloat16
    caches: bool = True


class _Local(threading.local):
    def __init__(self) -> None:
        self.setting = Setting()
        self.depth = 0
        self.cache: dict[Any, tuple[Any, Any]] = {}


_local = _Local()


def _recast(callee: Any, args: Any, kwargs: Any) -> Any:
    """The arguments of a call, its tensors in the dtype that the lists give the callee."""
    if not _local.setting.enabled:
        return args, kwargs
    name = callee.name if isinstance(callee, Op) else callee.__name__
    if name in LOWER:
        cast = _lowered
    elif name in FLOAT32:
        cast = _raised
    else:
        return args, kwargs
    return tuple(map(cast, args)), {k: cast(v) for k, v in kwargs.items()}


def _eligible(value: Any) -> bool:
    """Whether autocast may change a tensor's dtype: float64 it never does."""
    is_float = isinstance(value, Tensor) and value.dtype.is_floating_point
    return is_float and value.dtype is not float64


def _raised(value: Any) -> Any:
    return _cast(value, float32) if _eligible(value) else value


def _lowered(value: Any) -> Any:
    """A float in the lower precision; a weight's is computed once until the outer block ends."""
    if isinstance(value, list | tuple):
        return type(value)(map(_lowered, value))
    if not _eligible(value) or value.dtype is _local.setting.dtype:
        return value
    to = _local.setting.dtype
    if not (_local.setting.caches and value._node is LEAF and not tracing()):
        return _cast(value, to)
    key = id(value), value._version, to, mode.enabled
    found = _local.cache.get(key)
    if found is None:
        found = _local.cache[key] = (value, _cast(value, to))  # holds on to it: ids come again
    return found[1]


def _cast(value: Any, to: DType) -> Any:
    return value if value.dtype is to else ops.cast(value, to)


class autocast:  # noqa: N801  # PyTorch's name
    """Inside the block products of matrices, convolutions and attention are computed in bfloat16
    (or float16), losses in float32; everything else in the dtype of its operands.

    `device_type` is "cpu"; for another one nothing changes, and a warning says so. float64 is never
    changed. A weight's copy in the lower precision is made once in the outermost block, unless
    `cache_enabled` is False or the weight is written. A decorator too. Inside `ag.compile` the
    casts are part of the program; a compiled function that is called inside the block runs op by
    op. As `torch.amp.autocast`, by its lists for the CPU.

    >>> layer = nn.Linear(3, 2)
    >>> with ag.autocast("cpu", dtype=ag.bfloat16):
    ...     y = layer(ag.ones(1, 3))
    ...     loss = nn.functional.mse_loss(y, ag.zeros(1, 2))
    >>> y.dtype, loss.dtype
    (argand.bfloat16, argand.float32)
    """

    def __init__(
        self,
        device_type: str,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"autocast takes the name of a device, got {device_type!r}")
        if device_type != "cpu" and device_type not in _OTHERS:
            raise RuntimeError(f"unsupported device type {device_type!r}: autocast works on 'cpu'")
        wanted = _local.setting.dtype if dtype is None else as_dtype(dtype)
        if enabled and device_type != "cpu":
            notice(
                f"autocast of {device_type!r} changes nothing: Argand computes on the CPU; use "
                "autocast('cpu')",
            )
            enabled = False
        elif enabled and wanted not in (bfloat16, float16):
            notice(
                f"autocast to {wanted.name} changes nothing: it casts to bfloat16 or float16",
            )
            enabled = False
        self.device, self.fast_dtype, self._enabled = device_type, wanted, bool(enabled)
        self._cache = cache_enabled
        self._blocks: list[tuple[Any, Setting]] = []

    def __enter__(self) -> autocast:
        before = _local.setting
        if self.device == "cpu":
            caches = before.caches if self._cache is None else self._cache
            _local.setting = Setting(self._enabled, self.fast_dtype, caches)
        _local.depth += 1
        block = crossroads.recasting(_recast)
        block.__enter__()
        self._blocks.append((block, before))
        return self

    def __exit__(self, *exc: Any) -> None:
        block, before = self._blocks.pop()
        block.__exit__(*exc)
        _local.setting = before
        _local.depth -= 1
        if _local.depth == 0:
            _local.cache.clear()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return autocast_decorator(self, function)


def autocast_decorator(block: autocast, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, run inside the block."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with block:
            return function(*args, **kwargs)

    return call


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast works on a device.

    >>> ag.amp.is_autocast_available("cpu"), ag.amp.is_autocast_available("cuda")
    (True, False)
    """
    if not isinstance(device_type, str):
        raise ArgumentError(f"expected the name of a device, got {device_type!r}")
    return device_type == "cpu"


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether this is inside an autocast block; of the CPU, unless another device is named.

    >>> with ag.autocast("cpu"):
    ...     ag.is_autocast_enabled("cpu")
    True
    """
    return device_type == "cpu" and _local.setting.enabled


def get_autocast_dtype(device_type: str) -> DType:
    """The dtype that autocast lowers to on a device.

    >>> ag.get_autocast_dtype("cpu")
    argand.bfloat16
    """
    return _local.setting.dtype if device_type == "cpu" else float16


def custom_fwd(fwd: Any = None, *, device_type: str, cast_inputs: Any = None) -> Callable[..., Any]:
    """Decorates `forward` of an `autograd.Function`: with `cast_inputs`, floats are cast to it and
    autocast is off inside; without, `custom_bwd` repeats what autocast was here.

    >>> class Square(ag.autograd.Function):
    ...     @staticmethod
    ...     @ag.amp.custom_fwd(device_type="cpu", cast_inputs=ag.float32)
    ...     def forward(ctx, x):
    ...         return x * x
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def call(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        enabled = is_autocast_enabled(device_type)
        ctx._dtype = get_autocast_dtype(device_type)
        ctx._fwd_used_autocast = enabled and cast_inputs is None
        if cast_inputs is None or not enabled:
            return fwd(ctx, *args, **kwargs)
        to = as_dtype(cast_inputs)
        with autocast(device_type, enabled=False):
            return fwd(ctx, *_all_cast(args, to), **_all_cast(kwargs, to))

    return call


def custom_bwd(bwd: Any = None, *, device_type: str) -> Callable[..., Any]:
    """Decorates `backward` of an `autograd.Function`: autocast as it was in the forward that
    `custom_fwd` decorates.

    >>> ag.amp.custom_bwd(lambda ctx, g: g, device_type="cpu").__name__
    '<lambda>'
    """
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def call(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, enabled=ctx._fwd_used_autocast, dtype=ctx._dtype):
            return bwd(ctx, *args, **kwargs)

    return call


def _all_cast(value: Any, to: DType) -> Any:
    """All floats of an argument in another dtype."""
    if isinstance(value, dict):
        return {k: _all_cast(v, to) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_all_cast(v, to) for v in value)
    return _cast(value, to) if _eligible(value) else value
