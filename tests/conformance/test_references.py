"""Ops against independent references: in float64, of integers and booleans, and complex."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from calls import ALL_CALLS, ALL_OPS, Call, assert_close, names, tolerance
from references import FACTS, HIDDEN, REFERENCES, REFUSES, reference

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


def test_every_hidden_output_has_a_reference() -> None:
    hidden = {c.op.name for c in ALL_CALLS if hidden_outputs(c, c.op.dtypes[0]) is not None}
    assert set(HIDDEN) == hidden
