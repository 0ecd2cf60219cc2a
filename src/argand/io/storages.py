"""PyTorch's storages: the memory that tensors of a file share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from argand.base.dtype import DType, bool_
from argand.base.errors import FormatError
from argand.base.shape import contiguous_strides
from argand.ir.op import ops
from argand.tensor.core import Tensor, wrap
from argand.tensor.device import check_device, cpu, device


class Inside:
    """What a file uses to describe its tensors, and what is no data by itself."""

    name = "an object that only describes tensors"


class StorageType(Inside):
    """The class of a storage: the dtype of its elements; None where its tensors say it."""

    def __init__(self, name: str, dtype: DType | None) -> None:
        self.name = name
        self.dtype = dtype


class Storage(Inside):
    """Some memory of a file, read when the first tensor uses it.

    A function that is given as `map_location` gets it, and gives it back: `cpu()` is itself.
    """

    name = "a storage without a tensor"

    def __init__(
        self, dtype: DType | None, size: int, load: Callable[[], np.ndarray], swapped: bool = False
    ) -> None:
        self.dtype = dtype
        self.bytes = size
        self.root: Tensor | None = None  # the first tensor on the memory
        self._load = load
        self._swapped = swapped  # stored with the other byte order

    def nbytes(self) -> int:
        """The size in bytes."""
        return self.bytes

    @property
    def device(self) -> device:
        """Where it is stored: the CPU."""
        return cpu()

    def cpu(self) -> Storage:
        """Itself."""
        return self

    def cuda(self, index: int | None = None) -> Storage:
        """Always raises DeviceError: Argand computes on the CPU."""
        check_device("cuda" if index is None else f"cuda:{index}")
        return self

    def tensor(self, dtype: DType, offset: int, size: Any, stride: Any) -> Tensor:
        """A tensor on the memory, as `as_strided` gives it; they all share it.

        ValueError where it reaches outside.
        """
        size, stride = _whole(size), _whole(stride)
        if len(size) != len(stride) or type(offset) is not int:
            raise ValueError("sizes, strides and an offset that don't belong together")
        root = self._root(dtype, size if self._is_all(dtype, offset, size, stride) else None)
        if root.shape == size and root is self.root and root._view is None and self._fresh:
            self._fresh = False
            return root
        flat = ops.reshape(root.detach(), (root.numel(),))
        made: Tensor = ops.as_strided(flat, size, stride, offset).detach()
        return made

    _fresh = False  # whether the root is a tensor that nobody has been given

    def _is_all(self, dtype: DType, offset: int, size: Any, stride: Any) -> bool:
        whole = math.prod(size) * dtype.itemsize == self.bytes
        return whole and offset == 0 and stride == tuple(contiguous_strides(size))

    def _root(self, dtype: DType, size: Any) -> Tensor:
        if self.root is None:
            elements = self._elements(dtype)
            self._fresh = size is not None
            self.root = wrap(elements if size is None else elements.reshape(size))
        if self.root.dtype is not dtype:
            raise ValueError(f"memory of {self.root.dtype.name} is read as {dtype.name} too")
        return self.root

    def _elements(self, dtype: DType) -> np.ndarray:
        data = self._load()
        count = data.size // dtype.itemsize
        data = data[: count * dtype.itemsize]
        if data.ctypes.data % dtype.numpy.alignment:
            data = data.copy()
        if dtype is bool_ and count and (most := data.max()) > 1:
            raise ValueError(f"a boolean must be 0 or 1, got {most}")
        elements: np.ndarray = data.view(dtype.numpy)
        return elements.byteswap() if self._swapped else elements


class StoragePart(Storage):
    """A part of another storage, as files of PyTorch before 0.4 have them."""

    def __init__(self, whole: Storage, dtype: DType, first: int, count: int) -> None:
        if first < 0 or count < 0 or (first + count) * dtype.itemsize > whole.bytes:
            raise FormatError("a part of a storage reaches outside of it")
        super().__init__(dtype, count * dtype.itemsize, lambda: np.empty(0, np.uint8))
        self._whole, self._first = whole, first

    def tensor(self, dtype: DType, offset: int, size: Any, stride: Any) -> Tensor:
        """A tensor on the memory of the whole."""
        return self._whole.tensor(dtype, self._first + offset, size, stride)


def _whole(numbers: Any) -> tuple[int, ...]:
    found = tuple(numbers)
    if not all(type(n) is int and n >= 0 for n in found):
        raise ValueError(f"sizes and strides must be whole numbers, got {found!r:.100}")
    return found


__all__ = ["Inside", "Storage", "StoragePart", "StorageType"]
