"""The switch of NNPACK that PyTorch's programs set: there is no NNPACK to heed it.

>>> ag.backends.nnpack.is_available()
False
"""

from __future__ import annotations

from argand.backends.flags import block, setter
from argand.base.absent import Absent

enabled = False
globals().update(Absent("backends.nnpack", "NNPACK").answers({"is_available()": False}))
set_flags = setter(globals(), "enabled")
flags = block(globals(), {"enabled": False})
