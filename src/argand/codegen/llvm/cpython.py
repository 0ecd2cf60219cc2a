"""C functions for CPython, generated: what calls of native code from Python have in common.

Each is one LLVM function of CPython's METH_FASTCALL kind, `ptr (ptr %self, ptr %args, i64 %given)`,
compiled once a process. What differs between the callables made of it is in the object that a
callable is bound to, its `%self`: facts packed into bytes, or a list. The text reads CPython's and
NumPy's objects at the offsets below, which `layout_known` checks before any of it is used.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import struct
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from types import CellType
from typing import Any, Final

import numpy as np
from numpy._core import _multiarray_umath  # type: ignore[attr-defined]  # it has no stub

from argand.codegen.llvm.objects import immortal, load_object, text_to_object
from argand.codegen.llvm.target import host_target

# Offsets from an object's address: of its class, and behind its head of what the class stores.
HEAD: Final[int] = object.__basicsize__
TYPE: Final = HEAD - 8
ARRAY_DATA: Final = HEAD
ARRAY_RANK: Final = HEAD + 8
ARRAY_SHAPE: Final = HEAD + 16
ARRAY_DTYPE: Final = HEAD + 40
ARRAY_FLAGS: Final = HEAD + 48
BYTES_DATA: Final = bytes.__basicsize__ - 1
LIST_SIZE: Final = HEAD
LIST_ITEMS: Final = HEAD + 8
CELL_CONTENTS: Final = HEAD
# The descriptor of a slot refers to its definition, which has the offset of the slot.
_SLOT_DEFINITION: Final = HEAD + 24
_SLOT_OFFSET: Final = 16

# The bits of an array's flags for row-major order and for an aligned address.
C_CONTIGUOUS: Final = 0x1
ALIGNED: Final = 0x100

_METH_FASTCALL: Final = 0x80

# The functions that texts may call: the result and the parameters.
_CPYTHON: Final = {
    "PyDict_GetItemWithError": ("ptr", "ptr, ptr"),
    "PyDict_Next": ("i32", "ptr, ptr, ptr, ptr"),
    "PyDict_Size": ("i64", "ptr"),
    "PyErr_Clear": ("void", ""),
    "PyErr_ExceptionMatches": ("i32", "ptr"),
    "PyErr_Occurred": ("ptr", ""),
    "PyErr_SetString": ("void", "ptr, ptr"),
    "PyEval_RestoreThread": ("void", "ptr"),
    "PyEval_SaveThread": ("ptr", ""),
    "PyLong_AsSsize_t": ("i64", "ptr"),
    "PyLong_FromLongLong": ("ptr", "i64"),
    "PyObject_GenericGetDict": ("ptr", "ptr, ptr"),
    "PyObject_GetAttr": ("ptr", "ptr, ptr"),
    "PyTuple_New": ("ptr", "i64"),
    "PyTuple_SetItem": ("i32", "ptr, i64, ptr"),
    "Py_DecRef": ("void", "ptr"),
    "Py_IncRef": ("void", "ptr"),
}

# The same of NumPy, with the function's number in NumPy's table.
_NUMPY: Final = {
    "PyArray_New": (93, "ptr", "ptr, i32, ptr, i32, ptr, ptr, i32, i32, ptr"),
}


class MethodDef(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (
        ("ml_name", ctypes.c_char_p),
        ("ml_meth", ctypes.c_void_p),
        ("ml_flags", ctypes.c_int),
        ("ml_doc", ctypes.c_char_p),
    )


class GeneratedFunction:
    """A C function that LLVM text defines: compiled when it is first bound, and never freed.

    `text` defines it as `@name`. It may call the `functions`, of CPython and NumPy, and refer to
    the `objects` by their names.
    """

    def __init__(
        self, name: str, text: str, functions: Iterable[str], objects: Mapping[str, object]
    ) -> None:
        self.name = name
        self._text = text
        self._functions = tuple(functions)
        self._objects = dict(objects)

    def bind(self, state: object, alive: object = None) -> Callable[..., Any]:
        """The function as a Python callable whose `%self` is `state`; it keeps `alive` alive."""
        new = ctypes.pythonapi.PyCFunction_NewEx
        new.restype = ctypes.py_object
        new.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
        made: Callable[..., Any] = new(ctypes.addressof(self._method), state, alive)
        return made

    @functools.cached_property
    def _method(self) -> MethodDef:
        target = host_target()
        lines = [f'target triple = "{target.triple}"']
        lines += [f"@{name} = external global i8" for name in self._objects]
        lines += [_declaration(name) for name in self._functions]
        data = text_to_object("\n".join((*lines, self._text)), target, self.name)
        addresses = {name: _address(name) for name in self._functions}
        addresses |= {name: id(immortal(value)) for name, value in self._objects.items()}
        code = immortal(load_object(data, [self.name], addresses))
        definition = MethodDef(self.name.encode(), code.address(self.name), _METH_FASTCALL, None)
        return immortal(definition)


def _declaration(name: str) -> str:
    result, parameters = _CPYTHON[name] if name in _CPYTHON else _NUMPY[name][1:]
    return f"declare {result} @{name}({parameters})"


def _address(name: str) -> int:
    if name in _CPYTHON:
        function = getattr(ctypes.pythonapi, name)
        return int(ctypes.cast(function, ctypes.c_void_p).value or 0)
    return numpy_function(_NUMPY[name][0])


def numpy_function(number: int) -> int:
    """The address of a function of NumPy's C interface, by its number in NumPy's table."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype = ctypes.c_void_p
    get.argtypes = (ctypes.py_object, ctypes.c_char_p)
    table = get(_multiarray_umath._ARRAY_API, None)
    return int((ctypes.c_size_t * (number + 1)).from_address(table)[number])


# text ---------------------------------------------------------------------------------------------


def pack_facts(*facts: int) -> bytes:
    """Numbers and addresses in the form that the lines of `read_facts` read; to be a `%self`."""
    return struct.pack(f"={len(facts)}q", *facts)


def read_facts(**types: str) -> str:
    """The lines that read packed facts from `%self`: each by its name, as its LLVM type."""
    lines = [f"  %facts = getelementptr i8, ptr %self, i64 {BYTES_DATA}"]
    for number, (name, kind) in enumerate(types.items()):
        lines.append(f"  %{name}.at = getelementptr i64, ptr %facts, i64 {number}")
        lines.append(f"  %{name} = load {kind}, ptr %{name}.at, align 1")
    return "\n".join(lines)


def field(name: str, kind: str, of: str, offset: object) -> str:
    """The lines that load `%name`, which an object `%of` has at an offset."""
    return (
        f"  %{name}.at = getelementptr i8, ptr %{of}, i64 {offset}\n"
        f"  %{name} = load {kind}, ptr %{name}.at"
    )


def item(name: str, kind: str, of: str, index: object) -> str:
    """The lines that load `%name`, an element of the array at `%of`."""
    return (
        f"  %{name}.at = getelementptr {kind}, ptr %{of}, i64 {index}\n"
        f"  %{name} = load {kind}, ptr %{name}.at"
    )


# layout -------------------------------------------------------------------------------------------


@functools.cache
def layout_known() -> bool:
    """Whether this is CPython with a GIL, and its objects have their fields where texts read them.

    Where it is not (free-threaded builds, PyPy), the caller has another, slower way.
    """
    if platform.python_implementation() != "CPython" or sys.maxsize < 2**32:
        return False
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    return _arrays_known() and _bytes_known() and _lists_and_cells_known()


def _arrays_known() -> bool:
    probe = np.zeros((3, 5), np.float32)
    shape = _word(probe, ARRAY_SHAPE)
    flags = [_int(array, ARRAY_FLAGS) for array in (probe, probe.T)]
    return (
        _word(probe, TYPE) == id(np.ndarray)
        and _word(probe, ARRAY_DATA) == probe.ctypes.data
        and _int(probe, ARRAY_RANK) == 2
        and list((ctypes.c_ssize_t * 2).from_address(shape)) == [3, 5]
        and _word(probe, ARRAY_DTYPE) == id(probe.dtype)
        and [f & (C_CONTIGUOUS | ALIGNED) for f in flags] == [C_CONTIGUOUS | ALIGNED, ALIGNED]
    )


def _bytes_known() -> bool:
    probe = b"argand"
    return ctypes.string_at(id(probe) + BYTES_DATA, 6) == probe


def _lists_and_cells_known() -> bool:
    probe = [object(), object(), object()]
    items = (ctypes.c_size_t * 3).from_address(_word(probe, LIST_ITEMS))
    return (
        _word(probe, LIST_SIZE) == 3
        and list(items) == [id(x) for x in probe]
        and _word(CellType(probe), CELL_CONTENTS) == id(probe)
    )


@functools.cache
def slot_offset(cls: type, name: str) -> int | None:
    """Where the objects of a class have what a name of its `__slots__` refers to; None if that
    can't be told."""
    definition = _word(vars(cls)[name], _SLOT_DEFINITION)
    offset = ctypes.c_ssize_t.from_address(definition + _SLOT_OFFSET).value
    if not HEAD <= offset < cls.__basicsize__:
        return None
    probe: object = object.__new__(cls)
    held = object()
    setattr(probe, name, held)
    return offset if _word(probe, offset) == id(held) else None


def _word(of: object, offset: int) -> int:
    return ctypes.c_size_t.from_address(id(of) + offset).value


def _int(of: object, offset: int) -> int:
    return ctypes.c_int.from_address(id(of) + offset).value
