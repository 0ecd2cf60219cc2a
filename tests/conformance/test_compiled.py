"""Every op as machine code: results and gradients as the float64 interpreter's.

An op that runs on the host instead fails, unless it is pinned there (`dtypes.HOST`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from calls import ALL_CALLS, Call, names
from derivatives import differentiable, float_inputs, float_outputs
from dtypes import assert_gradient_place, assert_place

from argand.backends.select import compile_program
from argand.ir.interpret import interpret
from argand.ir.program import Program
from argand.transform.graph import vjp
from nearness import assert_near

DIFFERENTIABLE = differentiable(ALL_CALLS, "float32")


def check_compiled(program: Program, arrays: list[np.ndarray], call: Call) -> Any:
    """Compile, run, and compare with the interpreter in float64; gives what was compiled."""
    compiled: Any = compile_program(program)
    outputs = compiled.run(arrays, [])
    narrow, wide = interpret(program, arrays), interpret(program, arrays, wide=True)
    for y, n, w in zip(outputs, narrow, wide, strict=True):
        assert_near(y, n, w, call, least=1)
    return compiled


@pytest.mark.parametrize("call", ALL_CALLS, ids=names(ALL_CALLS))
def test_compiled_agrees(call: Call) -> None:
    for dtype in call.op.dtypes:
        if not dtype.startswith("complex"):  # those are compared in `test_dtypes`
            program = call.program(dtype)
            assert_place(call, dtype, program, check_compiled(program, call.arrays(dtype), call))


@pytest.mark.parametrize("call", DIFFERENTIABLE, ids=names(DIFFERENTIABLE))
def test_compiled_gradients_agree(call: Call) -> None:
    program, arrays = call.program("float32"), call.arrays("float32")
    wrt, given = float_inputs(program), float_outputs(program)
    rng = np.random.default_rng(1)
    seeds = [
        rng.uniform(-1, 1, program.outputs[n].shape).astype(program.outputs[n].dtype.numpy)
        for n in given
    ]
    compiled = check_compiled(vjp(program, wrt, given), [*arrays, *seeds], call)
    assert_gradient_place(call, compiled)
