"""Checking the tensors among a call's arguments in a few nanoseconds each.

One generated function serves all calls. What it compares with is in the bytes object that the
function is bound to, as in `arraycall`.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from argand.codegen.llvm.fastcall import MethodDef, functions_of
from argand.codegen.llvm.layout import (
    BYTES,
    DIMS,
    DIMS_COUNT,
    DTYPE,
    TYPE,
    arrays_known,
    slot_offset,
)
from argand.codegen.llvm.objects import load_object, text_to_object
from argand.codegen.llvm.pool import immortal
from argand.codegen.llvm.target import host_target

Match = Callable[..., Sequence[Any] | None]
# What a call takes for given of a tensor: NumPy's dtype, the shape (None: any), whether it wants a
# gradient.
TensorFacts = tuple[Any, tuple[int, ...] | None, bool]

_API: Final = ("PyTuple_New", "PyTuple_SetItem", "Py_IncRef")
_ANY_SHAPE: Final = -1


def match_entry(cls: type, expected: Sequence[TensorFacts]) -> Match | None:
    """A function that gives the arrays of its arguments, or None where these are not as expected.

    The arguments are to be exactly of class `cls`, which has the slots `_array` (an exact NumPy
    array of this very dtype) and `_node` (None for a tensor that wants no gradient). None instead
    of a function where CPython's or NumPy's insides are not as expected.
    """
    if not arrays_known():
        return None
    array, node = slot_offset(cls, "_array"), slot_offset(cls, "_node")
    if array is None or node is None:
        return None
    facts = [len(expected), id(cls), array, node]
    for dtype, shape, wants_grad in expected:
        shape_facts = [_ANY_SHAPE] if shape is None else [len(shape), *shape]
        facts += [id(dtype), int(wants_grad), *shape_facts]
    packed = struct.pack(f"={len(facts)}q", *facts)
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype = ctypes.py_object
    new.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
    held = (cls, tuple(expected))  # as long as the function
    entry: Match = new(ctypes.addressof(_method()), packed, held)
    return entry


@functools.cache
def _method() -> MethodDef:
    target = host_target()
    data = text_to_object(_text(target.triple), target, "check of a call's tensors")
    imports = {**functions_of(_API), "array_type": id(np.ndarray), "none": id(None)}
    code = immortal(load_object(data, ["match_tensors"], imports))
    definition = MethodDef(b"native", code.address("match_tensors"), 0x80, None)
    immortal(definition)
    return definition


def _text(triple: str) -> str:
    return f"""target triple = "{triple}"
@array_type = external global i8
@none = external global i8
declare ptr @PyTuple_New(i64)
declare i32 @PyTuple_SetItem(ptr, i64, ptr)
declare void @Py_IncRef(ptr)

define ptr @match_tensors(ptr %self, ptr %args, i64 %given) nounwind {{
entry:
  %facts = getelementptr i8, ptr %self, i64 {BYTES}
  %count = load i64, ptr %facts, align 1
  %class.at = getelementptr i64, ptr %facts, i64 1
  %class = load ptr, ptr %class.at, align 1
  %array.offset.at = getelementptr i64, ptr %facts, i64 2
  %array.offset = load i64, ptr %array.offset.at, align 1
  %node.offset.at = getelementptr i64, ptr %facts, i64 3
  %node.offset = load i64, ptr %node.offset.at, align 1
  %first = getelementptr i64, ptr %facts, i64 4
  %right = icmp eq i64 %given, %count
  br i1 %right, label %argument, label %refused
argument:
  %i = phi i64 [ 0, %entry ], [ %i.next, %next ]
  %fact = phi ptr [ %first, %entry ], [ %fact.next, %next ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %tensor, label %make
tensor:
  %x.at = getelementptr ptr, ptr %args, i64 %i
  %x = load ptr, ptr %x.at
  %x.type.at = getelementptr i8, ptr %x, i64 {TYPE}
  %x.type = load ptr, ptr %x.type.at
  %exact = icmp eq ptr %x.type, %class
  br i1 %exact, label %grad, label %refused
grad:
  %node.at = getelementptr i8, ptr %x, i64 %node.offset
  %node = load ptr, ptr %node.at
  %has.node = icmp ne ptr %node, @none
  %wants.at = getelementptr i64, ptr %fact, i64 1
  %wants = load i64, ptr %wants.at, align 1
  %wanted = icmp ne i64 %wants, 0
  %differs = xor i1 %has.node, %wanted
  %array.at = getelementptr i8, ptr %x, i64 %array.offset
  %array = load ptr, ptr %array.at
  %there = icmp ne ptr %array, null
  %same.grad = xor i1 %differs, true
  %readable = and i1 %there, %same.grad
  br i1 %readable, label %class.of.array, label %refused
class.of.array:
  %type.at = getelementptr i8, ptr %array, i64 {TYPE}
  %type = load ptr, ptr %type.at
  %is.array = icmp eq ptr %type, @array_type
  br i1 %is.array, label %dtype, label %refused
dtype:
  %dtype.at = getelementptr i8, ptr %array, i64 {DTYPE}
  %dtype.now = load ptr, ptr %dtype.at
  %dtype.then = load ptr, ptr %fact, align 1
  %same.dtype = icmp eq ptr %dtype.now, %dtype.then
  br i1 %same.dtype, label %shape, label %refused
shape:
  %rank.at = getelementptr i64, ptr %fact, i64 2
  %rank = load i64, ptr %rank.at, align 1
  %sizes = getelementptr i64, ptr %fact, i64 3
  %any = icmp eq i64 %rank, {_ANY_SHAPE}
  br i1 %any, label %next, label %dims
dims:
  %nd.at = getelementptr i8, ptr %array, i64 {DIMS_COUNT}
  %nd = load i32, ptr %nd.at
  %rank.now = sext i32 %nd to i64
  %dims.at = getelementptr i8, ptr %array, i64 {DIMS}
  %dims.now = load ptr, ptr %dims.at
  %same.rank = icmp eq i64 %rank.now, %rank
  br i1 %same.rank, label %dim, label %refused
dim:
  %d = phi i64 [ 0, %dims ], [ %d.next, %same.dim ]
  %unseen = icmp slt i64 %d, %rank
  br i1 %unseen, label %compare, label %next
compare:
  %size.at = getelementptr i64, ptr %dims.now, i64 %d
  %size = load i64, ptr %size.at
  %size.then.at = getelementptr i64, ptr %sizes, i64 %d
  %size.then = load i64, ptr %size.then.at, align 1
  %same.size = icmp eq i64 %size, %size.then
  br i1 %same.size, label %same.dim, label %refused
same.dim:
  %d.next = add i64 %d, 1
  br label %dim
next:
  %skipped = phi i64 [ 0, %shape ], [ %rank, %dim ]
  %fact.next = getelementptr i64, ptr %sizes, i64 %skipped
  %i.next = add i64 %i, 1
  br label %argument

make:
  %arrays = call ptr @PyTuple_New(i64 %count)
  %is.made = icmp ne ptr %arrays, null
  br i1 %is.made, label %item, label %failed
item:
  %k = phi i64 [ 0, %make ], [ %k.next, %set ]
  %left = icmp slt i64 %k, %count
  br i1 %left, label %set, label %done
set:
  %t.at = getelementptr ptr, ptr %args, i64 %k
  %t = load ptr, ptr %t.at
  %t.array.at = getelementptr i8, ptr %t, i64 %array.offset
  %t.array = load ptr, ptr %t.array.at
  call void @Py_IncRef(ptr %t.array)
  %unused = call i32 @PyTuple_SetItem(ptr %arrays, i64 %k, ptr %t.array)
  %k.next = add i64 %k, 1
  br label %item
done:
  ret ptr %arrays
failed:
  ret ptr null
refused:
  call void @Py_IncRef(ptr @none)
  ret ptr @none
}}
"""
