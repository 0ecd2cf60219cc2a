"""`argand.cuda`: there is no GPU, and this says so the way programs ask.

>>> "cuda" if ag.cuda.is_available() else "cpu"
'cpu'
"""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from argand.base.absent import Absent, NoStream, device_context, device_of
from argand.base.errors import unknown_name

_ABSENT = Absent("cuda", "a CUDA device")
_FUNCTIONS = (
    _ABSENT.answers(
        {
            "caching_allocator_enable(value=True)": None,
            "device_count()": 0,
            "empty_cache()": None,
            "get_arch_list()": [],
            "get_gencode_flags()": "",
            "get_rng_state_all()": [],
            "host_memory_stats()": OrderedDict(),
            "host_memory_stats_as_nested_dict()": {},
            "is_available()": False,
            "is_bf16_supported(including_emulation=True)": False,
            "is_initialized()": False,
            "is_tf32_supported()": False,
            "manual_seed(seed)": None,
            "manual_seed_all(seed)": None,
            "max_memory_allocated(device=None)": 0,
            "max_memory_cached(device=None)": 0,
            "max_memory_reserved(device=None)": 0,
            "memory_allocated(device=None)": 0,
            "memory_cached(device=None)": 0,
            "memory_reserved(device=None)": 0,
            "memory_stats(device=None)": OrderedDict(),
            "memory_stats_as_nested_dict(device=None)": {},
            "seed()": None,
            "seed_all()": None,
            "set_rng_state(new_state, device=None)": None,
        }
    )
    | _ABSENT.refuses(
        """caching_allocator_alloc caching_allocator_delete can_device_access_peer
        change_current_allocator check_error clock_rate cudart current_blas_handle current_device
        current_solver_handle current_stream default_stream device_memory_used
        get_allocator_backend get_device_capability get_device_name get_device_properties
        get_per_process_memory_fraction get_rng_state get_stream_from_external
        get_sync_debug_mode graph graph_pool_handle init initial_seed ipc_collect
        is_current_stream_capturing list_gpu_processes make_graphed_callables mem_get_info
        memory_snapshot memory_summary memory_usage power_draw reset_accumulated_host_memory_stats
        reset_accumulated_memory_stats reset_max_memory_allocated reset_max_memory_cached
        reset_peak_host_memory_stats reset_peak_memory_stats set_device
        set_per_process_memory_fraction set_rng_state_all set_stream
        set_sync_debug_mode synchronize temperature use_mem_pool utilization"""
    )
    | _ABSENT.classes("CUDAGraph CUDAPluggableAllocator Event ExternalStream MemPool Stream")
    | _ABSENT.types(
        """BFloat16Tensor BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor
        IntTensor LongTensor ShortTensor"""
    )
)
globals().update(_FUNCTIONS)


def set_rng_state_all(new_states: Iterable[Any]) -> None:
    """Raises DeviceError for the states of any device; the states of no device are fine.

    >>> ag.cuda.set_rng_state_all(ag.cuda.get_rng_state_all())
    """
    for _ in new_states:
        raise _ABSENT.error("set_rng_state_all")


StreamContext = stream = NoStream
device = device_context(_ABSENT)
default_generators: tuple[Any, ...] = ()
has_half, has_magma = True, False

_MODULES = ("amp", "memory", "nvtx", "random")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"argand.cuda.{name}")
    raise unknown_name(__name__, name, (*__all__, *_MODULES))


__all__ = [
    "StreamContext",
    "default_generators",
    "device",
    "device_of",
    "has_half",
    "has_magma",
    "stream",
    *sorted(_FUNCTIONS),
]
