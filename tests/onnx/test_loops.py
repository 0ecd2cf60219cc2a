"""Loops of ONNX models as parts of compiled programs: as many rounds as a call needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import argand as ag

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper
from test_load import I64, info, model_of

BOOL = TensorProto.BOOL
node = helper.make_node
rng = np.random.default_rng(3)


def checked(model: Any, *calls: tuple[Any, ...], rtol: float = 1e-5) -> Any:
    """The program, compiled throughout, whose calls agree with ONNX Runtime's."""
    runtime = pytest.importorskip("onnxruntime")
    onnx.checker.check_model(model, full_check=True)
    session = runtime.InferenceSession(model.SerializeToString())
    program = ag.onnx.load(model)
    for arrays in calls:
        names = [x.name for x in model.graph.input]
        expected = session.run(None, dict(zip(names, arrays, strict=True)))
        found = program(*arrays)
        found = found if isinstance(found, tuple) else (found,)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b, rtol, 1e-6)
            assert a.numpy().dtype == b.dtype
    assert "op by op" not in program.explain()
    return program


def f(*shape: int) -> Any:
    return rng.standard_normal(shape).astype(np.float32)


def until_large(max_rounds: str) -> Any:
    """x = 2 * x + 1 for as long as its sum is less than 100."""
    body = helper.make_graph(
        [
            node("Mul", ["v", "two"], ["double"]),
            node("Add", ["double", "one"], ["w"]),
            node("ReduceSum", ["w"], ["total"], keepdims=0),
            node("Less", ["total", "hundred"], ["again"]),
        ],
        "body",
        [info("i", [], I64), info("on", [], BOOL), info("v", ["n"])],
        [info("again", [], BOOL), info("w", ["n"])],
    )
    arrays = {"two": np.float32(2), "one": np.float32(1), "hundred": np.float32(100)}
    inputs = [info("x", ["n"])] + ([info("m", [], I64)] if max_rounds == "m" else [])
    loop = node("Loop", [max_rounds, "", "x"], ["y"], body=body)
    arrays = {k: np.asarray(v) for k, v in arrays.items()}
    arrays |= {"nine": np.array(9)} if max_rounds == "nine" else {}
    return model_of([loop], inputs, [info("y", ["n"])], arrays)


@pytest.mark.parametrize("max_rounds", ["", "nine"])
def test_a_condition_of_values(max_rounds: str) -> None:
    checked(until_large(max_rounds), *[(np.abs(f(n)) * k,) for n, k in ((3, 1), (5, 90), (4, 0))])


def test_a_count_of_values() -> None:
    program = until_large("m")
    calls = [(f(3) * 0, np.array(m)) for m in (0, 1, 2, 30)]
    checked(program, *calls)


def test_rows_that_depend_on_values_run_op_by_op() -> None:
    body = helper.make_graph(
        [node("Add", ["v", "v"], ["w"]), node("Less", ["w", "ten"], ["again"])],
        "body",
        [info("i", [], I64), info("on", [], BOOL), info("v", [])],
        [info("again", [], BOOL), info("w", []), info("w", [])],
    )
    loop = node("Loop", ["", "", "x"], ["y", "rows"], body=body, name="steps")
    model = model_of(
        [loop],
        [info("x", [])],
        [info("y", []), info("rows", ["k"])],
        {"ten": np.array(10, np.float32)},
    )
    program = ag.onnx.load(model)
    y, rows = program(np.array(1, np.float32))
    assert y.item() == 16
    np.testing.assert_array_equal(rows.numpy(), [2, 4, 8, 16])
    assert "'steps' (Loop): the loop stacks a value of each round" in program.explain()


@pytest.mark.parametrize("compiled", [True, False])
def test_loops_end(compiled: bool) -> None:
    program = ag.onnx.load(until_large(""), compiled=compiled)
    with ag.settings.using(loop_limit=50), pytest.raises(RuntimeError, match="after 50 rounds"):
        program(-np.ones(2, np.float32) * 2)


def running_sums(directions: list[int] | None, axis: int) -> Any:
    body = helper.make_graph(
        [node("Add", ["sum", "row"], ["new"]), node("Tanh", ["new"], ["out"])],
        "body",
        [info("sum", [3]), info("row", [3])],
        [info("new", [3]), info("out", [3])],
    )
    given = {} if directions is None else {"scan_input_directions": directions}
    scan = node(
        "Scan",
        ["start", "x"],
        ["last", "y"],
        body=body,
        num_scan_inputs=1,
        scan_output_axes=[axis],
        scan_output_directions=directions or [0],
        **given,
    )
    inputs = [info("x", ["n", 3])]
    outputs = [info("last", [3]), info("y", ["n", 3] if axis == 0 else [3, "n"])]
    return model_of([scan], inputs, outputs, {"start": np.zeros(3, np.float32)})


@pytest.mark.parametrize(("directions", "axis"), [(None, 0), ([1], 0), ([1], 1)])
def test_a_scan_of_any_length(directions: list[int] | None, axis: int) -> None:
    program = checked(running_sums(directions, axis), *[(f(n, 3),) for n in (4, 7, 70, 1, 9)])
    assert len(program.default.traced) == 3  # of 4 rounds, of any number of rows, and of one
    x = ag.tensor(f(6, 3), requires_grad=True)
    last, y = program(x)
    (last.sum() + y.sum()).backward()
    rows = x.detach().numpy()[:: -1 if directions else 1]
    slopes = 1 - np.tanh(np.cumsum(rows, 0)) ** 2
    expected = 1 + np.cumsum(slopes[::-1], 0)[::-1]
    np.testing.assert_allclose(x.grad.numpy()[:: -1 if directions else 1], expected, 1e-4)


def test_a_loop_over_the_rows_of_an_input() -> None:
    body = helper.make_graph(
        [
            node("Gather", ["x", "i"], ["row"], axis=0),
            node("Add", ["v", "row"], ["w"]),
            node("Identity", ["on"], ["again"]),
        ],
        "body",
        [info("i", [], I64), info("on", [], BOOL), info("v", [2])],
        [info("again", [], BOOL), info("w", [2]), info("w", [2])],
    )
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "zero"], ["rows"], axis=0),
        node("Loop", ["rows", "", "start"], ["sum", "sums"], body=body),
    ]
    arrays = {"zero": np.array(0), "start": np.zeros(2, np.float32)}
    outputs = [info("sum", [2]), info("sums", ["n", 2])]
    model = model_of(nodes, [info("x", ["n", 2])], outputs, arrays)
    program = checked(model, *[(f(n, 2),) for n in (3, 5, 90, 1)])
    assert len(program.default.traced) == 3


@pytest.mark.parametrize(("op", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_recurrent_layers_of_any_length(op: str, gates: int) -> None:
    arrays = {"w": f(2, gates * 3, 4), "r": f(2, gates * 3, 3), "b": f(2, gates * 6)}
    layer = node(
        op, ["x", "w", "r", "b", "lengths"], ["y", "h"], hidden_size=3, direction="bidirectional"
    )
    inputs = [info("x", ["n", 2, 4]), info("lengths", [2], TensorProto.INT32)]
    outputs = [info("y", ["n", 2, 2, 3]), info("h", [2, 2, 3])]
    model = model_of([layer], inputs, outputs, arrays)
    lengths = [np.array([n, n - 1], np.int32) for n in (4, 6, 9)]
    program = checked(model, *[(f(int(k[0]), 2, 4), k) for k in lengths], rtol=1e-4)
    assert len(program.default.traced) == 2
    again = ag.onnx.export(program)
    assert [n.op_type for n in again.model_proto.graph.node] == [op]
