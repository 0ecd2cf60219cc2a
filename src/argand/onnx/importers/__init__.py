"""The rules of the ops, one file a category; `argand.onnx.registry` says how to write one.

Being written: control (If, Loop, Scan, SequenceMap, sequences, optionals), losses, imaging (Resize,
Upsample, GridSample, AffineGrid, RoiAlign, MaxRoiPool, NonMaxSuppression), attention (Attention,
RotaryEmbedding, LinearAttention, CausalConvWithState, FlexAttention, SwiGLU).

To do: quantized (QuantizeLinear, QLinearConv ...), recurrent (RNN, GRU, LSTM), drawing (random),
signals (DFT, STFT, MelWeightMatrix, windows), texts (strings, TfIdfVectorizer, RegexFullMatch),
pictures (ImageDecoder), learning (ai.onnx.ml), training (ai.onnx.preview.training), microsoft
(com.microsoft).
"""

from __future__ import annotations

from argand.onnx.importers import (
    convolution,
    elementwise,
    normalising,
    pooling,
    products,
    reducing,
    shaping,
)

__all__ = [
    "convolution",
    "elementwise",
    "normalising",
    "pooling",
    "products",
    "reducing",
    "shaping",
]
