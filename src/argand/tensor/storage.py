"""The memory of tensors by itself: `storage()` and `untyped_storage()`."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.errors import ArgumentError


class Storage:
    """The memory that a tensor and its views share; equal where it is the same memory.

    Made by `Tensor.storage()`, whose size counts elements, and `Tensor.untyped_storage()`, whose
    size counts bytes.

    >>> x = ag.zeros(4)
    >>> x[1:].untyped_storage() == x.untyped_storage(), x.untyped_storage().nbytes()
    (True, 16)
    """

    def __init__(self, array: Any, typed: bool, owner: Any = None) -> None:
        self._array = array
        self.typed = typed
        self.owner = owner  # the tensor that owns the memory, if there is one

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return int(self._array.ctypes.data)

    def nbytes(self) -> int:
        """How many bytes there are."""
        return int(self._array.nbytes)

    def element_size(self) -> int:
        """The bytes of an element: 1 where it has no type."""
        return int(self._array.itemsize) if self.typed else 1

    def size(self) -> int:
        """How many elements there are, or bytes where it has no type."""
        return self.nbytes() // self.element_size()

    def __len__(self) -> int:
        return self.size()

    def tolist(self) -> list[Any]:
        """The elements, or bytes, as Python numbers."""
        return list(self._flat().tolist())

    def __getitem__(self, index: Any) -> Any:
        if self.typed or not isinstance(index, slice):
            return self.tolist()[index]
        return Storage(self._flat()[index], False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self._flat(), dtype, copy=copy)

    def elements(self) -> Any:
        """The elements in the order of memory, as an array that shares it."""
        return self._array.ravel(order="K")

    def _flat(self) -> Any:
        flat = self.elements()
        return flat if self.typed else flat.view("u1")

    def untyped(self) -> Storage:
        """The same memory, counted in bytes."""
        return Storage(self._array, False, self.owner)

    _untyped = untyped

    @classmethod
    def from_file(cls, filename: Any, shared: bool = False, nbytes: int = 0) -> Storage:
        """The bytes of a file, read where they are needed; written back if `shared`.

        The first `nbytes`, or all. Follows `torch.UntypedStorage.from_file`.
        """
        mapped = np.memmap(filename, "u1", "r+" if shared else "c")
        return cls(np.asarray(mapped)[: nbytes or None], False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Storage):
            return NotImplemented
        return self.data_ptr() == other.data_ptr() and self.nbytes() == other.nbytes()

    def __hash__(self) -> int:
        return hash((self.data_ptr(), self.nbytes()))

    def __repr__(self) -> str:
        return f"<argand storage of {self.nbytes()} bytes>"


def _memory(self: Any) -> Any:
    """The array of the tensor that owns the memory."""
    self.numpy_array()
    array = self._root()._array
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        raise ArgumentError("storage: this tensor's memory, which came from outside, has gaps")
    return array


def storage(self: Any) -> Storage:
    """The memory behind it, which its views share, counted in elements.

    >>> ag.arange(3)[1:].storage().tolist()
    [0, 1, 2]
    """
    return Storage(_memory(self), True, self._root())


def untyped_storage(self: Any) -> Storage:
    """The memory behind it, which its views share, counted in bytes.

    >>> x = ag.ones(2)
    >>> x.untyped_storage().data_ptr() == x.data_ptr(), x.untyped_storage().size()
    (True, 8)
    """
    return Storage(_memory(self), False, self._root())
