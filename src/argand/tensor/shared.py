"""Memory that processes share: a tensor moved into it is the same one in every process.

The memory is a file without a name, so there is nothing to be removed, however a process ends. A
process that is forked has it anyway; to others its descriptor is sent, by the pickler of
`multiprocessing`.
"""

from __future__ import annotations

import math
import mmap
import os
import weakref
from typing import Any

import numpy as np

from argand.base.shape import stored_order
from argand.base.unnamed import unnamed_file
from argand.tensor.convert import rebuild, reduced
from argand.tensor.core import Tensor

# Descriptors and sizes of the files that are mapped here, by their addresses.
_files: dict[int, tuple[int, int]] = {}
_sent: set[type] = set()


def share_memory_(self: Any) -> Any:
    """Move the tensor's memory to where processes share it; returns the tensor.

    A process that it is given to, by `fork` or as an argument or through a queue of
    `ag.multiprocessing`, reads and writes the same elements. A view stays where its base is.
    Follows `torch.Tensor.share_memory_`.

    >>> x = ag.ones(2)
    >>> x.share_memory_() is x, x.is_shared()
    (True, True)
    """
    if self._view is None and not is_shared(self):
        array = self.numpy_array()
        order, file = stored_order(array.strides), _new_file(array.nbytes)
        fresh = _array(file, array.dtype, array.shape, order)
        fresh[...] = array
        self._array = fresh
    if self._view is None:
        self._share()
        _send(type(self))
    return self


def is_shared(self: Any) -> bool:
    """Whether its memory is shared between processes; see `share_memory_`.

    >>> ag.ones(2).is_shared()
    False
    """
    return _address(self._root().numpy_array()) in _files


def _address(array: np.ndarray) -> int:
    return int(array.ctypes.data)


def _new_file(size: int) -> int:
    file = unnamed_file()
    os.ftruncate(file, max(size, 1))
    return file


def _array(file: int, dtype: Any, shape: tuple[int, ...], order: list[int]) -> np.ndarray:
    """A file's memory as a dense array, the dimensions in an order from the longest stride on."""
    size = max(math.prod(shape) * dtype.itemsize, 1)
    memory = mmap.mmap(file, size)
    found = np.frombuffer(memory, dtype, math.prod(shape)).reshape([shape[d] for d in order])
    address = _address(found)
    _files[address] = file, size
    weakref.finalize(memory, _close, address, file)
    return found.transpose(np.argsort(order))


def _close(address: int, file: int) -> None:
    if _files.get(address, (None,))[0] == file:
        del _files[address]
    os.close(file)


# -- to other processes ----------------------------------------------------------------------------


def _send(kind: type) -> None:
    """Let tensors of a class be sent as the memory that they share."""
    if kind not in _sent:
        from multiprocessing.reduction import ForkingPickler  # only where it is asked for

        ForkingPickler.register(kind, _reduced)
        _sent.add(kind)


def _reduced(x: Tensor) -> Any:
    if x._view is not None or not is_shared(x):
        return reduced(x)
    from multiprocessing.reduction import DupFd

    array = x.numpy_array()
    order = stored_order(array.strides)
    file = DupFd(_files[_address(array)][0])
    place = file, array.dtype, array.shape, order
    return _rebuilt, (type(x), place, x.requires_grad, dict(vars(x)))


def _rebuilt(kind: type, place: Any, requires_grad: bool, attributes: dict[str, Any]) -> Any:
    file, dtype, shape, order = place
    made = rebuild(kind, _array(file.detach(), dtype, shape, order), requires_grad, attributes)
    made._share()
    _send(kind)
    return made
