"""`argand.types`: names for annotations, as `torch.types`."""

from __future__ import annotations

import builtins
import os
from collections.abc import Sequence
from typing import IO, Any, TypeAlias

from argand.base.dtype import DType
from argand.tensor.core import Size, Tensor
from argand.tensor.device import device

_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
_TensorOrTensorsOrGradEdge: TypeAlias = Any
_int, _float, _bool, _complex = int, float, bool, complex
_dtype, _device = DType, device
_qscheme = _layout = str
_size: TypeAlias = Size | list[int] | tuple[int, ...]
_symsize = _size
_dispatchkey: TypeAlias = str
IntLikeType = PySymType = int
FloatLikeType, BoolLikeType = float, bool
py_sym_types = (int,)
Number: TypeAlias = builtins.int | builtins.float | builtins.bool
FileLike: TypeAlias = str | os.PathLike[str] | IO[bytes]
Device: TypeAlias = device | str | int | None
"""What a device is given as."""

__all__ = ["Device", "FileLike", "Number"]
