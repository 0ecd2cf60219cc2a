"""`argand.cpu.amp`: mixed precision on the CPU, by PyTorch's older names."""

from __future__ import annotations

from typing import Any

from argand import amp
from argand.base.dtype import bfloat16
from argand.base.notices import notice

__all__ = ["GradScaler", "autocast"]


def _deprecated(name: str) -> None:
    notice(
        f"ag.cpu.amp.{name}(...) is PyTorch's older name; use ag.amp.{name}('cpu', ...)",
        FutureWarning,
    )


class autocast(amp.autocast):  # noqa: N801  # PyTorch's name
    """``ag.amp.autocast("cpu", ...)``, with a FutureWarning.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     with ag.cpu.amp.autocast():
    ...         print(ag.is_autocast_enabled("cpu"))
    True
    """

    def __init__(
        self, enabled: bool = True, dtype: Any = bfloat16, cache_enabled: bool = True
    ) -> None:
        _deprecated("autocast")
        super().__init__("cpu", dtype, enabled, cache_enabled)


class GradScaler(amp.GradScaler):
    """``ag.amp.GradScaler("cpu", ...)``, with a FutureWarning.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     ag.cpu.amp.GradScaler().is_enabled()
    True
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _deprecated("GradScaler")
        super().__init__("cpu", *args, **kwargs)
