"""What the verifier refuses."""

from __future__ import annotations

import pytest

from argand.base.dtype import float32
from argand.base.errors import ProgramError
from argand.ir.program import Program, Value
from argand.ir.verify import verify


def test_two_inputs_of_one_name() -> None:
    """Their text would be that of another program, and so would the key of the kept kernels be."""
    program = Program("f", [Value(float32, (2,), "x"), Value(float32, (2,), "x")])
    program.outputs = [program.inputs[1]]
    with pytest.raises(ProgramError, match="two inputs have the name 'x'"):
        verify(program)
    program.inputs[1].name = program.free_name("x")
    assert verify(program).inputs[1].name == "x'"
