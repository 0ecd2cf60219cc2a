"""NVIDIA's cuSPARSELt: there is none.

>>> ag.backends.cusparselt.is_available()
False
"""

from __future__ import annotations

from argand.base.absent import Absent

globals().update(
    Absent("backends.cusparselt", "a CUDA device").answers(
        {"get_max_alg_id()": None, "is_available()": False, "version()": None}
    )
)
