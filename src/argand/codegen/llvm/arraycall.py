"""Calling an entry with many arrays: one generated function serves every number of them.

`fastcall` unrolls a signature; a training step has hundreds of arrays, and a wrapper for each
program would cost more to compile than the program. Here the counts lie in the bytes object that
the function is bound to, and a loop reads the arguments.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from typing import Final

import numpy as np

from argand.codegen.llvm.fastcall import Entry, MethodDef, api_addresses, supported
from argand.codegen.llvm.objects import load_object, text_to_object
from argand.codegen.llvm.pool import immortal
from argand.codegen.llvm.target import host_target

NOT_CONTIGUOUS: Final = -1
"""The status of a call refused because an array is not row-major, or no array; nothing was done."""

# Offsets in NumPy's array object behind the object's head (data, nd, dimensions, strides, base,
# descr, flags), and of the bytes in a bytes object.
FLAGS: Final = 48
BYTES: Final = bytes.__basicsize__ - 1
_C_CONTIGUOUS: Final = 1


def array_entry(
    address: int, checked: int, arrays: int, sizes: int, *, release: bool = False
) -> Entry:
    """A callable for the entry at `address` that takes `arrays` arrays, then `sizes` integers.

    The first `checked` arrays must be exact, row-major `numpy.ndarray`s: otherwise nothing runs and
    the status is NOT_CONTIGUOUS. With `release` the GIL is let go while the code runs. The caller
    keeps the code alive.
    """
    if not _array_layout_known():
        return _slow_entry(address, checked, arrays, sizes)
    counts = struct.pack("=5q", address, checked, arrays, arrays + sizes, release)
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype = ctypes.py_object
    new.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
    entry: Entry = new(ctypes.addressof(_method()), counts, None)
    return entry


def _slow_entry(address: int, checked: int, arrays: int, sizes: int) -> Entry:
    """The same through ctypes."""
    native = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(address)
    slots_type = ctypes.c_int64 * (arrays + sizes)

    def entry(*args: object) -> int:
        given: list[int] = []
        for i, arg in enumerate(args):
            if i >= arrays:
                given.append(int(arg))  # type: ignore[call-overload]  # a size
            elif not isinstance(arg, np.ndarray) or (i < checked and not arg.flags.c_contiguous):
                return NOT_CONTIGUOUS
            else:
                given.append(arg.ctypes.data)
        slots = slots_type(*given)
        status: int = native(ctypes.addressof(slots))
        return status

    return entry


@functools.cache
def _array_layout_known() -> bool:
    """Whether arrays and bytes objects lie in memory as the generated function expects."""
    if not supported():
        return False
    head: int = object.__basicsize__
    square = np.zeros((3, 3))
    flags = [ctypes.c_int.from_address(id(a) + head + FLAGS).value for a in (square, square.T)]
    probe = b"argand"
    there = ctypes.string_at(id(probe) + BYTES, 6) == probe
    return there and [f & _C_CONTIGUOUS for f in flags] == [1, 0]


@functools.cache
def _method() -> MethodDef:
    target = host_target()
    data = text_to_object(_text(target.triple), target, "call with arrays")
    code = immortal(load_object(data, ["call_arrays"], api_addresses()))
    definition = MethodDef(b"native", code.address("call_arrays"), 0x80, None)
    immortal(definition)
    return definition


def _text(triple: str) -> str:
    head: int = object.__basicsize__
    return f"""target triple = "{triple}"
@array_type = external global i8
@type_error = external global i8
@message = internal constant [40 x i8] c"native entry: wrong number of arguments\\00"
declare ptr @PyErr_Occurred()
declare void @PyErr_SetString(ptr, ptr)
declare void @PyEval_RestoreThread(ptr)
declare ptr @PyEval_SaveThread()
declare i64 @PyLong_AsSsize_t(ptr)
declare ptr @PyLong_FromLongLong(i64)

define ptr @call_arrays(ptr %self, ptr %args, i64 %given) nounwind {{
entry:
  %counts = getelementptr i8, ptr %self, i64 {BYTES}
  %address = load ptr, ptr %counts, align 1
  %checked.at = getelementptr i64, ptr %counts, i64 1
  %checked = load i64, ptr %checked.at, align 1
  %arrays.at = getelementptr i64, ptr %counts, i64 2
  %arrays = load i64, ptr %arrays.at, align 1
  %all.at = getelementptr i64, ptr %counts, i64 3
  %all = load i64, ptr %all.at, align 1
  %release.at = getelementptr i64, ptr %counts, i64 4
  %release = load i64, ptr %release.at, align 1
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
  %a.at = getelementptr ptr, ptr %args, i64 %i
  %a = load ptr, ptr %a.at
  %type.at = getelementptr i8, ptr %a, i64 {head - 8}
  %type = load ptr, ptr %type.at
  %exact = icmp eq ptr %type, @array_type
  br i1 %exact, label %test, label %refused
test:
  %flags.at = getelementptr i8, ptr %a, i64 {head + FLAGS}
  %flags = load i32, ptr %flags.at
  %bit = and i32 %flags, {_C_CONTIGUOUS}
  %contiguous = icmp ne i32 %bit, 0
  %free = icmp sge i64 %i, %checked
  %fine = or i1 %contiguous, %free
  br i1 %fine, label %store, label %refused
store:
  %data.at = getelementptr i8, ptr %a, i64 {head}
  %data = load i64, ptr %data.at
  %slot = getelementptr i64, ptr %slots, i64 %i
  store i64 %data, ptr %slot
  %i.next = add i64 %i, 1
  br label %array
size:
  %j = phi i64 [ %arrays, %array ], [ %j.next, %keep ]
  %left = icmp slt i64 %j, %all
  br i1 %left, label %number, label %run
number:
  %n.at = getelementptr ptr, ptr %args, i64 %j
  %n.object = load ptr, ptr %n.at
  %n = call i64 @PyLong_AsSsize_t(ptr %n.object)
  %odd = icmp eq i64 %n, -1
  br i1 %odd, label %check, label %keep
check:
  %error = call ptr @PyErr_Occurred()
  %bad = icmp ne ptr %error, null
  br i1 %bad, label %failed, label %keep
failed:
  ret ptr null
keep:
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
"""
