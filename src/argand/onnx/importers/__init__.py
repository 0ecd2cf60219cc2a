"""The rules of the ops, one file a category; `argand.onnx.registry` says how to write one.

To do: SVMClassifier and CastMap of ai.onnx.ml; the packed 1-D masks of Attention, of
com.microsoft.
"""

from __future__ import annotations

from argand.onnx.importers import (
    attention,
    control,
    convolution,
    drawing,
    elementwise,
    imaging,
    learning,
    losses,
    microsoft,
    microsoft_quantized,
    normalising,
    pooling,
    products,
    quantized,
    recurrent,
    reducing,
    resizing,
    shaping,
    signals,
    texts,
    training,
)

__all__ = [
    "attention",
    "control",
    "convolution",
    "drawing",
    "elementwise",
    "imaging",
    "learning",
    "losses",
    "microsoft",
    "microsoft_quantized",
    "normalising",
    "pooling",
    "products",
    "quantized",
    "recurrent",
    "reducing",
    "resizing",
    "shaping",
    "signals",
    "texts",
    "training",
]
