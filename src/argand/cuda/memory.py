"""`argand.cuda.memory`: what `argand.cuda` says about the memory of GPUs, under PyTorch's other
address."""

from __future__ import annotations

import argand.cuda as _cuda

_NAMES = ("CUDAPluggableAllocator", "MemPool", "empty_cache", "list_gpu_processes", "use_mem_pool")
__all__ = sorted(
    {*_NAMES, *(n for n in _cuda.__all__ if ("mem" in n or "alloc" in n) and n != "memory_usage")}
    - {"device_memory_used"}
)
globals().update({name: getattr(_cuda, name) for name in __all__})
