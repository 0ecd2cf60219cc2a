"""Calling a kernel of elements on small arrays for less than NumPy's price of a call.

One generated function serves all such kernels: it checks the operands, allocates the result through
NumPy's C interface and runs the kernel. What differs between kernels lies in the bytes object that
the function is bound to, as in `arraycall`.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy._core import _multiarray_umath  # type: ignore[attr-defined]  # it has no stub

from argand.codegen.llvm.arraycall import BYTES, FLAGS
from argand.codegen.llvm.fastcall import MethodDef, api_addresses, supported
from argand.codegen.llvm.objects import load_object, text_to_object
from argand.codegen.llvm.pool import immortal
from argand.codegen.llvm.target import host_target

Points = Callable[..., Any]

# Offsets in NumPy's array object behind the object's head, and the flags of memory that a kernel
# walks as it lies: row-major and aligned.
_DIMS_COUNT: Final = 8
_DIMS: Final = 16
_DTYPE: Final = 40
_PLAIN: Final = 0x101
# The number of PyArray_New in NumPy's table of C functions.
_NEW: Final = 93


def point_entry(
    address: int, operands: int, dtype: Any, result: Any, table: Any, most: int
) -> Points | None:
    """A function of `operands` arrays that gives the kernel's result as a new array.

    It gives None unless all are exact, row-major, aligned arrays of `dtype` and one shape, with 1
    to `most` elements. The kernel at `address` takes the slots (operands, result, arena, table,
    number of elements) and has no arena. None where arrays don't lie in memory as expected.
    """
    if not _array_layout_known():
        return None
    facts = struct.pack("=6q", address, operands, id(dtype), result.num, table.ctypes.data, most)
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype = ctypes.py_object
    new.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
    # The last argument is kept alive with the function.
    entry: Points = new(ctypes.addressof(_method()), facts, (dtype, table))
    return entry


@functools.cache
def _array_layout_known() -> bool:
    """Whether arrays and bytes objects lie in memory as the generated function expects."""
    if not supported():
        return False
    probe = np.zeros((3, 5), np.float32)
    head = id(probe) + object.__basicsize__
    count = ctypes.c_int.from_address(head + _DIMS_COUNT).value
    dims = ctypes.c_void_p.from_address(head + _DIMS).value or 0
    dtype = ctypes.c_void_p.from_address(head + _DTYPE).value
    flags = ctypes.c_int.from_address(head + FLAGS).value
    text = b"argand"
    there = ctypes.string_at(id(text) + BYTES, 6) == text
    return (
        there
        and count == 2
        and list((ctypes.c_ssize_t * 2).from_address(dims)) == [3, 5]
        and dtype == id(probe.dtype)
        and flags & _PLAIN == _PLAIN
    )


@functools.cache
def _method() -> MethodDef:
    target = host_target()
    data = text_to_object(_text(target.triple), target, "call on small arrays")
    none = ctypes.cast(ctypes.pythonapi.Py_IncRef, ctypes.c_void_p).value
    imports = {
        **api_addresses(),
        "none": id(None),
        "Py_IncRef": int(none or 0),
        "new_array": _numpy_function(_NEW),
    }
    code = immortal(load_object(data, ["call_points"], imports))
    definition = MethodDef(b"native", code.address("call_points"), 0x80, None)
    immortal(definition)
    return definition


def _numpy_function(number: int) -> int:
    """The address of a function in NumPy's C interface."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype = ctypes.c_void_p
    get.argtypes = (ctypes.py_object, ctypes.c_char_p)
    functions = get(_multiarray_umath._ARRAY_API, None)
    return int((ctypes.c_void_p * (number + 1)).from_address(functions)[number] or 0)


def _text(triple: str) -> str:
    head: int = object.__basicsize__
    return f"""target triple = "{triple}"
@array_type = external global i8
@none = external global i8
declare void @Py_IncRef(ptr)
declare ptr @new_array(ptr, i32, ptr, i32, ptr, ptr, i32, i32, ptr)

define ptr @call_points(ptr %self, ptr %args, i64 %given) nounwind {{
entry:
  %facts = getelementptr i8, ptr %self, i64 {BYTES}
  %address = load ptr, ptr %facts, align 1
  %operands.at = getelementptr i64, ptr %facts, i64 1
  %operands = load i64, ptr %operands.at, align 1
  %dtype.at = getelementptr i64, ptr %facts, i64 2
  %dtype = load ptr, ptr %dtype.at, align 1
  %result.at = getelementptr i64, ptr %facts, i64 3
  %result = load i32, ptr %result.at, align 1
  %table.at = getelementptr i64, ptr %facts, i64 4
  %table = load ptr, ptr %table.at, align 1
  %most.at = getelementptr i64, ptr %facts, i64 5
  %most = load i64, ptr %most.at, align 1
  %count = add i64 %operands, 4
  %slots = alloca ptr, i64 %count, align 16
  %right = icmp eq i64 %given, %operands
  br i1 %right, label %first, label %refused
first:
  %x = load ptr, ptr %args
  br label %operand
operand:
  %i = phi i64 [ 0, %first ], [ %i.next, %store ]
  %a.at = getelementptr ptr, ptr %args, i64 %i
  %a = load ptr, ptr %a.at
  %type.at = getelementptr i8, ptr %a, i64 {head - 8}
  %type = load ptr, ptr %type.at
  %exact = icmp eq ptr %type, @array_type
  br i1 %exact, label %array, label %refused
array:
  %flags.at = getelementptr i8, ptr %a, i64 {head + FLAGS}
  %flags = load i32, ptr %flags.at
  %plain = and i32 %flags, {_PLAIN}
  %is.plain = icmp eq i32 %plain, {_PLAIN}
  %a.dtype.at = getelementptr i8, ptr %a, i64 {head + _DTYPE}
  %a.dtype = load ptr, ptr %a.dtype.at
  %same.dtype = icmp eq ptr %a.dtype, %dtype
  %nd.at = getelementptr i8, ptr %a, i64 {head + _DIMS_COUNT}
  %nd = load i32, ptr %nd.at
  %x.nd.at = getelementptr i8, ptr %x, i64 {head + _DIMS_COUNT}
  %x.nd = load i32, ptr %x.nd.at
  %same.nd = icmp eq i32 %nd, %x.nd
  %fine.0 = and i1 %is.plain, %same.dtype
  %fine = and i1 %fine.0, %same.nd
  br i1 %fine, label %dims, label %refused
dims:
  %dims.at = getelementptr i8, ptr %a, i64 {head + _DIMS}
  %a.dims = load ptr, ptr %dims.at
  %x.dims.at = getelementptr i8, ptr %x, i64 {head + _DIMS}
  %x.dims = load ptr, ptr %x.dims.at
  %rank = sext i32 %nd to i64
  br label %dim
dim:
  %d = phi i64 [ 0, %dims ], [ %d.next, %same ]
  %n = phi i64 [ 1, %dims ], [ %n.next, %same ]
  %more = icmp slt i64 %d, %rank
  br i1 %more, label %compare, label %store
compare:
  %size.at = getelementptr i64, ptr %a.dims, i64 %d
  %size = load i64, ptr %size.at
  %x.size.at = getelementptr i64, ptr %x.dims, i64 %d
  %x.size = load i64, ptr %x.size.at
  %equal = icmp eq i64 %size, %x.size
  br i1 %equal, label %same, label %refused
same:
  %n.next = mul i64 %n, %size
  %d.next = add i64 %d, 1
  br label %dim
store:
  %data.at = getelementptr i8, ptr %a, i64 {head}
  %data = load ptr, ptr %data.at
  %slot = getelementptr ptr, ptr %slots, i64 %i
  store ptr %data, ptr %slot
  %i.next = add i64 %i, 1
  %others = icmp slt i64 %i.next, %operands
  br i1 %others, label %operand, label %size.known
size.known:
  %some = icmp ne i64 %n, 0
  %small = icmp ule i64 %n, %most
  %takes = and i1 %some, %small
  br i1 %takes, label %make, label %refused
make:
  %made = call ptr @new_array(
    ptr @array_type, i32 %x.nd, ptr %x.dims, i32 %result, ptr null, ptr null, i32 0, i32 0, ptr null
  )
  %failed = icmp eq ptr %made, null
  br i1 %failed, label %leave, label %run
run:
  %made.at = getelementptr i8, ptr %made, i64 {head}
  %made.data = load ptr, ptr %made.at
  %out = getelementptr ptr, ptr %slots, i64 %operands
  store ptr %made.data, ptr %out
  %arena = getelementptr ptr, ptr %out, i64 1
  store ptr %table, ptr %arena
  %offsets = getelementptr ptr, ptr %out, i64 2
  store ptr %table, ptr %offsets
  %length = getelementptr ptr, ptr %out, i64 3
  store i64 %n, ptr %length
  %status = call i64 %address(ptr %slots)
  br label %leave
leave:
  ret ptr %made
refused:
  call void @Py_IncRef(ptr @none)
  ret ptr @none
}}
"""
