"""Where the tensors of a trace are in the memory that eager code would have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from argand.compile.places import elements_between, is_contiguous, moved, offset, strides
from argand.ir.interpret import concrete
from argand.ir.op import Literal
from argand.tensor.core import Tensor
from argand.tensor.eager import kept_order
from argand.tensor.views import chain_of


def stored(tracer: Any, tensor: Tensor, *questions: Callable[[Tensor], Any]) -> tuple[Any, Any]:
    """The array of the tensor that owns the memory, and the part of it that a tensor is."""
    root = tensor if id(tensor) in tracer.captures else tensor._root()
    chain, hints = () if root is tensor else chain_of(tensor), tracer.hints()
    array = tracer.memory(root, *questions)
    if array is None:
        array = computed(tracer, root)
    if array is None and chain:  # what else is computed is row-major
        array = np.empty(concrete(tuple(root.shape), hints), np.uint8)
    return array, None if array is None else moved(array, chain, hints)


def computed(tracer: Any, root: Tensor) -> Any:
    """An array stored as eager code stores a result of an elementwise op; None for row-major."""
    waiting = [root]  # a chain of ops may be longer than the stack of calls
    while waiting:
        made = tracer.elementwise.get(id(waiting[-1]))
        if made is None or made.known:
            waiting.pop()
            continue
        operands = [x for x in made.inputs if type(x) is not Literal]
        roots = [x._root() for x in operands if id(x) not in tracer.captures]
        unknown = [x for x in roots if not tracer.elementwise.get(id(x), _ROW_MAJOR).known]
        if unknown:
            waiting += unknown
            continue
        made.array, made.known = _arranged(tracer, made, operands), True
    return tracer.elementwise.get(id(root), _ROW_MAJOR).array


class Made:
    """A result of an elementwise op, what it was computed from, and how eager code stores it."""

    def __init__(self, result: Tensor | None, op: Any, inputs: tuple[Any, ...]) -> None:
        self.result, self.op, self.inputs = result, op, inputs  # which live as long as their ids
        self.known = result is None
        self.array: Any = None


_ROW_MAJOR = Made(None, None, ())


def _arranged(tracer: Any, made: Made, operands: list[Tensor]) -> Any:
    hints = tracer.hints()
    arrays = [stored(tracer, x, is_contiguous, strides)[1] for x in operands]
    if all(a is None for a in arrays):
        return None
    sizes = [concrete(tuple(x.shape), hints) for x in operands]
    arrays = [np.empty(s, np.uint8) if a is None else a for a, s in zip(arrays, sizes, strict=True)]
    order = kept_order(made.op, arrays)
    if order is None:
        return None
    return np.empty([arrays[0].shape[d] for d in order], np.uint8).transpose(np.argsort(order))


def offset_of(tracer: Any, tensor: Tensor) -> int:
    """How many elements of the memory that a tensor shares in eager code come before it."""
    if tensor._array is not None:
        return offset(tensor)
    memory, part = stored(tracer, tensor, is_contiguous, strides, offset)
    number = getattr(tracer.place_of(tensor._root()), "number", -1)
    before: int = tracer.answers.get((offset, number), 0)
    return before + elements_between(memory, part)
