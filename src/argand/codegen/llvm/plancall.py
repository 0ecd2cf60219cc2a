"""Linking the native function that runs call plans (`plancode`) into this process."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from argand.base.settings import settings
from argand.codegen.llvm import plancode, plansteps
from argand.codegen.llvm.cpython import MethodDef, layout_known, numpy_function
from argand.codegen.llvm.native import NativeUnit
from argand.codegen.llvm.objects import (
    cached_object,
    immortal,
    keep_object,
    load_object,
    text_to_object,
)
from argand.codegen.llvm.target import host_target, llvm_versions
from argand.nest.target import Target
from argand.runtime import planformat

_API: Final = {
    "PyBytes_FromStringAndSize": "word",
    "PyErr_Clear": "none",
    "PyErr_ExceptionMatches": "int",
    "PyErr_Occurred": "word",
    "PyIter_Next": "word",
    "PyList_New": "word",
    "PyLong_AsLongLongAndOverflow": "word",
    "PyObject_GetAttr": "word",
    "PyObject_Vectorcall": "word",
    "PyTuple_New": "word",
    "PyType_GenericAlloc": "word",
    "PyWeakref_NewRef": "word",
    "Py_DecRef": "none",
    "Py_IncRef": "none",
    "memmove": "word",
}
# Functions of NumPy's C interface, by their numbers in its table.
_NUMPY: Final = {"PyArray_NewFromDescr": (94, "word"), "PyArray_SetBaseObject": (282, "int")}
_METH_FASTCALL_KEYWORDS: Final = 0x82
_LIBC: Final = ctypes.CDLL(None)
_SIZES: Final = (3, 5)
_FLAGS: Final = planformat.ALIGNED | planformat.WRITEABLE


def plan_call(
    objects: Mapping[str, Any],
    classes: Mapping[str, type],
    state: np.ndarray[Any, Any],
    gate: int,
) -> Callable[[Any], Any] | None:
    """What makes the native function of a Python function; None where objects are not stored in
    memory as the generated code expects.

    `objects` are those that the code names, `classes` have slots that it reads and writes, `gate`
    is the address of a word that must be 0 for plans to run.
    """
    numbers = _numbers(classes)
    if numbers is None:
        return None
    known = {**_OBJECTS, **objects}
    unit = NativeUnit(
        (*plancode.FUNCTIONS, *plansteps.FUNCTIONS),
        numbers,
        [*known, "state", "gate"],
        {**_API, **{name: kind for name, (_, kind) in _NUMPY.items()}},
    )
    target = host_target()
    data = _object(unit.text(target.triple, ["argand_call"]), target)
    addresses = {
        **{name: id(immortal(x)) for name, x in known.items()},
        **{name: _c_function(name) for name in _API},
        **{name: numpy_function(number) for name, (number, _) in _NUMPY.items()},
        "state": immortal(state).ctypes.data,
        "gate": gate,
    }
    code = immortal(load_object(data, ["argand_call"], addresses))
    method = MethodDef(b"planned", code.address("argand_call"), _METH_FASTCALL_KEYWORDS, None)
    immortal(method)
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype = ctypes.py_object
    new.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    return lambda function: new(ctypes.addressof(method), function, None)


_OBJECTS: Final[dict[str, Any]] = {
    "none": None,
    "true": True,
    "false": False,
    "ellipsis": ...,
    "zero": 0,
    "array_type": np.ndarray,
    "exception_type": Exception,
    "int_type": int,
    "float_type": float,
    "tuple_type": tuple,
    "list_type": list,
    "slice_type": slice,
    "str_type": str,
    "enabled_name": "enabled",
}


def _object(text: str, target: Target) -> bytes:
    key = hashlib.sha256(f"{llvm_versions()}\n{target!r}\n{text}".encode()).hexdigest()
    folder = Path(settings.cache_dir) / "objects"
    found = cached_object(folder, key) if settings.cache else None
    if found is None:
        found = text_to_object(text, target, "call of plans", optimised=True)
        if settings.cache:
            keep_object(folder, key, found)
    return found


def _c_function(name: str) -> int:
    found = getattr(ctypes.pythonapi, name) if name.startswith("Py") else getattr(_LIBC, name)
    return int(ctypes.cast(found, ctypes.c_void_p).value or 0)


def _numbers(classes: Mapping[str, type]) -> dict[str, int] | None:
    """The constants that the code names, and where what it reads is stored in objects."""
    if not layout_known():
        return None
    head: int = object.__basicsize__
    parts = [object(), object(), object()]
    places = {
        "TUPLE_ITEMS": _found((parts[0], parts[1]), parts[0]),
        "SLICE_START": _found(slice(*parts), parts[0]),
        "NEXT": _found(slice(*parts), parts[1]),
        **{
            f"{prefix}_{name.strip('_').upper()}": place
            for prefix, cls in classes.items()
            for name, place in slots_of(cls).items()
        },
    }
    numbers = {name: value for name, value in vars(planformat).items() if type(value) is int}
    numbers |= {
        "OB_TYPE": head - 8,
        "OB_SIZE": head,
        "LIST_ITEMS": head + 8,
        "FLOAT_VALUE": head,
        "ARRAY_DATA": head,
        "ARRAY_RANK": head + 8,
        "ARRAY_SIZES": head + 16,
        "ARRAY_STRIDES": head + 24,
        "ARRAY_DTYPE": head + 40,
        "ARRAY_FLAGS": head + 48,
    }
    if None in places.values() or not _stored_as_expected(numbers):
        return None
    numbers |= {name: place for name, place in places.items() if place is not None}
    return numbers if numbers["NEXT"] == numbers["SLICE_START"] + 8 else None


def slots_of(cls: type) -> dict[str, int | None]:
    """How far from an object's address its slots are stored; None where that isn't found out."""
    names = [n for n in cls.__dict__["__slots__"] if not n.startswith("__")]
    probe: Any = object.__new__(cls)
    marks = {name: object() for name in names}
    for name, mark in marks.items():
        setattr(probe, name, mark)
    return {name: _found(probe, mark) for name, mark in marks.items()}


def _found(holder: Any, part: Any) -> int | None:
    """How far from an object's address the address of a part of it is stored, once."""
    words = (type(holder).__basicsize__ + 16) // 8
    held = list((ctypes.c_size_t * words).from_address(id(holder)))
    return 8 * held.index(id(part)) if held.count(id(part)) == 1 else None


def _stored_as_expected(numbers: Mapping[str, int]) -> bool:
    """Whether arrays, lists, floats and sizes are stored where the code reads them."""
    array = np.zeros(_SIZES, np.float32)
    listed = [array]
    number, size = 0.5, (array,)

    def word(x: Any, name: str) -> int:
        return int(ctypes.c_ssize_t.from_address(id(x) + numbers[name]).value)

    def half(x: Any, name: str) -> int:
        return int(ctypes.c_int32.from_address(id(x) + numbers[name]).value)

    def row(address: int) -> Sequence[int]:
        return list((ctypes.c_ssize_t * 2).from_address(address))

    return (
        word(array, "OB_TYPE") == id(np.ndarray)
        and word(array, "ARRAY_DATA") == array.ctypes.data
        and half(array, "ARRAY_RANK") == 2
        and row(word(array, "ARRAY_SIZES")) == list(_SIZES)
        and row(word(array, "ARRAY_STRIDES")) == list(array.strides)
        and word(array, "ARRAY_DTYPE") == id(array.dtype)
        and half(array, "ARRAY_FLAGS") & _FLAGS == _FLAGS
        and ctypes.c_void_p.from_address(word(listed, "LIST_ITEMS")).value == id(array)
        and ctypes.c_double.from_address(id(number) + numbers["FLOAT_VALUE"]).value == number
        and word(size, "OB_SIZE") == 1
    )
