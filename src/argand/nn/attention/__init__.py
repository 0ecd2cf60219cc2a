"""`argand.nn.attention`: PyTorch's way to ask for a kernel of attention. There is one here, for all
shapes, so it is kept and answered, and nothing computes differently.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from argand.base.preferences import SDPAParams, SDPBackend, preferences

__all__ = ["SDPAParams", "SDPBackend", "sdpa_kernel"]


def sdpa_kernel(
    backends: SDPBackend | Iterable[SDPBackend], set_priority: bool = False
) -> AbstractContextManager[Any]:
    """Ask for kernels of attention inside the block; one of them must be one of a CPU (MATH or
    FLASH_ATTENTION), or entering raises DeviceError. As `torch.nn.attention.sdpa_kernel`.

    >>> from argand.nn.attention import SDPBackend, sdpa_kernel
    >>> q = ag.ones(1, 1, 2, 4)
    >>> with sdpa_kernel(SDPBackend.MATH):
    ...     print(F.scaled_dot_product_attention(q, q, q).shape)
    argand.Size([1, 1, 2, 4])
    """
    if not isinstance(backends, SDPBackend | list):
        raise AssertionError(
            "sdpa_kernel takes an SDPBackend or a list of them, got "
            f"{type(backends).__name__}: {backends!r}"
        )
    return preferences.only([backends] if isinstance(backends, SDPBackend) else backends)
