"""Checking guards on Python values in a few nanoseconds each.

One generated function serves all guards. It goes through a list of records - a container, a key,
and the object that was found there - looks each up through CPython's C interface, and compares
addresses.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any, Final

from argand.codegen.llvm.cpython import (
    CELL_CONTENTS,
    LIST_ITEMS,
    LIST_SIZE,
    TYPE,
    GeneratedFunction,
    field,
    item,
    layout_known,
)

Check = Callable[[], bool]

_FIELDS: Final = ("__code__", "__defaults__", "__kwdefaults__")  # of a function, by address
# The flags of a class, and the one of those whose objects have the address of their dictionary
# before the head.
_FLAGS: Final = 168
_MANAGED_DICT: Final = 1 << 4
_DICT: Final = -24


def guard_entry(records: list[Any]) -> Check | None:
    """A function that says whether every place in `records` holds the very object given for it.

    `records` is `[missing, container, key, value, container, key, value, ...]`, where the value
    `missing` means nothing:

    * a dict and a str or an int: the item; a dict, None and a list: the keys, in order
    * a list and an int: the element; a list, None and an int: the length
    * a cell and None: what it holds
    * a function and a str: the attribute, which is read from memory where that is known
    * any other object, its class and a dict: of that class, with that dict as its namespace
    * any other object and a str: the attribute

    Dicts, lists and cells are of exactly these types. A value in the list may be replaced between
    calls, or by another thread; nothing else in it may change. None where CPython's insides are not
    as expected.
    """
    if not (layout_known() and _namespaces_known()):
        return None
    offsets = _function_fields()
    for i in range(1, len(records), 3):
        if type(records[i]) is FunctionType and records[i + 1] in offsets:
            records[i + 1] = offsets[records[i + 1]]
    return _CHECK_GUARDS.bind(records)


@functools.cache
def _namespaces_known() -> bool:
    """Whether objects have their namespaces where the generated function reads them."""
    plain = _Plain()
    expected = _Plain.__flags__  # before memory is read: looking it up sets another flag
    flags = ctypes.c_ulong.from_address(id(_Plain) + _FLAGS).value
    space = plain.__dict__
    namespace = ctypes.c_void_p.from_address(id(plain) + _DICT).value
    return flags == expected and bool(flags & _MANAGED_DICT) and namespace == id(space)


class _Plain:
    """An object with a namespace."""


@functools.cache
def _function_fields() -> dict[str, int]:
    """How far from a function's address what it refers to is found, by the attribute's name."""

    def probe(x: int = 1, *, y: int = 2) -> int:
        return x + y

    words = FunctionType.__basicsize__ // 8
    held = list((ctypes.c_size_t * words).from_address(id(probe)))
    there = {name: id(getattr(probe, name)) for name in _FIELDS}
    return {name: 8 * held.index(i) for name, i in there.items() if held.count(i) == 1}


_CHECK_GUARDS: Final = GeneratedFunction(
    "check_guards",
    f"""
define ptr @check_guards(ptr %self, ptr %args, i64 %given) nounwind {{
entry:
  %position = alloca i64
  %found = alloca ptr
{field("end", "i64", "self", LIST_SIZE)}
{field("records", "ptr", "self", LIST_ITEMS)}
  %missing = load ptr, ptr %records
  br label %guard
guard:
  %i = phi i64 [ 1, %entry ], [ %i.next, %same ]
  %more = icmp slt i64 %i, %end
  br i1 %more, label %read, label %held
read:
{item("container", "ptr", "records", "%i")}
  %key.at = getelementptr ptr, ptr %container.at, i64 1
  %key = load ptr, ptr %key.at
  %value.at = getelementptr ptr, ptr %container.at, i64 2
{field("type", "ptr", "container", TYPE)}
  %whole = icmp eq ptr %key, @none
  %is.dict = icmp eq ptr %type, @dict_type
  br i1 %is.dict, label %dict, label %no.dict
no.dict:
  %is.list = icmp eq ptr %type, @list_type
  br i1 %is.list, label %list, label %no.list
no.list:
  %is.cell = icmp eq ptr %type, @cell_type
  br i1 %is.cell, label %cell, label %object

dict:
  br i1 %whole, label %keys, label %item
item:
  %item.now = call ptr @PyDict_GetItemWithError(ptr %container, ptr %key)
  %is.there = icmp ne ptr %item.now, null
  br i1 %is.there, label %compare, label %no.item
no.item:
  %item.error = call ptr @PyErr_Occurred()
  %item.absent = icmp eq ptr %item.error, null
  br i1 %item.absent, label %compare, label %failed
keys:
  %keys.then = load ptr, ptr %value.at
{field("keys.count", "i64", "keys.then", LIST_SIZE)}
{field("keys.items", "ptr", "keys.then", LIST_ITEMS)}
  %dict.size = call i64 @PyDict_Size(ptr %container)
  %as.many = icmp eq i64 %dict.size, %keys.count
  store i64 0, ptr %position
  br i1 %as.many, label %next.key, label %changed
next.key:
  %k = phi i64 [ 0, %keys ], [ %k.next, %one.key ]
  %other.key = call i32 @PyDict_Next(ptr %container, ptr %position, ptr %found, ptr null)
  %no.key = icmp eq i32 %other.key, 0
  br i1 %no.key, label %same, label %one.key
one.key:
  %key.now = load ptr, ptr %found
{item("key.then", "ptr", "keys.items", "%k")}
  %k.next = add i64 %k, 1
  %same.key = icmp eq ptr %key.now, %key.then
  br i1 %same.key, label %next.key, label %changed

list:
{field("size", "i64", "container", LIST_SIZE)}
  br i1 %whole, label %length, label %element
length:
  %length.value = load ptr, ptr %value.at
  %length.then = call i64 @PyLong_AsSsize_t(ptr %length.value)
  %same.length = icmp eq i64 %size, %length.then
  br i1 %same.length, label %same, label %changed
element:
  %number = call i64 @PyLong_AsSsize_t(ptr %key)
  %in.list = icmp ult i64 %number, %size
  br i1 %in.list, label %element.there, label %compare
element.there:
{field("elements", "ptr", "container", LIST_ITEMS)}
  %element.at = getelementptr ptr, ptr %elements, i64 %number
  %element.now = load ptr, ptr %element.at
  br label %compare

cell:
{field("contents", "ptr", "container", CELL_CONTENTS)}
  %is.full = icmp ne ptr %contents, null
  %cell.now = select i1 %is.full, ptr %contents, ptr %missing
  br label %compare

object:
{field("key.type", "ptr", "key", TYPE)}
  %is.name = icmp eq ptr %key.type, @str_type
  br i1 %is.name, label %attribute, label %no.name
no.name:
  %is.offset = icmp eq ptr %key.type, @int_type
  br i1 %is.offset, label %field, label %class
field:
  %offset = call i64 @PyLong_AsSsize_t(ptr %key)
  %field.at = getelementptr i8, ptr %container, i64 %offset
  %field.held = load ptr, ptr %field.at
  %is.held = icmp ne ptr %field.held, null
  %field.now = select i1 %is.held, ptr %field.held, ptr @none
  br label %compare
class:
  %same.class = icmp eq ptr %type, %key
  br i1 %same.class, label %namespace, label %changed
namespace:
{field("flags", "i64", "type", _FLAGS)}
  %managed.bit = and i64 %flags, {_MANAGED_DICT}
  %managed = icmp ne i64 %managed.bit, 0
  br i1 %managed, label %dict.pointer, label %get.dict
dict.pointer:
{field("dict.now", "ptr", "container", _DICT)}
  %dict.then = load ptr, ptr %value.at
  %same.dict = icmp eq ptr %dict.now, %dict.then
  br i1 %same.dict, label %same, label %get.dict
get.dict:
  %namespace.now = call ptr @PyObject_GenericGetDict(ptr %container, ptr null)
  br label %made
attribute:
  %attribute.now = call ptr @PyObject_GetAttr(ptr %container, ptr %key)
  br label %made
made:
  %made.now = phi ptr [ %namespace.now, %get.dict ], [ %attribute.now, %attribute ]
  %is.made = icmp ne ptr %made.now, null
  br i1 %is.made, label %compare.made, label %not.made
compare.made:
  %made.then = load ptr, ptr %value.at
  %same.made = icmp eq ptr %made.now, %made.then
  call void @Py_DecRef(ptr %made.now)
  br i1 %same.made, label %same, label %changed
not.made:
  %matches = call i32 @PyErr_ExceptionMatches(ptr @attribute_error)
  call void @PyErr_Clear()
  %is.absent = icmp ne i32 %matches, 0
  br i1 %is.absent, label %compare, label %changed

compare:
  %now = phi ptr [ %item.now, %item ], [ %missing, %no.item ], [ %missing, %element ],
    [ %element.now, %element.there ], [ %cell.now, %cell ], [ %missing, %not.made ],
    [ %field.now, %field ]
  %then = load ptr, ptr %value.at
  %is.same = icmp eq ptr %now, %then
  br i1 %is.same, label %same, label %changed
same:
  %i.next = add i64 %i, 3
  br label %guard

failed:
  call void @PyErr_Clear()
  br label %changed
held:
  call void @Py_IncRef(ptr @true)
  ret ptr @true
changed:
  call void @Py_IncRef(ptr @false)
  ret ptr @false
}}
""",
    functions=(
        "PyDict_GetItemWithError",
        "PyDict_Next",
        "PyDict_Size",
        "PyErr_Clear",
        "PyErr_ExceptionMatches",
        "PyErr_Occurred",
        "PyLong_AsSsize_t",
        "PyObject_GenericGetDict",
        "PyObject_GetAttr",
        "Py_DecRef",
        "Py_IncRef",
    ),
    objects={
        "none": None,
        "true": True,
        "false": False,
        "dict_type": dict,
        "list_type": list,
        "cell_type": CellType,
        "str_type": str,
        "int_type": int,
        "attribute_error": AttributeError,
    },
)
