"""Calling an entry point from Python in tens of nanoseconds.

For each signature a C function of CPython's METH_FASTCALL kind is generated: it reads its arguments
- arrays, integers, floats - straight into the slots of the entry, calls it, and returns the status.
Where CPython's insides are not as expected (free-threaded builds, PyPy), ctypes does the same,
slower.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import sys
import sysconfig
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

from argand.codegen.llvm.objects import LoadedObject, load_object, text_to_object
from argand.codegen.llvm.pool import immortal
from argand.codegen.llvm.target import host_target

Entry = Callable[..., int]

_METH_FASTCALL: Final = 0x80
_API: Final = (
    "PyErr_Occurred",
    "PyErr_SetString",
    "PyEval_RestoreThread",
    "PyEval_SaveThread",
    "PyFloat_AsDouble",
    "PyLong_AsSsize_t",
    "PyLong_FromLongLong",
    "PyTuple_GetItem",
)


class MethodDef(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (
        ("ml_name", ctypes.c_char_p),
        ("ml_meth", ctypes.c_void_p),
        ("ml_flags", ctypes.c_int),
        ("ml_doc", ctypes.c_char_p),
    )


def fast_entry(address: int, kinds: str, *, owner: object = None, release: bool = False) -> Entry:
    """A Python callable for the entry at `address`; returns its status.

    `kinds` has a letter for each parameter: "p" an exact numpy.ndarray (its data) or an address,
    "i" an integer, "f" a float. `owner` is kept alive with the callable. With `release` the GIL is
    let go while the code runs, which long kernels should do.
    """
    if set(kinds) - set("pif"):
        raise ValueError(f"kinds are p, i and f, not {kinds!r}")
    if not supported():
        return slow_entry(address, kinds, owner=owner)
    definition = _method(kinds, release)
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype = ctypes.py_object
    new.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
    entry: Entry = new(ctypes.addressof(definition), (address, owner), None)
    return entry


def slow_entry(address: int, kinds: str, *, owner: object = None) -> Entry:
    """The same callable through ctypes; it always lets the GIL go."""
    native = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(address)

    def entry(*args: Any, _owner: object = owner) -> int:
        if len(args) != len(kinds):
            raise TypeError(f"{len(kinds)} arguments expected, {len(args)} given")
        slots = (ctypes.c_int64 * max(1, len(kinds)))()
        for index, (kind, value) in enumerate(zip(kinds, args, strict=True)):
            slots[index] = _slot(kind, value)
        status: int = native(ctypes.addressof(slots))
        return status

    return entry


def _slot(kind: str, value: Any) -> int:
    if kind == "f":
        return ctypes.c_int64.from_buffer(ctypes.c_double(value)).value
    if kind == "p" and isinstance(value, np.ndarray):
        return value.ctypes.data
    return int(value)


@functools.cache
def supported() -> bool:
    """CPython with a GIL, with an array's data pointer right behind the object's head."""
    if platform.python_implementation() != "CPython" or sys.maxsize < 2**32:
        return False
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    probe = np.zeros(3)
    head: int = object.__basicsize__
    return ctypes.c_void_p.from_address(id(probe) + head).value == probe.ctypes.data


@functools.cache
def _method(kinds: str, release: bool) -> MethodDef:
    """The generated function for a signature, in the form CPython wants; never freed."""
    target = host_target()
    text = _wrapper_text(kinds, release, target.triple)
    data = text_to_object(text, target, f"call with {kinds or 'nothing'}")
    code: LoadedObject = immortal(load_object(data, ["fast"], api_addresses()))
    address = code.address("fast")
    definition = MethodDef(b"native", address, _METH_FASTCALL, None)
    immortal(definition)
    return definition


@functools.cache
def api_addresses() -> dict[str, int]:
    """What generated functions import of CPython, and the types that they ask for, by name."""
    return {**functions_of(_API), "type_error": id(TypeError), "array_type": id(np.ndarray)}


def functions_of(names: Iterable[str]) -> dict[str, int]:
    """The addresses of functions of CPython's C interface."""
    functions = {name: getattr(ctypes.pythonapi, name) for name in names}
    return {n: int(ctypes.cast(f, ctypes.c_void_p).value or 0) for n, f in functions.items()}


_HEAD: Final = """target triple = "{triple}"
@array_type = external global i8
@type_error = external global i8
declare ptr @PyErr_Occurred()
declare void @PyErr_SetString(ptr, ptr)
declare void @PyEval_RestoreThread(ptr)
declare ptr @PyEval_SaveThread()
declare double @PyFloat_AsDouble(ptr)
declare i64 @PyLong_AsSsize_t(ptr)
declare ptr @PyLong_FromLongLong(i64)
declare ptr @PyTuple_GetItem(ptr, i64)
@message = internal constant [{size} x i8] c"{message}\\00"

define ptr @fast(ptr %self, ptr %args, i64 %given) nounwind {{
entry:
  %slots = alloca [{room} x i64], align 64
  %right = icmp eq i64 %given, {count}
  br i1 %right, label %arg0, label %wrong
wrong:
  call void @PyErr_SetString(ptr @type_error, ptr @message)
  ret ptr null
failed:
  ret ptr null
"""

_POINTER: Final = """arg{i}:
  %a{i}.at = getelementptr ptr, ptr %args, i64 {i}
  %a{i} = load ptr, ptr %a{i}.at
  %s{i} = getelementptr i64, ptr %slots, i64 {i}
  %t{i}.at = getelementptr i8, ptr %a{i}, i64 {type_offset}
  %t{i} = load ptr, ptr %t{i}.at
  %is{i} = icmp eq ptr %t{i}, @array_type
  br i1 %is{i}, label %array{i}, label %number{i}
array{i}:
  %d{i}.at = getelementptr i8, ptr %a{i}, i64 {head}
  %d{i} = load i64, ptr %d{i}.at
  store i64 %d{i}, ptr %s{i}
  br label %arg{next}
number{i}:
  %n{i} = call i64 @PyLong_AsSsize_t(ptr %a{i})
  store i64 %n{i}, ptr %s{i}
  %odd{i} = icmp eq i64 %n{i}, -1
  br i1 %odd{i}, label %check{i}, label %arg{next}
check{i}:
  %e{i} = call ptr @PyErr_Occurred()
  %bad{i} = icmp ne ptr %e{i}, null
  br i1 %bad{i}, label %failed, label %arg{next}
"""

_NUMBER: Final = """arg{i}:
  %a{i}.at = getelementptr ptr, ptr %args, i64 {i}
  %a{i} = load ptr, ptr %a{i}.at
  %s{i} = getelementptr i64, ptr %slots, i64 {i}
  %n{i} = call {kind} @{read}(ptr %a{i})
  store {kind} %n{i}, ptr %s{i}
  %odd{i} = {test} {kind} %n{i}, {minus_one}
  br i1 %odd{i}, label %check{i}, label %arg{next}
check{i}:
  %e{i} = call ptr @PyErr_Occurred()
  %bad{i} = icmp ne ptr %e{i}, null
  br i1 %bad{i}, label %failed, label %arg{next}
"""

_TAIL: Final = """arg{count}:
  %held = call ptr @PyTuple_GetItem(ptr %self, i64 0)
  %address = call i64 @PyLong_AsSsize_t(ptr %held)
  %entry.at = inttoptr i64 %address to ptr
{before}  %status = call i64 %entry.at(ptr %slots)
{after}  %result = call ptr @PyLong_FromLongLong(i64 %status)
  ret ptr %result
}}
"""


def _wrapper_text(kinds: str, release: bool, triple: str) -> str:
    head: int = object.__basicsize__
    count = len(kinds)
    message = f"native entry: {count} arguments expected"
    parts = [
        _HEAD.format(
            triple=triple, size=len(message) + 1, message=message, room=max(1, count), count=count
        )
    ]
    for i, kind in enumerate(kinds):
        place = {"i": i, "next": i + 1}
        if kind == "p":
            parts.append(_POINTER.format(**place, head=head, type_offset=head - 8))
        elif kind == "i":
            read = {"kind": "i64", "read": "PyLong_AsSsize_t", "test": "icmp eq", "minus_one": "-1"}
            parts.append(_NUMBER.format(**place, **read))
        else:
            read = {"kind": "double", "read": "PyFloat_AsDouble"}
            parts.append(_NUMBER.format(**place, **read, test="fcmp oeq", minus_one="-1.0"))
    before = "  %thread = call ptr @PyEval_SaveThread()\n" * release
    after = "  call void @PyEval_RestoreThread(ptr %thread)\n" * release
    parts.append(_TAIL.format(count=count, before=before, after=after))
    return "".join(parts)
