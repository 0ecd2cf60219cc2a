"""`ag.onnx.load`: calls by place and name, symbolic sizes, training, folders, functions, sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand as ag

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper

F32, I64 = TensorProto.FLOAT, TensorProto.INT64
rng = np.random.default_rng(7)


def info(name: str, shape: Any, kind: int = F32) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def model_of(
    nodes: list[Any], inputs: list[Any], outputs: list[Any], arrays: Any = (), opset: int = 21
) -> Any:
    initialisers = [numpy_helper.from_array(a, n) for n, a in dict(arrays).items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initialisers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def linear() -> tuple[Any, dict[str, Any]]:
    weights = {
        "w": rng.standard_normal((4, 3)).astype(np.float32),
        "b": rng.standard_normal(3).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["xw"]),
        helper.make_node("Add", ["xw", "b"], ["y"]),
        helper.make_node("Relu", ["y"], ["z"]),
    ]
    model = model_of(nodes, [info("x", ["n", 4])], [info("y", None), info("z", None)], weights)
    return model, weights


def test_calls_by_place_and_by_name_with_arrays_and_tensors() -> None:
    proto, weights = linear()
    model = ag.onnx.load(proto)
    for n in (1, 5, 7):
        x = rng.standard_normal((n, 4)).astype(np.float32)
        expected = x @ weights["w"] + weights["b"]
        for y, z in (model(x), model(x=x), model(ag.tensor(x))):
            np.testing.assert_allclose(y.detach().numpy(), expected, 1e-5, 1e-6)
            np.testing.assert_allclose(z.detach().numpy(), expected.clip(0), 1e-5, 1e-6)
    with pytest.raises(ValueError, match="w"):
        model(w=x)
    with pytest.raises(ValueError, match="x"):
        model(np.ones((2, 5), np.float32))
    with pytest.raises(TypeError, match="float32"):
        model(np.ones((2, 4)))


def test_weights_are_parameters_that_can_be_trained() -> None:
    proto, weights = linear()
    model = ag.onnx.load(proto)
    assert [n for n, _ in model.named_parameters()] == ["w", "b"]
    x = ag.tensor(rng.standard_normal((16, 4)).astype(np.float32))
    target = ag.tensor(rng.standard_normal((16, 3)).astype(np.float32))
    optimizer = ag.optim.SGD(model.parameters(), lr=0.1)
    w, b = weights["w"].copy(), weights["b"].copy()
    for _ in range(3):
        loss = ((model(x)[0] - target) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        apart = 2 * (x.numpy() @ w + b - target.numpy()) / target.numel()
        w, b = w - 0.1 * x.numpy().T @ apart, b - 0.1 * apart.sum(0)
    found = dict(model.named_parameters())
    np.testing.assert_allclose(found["w"].detach().numpy(), w, 1e-4, 1e-6)
    np.testing.assert_allclose(found["b"].detach().numpy(), b, 1e-4, 1e-6)
    after = model(x.numpy())[0]
    np.testing.assert_allclose(after.numpy(), x.numpy() @ w + b, 1e-4, 1e-5)


def test_running_statistics_are_buffers_and_scales_constants() -> None:
    arrays = {n: np.full(2, v, np.float32) for n, v in zip("gbmv", (2, 1, 0.5, 4), strict=True)}
    arrays["scales"] = np.array([1, 1, 2, 2], np.float32)
    nodes = [
        helper.make_node("BatchNormalization", ["x", *"gbmv"], ["y"]),
        helper.make_node("Resize", ["y", "", "scales"], ["z"], mode="nearest"),
    ]
    model = ag.onnx.load(
        model_of(nodes, [info("x", ["n", 2, "h", "w"])], [info("z", None)], arrays)
    )
    assert [n for n, _ in model.named_parameters()] == ["g", "b"]
    assert [n for n, _ in model.named_buffers()] == ["m", "v"]
    x = rng.standard_normal((3, 2, 4, 5)).astype(np.float32)
    expected = ((x - 0.5) / np.sqrt(4 + 1e-5) * 2 + 1).repeat(2, 2).repeat(2, 3)
    np.testing.assert_allclose(model(x).numpy(), expected, 1e-5, 1e-5)
    assert "op by op" not in model.explain()


def test_sizes_are_followed_as_symbols() -> None:
    """Shape, Gather, Mul, Cast and Concat lead to Reshape and Expand: one program for all sizes."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Gather", ["s", "one"], ["m"]),
        helper.make_node("Mul", ["n", "m"], ["nm"]),
        helper.make_node("Unsqueeze", ["nm", "axis"], ["nm1"]),
        helper.make_node("Cast", ["two"], ["two64"], to=I64),
        helper.make_node("Concat", ["nm1", "two64"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
        helper.make_node("ConstantOfShape", ["nm1"], ["zeros"]),
        helper.make_node("Unsqueeze", ["zeros", "last"], ["column"]),
        helper.make_node("Add", ["y", "column"], ["z"]),
    ]
    arrays = {
        "zero": np.array(0),
        "one": np.array(1),
        "axis": np.array([0]),
        "last": np.array([1]),
        "two": np.array([2], np.int32),
    }
    model = ag.onnx.load(model_of(nodes, [info("x", ["n", "m", 2])], [info("z", None)], arrays))
    for n, m in ((3, 4), (5, 7), (2, 6)):
        x = rng.standard_normal((n, m, 2)).astype(np.float32)
        np.testing.assert_array_equal(model(x).numpy(), x.reshape(n * m, 2))
    assert len(model.default.traced) == 2  # for the first sizes, and for all others


def test_sizes_that_depend_on_values_run_op_by_op_and_say_why() -> None:
    nodes = [helper.make_node("NonZero", ["x"], ["y"], name="places")]
    model = ag.onnx.load(model_of(nodes, [info("x", ["n"])], [info("y", None, I64)]))
    np.testing.assert_array_equal(model(np.array([0, 3, 0, 1], np.float32)).numpy(), [[1, 3]])
    assert "node 'places' (NonZero)" in model.explain()


def test_constants_are_computed_once() -> None:
    nodes = [
        helper.make_node("Add", ["a", "a"], ["b"]),
        helper.make_node("Mul", ["x", "b"], ["y"]),
    ]
    arrays = {"a": np.array(3, np.float32)}
    model = ag.onnx.load(
        model_of(nodes, [info("x", [2])], [info("y", None)], arrays), compiled=False
    )
    for _ in range(2):
        np.testing.assert_array_equal(model(np.ones(2, np.float32)).numpy(), [6, 6])


def test_branches_and_loops() -> None:
    then = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["t"])], "then", [], [info("t", None)]
    )
    other = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["e"])], "else", [], [info("e", None)]
    )
    body = helper.make_graph(
        [
            helper.make_node("Mul", ["v", "x"], ["v2"]),
            helper.make_node("Identity", ["again"], ["again2"]),
        ],
        "body",
        [info("i", [], I64), info("again", [], TensorProto.BOOL), info("v", None)],
        [info("again2", [], TensorProto.BOOL), info("v2", None)],
    )
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
        helper.make_node("Greater", ["total", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["y"], then_branch=then, else_branch=other),
        helper.make_node("Loop", ["three", "", "y"], ["z"], body=body),
    ]
    arrays = {"zero": np.array(0, np.float32), "three": np.array(3)}
    model = ag.onnx.load(model_of(nodes, [info("x", ["n"])], [info("z", None)], arrays))
    for x in ([1.0, 2.0], [-1.0, -2.0]):
        value = np.array(x, np.float32)
        first = value + value if value.sum() > 0 else -value
        np.testing.assert_allclose(model(value).numpy(), first * value**3)
    assert "op by op" not in model.explain()


def test_functions_of_the_file_take_attributes() -> None:
    node = helper.make_node("LeakyRelu", ["a"], ["b"])
    node.attribute.append(onnx.AttributeProto(name="alpha", type=1, ref_attr_name="slope"))
    function = helper.make_function(
        "mine", "Leaky", ["a"], ["b"], [node], [helper.make_opsetid("", 18)], ["slope"]
    )
    graph = helper.make_graph(
        [
            helper.make_node("Leaky", ["x"], ["y"], domain="mine", slope=0.5),
            helper.make_node("Leaky", ["y"], ["z"], domain="mine", slope=0.25),
        ],
        "graph",
        [info("x", [2])],
        [info("z", None)],
    )
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("mine", 1)]
    model = helper.make_model(graph, functions=[function], opset_imports=imports)
    found = ag.onnx.load(model)(np.array([-8, 2], np.float32))
    np.testing.assert_array_equal(found.numpy(), [-1, 2])


def test_weights_beside_the_file(tmp_path: Path) -> None:
    proto, weights = linear()
    onnx.save(
        proto, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0
    )
    x = np.ones((2, 4), np.float32)
    found = ag.onnx.load(tmp_path / "m.onnx")(x)[0]
    np.testing.assert_allclose(found.numpy(), x @ weights["w"] + weights["b"], 1e-5)
    with pytest.raises(ValueError, match="from its path"):
        ag.onnx.load((tmp_path / "m.onnx").read_bytes())


def test_saved_and_loaded_again_as_an_archive(tmp_path: Path) -> None:
    proto, _ = linear()
    model = ag.onnx.load(proto)
    x = np.ones((2, 4), np.float32)
    expected = model(x)
    model.save(tmp_path / "m.argand")
    for a, b in zip(ag.export.load(tmp_path / "m.argand")(x), expected, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_sizes_in_floats_make_a_program_for_each() -> None:
    """A range up to a size that was cast to float has no symbolic length."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Cast", ["s"], ["f"], to=F32),
        helper.make_node("Squeeze", ["f"], ["n"]),
        helper.make_node("Range", ["zero", "n", "one"], ["r"]),
        helper.make_node("Add", ["x", "r"], ["y"]),
    ]
    arrays = {"zero": np.array(0, np.float32), "one": np.array(1, np.float32)}
    model = ag.onnx.load(model_of(nodes, [info("x", ["n"])], [info("y", None)], arrays))
    for n in (3, 5):
        np.testing.assert_array_equal(model(np.ones(n, np.float32)).numpy(), np.arange(n) + 1)
    assert "op by op" not in model.explain()


def _of_indices(op: str, count: int) -> Any:
    names = ["i", "u"][:count]
    shapes = {"Gather": [1], "GatherElements": [1, 3], "ScatterElements": [1, 3]}
    inputs = [info("x", [4, 3]), info("i", shapes.get(op, [1, 2]), I64), info("u", None)]
    node = helper.make_node(op, ["x", *names], ["y"])
    return ag.onnx.load(model_of([node], inputs[: count + 1], [info("y", None)]))


@pytest.mark.parametrize("run", ["native", "with gradients"])
@pytest.mark.parametrize(
    ("op", "index", "right"),
    [
        ("Gather", [-4], True),
        ("Gather", [-5], False),
        ("Gather", [4], False),
        ("GatherElements", [[-5, 0, 0]], False),
        ("GatherND", [[-4, -3]], True),
        ("GatherND", [[0, -5]], False),
        ("GatherND", [[-7, 0]], False),
        ("ScatterElements", [[0, -5, 0]], False),
        ("ScatterND", [[-1, -3]], True),
        ("ScatterND", [[0, 3]], False),
        ("ScatterND", [[1, -4]], False),
        ("ScatterND", [[-5, 2]], False),
        ("ScatterND", [[4, 0]], False),
    ],
)
def test_indices_count_from_the_end_and_go_no_further(
    op: str, index: Any, right: bool, run: str
) -> None:
    updates = {"ScatterElements": ag.ones(1, 3), "ScatterND": ag.ones(1)}
    model = _of_indices(op, 1 + (op in updates))
    x = ag.arange(12.0).reshape(4, 3).requires_grad_(run != "native")
    given = [x, ag.tensor(index), *([updates[op]] if op in updates else [])]
    if right:
        assert model(*given).shape[-1:] in ((3,), (1,))
    else:
        for _ in range(2):
            with pytest.raises(IndexError, match="out of range"):
                model(*given)
