"""Every op of the registry held to what its family promises, with the samples that it carries."""

from __future__ import annotations

import re
import zlib
from typing import Any

import numpy as np
import pytest
from calls import ALL_CALLS, ALL_OPS, Call, assert_close, names, tolerance
from derivatives import check_gradient, differentiable

from argand.base.dtype import from_numpy
from argand.ir.elementwise import Elementwise
from argand.ir.interpret import interpret, run_node
from argand.ir.op import Op
from argand.ir.program import Program
from argand.ir.samples import ErrorSample, Sample, T
from argand.ir.text import parse_program
from argand.ir.verify import verify

each_call = pytest.mark.parametrize("call", ALL_CALLS, ids=names(ALL_CALLS))
each_op = pytest.mark.parametrize("op", ALL_OPS, ids=lambda op: op.name)


def seed_of(op: Op) -> int:
    return zlib.crc32(op.name.encode()) % 1000


def run_checked(program: Program, arrays: list[np.ndarray]) -> list[Any]:
    """Interpret, with the dtype and shape of every node's outputs held against its shape rule."""
    env: dict[Any, Any] = dict(zip(program.inputs, arrays, strict=True))
    for node in program.nodes:
        run_node(node, env, {}, False)
        for out in node.outputs:
            y = env[out]
            assert (from_numpy(y.dtype), y.shape) == (out.dtype, out.shape), node.op.name
    return [env[o] for o in program.outputs]


@each_call
def test_runs_as_inferred_and_close_to_float64(call: Call) -> None:
    for dtype in call.op.dtypes:
        program, arrays = verify(call.program(dtype)), call.arrays(dtype)
        outputs = run_checked(program, arrays)
        if dtype.startswith("complex"):
            wide = interpret(program, [a.astype(np.complex128) for a in arrays])
        else:
            wide = interpret(program, arrays, wide=True)
        for y, e in zip(outputs, wide, strict=True):
            assert_close(y, e, tolerance(call.op, y.dtype.name), f"{call} {dtype}")


DIFFERENTIABLE = differentiable(ALL_CALLS, "float64")


@pytest.mark.parametrize("call", DIFFERENTIABLE, ids=names(DIFFERENTIABLE))
def test_first_and_second_derivatives(call: Call) -> None:
    program = call.program("float64")
    symmetric = [n for n, t in enumerate(call.tensors) if t.definite]
    seed = seed_of(call.op)
    arrays = call.arrays("float64")
    gradient, operands = check_gradient(program, arrays, seed, symmetric)
    verify(gradient)
    if call.op.name == "while_loop":
        return  # has first derivatives only
    check_gradient(gradient, operands, seed + 1, symmetric, tol=2e-5)


@each_call
def test_strided_operands(call: Call) -> None:
    dtype = call.op.dtypes[0]
    program, arrays = call.program(dtype), call.arrays(dtype)
    expected = interpret(program, arrays)
    for view in (transposed_in_memory, every_second, reversed_view):
        found = interpret(program, [view(a) for a in arrays])
        for y, e in zip(found, expected, strict=True):
            assert_close(y, e, tolerance(call.op, y.dtype.name), f"{call} {view.__name__}")


def transposed_in_memory(a: np.ndarray) -> np.ndarray:
    """The same values, the first dimension contiguous."""
    return np.array(a, order="F")


def every_second(a: np.ndarray) -> np.ndarray:
    """The same values, every second element of a larger array."""
    if not a.ndim:
        return a
    big = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    big[..., ::2] = a
    return big[..., ::2]


def reversed_view(a: np.ndarray) -> np.ndarray:
    """The same values, in memory from back to front."""
    return a[::-1].copy()[::-1] if a.ndim else a


@each_call
def test_text_parses_back(call: Call) -> None:
    program = call.program(call.op.dtypes[0])
    text = re.sub(r"  #.*", "", str(program))
    assert str(parse_program(text)) == text


@each_call
def test_operands_are_left_alone(call: Call) -> None:
    dtype = call.op.dtypes[0]
    arrays = call.arrays(dtype)
    before = [a.copy() for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    interpret(call.program(dtype), arrays)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


REFUSALS = [Call(op, sample) for op in ALL_OPS for sample in op.error_samples]


@pytest.mark.parametrize("call", REFUSALS, ids=names(REFUSALS))
def test_refuses_what_it_must(call: Call) -> None:
    sample = call.sample
    assert isinstance(sample, ErrorSample)
    with pytest.raises(sample.error) as caught:
        program = call.program("float32")
        interpret(program, call.arrays("float32"))
    assert sample.match in str(caught.value), caught.value
    assert str(caught.value).startswith(call.op.name), caught.value


_ELEMENTWISE = [op for op in ALL_OPS if isinstance(op, Elementwise) and op.name != "cast"]


@pytest.mark.parametrize("op", _ELEMENTWISE, ids=lambda op: op.name)
def test_elementwise_refusals(op: Elementwise) -> None:
    """What the family refuses for every member: kinds of dtype, shapes, unknown arguments."""
    conditions, count = op.conditions, len(op.operands) - len(op.defaults)

    def call(dtype: str, *shapes: tuple[int, ...], **kwargs: Any) -> None:
        operands = [T(s, dtype="bool" if n < conditions else dtype) for n, s in enumerate(shapes)]
        Call(op, Sample(*operands, **kwargs)).program("float32")

    for kind, dtype in (("b", "bool"), ("i", "int64"), ("f", "float32"), ("c", "complex64")):
        if kind not in op.kinds:
            with pytest.raises(TypeError, match=f"not defined for {dtype}"):
                call(dtype, *[(2,)] * count)
    usable = {"f": "float32", "i": "int64"}["f" if "f" in op.kinds else "i"]
    with pytest.raises(TypeError, match=r"unexpected (keyword )?argument 'gamma'"):
        call(usable, *[(2,)] * count, gamma=1)
    if count > 1:
        with pytest.raises(RuntimeError, match="don't broadcast: sizes 2 and 3 at dimension -1"):
            call(usable, *[(2,)] * (count - 1), (3,))


@each_op
def test_carries_samples_and_documentation(op: Op) -> None:
    assert any(c.op is op for c in ALL_CALLS)
    assert op.__doc__
    assert op.__doc__.strip().split("\n")[0].endswith((".", ",", "``.", ":"))


def test_nan_passes_through() -> None:
    """Reductions and extremes give NaN where an operand has one."""
    from argand.base.dtype import float32
    from argand.ir.op import TensorType, ops
    from argand.ir.record import record

    x = np.array([[1.0, np.nan, 2.0]], np.float32)
    kind = TensorType(float32, (1, 3))
    for name in ("sum", "prod", "amax", "amin", "mean", "var", "logsumexp"):
        op = getattr(ops, name)
        (y,) = interpret(record(lambda v, op=op: op(v, 1), [kind]), [x])
        assert np.isnan(y).all(), name
    for name in ("maximum", "minimum", "add", "mul"):
        op = getattr(ops, name)
        (y,) = interpret(record(lambda v, op=op: op(v, 0.0), [kind]), [x])
        assert np.isnan(y).tolist() == [[False, True, False]], name
    (y,) = interpret(record(lambda v: ops.argmax(v, 1), [kind]), [x])
    assert y.tolist() == [1]
