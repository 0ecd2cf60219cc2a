"""What PyTorch's programs ask of its kernels: it can be said and is answered, and as there is one
kernel for each operation, always exact and deterministic, nothing computes differently.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from argand.base.errors import ArgumentError, DeviceError


class SDPBackend(enum.IntEnum):
    """PyTorch's names for kernels of attention, for `sdpa_kernel`.

    >>> from argand.nn.attention import SDPBackend
    >>> SDPBackend.MATH
    <SDPBackend.MATH: 0>
    """

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4

    def __str__(self) -> str:
        return f"SDPBackend.{self.name}"


class SDPAParams(NamedTuple):
    """What a kernel of attention is asked about: `can_use_flash_attention` and its like take it.

    >>> q = ag.ones(1, 1, 2, 4)
    >>> params = ag.backends.cuda.SDPAParams(q, q, q, None, 0.0, True, False)
    >>> ag.backends.cuda.can_use_flash_attention(params)
    False
    """

    query: Any
    key: Any
    value: Any
    attn_mask: Any
    dropout: float
    is_causal: bool
    enable_gqa: bool


# Those that a CPU has.
_HERE = {SDPBackend.MATH, SDPBackend.FLASH_ATTENTION}


class Preferences:
    """What has been asked for in this process."""

    def __init__(self) -> None:
        self.float32_matmul = "highest"
        self.attention = set(SDPBackend) - {SDPBackend.ERROR}
        self.deterministic = 0  # 1: warn where an algorithm is not, 2: raise

    def set_float32_matmul(self, precision: Any) -> None:
        """Ask for a precision of products of float32."""
        if precision not in ("highest", "high", "medium"):
            raise ArgumentError(f"set_float32_matmul_precision: unknown precision {precision!r}")
        self.float32_matmul = precision

    def allow(self, kernel: SDPBackend, enabled: bool) -> None:
        """Allow a kernel of attention, or forbid it."""
        (self.attention.add if enabled else self.attention.discard)(kernel)

    @contextmanager
    def only(self, kernels: Iterable[SDPBackend]) -> Iterator[dict[Any, Any]]:
        """Allow these kernels of attention inside the block; one of them must be one of a CPU."""
        before, wanted = self.attention, set(kernels)
        if not wanted & _HERE:
            names = ", ".join(str(k) for k in sorted(wanted)) or "none"
            raise DeviceError(
                f"no kernel of attention is left: of those asked for ({names}), none is for a CPU; "
                "add SDPBackend.MATH"
            )
        self.attention = wanted
        try:
            yield {}
        finally:
            self.attention = before


preferences = Preferences()
