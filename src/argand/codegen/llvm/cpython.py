"""C functions for CPython, made of native functions: how native code is called from Python.

A `CFunction` is one function of CPython's METH_FASTCALL kind, `(self, args, count)`, compiled once
and cached on disk. What differs between the callables made of it is in the object that a callable
is bound to, its `self`. Native functions (`codegen/llvm/native.py`) read CPython's and NumPy's
objects at `PLACES`, which `layout_known` checks before any of it is used.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import struct
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from types import CellType
from typing import Any, Final

import numpy as np
from numpy._core import _multiarray_umath  # type: ignore[attr-defined]  # it has no stub

from argand.codegen.llvm.native import NativeUnit
from argand.codegen.llvm.objects import immortal, load_object
from argand.codegen.llvm.source import Source, kept_source
from argand.codegen.llvm.target import host_target
from argand.runtime.planformat import ALIGNED, C_CONTIGUOUS, WRITEABLE

_HEAD: Final[int] = object.__basicsize__

PLACES: Final[dict[str, int]] = {
    "OB_TYPE": _HEAD - 8,
    "OB_SIZE": _HEAD,
    "BYTES_DATA": bytes.__basicsize__ - 1,
    "CELL_CONTENTS": _HEAD,
    "FLOAT_VALUE": _HEAD,
    "LIST_ITEMS": _HEAD + 8,
    "SLICE_START": _HEAD,
    "TUPLE_ITEMS": tuple.__basicsize__,
    "ARRAY_DATA": _HEAD,
    "ARRAY_RANK": _HEAD + 8,
    "ARRAY_SIZES": _HEAD + 16,
    "ARRAY_STRIDES": _HEAD + 24,
    "ARRAY_DTYPE": _HEAD + 40,
    "ARRAY_FLAGS": _HEAD + 48,
}
"""How far from an object's address what native functions read of it is stored."""

METH_FASTCALL: Final = 0x80
METH_FASTCALL_KEYWORDS: Final = 0x82

# The C functions that native functions may call, and what they give (see `NativeUnit`).
_CPYTHON: Final = {
    "PyBytes_FromStringAndSize": "word",
    "PyDict_GetItemWithError": "word",
    "PyDict_Next": "int",
    "PyDict_Size": "word",
    "PyErr_Clear": "none",
    "PyErr_ExceptionMatches": "int",
    "PyErr_Occurred": "word",
    "PyErr_SetObject": "none",
    "PyEval_RestoreThread": "none",
    "PyEval_SaveThread": "word",
    "PyIter_Next": "word",
    "PyList_New": "word",
    "PyLong_AsLongLongAndOverflow": "word",
    "PyLong_AsSsize_t": "word",
    "PyLong_FromLongLong": "word",
    "PyObject_GenericGetDict": "word",
    "PyNumber_Add": "word",
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
_LIBC: Final = ctypes.CDLL(None)


class _MethodDef(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (
        ("ml_name", ctypes.c_char_p),
        ("ml_meth", ctypes.c_void_p),
        ("ml_flags", ctypes.c_int),
        ("ml_doc", ctypes.c_char_p),
    )


class CFunction:
    """The C function that the last of some native functions is: compiled when it is first bound,
    and never freed.

    The native functions refer to `objects` and `addresses` by their names, and to `numbers` and
    `PLACES`, which are constants.
    """

    def __init__(
        self,
        functions: Sequence[Callable[..., Any]],
        objects: Mapping[str, object],
        numbers: Mapping[str, int],
        addresses: Mapping[str, int] | None = None,
        flags: int = METH_FASTCALL,
    ) -> None:
        self._functions, self._objects = functions, objects
        self._numbers = {**PLACES, **numbers}
        self._addresses = addresses or {}
        self._flags = flags

    def bind(self, state: object, alive: object = None) -> Callable[..., Any]:
        """The function as a Python callable whose `self` is `state`; it keeps `alive` alive."""
        new = ctypes.pythonapi.PyCFunction_NewEx
        new.restype = ctypes.py_object
        new.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
        made: Callable[..., Any] = new(ctypes.addressof(self._method), state, alive)
        return made

    @functools.cached_property
    def _method(self) -> _MethodDef:
        name = self._functions[-1].__name__
        kinds = {**_CPYTHON, **{n: kind for n, (_, kind) in _NUMPY.items()}}
        linked = [*self._objects, *self._addresses]
        unit = NativeUnit(self._functions, self._numbers, linked, kinds)
        addresses = {
            **{n: id(immortal(x)) for n, x in self._objects.items()},
            **self._addresses,
            **{n: _c_function(n) for n in unit.named},
        }
        method = immortal(_MethodDef(name.encode(), None, self._flags, None))

        def install(data: bytes) -> None:
            # Calls of functions that were bound before find the new address here, too.
            method.ml_meth = immortal(load_object(data, [name], addresses)).address(name)

        source = kept_source("", name, host_target(), unit.facts(), passes=True)
        found = source.kept()
        if found is None:
            source.text = unit.text(source.target.triple, [name])
            _install(source, install)
        else:
            install(found)
        return method


def _install(source: Source, install: Callable[[bytes], None]) -> None:
    """Install a quick object now, and the optimised one later."""
    from argand.codegen.llvm.tiers import OPTIMISER

    install(source.quick())
    if not OPTIMISER.submit(source, install):
        install(source.optimised())


def _c_function(name: str) -> int:
    if name in _NUMPY:
        get = ctypes.pythonapi.PyCapsule_GetPointer
        get.restype = ctypes.c_void_p
        get.argtypes = (ctypes.py_object, ctypes.c_char_p)
        number = _NUMPY[name][0]
        table = get(_multiarray_umath._ARRAY_API, None)
        return int((ctypes.c_size_t * (number + 1)).from_address(table)[number])
    found = getattr(ctypes.pythonapi, name) if name.startswith("Py") else getattr(_LIBC, name)
    return int(ctypes.cast(found, ctypes.c_void_p).value or 0)


def packed(*words: int) -> bytes:
    """Words that native functions load from `BYTES_DATA` on; to be a `self`."""
    return struct.pack(f"={len(words)}q", *words)


# layout -------------------------------------------------------------------------------------------


@functools.cache
def layout_known() -> bool:
    """Whether this is CPython with a GIL, and its objects are stored as `PLACES` says.

    Where it is not (free-threaded builds, PyPy), the caller has another, slower way.
    """
    if platform.python_implementation() != "CPython" or sys.maxsize < 2**32:
        return False
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    return _arrays_known() and _others_known()


def _arrays_known() -> bool:
    array = np.zeros((3, 5), np.float32)
    every = C_CONTIGUOUS | ALIGNED | WRITEABLE
    shape, strides = _word(array, "ARRAY_SIZES"), _word(array, "ARRAY_STRIDES")
    return (
        _word(array, "OB_TYPE") == id(np.ndarray)
        and _word(array, "ARRAY_DATA") == array.ctypes.data
        and _int(array, "ARRAY_RANK") == 2
        and _words(shape, 2) == [3, 5]
        and _words(strides, 2) == [20, 4]
        and _word(array, "ARRAY_DTYPE") == id(array.dtype)
        and _int(array, "ARRAY_FLAGS") & every == every
        and _int(array.T, "ARRAY_FLAGS") & C_CONTIGUOUS == 0
    )


def _others_known() -> bool:
    parts = [object(), object(), object()]
    ids = [id(x) for x in parts]
    together, cut, number, text = tuple(parts), slice(*parts), 0.5, b"argand"
    return (
        _word(parts, "OB_SIZE") == _word(together, "OB_SIZE") == 3
        and _words(_word(parts, "LIST_ITEMS"), 3) == ids
        and _words(id(together) + PLACES["TUPLE_ITEMS"], 3) == ids
        and _words(id(cut) + PLACES["SLICE_START"], 3) == ids
        and ctypes.c_double.from_address(id(number) + PLACES["FLOAT_VALUE"]).value == number
        and ctypes.string_at(id(text) + PLACES["BYTES_DATA"], len(text)) == text
        and _word(CellType(parts), "CELL_CONTENTS") == id(parts)
    )


@functools.cache
def slots_of(cls: type) -> dict[str, int] | None:
    """How far from an object's address its slots are stored; None where that isn't found out."""
    names = [n for n in cls.__dict__["__slots__"] if not n.startswith("__")]
    probe: Any = object.__new__(cls)
    marks = {name: object() for name in names}
    for name, mark in marks.items():
        setattr(probe, name, mark)
    found = {name: place_of(mark, probe) for name, mark in marks.items()}
    known = {name: place for name, place in found.items() if place is not None}
    return known if len(known) == len(found) else None


def place_of(part: object, holder: object) -> int | None:
    """How far from an object's address the address of a part of it is stored, once."""
    held = _words(id(holder), type(holder).__basicsize__ // 8)
    return 8 * held.index(id(part)) if held.count(id(part)) == 1 else None


def _word(of: object, place: str) -> int:
    return ctypes.c_size_t.from_address(id(of) + PLACES[place]).value


def _int(of: object, place: str) -> int:
    return ctypes.c_int.from_address(id(of) + PLACES[place]).value


def _words(address: int, count: int) -> list[int]:
    return list((ctypes.c_size_t * count).from_address(address))
