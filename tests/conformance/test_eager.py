"""Every op on eager Tensors: results as the interpreter's, gradients as the graph's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from calls import ALL_CALLS, Call, assert_close, names, tolerance
from derivatives import float_inputs, float_outputs

import argand as ag
from argand.ir.interpret import interpret
from argand.transform.graph import vjp

# Its functions are recorded: eager code calls `ag.cond`, which takes the branch at once.
CALLS = [c for c in ALL_CALLS if c.op.name != "cond"]


def results(call: Call, operands: list[Any]) -> list[Any]:
    """The op's outputs on Tensors, as a list."""
    found = call.apply(operands)
    return list(found) if isinstance(found, tuple) else [found]


@pytest.mark.parametrize("call", CALLS, ids=names(CALLS))
def test_eager_agrees(call: Call) -> None:
    for dtype in call.op.dtypes:
        arrays = call.arrays(dtype)
        program = call.program(dtype)
        outputs = results(call, [ag.from_numpy(a) for a in arrays])
        expected = interpret(program, arrays)
        for y, e, value in zip(outputs, expected, program.outputs, strict=True):
            assert isinstance(y, ag.Tensor)
            assert (y.dtype, tuple(y.shape)) == (value.dtype, value.shape)
            tol = 4 * tolerance(call.op, y.dtype.name)
            assert_close(y.detach().numpy(), e, tol, f"{call} {dtype}")


@pytest.mark.parametrize("call", CALLS, ids=names(CALLS))
def test_eager_gradients_agree(call: Call) -> None:
    if not call.op.differentiable or "float64" not in call.op.dtypes:
        return
    program, arrays = call.program("float64"), call.arrays("float64")
    wrt, given = float_inputs(program), float_outputs(program)
    if not wrt or not given:
        return
    rng = np.random.default_rng(1)
    seeds = [rng.uniform(-1, 1, program.outputs[n].shape) for n in given]
    expected = interpret(vjp(program, wrt, given), [*arrays, *seeds])
    operands = [ag.from_numpy(a) for a in arrays]
    for n in wrt:
        operands[n].requires_grad_()
    outputs = results(call, operands)
    pairs = [(outputs[n], s) for n, s in zip(given, seeds, strict=True) if outputs[n].requires_grad]
    if not pairs:
        assert all(not np.any(e) for e in expected)
        return
    total = sum((y * ag.from_numpy(s)).sum() for y, s in pairs)
    total.backward()
    for n, e in zip(wrt, expected, strict=True):
        grad = operands[n].grad
        assert_close(np.zeros_like(e) if grad is None else grad.numpy(), e, 1e-10, f"{call}")
