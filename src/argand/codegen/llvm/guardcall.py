"""Checking guards on Python values in a few nanoseconds each.

One native function serves all guards. It goes through a list of records - a container, a key,
and the object that was found there - looks each up through CPython's C interface, and compares
addresses.
"""

# mypy: disable-error-code="name-defined, no-any-return"
# ruff: noqa: F821  # names of objects and C functions that the code is linked to

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any, Final

from argand.codegen.llvm.cpython import CFunction, layout_known, place_of
from argand.codegen.llvm.native import load, stack, store
from argand.codegen.llvm.plansteps import held

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

    places = {name: place_of(getattr(probe, name), probe) for name in _FIELDS}
    return {name: place for name, place in places.items() if place is not None}


def check_guards(records: int, args: int, given: int) -> int:
    """Whether all is as recorded, as a Python bool."""
    end = load(records, OB_SIZE)
    items = load(records, LIST_ITEMS)
    i = 1
    while i < end:
        if not as_recorded(items + i * 8, load(items)):
            return held(false)
        i += 3
    return held(true)


def as_recorded(record: int, missing: int) -> int:
    """Whether a place refers to the object that was found there."""
    container = load(record)
    key = load(record, 8)
    kind = load(container, OB_TYPE)
    if kind == dict_type:
        if key == none:
            return same_keys(container, load(record, 16))
        now = PyDict_GetItemWithError(container, key)
        if now == 0:
            if PyErr_Occurred() != 0:
                PyErr_Clear()
                return 0
            now = missing
    elif kind == list_type:
        size = load(container, OB_SIZE)
        if key == none:
            return size == PyLong_AsSsize_t(load(record, 16))
        number = PyLong_AsSsize_t(key)
        now = missing
        if number >= 0 and number < size:
            now = load(load(container, LIST_ITEMS), number * 8)
    elif kind == cell_type:
        now = load(container, CELL_CONTENTS)
        if now == 0:
            now = missing
    elif load(key, OB_TYPE) == str_type:
        return same_made(PyObject_GetAttr(container, key), record, missing)
    elif load(key, OB_TYPE) == int_type:
        now = load(container, PyLong_AsSsize_t(key))
        if now == 0:
            now = none
    elif kind != key:
        return 0
    elif (load(kind, FLAGS) & MANAGED_DICT) != 0 and load(container, DICT) == load(record, 16):
        return 1
    else:
        return same_made(PyObject_GenericGetDict(container, 0), record, missing)
    return now == load(record, 16)


def same_keys(container: int, keys: int) -> int:
    """Whether a dictionary has the keys of a list, in order."""
    if PyDict_Size(container) != load(keys, OB_SIZE):
        return 0
    position = stack(1)
    found = stack(1)
    store(position, 0, 0)
    i = 0
    while PyDict_Next(container, position, found, 0) != 0:
        if load(found) != load(load(keys, LIST_ITEMS), i * 8):
            return 0
        i += 1
    return 1


def same_made(now: int, record: int, missing: int) -> int:
    """Whether a new reference, or none after an AttributeError, is as recorded; drops it."""
    if now == 0:
        absent = PyErr_ExceptionMatches(attribute_error)
        PyErr_Clear()
        if absent == 0:
            return 0
        return load(record, 16) == missing
    same = now == load(record, 16)
    Py_DecRef(now)
    return same


_CHECK_GUARDS: Final = CFunction(
    (held, same_keys, same_made, as_recorded, check_guards),
    {
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
    {"FLAGS": _FLAGS, "MANAGED_DICT": _MANAGED_DICT, "DICT": _DICT},
)
