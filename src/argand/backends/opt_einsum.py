"""The package opt_einsum: `ag.einsum` chooses the order of its products itself.

>>> ag.backends.opt_einsum.is_available()
False
"""

from __future__ import annotations

from argand.base.absent import Absent

enabled = False
strategy: str | None = None
globals().update(
    Absent("backends.opt_einsum", "opt_einsum").answers(
        {"get_opt_einsum()": None, "is_available()": False}
    )
)
