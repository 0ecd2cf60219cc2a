"""OpenMP: Argand has threads of its own.

>>> ag.backends.openmp.is_available()
False
"""

from __future__ import annotations

from argand.base.absent import Absent

globals().update(Absent("backends.openmp", "OpenMP").answers({"is_available()": False}))
