"""Every op as machine code: results and gradients as the float64 interpreter's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from calls import ALL_CALLS, Call, names
from derivatives import differentiable, float_inputs, float_outputs

from argand.backends.select import compile_program
from argand.ir.interpret import interpret
from argand.ir.program import Program
from argand.transform.graph import vjp
from nearness import assert_near

DIFFERENTIABLE = differentiable(ALL_CALLS, "float32")


def check_compiled(program: Program, arrays: list[np.ndarray], call: Call) -> None:
    """Compile, run, and compare with the interpreter in float64."""
    outputs: Any = compile_program(program).run(arrays, [])
    narrow, wide = interpret(program, arrays), interpret(program, arrays, wide=True)
    for y, n, w in zip(outputs, narrow, wide, strict=True):
        assert_near(y, n, w, call, least=1)


@pytest.mark.parametrize("call", ALL_CALLS, ids=names(ALL_CALLS))
def test_compiled_agrees(call: Call) -> None:
    for dtype in call.op.dtypes:
        if not dtype.startswith("complex"):
            check_compiled(call.program(dtype), call.arrays(dtype), call)


@pytest.mark.parametrize("call", DIFFERENTIABLE, ids=names(DIFFERENTIABLE))
def test_compiled_gradients_agree(call: Call) -> None:
    program, arrays = call.program("float32"), call.arrays("float32")
    wrt, given = float_inputs(program), float_outputs(program)
    rng = np.random.default_rng(1)
    seeds = [
        rng.uniform(-1, 1, program.outputs[n].shape).astype(program.outputs[n].dtype.numpy)
        for n in given
    ]
    check_compiled(vjp(program, wrt, given), [*arrays, *seeds], call)
