"""Checking the tensors among a call's arguments in a few nanoseconds each.

One generated function serves all calls. What it compares with is in the bytes object that the
function is bound to, as in `arraycall`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from argand.codegen.llvm.cpython import (
    ARRAY_DTYPE,
    ARRAY_RANK,
    ARRAY_SHAPE,
    TYPE,
    GeneratedFunction,
    field,
    item,
    layout_known,
    pack_facts,
    read_facts,
    slot_offset,
)

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
    if not layout_known():
        return None
    array, node = slot_offset(cls, "_array"), slot_offset(cls, "_node")
    if array is None or node is None:
        return None
    facts = [len(expected), id(cls), array, node]
    for dtype, shape, wants_grad in expected:
        shape_facts = [_ANY_SHAPE] if shape is None else [len(shape), *shape]
        facts += [id(dtype), int(wants_grad), *shape_facts]
    return _MATCH_TENSORS.bind(pack_facts(*facts), (cls, tuple(expected)))


_MATCH_TENSORS: Final = GeneratedFunction(
    "match_tensors",
    f"""
define ptr @match_tensors(ptr %self, ptr %args, i64 %given) nounwind {{
entry:
{read_facts(count="i64", tensor_type="ptr", array_offset="i64", node_offset="i64")}
  %first = getelementptr i64, ptr %facts, i64 4
  %right = icmp eq i64 %given, %count
  br i1 %right, label %argument, label %refused
argument:
  %i = phi i64 [ 0, %entry ], [ %i.next, %next ]
  %fact = phi ptr [ %first, %entry ], [ %fact.next, %next ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %tensor, label %make
tensor:
{item("x", "ptr", "args", "%i")}
{field("x.type", "ptr", "x", TYPE)}
  %exact = icmp eq ptr %x.type, %tensor_type
  br i1 %exact, label %grad, label %refused
grad:
{field("node", "ptr", "x", "%node_offset")}
  %has.node = icmp ne ptr %node, @none
  %wants.at = getelementptr i64, ptr %fact, i64 1
  %wants = load i64, ptr %wants.at, align 1
  %wanted = icmp ne i64 %wants, 0
  %differs = xor i1 %has.node, %wanted
{field("array", "ptr", "x", "%array_offset")}
  %there = icmp ne ptr %array, null
  %same.grad = xor i1 %differs, true
  %readable = and i1 %there, %same.grad
  br i1 %readable, label %class.of.array, label %refused
class.of.array:
{field("type", "ptr", "array", TYPE)}
  %is.array = icmp eq ptr %type, @array_type
  br i1 %is.array, label %dtype, label %refused
dtype:
{field("dtype.now", "ptr", "array", ARRAY_DTYPE)}
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
{field("nd", "i32", "array", ARRAY_RANK)}
  %rank.now = sext i32 %nd to i64
{field("dims.now", "ptr", "array", ARRAY_SHAPE)}
  %same.rank = icmp eq i64 %rank.now, %rank
  br i1 %same.rank, label %dim, label %refused
dim:
  %d = phi i64 [ 0, %dims ], [ %d.next, %same.dim ]
  %unseen = icmp slt i64 %d, %rank
  br i1 %unseen, label %compare, label %next
compare:
{item("size", "i64", "dims.now", "%d")}
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
{item("t", "ptr", "args", "%k")}
{field("t.array", "ptr", "t", "%array_offset")}
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
""",
    functions=("PyTuple_New", "PyTuple_SetItem", "Py_IncRef"),
    objects={"array_type": np.ndarray, "none": None},
)
