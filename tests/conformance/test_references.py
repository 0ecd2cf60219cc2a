"""Ops, as NumPy runs them, against independent references: floats, integers, booleans, complex."""

from __future__ import annotations

from typing import Any

import pytest
from bounds import assert_within
from calls import ALL_CALLS, ALL_OPS, Call, names
from references import FACTS, HIDDEN, REFERENCES, reference

from argand.backends.select import compile_program
from argand.ir.interpret import interpret
from argand.ir.program import Program


def test_every_op_has_a_reference() -> None:
    assert set(REFERENCES) == {op.name for op in ALL_OPS}


def hidden_outputs(call: Call, dtype: str) -> Program | None:
    """The call with the outputs that it doesn't return in the place of those that it does."""
    program = call.program(dtype)
    node = program.nodes[-1] if program.nodes else None
    if node is None or node.op is not call.op or len(node.outputs) == len(program.outputs):
        return None
    program.outputs = list(node.outputs[call.op.visible :])
    return program


WITH_HIDDEN = [c for c in ALL_CALLS if hidden_outputs(c, c.op.dtypes[0]) is not None]


def test_every_hidden_output_has_a_reference() -> None:
    assert set(HIDDEN) == {c.op.name for c in WITH_HIDDEN}


@pytest.mark.parametrize("call", ALL_CALLS, ids=names(ALL_CALLS))
def test_agrees_with_reference(call: Call) -> None:
    for dtype in call.op.dtypes:
        if dtype == "float32" and "float64" in call.op.dtypes:
            continue  # the same, less exactly
        arrays = call.arrays(dtype)
        found = interpret(call.program(dtype), arrays)
        facts = FACTS.get(call.op.name)
        found = facts(*found, **call.sample.kwargs) if facts else found
        for y, e in zip(found, reference(call, arrays), strict=True):
            assert_within(y, e, call, f"{call} {dtype}")


@pytest.mark.parametrize("call", WITH_HIDDEN, ids=names(WITH_HIDDEN))
def test_hidden_outputs_agree_with_reference(call: Call) -> None:
    for dtype in ("float32", "float64"):
        program, arrays = hidden_outputs(call, dtype), call.arrays(dtype)
        assert program is not None
        compiled: Any = compile_program(program)
        for found in (interpret(program, arrays), compiled.run(arrays, [])):
            for y, e in zip(found, reference(call, arrays, HIDDEN), strict=True):
                assert_within(y, e, call, f"{call} {dtype}")
