"""What PyTorch's programs ask of its CUDA kernels: it is kept and answered, and changes nothing.

>>> ag.backends.cuda.is_built()
False
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from argand.base.absent import Absent
from argand.base.naming import published
from argand.base.notices import notice
from argand.base.preferences import SDPAParams, SDPBackend, preferences

_ABSENT = Absent("backends.cuda", "a CUDA device")
_FUNCTIONS = _ABSENT.answers(
    {
        "can_use_cudnn_attention(params, debug=False)": False,
        "can_use_efficient_attention(params, debug=False)": False,
        "can_use_flash_attention(params, debug=False)": False,
        "is_built()": False,
        "is_ck_sdpa_available()": False,
        "is_flash_attention_available()": False,
    }
) | _ABSENT.refuses(
    """blas_workspace_size cublas_workspace_size cublaslt_workspace_size preferred_blas_library
    preferred_linalg_library preferred_rocm_fa_library"""
)
globals().update(_FUNCTIONS)


class cuBLASModule:  # noqa: N801  # PyTorch's name
    """Switches of products of matrices on a GPU: they can be set, and nothing heeds them.

    >>> ag.backends.cuda.matmul.allow_tf32
    False
    """

    allow_fp16_reduced_precision_reduction: Any = True
    allow_bf16_reduced_precision_reduction: Any = True
    allow_fp16_accumulation: Any = False
    fp32_precision: Any = "none"

    @property
    def allow_tf32(self) -> bool:
        """Whether `ag.set_float32_matmul_precision` was given less than "highest"."""
        return preferences.float32_matmul != "highest"

    @allow_tf32.setter
    def allow_tf32(self, allowed: bool) -> None:
        preferences.set_float32_matmul("high" if allowed else "highest")

    def __setattr__(self, name: str, value: Any) -> None:
        if not hasattr(type(self), name):
            raise AttributeError(f"there is no switch {name!r} of products of matrices")
        super().__setattr__(name, value)


matmul = cuBLASModule()


class _PlanCache:
    """The plans of Fourier transforms on a GPU: there are none."""

    def __getattr__(self, name: str) -> Any:
        if name in ("size", "max_size", "clear"):
            raise _ABSENT.error(f"cufft_plan_cache.{name}")
        raise AttributeError(name)

    def __getitem__(self, device: Any) -> Any:
        raise _ABSENT.error("cufft_plan_cache")


cufft_plan_cache = _PlanCache()


def _switch(kernel: SDPBackend, name: str) -> dict[str, Callable[..., Any]]:
    """The functions that allow a kernel of attention, and say whether it is allowed."""

    def enable(enabled: bool) -> None:
        if not isinstance(enabled, bool):
            raise RuntimeError(f"enable_{name}_sdp takes True or False, got {enabled!r}")
        preferences.allow(kernel, enabled)

    def is_enabled() -> bool:
        return kernel in preferences.attention

    enable.__name__, is_enabled.__name__ = f"enable_{name}_sdp", f"{name}_sdp_enabled"
    enable.__doc__ = (
        f"Allow {kernel}, or forbid it: kept and answered, attention is computed as ever.\n\n"
        f">>> ag.backends.cuda.enable_{name}_sdp(True)\n"
    )
    is_enabled.__doc__ = (
        f"Whether {kernel} is allowed; attention is computed as ever.\n\n"
        f">>> ag.backends.cuda.{name}_sdp_enabled()\nTrue\n"
    )
    found = {f.__name__: f for f in (enable, is_enabled)}
    published(__name__, found)
    return found


_KERNELS = {
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "math": SDPBackend.MATH,
    "mem_efficient": SDPBackend.EFFICIENT_ATTENTION,
}
for _name, _kernel in _KERNELS.items():
    globals().update(_switch(_kernel, _name))

_half_sums = False


def allow_fp16_bf16_reduction_math_sdp(enabled: bool) -> None:
    """Allow sums of 16-bit numbers in attention: kept and answered, sums are of 32 bits.

    >>> ag.backends.cuda.allow_fp16_bf16_reduction_math_sdp(False)
    """
    global _half_sums
    if not isinstance(enabled, bool):
        raise RuntimeError(f"expected True or False, got {enabled!r}")
    _half_sums = enabled


def fp16_bf16_reduction_math_sdp_allowed() -> bool:
    """What `allow_fp16_bf16_reduction_math_sdp` was given last.

    >>> ag.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    False
    """
    return _half_sums


def sdp_kernel(
    enable_flash: bool = True,
    enable_math: bool = True,
    enable_mem_efficient: bool = True,
    enable_cudnn: bool = True,
) -> AbstractContextManager[Any]:
    """The older name of `nn.attention.sdpa_kernel`, with a FutureWarning.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     with ag.backends.cuda.sdp_kernel(enable_flash=False):
    ...         print(ag.backends.cuda.flash_sdp_enabled())
    False
    """
    notice(
        "backends.cuda.sdp_kernel is PyTorch's older name; use nn.attention.sdpa_kernel",
        FutureWarning,
    )
    given = {
        "cudnn": enable_cudnn,
        "flash": enable_flash,
        "math": enable_math,
        "mem_efficient": enable_mem_efficient,
    }
    return preferences.only(_KERNELS[name] for name in given if given[name])


__all__ = [
    "SDPAParams",
    "allow_fp16_bf16_reduction_math_sdp",
    "cuBLASModule",
    "cufft_plan_cache",
    "fp16_bf16_reduction_math_sdp_allowed",
    "matmul",
    "sdp_kernel",
    *sorted(_FUNCTIONS),
    *(f"enable_{name}_sdp" for name in _KERNELS),
    *(f"{name}_sdp_enabled" for name in _KERNELS),
]
