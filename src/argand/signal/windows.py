"""`argand.signal.windows`: as `torch.signal.windows`."""

from __future__ import annotations

from argand.tensor.surface import alias_of
from argand.tensor.windows import (
    bartlett,
    blackman,
    cosine,
    exponential,
    gaussian,
    general_cosine,
    general_hamming,
    hamming,
    hann,
    kaiser,
    nuttall,
)

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]

globals().update({name: alias_of(globals()[name], f"signal.windows.{name}") for name in __all__})
