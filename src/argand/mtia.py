"""`argand.mtia`: there is no accelerator of Meta's, and this says so the way programs ask.

>>> ag.mtia.is_available()
False
"""

from __future__ import annotations

from argand.base.absent import Absent, device_context

_ABSENT = Absent("mtia", "an MTIA device")
_FUNCTIONS = (
    _ABSENT.answers(
        {
            "device_count()": 0,
            "get_rng_state_all()": [],
            "is_available()": False,
            "is_bf16_supported(including_emulation=True)": True,
            "is_initialized()": False,
            "manual_seed(seed)": None,
            "manual_seed_all(seed)": None,
            "max_memory_allocated(device=None)": 0,
            "memory_allocated(device=None)": 0,
            "memory_stats(device=None)": {},
            "record_memory_history(enabled=None, stacks=None, max_entries=0)": None,
            "reset_peak_memory_stats(device=None)": None,
            "seed()": None,
            "seed_all()": None,
        }
    )
    | _ABSENT.refuses(
        """attach_out_of_memory_observer current_device current_stream default_stream empty_cache
        get_device_capability get_device_properties get_rng_state graph graph_pool_handle init
        initial_seed set_device set_rng_state set_rng_state_all set_stream snapshot stream
        synchronize"""
    )
    | _ABSENT.classes("MTIAGraph")
)
globals().update(_FUNCTIONS)

device = device_context(_ABSENT)


__all__ = ["device", *sorted(_FUNCTIONS)]
