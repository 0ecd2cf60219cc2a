"""ONNX files as exported programs: traced when called, kept as archives, trained."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn, optim

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper


def pyramid(weight: np.ndarray[Any, Any]) -> Any:
    """Two levels of an image, the coarse one enlarged and added to the fine one: sizes have to be
    multiples of 4 for that."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "v"], ["b"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node(
            "Resize",
            ["b", "", "scales"],
            ["c"],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        helper.make_node("Add", ["a", "c"], ["d"]),
        helper.make_node("Shape", ["d"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["n"]),
        helper.make_node("Concat", ["n", "rest"], ["flat"], axis=0),
        helper.make_node("Reshape", ["d", "flat"], ["y"]),
    ]
    constants = {
        "w": weight,
        "v": np.moveaxis(weight, 0, 1)[:2].repeat(2, 1)[:, :2].copy(),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "first": np.array([0], np.int64),
        "rest": np.array([-1], np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "pyramid",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "k"])],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


@pytest.fixture
def model() -> Any:
    draw = np.random.default_rng(0)
    return pyramid(draw.standard_normal((2, 1, 3, 3)).astype(np.float32))


def reference(model: Any, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    from onnx.reference import ReferenceEvaluator

    (found,) = ReferenceEvaluator(model).run(None, {"x": x})
    return np.asarray(found)


def test_from_the_second_size_on_one_program_serves_all(model: Any, tmp_path: Path) -> None:
    program = ag.onnx.load(model)
    draw = np.random.default_rng(1)
    for size in ((2, 1, 16, 24), (3, 1, 32, 8), (2, 1, 4, 4), (2, 1, 64, 12)):
        x = draw.standard_normal(size).astype(np.float32)
        found = program(x)
        assert isinstance(found, ag.Tensor)
        np.testing.assert_allclose(found.numpy(), reference(model, x), rtol=1e-4, atol=1e-5)
    assert len(program.default.traced) == 2, program.explain()
    program = ag.onnx.load(model)
    program(np.ones((2, 1, 16, 24), np.float32))
    program.save(tmp_path / "p.argand")  # with sizes that vary
    again = ag.export.load(tmp_path / "p.argand")
    x = draw.standard_normal((5, 1, 8, 20)).astype(np.float32)
    np.testing.assert_array_equal(again(x).numpy(), program(x).numpy())
    with pytest.raises(ValueError, match="exported for sizes where"):
        again(np.zeros((2, 1, 9, 8), np.float32))


def test_a_batch_of_one_is_traced_for_itself(model: Any) -> None:
    program = ag.onnx.load(model)
    for n in (4, 1, 4):
        x = np.ones((n, 1, 8, 8), np.float32)
        np.testing.assert_allclose(program(x).numpy(), reference(model, x), rtol=1e-4, atol=1e-5)
    assert len(program.default.traced) == 2, program.explain()


def test_it_is_trained(model: Any) -> None:
    program = ag.onnx.load(model)
    assert [name for name, _ in program.named_parameters()][:2] == ["w", "v"]
    opt = optim.SGD(program.parameters(), lr=0.01)
    x, y = ag.rand(4, 1, 8, 8), ag.zeros(4, 32)
    losses = []
    for _ in range(5):
        loss = nn.functional.mse_loss(program(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert not program(x.numpy()).requires_grad


def test_what_depends_on_values_runs_op_by_op_and_says_why() -> None:
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["x"], ["y"], name="find")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [1, "k"])],
    )
    program = ag.onnx.load(helper.make_model(graph))
    assert program(np.array([0, 3, 0, 1], np.float32)).tolist() == [[1, 3]]
    assert "op by op" in program.explain()
    assert "find" in program.explain()


def test_what_depends_on_a_number_has_a_program_for_each() -> None:
    """A branch that a rate chooses, and which fits no other sizes than those of that rate."""

    def branch(name: str, size: int) -> Any:
        weights = numpy_helper.from_array(np.ones((size, 2), np.float32) * size, f"w{size}")
        product = helper.make_node("MatMul", ["x", f"w{size}"], [f"y{size}"])
        out = helper.make_tensor_value_info(f"y{size}", 1, ["n", 2])
        return helper.make_graph([product], name, [], [out], [weights])

    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Equal", ["rate", "high"], ["is_high"]),
        helper.make_node(
            "If", ["is_high"], ["y"], then_branch=branch("a", 4), else_branch=branch("b", 2)
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [info("x", 1, ["n", "k"]), info("rate", 7, [])],
        [info("y", 1, ["n", 2])],
        [numpy_helper.from_array(np.array(16), "high")],
    )
    program = ag.onnx.load(helper.make_model(graph))
    for rows in (3, 5, 4):
        for rate, size in ((16, 4), (8, 2)):
            y = program(np.ones((rows, size), np.float32), np.array(rate))
            np.testing.assert_array_equal(y.numpy(), np.full((rows, 2), size * size))
    shown = program.explain()
    assert "where rate is 16:" in shown and "where rate is 8:" in shown
    assert [len(p.traced) for p in program.default.parts.values()] == [2, 2], shown
    with pytest.raises(ValueError, match="there is one for each value of rate"):
        program.save(io.BytesIO())
    with pytest.raises(RuntimeError, match="inner sizes"):
        program(np.ones((3, 3), np.float32), np.array(16))
