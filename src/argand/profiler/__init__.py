"""`argand.profiler`: what took how long, as `torch.profiler`.

>>> from argand.profiler import profile, record_function
>>> with profile(record_shapes=True) as p:
...     with record_function("forward"):
...         y = ag.ones(4, 3) @ ag.ones(3, 2)
>>> [(row.key, row.count) for row in p.key_averages() if row.key in ("forward", "matmul")]
[('forward', 1), ('matmul', 1)]
"""

from argand.profiler.measuring import record_function
from argand.profiler.profiles import (
    LegacyProfile,
    ProfilerAction,
    ProfilerActivity,
    kineto_available,
    profile,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)

__all__ = [
    "LegacyProfile",
    "ProfilerAction",
    "ProfilerActivity",
    "kineto_available",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]
