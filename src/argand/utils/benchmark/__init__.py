"""`argand.utils.benchmark`: times of statements, as `torch.utils.benchmark`."""

from argand.utils.benchmark.compare import Compare
from argand.utils.benchmark.measurement import Measurement, TaskSpec
from argand.utils.benchmark.timer import Timer

__all__ = ["Compare", "Measurement", "TaskSpec", "Timer"]
