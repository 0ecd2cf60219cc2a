"""Backends: what runs a Program. `cpu` compiles it; `reference` interprets it with NumPy.

The other modules answer what PyTorch's programs ask of `torch.backends`.
"""

from __future__ import annotations

from typing import Any

from argand.backends import cuda as cuda
from argand.backends import cudnn as cudnn
from argand.backends import cusparselt as cusparselt
from argand.backends import kleidiai as kleidiai
from argand.backends import mha as mha
from argand.backends import miopen as miopen
from argand.backends import mkl as mkl
from argand.backends import mkldnn as mkldnn
from argand.backends import mps as mps
from argand.backends import nnpack as nnpack
from argand.backends import openmp as openmp
from argand.backends import opt_einsum as opt_einsum
from argand.backends import quantized as quantized


def __getattr__(name: str) -> Any:
    if name == "cpu":  # brings LLVM with it
        import argand.backends.cpu as cpu

        return cpu
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
