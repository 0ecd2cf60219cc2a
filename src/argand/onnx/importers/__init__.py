"""The rules of the ops, one file a category; `argand.onnx.registry` says how to write one.

To do: texts (strings, TfIdfVectorizer, RegexFullMatch), pictures (ImageDecoder), learning
(ai.onnx.ml), microsoft (com.microsoft).
"""

from __future__ import annotations

from argand.onnx.importers import (
    attention,
    control,
    convolution,
    drawing,
    elementwise,
    imaging,
    losses,
    normalising,
    pooling,
    products,
    quantized,
    recurrent,
    reducing,
    resizing,
    shaping,
    signals,
    training,
)

__all__ = [
    "attention",
    "control",
    "convolution",
    "drawing",
    "elementwise",
    "imaging",
    "losses",
    "normalising",
    "pooling",
    "products",
    "quantized",
    "recurrent",
    "reducing",
    "resizing",
    "shaping",
    "signals",
    "training",
]
