"""Calling an entry with many arrays: one native function serves every number of them.

A training step has hundreds of arrays, and a function for each program would cost more to compile
than the program. So the counts are facts that the callable is bound to, and a loop reads the
arguments.
"""

# mypy: disable-error-code="name-defined, no-any-return"
# ruff: noqa: F821  # names of objects and C functions that the code is linked to

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Final

import numpy as np

from argand.codegen.llvm.cpython import CFunction, layout_known, packed
from argand.codegen.llvm.native import call, load, load32, stack, store
from argand.runtime import planformat

Entry = Callable[..., int]

NOT_CONTIGUOUS: Final = -1
"""The status of a call refused because an array is not row-major, or no array; nothing was done."""

_MESSAGE: Final = "native entry: wrong number of arguments"


def array_entry(
    address: int, checked: int, arrays: int, sizes: int, *, release: bool = False
) -> Entry:
    """A callable for the entry at `address` that takes `arrays` arrays, then `sizes` integers.

    The first `checked` arrays must be exact, row-major `numpy.ndarray`s: otherwise nothing runs and
    the status is NOT_CONTIGUOUS. With `release` the GIL is let go while the code runs. The caller
    keeps the code alive.
    """
    if not layout_known():
        return _slow_entry(address, checked, arrays, sizes)
    return _CALL_ARRAYS.bind(packed(address, checked, arrays, arrays + sizes, release))


def _slow_entry(address: int, checked: int, arrays: int, sizes: int) -> Entry:
    """The same through ctypes."""
    native = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(address)
    slots_type = ctypes.c_int64 * (arrays + sizes)

    def entry(*args: object) -> int:
        if len(args) != arrays + sizes:
            raise TypeError(_MESSAGE)
        given: list[int] = []
        for i, arg in enumerate(args):
            if i >= arrays:
                given.append(int(arg))  # type: ignore[call-overload]  # a size
            elif type(arg) is not np.ndarray or (i < checked and not arg.flags.c_contiguous):
                return NOT_CONTIGUOUS
            else:
                given.append(arg.ctypes.data)
        slots = slots_type(*given)
        status: int = native(ctypes.addressof(slots))
        return status

    return entry


def call_arrays(facts: int, args: int, given: int) -> int:
    """Call the entry with the addresses of the arrays, then the sizes."""
    facts += BYTES_DATA
    checked = load(facts, 8)
    arrays = load(facts, 16)
    count = load(facts, 24)
    if given != count:
        PyErr_SetObject(type_error, message)
        return 0
    slots = stack(count)
    i = 0
    while i < arrays:
        x = load(args, i * 8)
        if load(x, OB_TYPE) != array_type:
            return PyLong_FromLongLong(NOT_CONTIGUOUS)
        if i < checked and (load32(x, ARRAY_FLAGS) & C_CONTIGUOUS) == 0:
            return PyLong_FromLongLong(NOT_CONTIGUOUS)
        store(slots, i * 8, load(x, ARRAY_DATA))
        i += 1
    while i < count:
        size = PyLong_AsSsize_t(load(args, i * 8))
        if size == -1 and PyErr_Occurred() != 0:
            return 0
        store(slots, i * 8, size)
        i += 1
    if load(facts, 32) == 0:
        return PyLong_FromLongLong(call(load(facts), slots))
    thread = PyEval_SaveThread()
    status = call(load(facts), slots)
    PyEval_RestoreThread(thread)
    return PyLong_FromLongLong(status)


_CALL_ARRAYS: Final = CFunction(
    (call_arrays,),
    {"array_type": np.ndarray, "type_error": TypeError, "message": _MESSAGE},
    {"NOT_CONTIGUOUS": NOT_CONTIGUOUS, "C_CONTIGUOUS": planformat.C_CONTIGUOUS},
)
