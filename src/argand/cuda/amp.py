"""`argand.cuda.amp`: mixed precision on a GPU, by PyTorch's older names; it changes nothing here,
and says so. `ag.amp` has what works on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand import amp
from argand.base.dtype import float16
from argand.base.errors import unknown_name
from argand.base.notices import notice

__all__ = ["GradScaler", "amp_definitely_not_available", "autocast", "custom_bwd", "custom_fwd"]


def _deprecated(name: str, instead: str) -> None:
    notice(
        f"ag.cuda.amp.{name} is PyTorch's older name; use {instead}",
        FutureWarning,
    )


def amp_definitely_not_available() -> bool:
    """True: there is no GPU to use mixed precision on.

    >>> ag.cuda.amp.amp_definitely_not_available()
    True
    """
    return True


class autocast(amp.autocast):  # noqa: N801  # PyTorch's name
    """``ag.amp.autocast("cuda", ...)``: changes nothing, with a warning; a FutureWarning too.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     with ag.cuda.amp.autocast():
    ...         print(ag.is_autocast_enabled("cuda"))
    False
    """

    def __init__(
        self, enabled: bool = True, dtype: Any = float16, cache_enabled: bool = True
    ) -> None:
        _deprecated("autocast(...)", "ag.amp.autocast('cuda', ...)")
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(amp.GradScaler):
    """``ag.amp.GradScaler("cuda", ...)``: disabled, with a warning; a FutureWarning too.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     ag.cuda.amp.GradScaler().is_enabled()
    False
    """

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        _deprecated("GradScaler(...)", "ag.amp.GradScaler('cuda', ...)")
        super().__init__(
            "cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled
        )


def custom_fwd(fwd: Any = None, *, cast_inputs: Any = None) -> Callable[..., Any]:
    """``ag.amp.custom_fwd(device_type="cuda")``, with a FutureWarning.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     f = ag.cuda.amp.custom_fwd(lambda ctx, x: x)
    """
    _deprecated("custom_fwd(...)", "ag.amp.custom_fwd(..., device_type='cuda')")
    return amp.custom_fwd(fwd, device_type="cuda", cast_inputs=cast_inputs)


def custom_bwd(bwd: Any = None) -> Callable[..., Any]:
    """``ag.amp.custom_bwd(device_type="cuda")``, with a FutureWarning.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     f = ag.cuda.amp.custom_bwd(lambda ctx, g: g)
    """
    _deprecated("custom_bwd(...)", "ag.amp.custom_bwd(..., device_type='cuda')")
    return amp.custom_bwd(bwd, device_type="cuda")


def __getattr__(name: str) -> Any:
    raise unknown_name(__name__, name, __all__)
