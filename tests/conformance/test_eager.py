"""Every op on eager Tensors: results as the interpreter's, gradients as the graph's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from calls import ALL_CALLS, Call, assert_close, names
from derivatives import differentiable, float_inputs, float_outputs

import argand as ag
from argand.ir.families import Control
from argand.ir.interpret import interpret
from argand.transform.graph import vjp
from nearness import assert_near

# Their functions are recorded: eager code calls `ag.cond` and `ag.while_loop`, which run Python.
CALLS = [c for c in ALL_CALLS if not isinstance(c.op, Control)]
DIFFERENTIABLE = differentiable(CALLS, "float64")


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
        narrow = interpret(program, arrays)
        wide = interpret(program, [widest(a) for a in arrays], wide=not dtype.startswith("complex"))
        for y, n, w, value in zip(outputs, narrow, wide, program.outputs, strict=True):
            assert isinstance(y, ag.Tensor)
            assert (y.dtype, tuple(y.shape)) == (value.dtype, value.shape)
            assert_near(y.detach().numpy(), n, w, f"{call} {dtype}", least=1)


def widest(a: np.ndarray) -> np.ndarray:
    """Complex numbers in double precision; others are made wide by the interpreter."""
    return a.astype(np.complex128) if a.dtype.kind == "c" else a


@pytest.mark.parametrize("call", DIFFERENTIABLE, ids=names(DIFFERENTIABLE))
def test_eager_gradients_agree(call: Call) -> None:
    program, arrays = call.program("float64"), call.arrays("float64")
    wrt, given = float_inputs(program), float_outputs(program)
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
        assert_close(np.zeros_like(e) if grad is None else grad.numpy(), e, 1e-13, f"{call}")
