"""Where the tensors of a trace are in the memory that eager code would have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from argand.compile.places import elements_between, is_contiguous, moved, offset, strides
from argand.ir.interpret import concrete
from argand.tensor.core import Tensor
from argand.tensor.views import chain_of


def stored(tracer: Any, tensor: Tensor, *questions: Callable[[Tensor], Any]) -> tuple[Any, Any]:
    """The array of the tensor that owns the memory, and the part of it that a tensor is."""
    root = tensor if id(tensor) in tracer.captures else tensor._root()
    chain, hints = () if root is tensor else chain_of(tensor), tracer.hints()
    array = tracer.memory(root, *questions)
    if array is None and chain:  # what is computed is row-major
        array = np.empty(concrete(tuple(root.shape), hints), np.uint8)
    return array, None if array is None else moved(array, chain, hints)


def offset_of(tracer: Any, tensor: Tensor) -> int:
    """How many elements of the memory that a tensor shares in eager code come before it."""
    if tensor._array is not None:
        return offset(tensor)
    memory, part = stored(tracer, tensor, is_contiguous, strides, offset)
    number = getattr(tracer.place_of(tensor._root()), "number", -1)
    before: int = tracer.answers.get((offset, number), 0)
    return before + elements_between(memory, part)
