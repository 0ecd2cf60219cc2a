"""The rules of the ops, one file a category; `argand.onnx.registry` says how to write one.

Being written: quantized (QuantizeLinear, QLinearConv ...), recurrent (RNN, GRU, LSTM), drawing
(random), signals (DFT, STFT, MelWeightMatrix, windows), training (ai.onnx.preview.training).

To do: texts (strings, TfIdfVectorizer, RegexFullMatch), pictures (ImageDecoder), learning
(ai.onnx.ml), microsoft (com.microsoft).
"""

from __future__ import annotations

from argand.onnx.importers import (
    attention,
    control,
    convolution,
    elementwise,
    imaging,
    losses,
    normalising,
    pooling,
    products,
    reducing,
    resizing,
    shaping,
)

__all__ = [
    "attention",
    "control",
    "convolution",
    "elementwise",
    "imaging",
    "losses",
    "normalising",
    "pooling",
    "products",
    "reducing",
    "resizing",
    "shaping",
]
