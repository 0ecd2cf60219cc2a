"""Switches of cuDNN that PyTorch's programs set: they can be set, and there is no cuDNN to heed
them, as in an installation of PyTorch for the CPU.

>>> ag.backends.cudnn.benchmark = True
>>> ag.backends.cudnn.benchmark = False
"""

from __future__ import annotations

from argand.backends.flags import block, setter
from argand.base.absent import Absent

enabled = True
benchmark = False
benchmark_limit: int | None = None
deterministic = False
allow_tf32 = True
fp32_precision = "none"
depthwise_kernel = "auto"

globals().update(
    Absent("backends.cudnn", "a GPU").answers(
        {"is_available()": False, "version()": None, "is_acceptable(tensor)": False}
    )
)
set_flags = setter(
    globals(),
    "enabled benchmark benchmark_limit deterministic allow_tf32 fp32_precision depthwise_kernel",
)
flags = block(
    globals(),
    {
        "enabled": False,
        "benchmark": False,
        "benchmark_limit": 10,
        "deterministic": False,
        "allow_tf32": True,
        "fp32_precision": "none",
        "depthwise_kernel": "auto",
    },
)
