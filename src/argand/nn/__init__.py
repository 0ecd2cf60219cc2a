"""Layers, losses and models: `torch.nn`'s names on Argand's tensors."""

from __future__ import annotations

from typing import Any

from argand.base.errors import unknown_name
from argand.base.misuse import explained_class
from argand.nn import functional, init, utils
from argand.nn.activation import (
    ELU,
    GELU,
    GLU,
    SELU,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softmin,
    Softplus,
    Softsign,
    Tanh,
)
from argand.nn.attention import MultiheadAttention
from argand.nn.containers import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from argand.nn.conv import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from argand.nn.dropout import Dropout, Dropout1d, Dropout2d
from argand.nn.embedding import Embedding
from argand.nn.linear import Bilinear, Identity, Linear
from argand.nn.loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CosineSimilarity,
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from argand.nn.module import Module
from argand.nn.norm import (
    BatchNorm1d,
    BatchNorm2d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    LayerNorm,
    RMSNorm,
)
from argand.nn.parameter import Buffer, Parameter
from argand.nn.pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool1d,
    AvgPool2d,
    MaxPool1d,
    MaxPool2d,
)
from argand.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from argand.nn.reshape import (
    ConstantPad1d,
    ConstantPad2d,
    Flatten,
    PixelShuffle,
    ReflectionPad2d,
    ReplicationPad2d,
    Unflatten,
    Unfold,
    Upsample,
    ZeroPad2d,
)

__all__ = [
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Bilinear",
    "Buffer",
    "ConstantPad1d",
    "ConstantPad2d",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "CosineSimilarity",
    "CrossEntropyLoss",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "HuberLoss",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "KLDivLoss",
    "L1Loss",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "Mish",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "NLLLoss",
    "PReLU",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "PixelShuffle",
    "RMSNorm",
    "RNNCell",
    "ReLU",
    "ReLU6",
    "ReflectionPad2d",
    "ReplicationPad2d",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softsign",
    "Tanh",
    "Unflatten",
    "Unfold",
    "Upsample",
    "ZeroPad2d",
    "functional",
    "init",
    "utils",
]

for _name in __all__:
    if isinstance(globals()[_name], type):
        explained_class(globals()[_name])


def __getattr__(name: str) -> Any:
    raise unknown_name(__name__, name, __all__)
