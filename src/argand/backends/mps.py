"""Apple's GPUs: there is none to compute on.

>>> ag.backends.mps.is_available()
False
"""

from __future__ import annotations

from argand.base.absent import Absent

_ABSENT = Absent("backends.mps", "an MPS device")
globals().update(
    _ABSENT.answers({"is_available()": False, "is_built()": False})
    | _ABSENT.refuses("get_core_count get_name is_macos13_or_newer is_macos_or_newer")
)
