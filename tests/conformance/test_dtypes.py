"""Every op in every dtype that it takes, eagerly and compiled, against independent references.

The short suite takes one sample of each op and dtype; all of the complex ones, which need no
compiler, and all of the others in the slow suite.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from bounds import assert_within
from calls import ALL_OPS, Call
from dtypes import (
    DTYPES,
    GROUPS,
    HOST,
    PARTLY,
    REFUSED,
    TAKES_STORED,
    assert_place,
    calls_in,
    refused,
)
from references import FACTS, reference

import argand as ag
from argand.backends.select import compile_program
from argand.base.conversion import converted, plain
from argand.base.errors import DTypeError, ShapeError
from argand.ir.families import Control
from argand.ir.op import Op
from argand.ir.program import Program

each_op = pytest.mark.parametrize("op", ALL_OPS, ids=lambda op: op.name)

# float32, float64, int64 and bool run in full in `test_eager` and `test_compiled`.
NARROW = ("float16", "bfloat16", "uint8", "int32")
COMPLEX = GROUPS["complex"]
COMPUTED = tuple(d for d in DTYPES if d not in GROUPS["stored"])


def recorded(call: Call, dtype: str) -> Program | None:
    """The call as a program; None where it is refused as it should be."""
    wrong = (ShapeError, DTypeError) if isinstance(call.op, Control) else DTypeError
    try:
        return call.program(dtype)
    except wrong as error:
        assert str(error).startswith(call.op.name), error
        return None


@each_op
def test_dtypes_that_an_op_takes_are_pinned(op: Op) -> None:
    none, partly = set(), set()
    for dtype in DTYPES:
        found = [recorded(call, dtype) is not None for call in calls_in(op, dtype)]
        if found and not any(found):
            none.add(dtype)
        elif not all(found):
            partly.add(dtype)
    assert none == {d for d in refused(op.name) if calls_in(op, d)}
    assert partly == PARTLY.get(op.name, set())


def test_pinned_lists_name_ops() -> None:
    assert {*REFUSED, *PARTLY, *HOST} <= {op.name for op in ALL_OPS}


@pytest.mark.parametrize("op", [op for op in ALL_OPS if refused(op.name)], ids=lambda o: o.name)
def test_eager_code_refuses_the_same(op: Op) -> None:
    for dtype in sorted(refused(op.name)):
        for call in calls_in(op, dtype)[:1]:
            operands = [ag.from_numpy(a) for a in call.arrays(dtype)]
            with pytest.raises(DTypeError):
                call.apply(operands)


Checked = tuple[str, Call, Program, list[np.ndarray], tuple[Any, ...]]


def checked(op: Op, dtypes: Sequence[str], count: int | None) -> Iterator[Checked]:
    """Up to `count` samples of an op in each dtype, with what the reference says."""
    for dtype in dtypes:
        for call in calls_in(op, dtype)[:count]:
            program = recorded(call, dtype)
            if program is None:
                continue
            arrays = call.arrays(dtype)
            yield dtype, call, program, arrays, reference(call, arrays)


def check(call: Call, program: Program, found: Sequence[Any], expected: Sequence[Any]) -> None:
    """Dtypes and shapes as inferred, values as the reference's."""
    for y, value in zip(found, program.outputs, strict=True):
        assert (y.dtype, y.shape) == (value.dtype.numpy, value.shape), call
    facts = FACTS.get(call.op.name)
    found = facts(*found, **call.sample.kwargs) if facts else found
    for y, e in zip(found, expected, strict=True):
        what = f"{call} {[str(v.type) for v in program.inputs]}"
        assert_within(y, e, call, what)


def check_eager(op: Op, dtypes: Sequence[str], count: int | None = None) -> None:
    if isinstance(op, Control):
        return  # its functions are recorded; eager code calls `ag.cond`
    for _, call, program, arrays, expected in checked(op, dtypes, count):
        found = call.apply([ag.from_numpy(a) for a in arrays])
        found = found if isinstance(found, tuple) else (found,)
        check(call, program, [y.detach().numpy() for y in found], expected)


def check_compiled(op: Op, dtypes: Sequence[str], count: int | None = None) -> None:
    for dtype, call, program, arrays, expected in checked(op, dtypes, count):
        compiled: Any = compile_program(program)
        assert_place(call, dtype, program, compiled)
        check(call, program, compiled.run(arrays, []), expected)


@each_op
def test_eager_narrow(op: Op) -> None:
    check_eager(op, NARROW, 1)


@each_op
def test_eager_complex(op: Op) -> None:
    check_eager(op, COMPLEX)


@each_op
def test_compiled_narrow(op: Op) -> None:
    check_compiled(op, NARROW, 1)


@each_op
def test_compiled_complex(op: Op) -> None:
    check_compiled(op, COMPLEX)


@pytest.mark.slow
@each_op
def test_eager_everything(op: Op) -> None:
    check_eager(op, COMPUTED)


@pytest.mark.slow
@each_op
def test_compiled_everything(op: Op) -> None:
    check_compiled(op, COMPUTED)


def check_stored(op: Op, dtypes: Sequence[str], count: int | None = None) -> None:
    """8-bit floats are moved and compared as the float32 numbers that they are."""
    for dtype in dtypes:
        for call in calls_in(op, dtype)[:count]:
            program = recorded(call, dtype)
            if program is None or op.name == "cast":  # see tests/codegen/test_float8.py
                continue
            arrays = call.arrays(dtype)
            wanted = reference(call, list(map(plain, arrays)))
            compiled: Any = compile_program(program)
            assert_place(call, dtype, program, compiled)
            eager = call.apply([ag.from_numpy(a) for a in arrays])
            for y, e, value in zip([eager], wanted, program.outputs, strict=True):
                for found in (y.numpy(), *compiled.run(arrays, [])):
                    assert found.dtype == value.dtype.numpy
                    np.testing.assert_array_equal(plain(found), plain(converted(e, value.dtype)))


STORED_OPS = [op for op in ALL_OPS if op.name in TAKES_STORED]


@pytest.mark.parametrize("op", STORED_OPS, ids=lambda o: o.name)
def test_stored(op: Op) -> None:
    check_stored(op, ("float8_e5m2",), 1)  # the one that NumPy takes for a float of its own


@pytest.mark.slow
@pytest.mark.parametrize("op", STORED_OPS, ids=lambda o: o.name)
def test_stored_everything(op: Op) -> None:
    check_stored(op, GROUPS["stored"])
