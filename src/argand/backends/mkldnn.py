"""Switches of oneDNN that PyTorch's programs set: they can be set, and there is no oneDNN to heed
them.

>>> ag.backends.mkldnn.is_available()
False
"""

from __future__ import annotations

from argand.backends.flags import block, setter
from argand.base.absent import Absent, NoStream

enabled = True
deterministic = False
allow_tf32: bool | None = None
fp32_precision = "none"
VERBOSE_OFF, VERBOSE_ON, VERBOSE_ON_CREATION = 0, 1, 2
verbose = NoStream

globals().update(
    Absent("backends.mkldnn", "oneDNN").answers(
        {"is_acl_available()": False, "is_available()": False}
    )
)
set_flags = setter(globals(), "enabled deterministic allow_tf32 fp32_precision")
flags = block(
    globals(),
    {"enabled": False, "deterministic": False, "allow_tf32": True, "fp32_precision": "none"},
)
