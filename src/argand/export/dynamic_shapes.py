"""`argand.export.dynamic_shapes`: what says which sizes vary, under PyTorch's address."""

from argand.base.dim import Dim
from argand.export.named import dims

__all__ = ["Dim", "dims"]
