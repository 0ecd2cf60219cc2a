"""Linking the native function that runs call plans (`plancode`) into this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from argand.codegen.llvm import plancode, plansteps
from argand.codegen.llvm.cpython import (
    METH_FASTCALL_KEYWORDS,
    CFunction,
    layout_known,
    slots_of,
)
from argand.codegen.llvm.objects import immortal
from argand.runtime import planformat

_OBJECTS: Final[dict[str, Any]] = {
    "none": None,
    "true": True,
    "false": False,
    "ellipsis": ...,
    "zero": 0,
    "one": 1,
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
    return CFunction(
        (*plansteps.FUNCTIONS, *plancode.FUNCTIONS),
        {**_OBJECTS, **objects},
        numbers,
        {"state": immortal(state).ctypes.data, "gate": gate},
        METH_FASTCALL_KEYWORDS,
    ).bind


def _numbers(classes: Mapping[str, type]) -> dict[str, int] | None:
    """The constants that the code names, and where what it reads is stored in objects."""
    if not layout_known():
        return None
    numbers = {name: value for name, value in vars(planformat).items() if type(value) is int}
    for prefix, cls in classes.items():
        slots = slots_of(cls)
        if slots is None:
            return None
        numbers |= {f"{prefix}_{name.strip('_').upper()}": at for name, at in slots.items()}
    return numbers
