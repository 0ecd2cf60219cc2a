"""Every op as machine code: results and gradients as the float64 interpreter's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from calls import ALL_CALLS, Call, assert_close, names, tolerance
from derivatives import float_inputs, float_outputs

from argand.backends.select import compile_program
from argand.ir.interpret import interpret
from argand.ir.program import Program
from argand.transform.graph import vjp

# Rounding differs from NumPy's: vector functions are within 2 ULP, sums have another order.
SLACK = 4


def check_compiled(program: Program, arrays: list[np.ndarray], call: Call, slack: float) -> None:
    """Compile, run, and compare with the interpreter in float64."""
    outputs: Any = compile_program(program).run(arrays, [])
    expected = interpret(program, arrays, wide=True)
    for y, e, value in zip(outputs, expected, program.outputs, strict=True):
        assert y.dtype == value.dtype.numpy
        assert_close(y, e, slack * tolerance(call.op, y.dtype.name), repr(call))


@pytest.mark.parametrize("call", ALL_CALLS, ids=names(ALL_CALLS))
def test_compiled_agrees(call: Call) -> None:
    for dtype in call.op.dtypes:
        if not dtype.startswith("complex"):
            check_compiled(call.program(dtype), call.arrays(dtype), call, SLACK)


@pytest.mark.parametrize("call", ALL_CALLS, ids=names(ALL_CALLS))
def test_compiled_gradients_agree(call: Call) -> None:
    if not call.op.differentiable or "float32" not in call.op.dtypes:
        return
    program, arrays = call.program("float32"), call.arrays("float32")
    wrt, given = float_inputs(program), float_outputs(program)
    if not wrt or not given:
        return
    rng = np.random.default_rng(1)
    seeds = [
        rng.uniform(-1, 1, program.outputs[n].shape).astype(program.outputs[n].dtype.numpy)
        for n in given
    ]
    check_compiled(vjp(program, wrt, given), [*arrays, *seeds], call, 10 * SLACK)
