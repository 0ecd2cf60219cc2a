"""`argand.cuda.random`: what `argand.cuda` says about generators of GPUs, under PyTorch's other
address."""

from __future__ import annotations

import argand.cuda as _cuda

__all__ = [name for name in _cuda.__all__ if "seed" in name or "rng" in name]
globals().update({name: getattr(_cuda, name) for name in __all__})
