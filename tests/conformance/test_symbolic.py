"""Ops on tensors whose first size is symbolic: recorded once, they serve every size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from calls import ALL_CALLS, Call, assert_close, make_array, names, tolerance
from derivatives import float_inputs, float_outputs

from argand.base.dim import Dim
from argand.base.dtype import as_dtype
from argand.ir.elementwise import Elementwise
from argand.ir.families import Composite, Reduce
from argand.ir.interpret import interpret
from argand.ir.op import TensorType
from argand.ir.program import Program
from argand.ir.record import record
from argand.ir.text import parse_program
from argand.transform.graph import vjp

FURTHER = {"matmul", "conv2d", "max_pool2d", "avg_pool2d", "cumsum", "permute", "flip"}


def _batch(call: Call) -> int | None:
    """The size that becomes symbolic: the first operand's first, where that makes sense."""
    op, tensors = call.op, call.tensors
    fits = isinstance(op, Elementwise | Reduce | Composite) or op.name in FURTHER
    if not fits or not tensors or not tensors[0].shape:
        return None
    size = tensors[0].shape[0]
    if size < 2 or any(size in t.shape[1:] for t in tensors):
        return None
    if op.name in ("cross_entropy", "nll_loss") and len(tensors[0].shape) < 2:
        return None  # the only size is the number of classes
    return size


CALLS = [c for c in ALL_CALLS if _batch(c) is not None and c.sample.kwargs.get("dtype") is None]


def symbolic(call: Call, dtype: str) -> Program:
    """The call recorded with its batch size declared as symbolic."""
    n, size = Dim("n"), _batch(call)
    types = []
    for d, t in zip(call.dtypes(dtype), call.tensors, strict=True):
        first = n if t.shape and t.shape[0] == size else (t.shape[0] if t.shape else None)
        types.append(TensorType(d, () if first is None else (first, *t.shape[1:])))
    return record(lambda *values: call.apply(values), types, call.op.name)


def resized(call: Call, dtype: str, size: int) -> list[np.ndarray]:
    """Operands with another batch size."""
    rng = np.random.default_rng(size)
    arrays = []
    for t in call.tensors:
        wanted = t
        if t.shape and t.shape[0] == _batch(call):
            wanted = t._replace(shape=(size, *t.shape[1:]))
        arrays.append(make_array(rng, wanted, as_dtype(t.dtype or dtype), 0.5))
    return arrays


@pytest.mark.parametrize("call", CALLS, ids=names(CALLS))
def test_one_recording_serves_every_size(call: Call) -> None:
    dtype = call.op.dtypes[0]
    program = symbolic(call, dtype)
    if call.op.differentiable and float_inputs(program) and float_outputs(program):
        vjp(program, float_inputs(program), float_outputs(program))
    for size in (2, 7):
        arrays = resized(call, dtype, size)
        fixed: Any = record(
            lambda *values: call.apply(values),
            [TensorType(v.dtype, a.shape) for v, a in zip(program.inputs, arrays, strict=True)],
        )
        expected = interpret(fixed, arrays)
        for y, e in zip(interpret(program, arrays), expected, strict=True):
            assert_close(y, e, tolerance(call.op, y.dtype.name), repr(call))


@pytest.mark.parametrize("call", CALLS, ids=names(CALLS))
def test_symbolic_text_parses_back(call: Call) -> None:
    text = "\n".join(
        line.split("  #")[0] for line in str(symbolic(call, call.op.dtypes[0])).split("\n")
    )
    assert str(parse_program(text)) == text
