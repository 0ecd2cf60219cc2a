"""Arm's KleidiAI: there is none.

>>> ag.backends.kleidiai.is_available()
False
"""

from __future__ import annotations

from argand.base.absent import Absent

globals().update(Absent("backends.kleidiai", "KleidiAI").answers({"is_available()": False}))
