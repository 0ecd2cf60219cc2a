"""`argand.xpu`: there is no GPU of Intel's, and this says so the way programs ask.

>>> ag.xpu.is_available()
False
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from argand.base.absent import Absent, NoStream, device_context, device_of

_ABSENT = Absent("xpu", "an XPU device")
_FUNCTIONS = (
    _ABSENT.answers(
        {
            "device_count()": 0,
            "empty_cache()": None,
            "get_arch_list()": [],
            "get_gencode_flags()": "",
            "get_rng_state_all()": [],
            "is_available()": False,
            "is_bf16_supported(including_emulation=True)": False,
            "is_initialized()": False,
            "is_tf32_supported()": False,
            "manual_seed(seed)": None,
            "manual_seed_all(seed)": None,
            "max_memory_allocated(device=None)": 0,
            "max_memory_reserved(device=None)": 0,
            "memory_allocated(device=None)": 0,
            "memory_reserved(device=None)": 0,
            "memory_snapshot(mempool_id=None)": [],
            "memory_stats(device=None)": OrderedDict(),
            "memory_stats_as_nested_dict(device=None)": {},
            "seed()": None,
            "seed_all()": None,
            "set_rng_state(new_state, device=None)": None,
        }
    )
    | _ABSENT.refuses(
        """can_device_access_peer change_current_allocator clock_rate current_device current_stream
        device_memory_used get_device_capability get_device_name get_device_properties
        get_per_process_memory_fraction get_rng_state get_stream_from_external graph
        graph_pool_handle init initial_seed is_current_stream_capturing make_graphed_callables
        mem_get_info memory_usage power_draw reset_accumulated_memory_stats
        reset_peak_memory_stats set_device set_per_process_memory_fraction
        set_rng_state_all set_stream synchronize temperature use_mem_pool utilization"""
    )
    | _ABSENT.classes("Event MemPool Stream XPUGraph XPUPluggableAllocator")
)
globals().update(_FUNCTIONS)

StreamContext = stream = NoStream
device = device_context(_ABSENT)
default_generators: tuple[Any, ...] = ()


__all__ = [
    "StreamContext",
    "default_generators",
    "device",
    "device_of",
    "stream",
    *sorted(_FUNCTIONS),
]
