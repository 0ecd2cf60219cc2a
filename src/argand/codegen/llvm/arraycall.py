"""Calling an entry with many arrays: one generated function serves every number of them.

A training step has hundreds of arrays, and a function for each program would cost more to compile
than the program. So the counts are facts that the callable is bound to, and a loop reads the
arguments.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Final

import numpy as np

from argand.codegen.llvm.cpython import (
    ARRAY_DATA,
    ARRAY_FLAGS,
    C_CONTIGUOUS,
    TYPE,
    GeneratedFunction,
    field,
    item,
    layout_known,
    pack_facts,
    read_facts,
)

Entry = Callable[..., int]

NOT_CONTIGUOUS: Final = -1
"""The status of a call refused because an array is not row-major, or no array; nothing was done."""


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
    return _CALL_ARRAYS.bind(pack_facts(address, checked, arrays, arrays + sizes, release))


def _slow_entry(address: int, checked: int, arrays: int, sizes: int) -> Entry:
    """The same through ctypes."""
    native = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(address)
    slots_type = ctypes.c_int64 * (arrays + sizes)

    def entry(*args: object) -> int:
        if len(args) != arrays + sizes:
            raise TypeError("native entry: wrong number of arguments")
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


_CALL_ARRAYS: Final = GeneratedFunction(
    "call_arrays",
    f"""
@message = internal constant [40 x i8] c"native entry: wrong number of arguments\\00"

define ptr @call_arrays(ptr %self, ptr %args, i64 %given) nounwind {{
entry:
{read_facts(address="ptr", checked="i64", arrays="i64", all="i64", release="i64")}
  %slots = alloca i64, i64 %all, align 16
  %right = icmp eq i64 %given, %all
  br i1 %right, label %array, label %wrong
wrong:
  call void @PyErr_SetString(ptr @type_error, ptr @message)
  ret ptr null
refused:
  %refusal = call ptr @PyLong_FromLongLong(i64 {NOT_CONTIGUOUS})
  ret ptr %refusal
array:
  %i = phi i64 [ 0, %entry ], [ %i.next, %store ]
  %more = icmp slt i64 %i, %arrays
  br i1 %more, label %read, label %size
read:
{item("a", "ptr", "args", "%i")}
{field("type", "ptr", "a", TYPE)}
  %exact = icmp eq ptr %type, @array_type
  br i1 %exact, label %test, label %refused
test:
{field("flags", "i32", "a", ARRAY_FLAGS)}
  %bit = and i32 %flags, {C_CONTIGUOUS}
  %contiguous = icmp ne i32 %bit, 0
  %free = icmp sge i64 %i, %checked
  %fine = or i1 %contiguous, %free
  br i1 %fine, label %store, label %refused
store:
{field("data", "i64", "a", ARRAY_DATA)}
  %slot = getelementptr i64, ptr %slots, i64 %i
  store i64 %data, ptr %slot
  %i.next = add i64 %i, 1
  br label %array
size:
  %j = phi i64 [ %arrays, %array ], [ %j.next, %store.size ]
  %left = icmp slt i64 %j, %all
  br i1 %left, label %number, label %run
number:
{item("n.object", "ptr", "args", "%j")}
  %n = call i64 @PyLong_AsSsize_t(ptr %n.object)
  %odd = icmp eq i64 %n, -1
  br i1 %odd, label %check, label %store.size
check:
  %error = call ptr @PyErr_Occurred()
  %bad = icmp ne ptr %error, null
  br i1 %bad, label %failed, label %store.size
failed:
  ret ptr null
store.size:
  %n.slot = getelementptr i64, ptr %slots, i64 %j
  store i64 %n, ptr %n.slot
  %j.next = add i64 %j, 1
  br label %size
run:
  %long = icmp ne i64 %release, 0
  br i1 %long, label %free_run, label %held_run
held_run:
  %held = call i64 %address(ptr %slots)
  %held.result = call ptr @PyLong_FromLongLong(i64 %held)
  ret ptr %held.result
free_run:
  %thread = call ptr @PyEval_SaveThread()
  %freed = call i64 %address(ptr %slots)
  call void @PyEval_RestoreThread(ptr %thread)
  %freed.result = call ptr @PyLong_FromLongLong(i64 %freed)
  ret ptr %freed.result
}}
""",
    functions=(
        "PyErr_Occurred",
        "PyErr_SetString",
        "PyEval_RestoreThread",
        "PyEval_SaveThread",
        "PyLong_AsSsize_t",
        "PyLong_FromLongLong",
    ),
    objects={"array_type": np.ndarray, "type_error": TypeError},
)
