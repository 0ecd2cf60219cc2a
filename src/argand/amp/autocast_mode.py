"""`autocast`: products in bfloat16 or float16, losses and other sums in float32."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from argand.amp.casting import cast, eligible
from argand.amp.state import (
    enter_block,
    get_autocast_dtype,
    is_autocast_cache_enabled,
    is_autocast_enabled,
)
from argand.base.dtype import DType, as_dtype, bfloat16, float16
from argand.base.notices import notice


class autocast:  # noqa: N801  # PyTorch's name
    """Inside the block products of matrices, convolutions and attention are computed in bfloat16
    (or float16), losses in float32; everything else in the dtype of its operands.

    `device_type` is "cpu"; for another one nothing changes, and a warning says so. float64 is never
    changed. A weight's copy in the lower precision is made once in the outermost block, unless
    `cache_enabled` is False or the weight is written. A decorator too. Inside `ag.compile` the
    casts are part of the program; a compiled function that is called inside the block has a program
    of its own there. As `torch.amp.autocast`, by its lists for the CPU.

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
        usual = get_autocast_dtype(device_type)
        wanted = usual if dtype is None else as_dtype(dtype)
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
        self._leaves: list[Callable[[], None]] = []

    def __enter__(self) -> autocast:
        caches = is_autocast_cache_enabled() if self._cache is None else self._cache
        self._leaves.append(enter_block(self.device, self._enabled, self.fast_dtype, caches))
        return self

    def __exit__(self, *exc: Any) -> None:
        self._leaves.pop()()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return autocast_decorator(self, function)


def autocast_decorator(block: autocast, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, run inside the block."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with block:
            return function(*args, **kwargs)

    return call


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
    return cast(value, to) if eligible(value) else value
