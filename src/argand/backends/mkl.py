"""Intel's MKL: Argand's products are its own.

>>> ag.backends.mkl.is_available()
False
"""

from __future__ import annotations

from argand.base.absent import Absent, NoStream

globals().update(Absent("backends.mkl", "MKL").answers({"is_available()": False}))
VERBOSE_OFF, VERBOSE_ON = 0, 1
verbose = NoStream
