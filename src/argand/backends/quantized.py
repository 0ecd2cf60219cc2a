"""Engines of quantized tensors: there are none.

>>> ag.backends.quantized.supported_engines
[]
"""

from __future__ import annotations

engine = "none"
supported_engines: list[str] = []
