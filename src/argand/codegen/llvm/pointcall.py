"""Calling a kernel of elements on small arrays for less than NumPy's price of a call.

One generated function serves all such kernels: it checks the operands, allocates the result through
NumPy's C interface and runs the kernel. What differs between kernels is in the facts that the
callable is bound to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from argand.codegen.llvm.cpython import (
    ALIGNED,
    ARRAY_DATA,
    ARRAY_DTYPE,
    ARRAY_FLAGS,
    ARRAY_RANK,
    ARRAY_SHAPE,
    C_CONTIGUOUS,
    TYPE,
    GeneratedFunction,
    field,
    item,
    layout_known,
    pack_facts,
    read_facts,
)

Points = Callable[..., Any]

_PLAIN: Final = C_CONTIGUOUS | ALIGNED


def point_entry(
    address: int, operands: int, dtype: Any, result: Any, table: Any, most: int
) -> Points | None:
    """A function of `operands` arrays that gives the kernel's result as a new array.

    It gives None unless all are exact, row-major, aligned arrays of `dtype` and one shape, with 1
    to `most` elements. The kernel at `address` takes the slots (operands, result, arena, table,
    number of elements) and has no arena. None where arrays are not laid out as expected.
    """
    if not layout_known():
        return None
    facts = pack_facts(address, operands, id(dtype), result.num, table.ctypes.data, most)
    return _CALL_POINTS.bind(facts, (dtype, table))


_CALL_POINTS: Final = GeneratedFunction(
    "call_points",
    f"""
define ptr @call_points(ptr %self, ptr %args, i64 %given) nounwind {{
entry:
{read_facts(address="ptr", operands="i64", dtype="ptr", result="i32", table="ptr", most="i64")}
  %count = add i64 %operands, 4
  %slots = alloca ptr, i64 %count, align 16
  %right = icmp eq i64 %given, %operands
  br i1 %right, label %first, label %refused
first:
  %x = load ptr, ptr %args
  br label %operand
operand:
  %i = phi i64 [ 0, %first ], [ %i.next, %store ]
{item("a", "ptr", "args", "%i")}
{field("type", "ptr", "a", TYPE)}
  %exact = icmp eq ptr %type, @array_type
  br i1 %exact, label %array, label %refused
array:
{field("flags", "i32", "a", ARRAY_FLAGS)}
  %plain = and i32 %flags, {_PLAIN}
  %is.plain = icmp eq i32 %plain, {_PLAIN}
{field("a.dtype", "ptr", "a", ARRAY_DTYPE)}
  %same.dtype = icmp eq ptr %a.dtype, %dtype
{field("nd", "i32", "a", ARRAY_RANK)}
{field("x.nd", "i32", "x", ARRAY_RANK)}
  %same.nd = icmp eq i32 %nd, %x.nd
  %fine.0 = and i1 %is.plain, %same.dtype
  %fine = and i1 %fine.0, %same.nd
  br i1 %fine, label %dims, label %refused
dims:
{field("a.dims", "ptr", "a", ARRAY_SHAPE)}
{field("x.dims", "ptr", "x", ARRAY_SHAPE)}
  %rank = sext i32 %nd to i64
  br label %dim
dim:
  %d = phi i64 [ 0, %dims ], [ %d.next, %same ]
  %n = phi i64 [ 1, %dims ], [ %n.next, %same ]
  %more = icmp slt i64 %d, %rank
  br i1 %more, label %compare, label %store
compare:
{item("size", "i64", "a.dims", "%d")}
{item("x.size", "i64", "x.dims", "%d")}
  %equal = icmp eq i64 %size, %x.size
  br i1 %equal, label %same, label %refused
same:
  %n.next = mul i64 %n, %size
  %d.next = add i64 %d, 1
  br label %dim
store:
{field("data", "ptr", "a", ARRAY_DATA)}
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
  %made = call ptr @PyArray_New(
    ptr @array_type, i32 %x.nd, ptr %x.dims, i32 %result, ptr null, ptr null, i32 0, i32 0, ptr null
  )
  %failed = icmp eq ptr %made, null
  br i1 %failed, label %leave, label %run
run:
{field("made.data", "ptr", "made", ARRAY_DATA)}
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
""",
    functions=("PyArray_New", "Py_IncRef"),
    objects={"array_type": np.ndarray, "none": None},
)
