"""Checking the tensors among a call's arguments in a few nanoseconds each.

One native function serves all calls. What it compares with is in the bytes object that it is bound
to, as in `arraycall`.
"""

# mypy: disable-error-code="name-defined, no-any-return"
# ruff: noqa: F821  # names of objects and C functions that the code is linked to

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from argand.codegen.llvm.cpython import CFunction, layout_known, packed, slots_of
from argand.codegen.llvm.native import load, load32, store
from argand.codegen.llvm.plansteps import held

Match = Callable[..., Sequence[Any] | None]
# What a call takes for given of a tensor: NumPy's dtype, the shape (None: any), whether it wants a
# gradient.
TensorFacts = tuple[Any, tuple[int, ...] | None, bool]

_ANY_SHAPE: Final = -1


def match_entry(cls: type, expected: Sequence[TensorFacts]) -> Match | None:
    """A function that gives the arrays of its arguments, or None where these are not as expected.

    The arguments are to be exactly of class `cls`, which has the slots `_array` (an exact NumPy
    array of this very dtype) and `_node` (None for a tensor that wants no gradient). None instead
    of a function where CPython's or NumPy's insides are not as expected.
    """
    slots = slots_of(cls) if layout_known() else None
    if slots is None:
        return None
    facts = [len(expected), id(cls), slots["_array"], slots["_node"]]
    for dtype, shape, wants_grad in expected:
        shape_facts = [_ANY_SHAPE] if shape is None else [len(shape), *shape]
        facts += [id(dtype), int(wants_grad), *shape_facts]
    return _MATCH_TENSORS.bind(packed(*facts), (cls, tuple(expected)))


def match_tensors(facts: int, args: int, given: int) -> int:
    """The arrays of the arguments, or None."""
    facts += BYTES_DATA
    count = load(facts)
    if given != count:
        return held(none)
    array_at = load(facts, 16)
    fact = facts + 32
    i = 0
    while i < count:
        x = load(args, i * 8)
        if load(x, OB_TYPE) != load(facts, 8):
            return held(none)
        array = load(x, array_at)
        wants_grad = load(x, load(facts, 24)) != none
        if array == 0 or wants_grad != load(fact, 8) or not same_array(array, fact):
            return held(none)
        rank = load(fact, 16)
        fact += 24
        if rank != ANY_SHAPE:
            fact += rank * 8
        i += 1
    arrays = PyTuple_New(count)
    if arrays == 0:
        return 0
    i = 0
    while i < count:
        store(arrays, TUPLE_ITEMS + i * 8, held(load(load(args, i * 8), array_at)))
        i += 1
    return arrays


def same_array(array: int, fact: int) -> int:
    """Whether an array has the dtype and the shape that are expected."""
    if load(array, OB_TYPE) != array_type or load(array, ARRAY_DTYPE) != load(fact):
        return 0
    rank = load(fact, 16)
    if rank == ANY_SHAPE:
        return 1
    if load32(array, ARRAY_RANK) != rank:
        return 0
    sizes = load(array, ARRAY_SIZES)
    i = 0
    while i < rank:
        if load(sizes, i * 8) != load(fact, 24 + i * 8):
            return 0
        i += 1
    return 1


_MATCH_TENSORS: Final = CFunction(
    (held, same_array, match_tensors),
    {"array_type": np.ndarray, "none": None},
    {"ANY_SHAPE": _ANY_SHAPE},
)
