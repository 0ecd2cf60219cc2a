"""`argand.signal`: windows for spectral analysis, as `torch.signal`."""

from argand.signal import windows

__all__ = ["windows"]
