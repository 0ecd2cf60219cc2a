"""A model in two parts: the same answers, tensors mapped, files that are wrong refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand as ag

onnx = pytest.importorskip("onnx")

from argand.base.errors import FormatError
from argand.onnx.loading import program_of
from argand.onnx.parting import WEIGHTS, parted
from argand.onnx.reading import read_model

_H = onnx.helper
LARGE = np.random.default_rng(0).standard_normal((64, 48)).astype(np.float32)


def model(weight: Any, *, inside: Any = None) -> Any:
    """x @ weight, and in a branch of If, times a constant."""
    value = onnx.numpy_helper.from_array(LARGE * 2 if inside is None else inside, "value")
    branch = _H.make_graph(
        [
            _H.make_node("Constant", [], ["c"], value=value),
            _H.make_node("MatMul", ["x", "c"], ["o"]),
        ],
        "then",
        [],
        [_H.make_tensor_value_info("o", 1, None)],
    )
    other = _H.make_graph(
        [_H.make_node("MatMul", ["x", "w"], ["p"])],
        "else",
        [],
        [_H.make_tensor_value_info("p", 1, None)],
    )
    nodes = [_H.make_node("If", ["twice"], ["y"], then_branch=branch, else_branch=other)]
    inputs = [
        _H.make_tensor_value_info("x", 1, ["n", 64]),
        _H.make_tensor_value_info("twice", 9, []),
    ]
    outputs = [_H.make_tensor_value_info("y", 1, ["n", 48])]
    graph = _H.make_graph(nodes, "g", inputs, outputs, [weight])
    return _H.make_model(graph, opset_imports=[_H.make_opsetid("", 17)], ir_version=8)


def beside(name: str, place: str, offset: int, length: int) -> Any:
    """A tensor whose data are in another file."""
    tensor = onnx.TensorProto(name=name, data_type=1, dims=[64, 48])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", place), ("offset", offset), ("length", length)):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
    return tensor


def read(path: Path, folder: Path) -> Any:
    """The model of both parts."""
    with open(folder / "held", "wb") as weights:
        graph = parted(path, weights)
    assert len(graph) < 4096
    return read_model(graph, {WEIGHTS: folder / "held"})


@pytest.mark.parametrize("is_beside", [False, True])
def test_both_parts_are_the_model(tmp_path: Path, is_beside: bool) -> None:
    path = tmp_path / "m" / "model.onnx"
    path.parent.mkdir()
    weight = onnx.numpy_helper.from_array(LARGE, "w")
    if is_beside:
        (path.parent / "data").write_bytes(b"12345" + LARGE.tobytes())
        weight = beside("w", "data", 5, LARGE.nbytes)
    onnx.save_model(model(weight), path)
    found = read(path, tmp_path)
    x = np.ones((3, 64), np.float32)
    for twice in (False, True):
        expected = program_of(read_model(path))(x, np.array(twice)).numpy()
        np.testing.assert_array_equal(program_of(found)(x, np.array(twice)).numpy(), expected)
    program = program_of(found)
    (state,) = [t for n, t in program.state.items() if n == "w"]
    with ag.no_grad():
        state += 1  # the process's own
    np.testing.assert_array_equal(found.graph.initialisers["w"], LARGE + 1)
    assert (tmp_path / "held").read_bytes()[: LARGE.nbytes] == LARGE.tobytes()


def test_files_that_are_wrong_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(LARGE.tobytes())
    path = tmp_path / "model.onnx"
    for weight, message in (
        (beside("w", "nothing", 0, LARGE.nbytes), "not a file in the model's folder"),
        (beside("w", "../data", 0, LARGE.nbytes), "only files in the model's own folder"),
        (beside("w", "data", 5, LARGE.nbytes), "which has"),
    ):
        onnx.save_model(model(weight), path)
        with pytest.raises(FormatError, match=message):
            parted(path, io.BytesIO())
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(FormatError, match="damaged or truncated"):
        parted(path, io.BytesIO())


def test_tensors_that_overlap_are_not_copied_without_end(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(LARGE.nbytes * 2))
    path = tmp_path / "model.onnx"
    made = model(beside("w", "data", 0, LARGE.nbytes))
    made.graph.initializer.extend(beside(f"w{i}", "data", i, LARGE.nbytes) for i in range(9))
    onnx.save_model(made, path)
    with pytest.raises(FormatError, match="overlap"):
        parted(path, io.BytesIO())
    made.graph.initializer.extend(beside(f"v{i}", "data", 0, LARGE.nbytes) for i in range(99))
    del made.graph.initializer[1:10]
    onnx.save_model(made, path)
    parted(path, io.BytesIO())  # one place, many names


def test_a_model_that_names_another_file_than_the_given_one_is_refused(tmp_path: Path) -> None:
    graph = model(beside("w", "/etc/hostname", 0, 8)).SerializeToString()
    with pytest.raises(FormatError, match="names no file that is given"):
        read_model(graph, {WEIGHTS: tmp_path / "held"})
