"""`argand.cuda.nvtx`: marks for NVIDIA's profiler, which has nothing to profile here."""

from __future__ import annotations

from argand.base.absent import Absent

_FUNCTIONS = Absent("cuda.nvtx", "a CUDA device").refuses(
    "mark range range_end range_pop range_push range_start"
)
globals().update(_FUNCTIONS)

__all__ = sorted(_FUNCTIONS)
