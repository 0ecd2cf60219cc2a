"""The rules of the ops, one file a category; `argand.onnx.registry` says how to write one.

To do: quantized (QuantizeLinear, QLinearConv ...), recurrent (RNN, GRU, LSTM), drawing (random),
signals (DFT, STFT, MelWeightMatrix, windows), texts (strings, TfIdfVectorizer, RegexFullMatch),
pictures (ImageDecoder), learning (ai.onnx.ml), training (ai.onnx.preview.training), microsoft
(com.microsoft).
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
