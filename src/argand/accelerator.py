"""`argand.accelerator`: there is none, and this says so the way programs ask.

>>> a = ag.accelerator
>>> a.current_accelerator().type if a.is_available() else "cpu"
'cpu'
"""

from __future__ import annotations

from argand.base.absent import Absent, device_context

_ABSENT = Absent("accelerator", "an accelerator")
_FUNCTIONS = (
    _ABSENT.answers(
        {
            "current_accelerator(check_available=False)": None,
            "device_count()": 0,
            "is_available()": False,
        }
    )
    | _ABSENT.refuses(
        """current_device_idx current_device_index current_stream empty_cache empty_host_cache
        get_device_capability get_memory_info max_memory_allocated max_memory_reserved
        memory_allocated memory_reserved memory_stats reset_accumulated_memory_stats
        reset_peak_memory_stats set_device_idx set_device_index set_stream synchronize"""
    )
    | _ABSENT.classes("Graph")
)
globals().update(_FUNCTIONS)

device_index = device_context(_ABSENT)


__all__ = ["device_index", *sorted(_FUNCTIONS)]
