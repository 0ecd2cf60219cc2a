"""`argand.mps`: there is no GPU of Apple's, and this says so the way programs ask.

>>> ag.mps.is_available()
False
"""

from __future__ import annotations

from argand.base.absent import Absent

_ABSENT = Absent("mps", "an MPS device")
_FUNCTIONS = (
    _ABSENT.answers({"device_count()": 0, "is_available()": False, "manual_seed(seed)": None})
    | _ABSENT.refuses(
        """compile_shader current_allocated_memory driver_allocated_memory empty_cache
        get_rng_state load_metallib recommended_max_memory seed set_per_process_memory_fraction
        set_rng_state synchronize"""
    )
    | _ABSENT.classes("Event")
)
globals().update(_FUNCTIONS)

__all__ = sorted(_FUNCTIONS)
