"""Files of ONNX that are damaged, lie or are hostile are refused with a reason, and run nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand as ag

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper
from test_load import F32, info, linear, model_of


def refused(model: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ag.onnx.load(model)


def node(op: str, inputs: list[str], outputs: list[str], **options: Any) -> Any:
    return helper.make_node(op, inputs, outputs, name=f"the {op}", **options)


X, Y = [info("x", [2])], [info("y", None)]


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        (
            [node("Add", ["x", "b"], ["a"]), node("Neg", ["a"], ["b"])],
            "cycle goes through.*the Add",
        ),
        ([node("Add", ["x", "nobody"], ["y"])], "the Add.*nothing makes its input 'nobody'"),
        ([node("Neg", ["x"], ["y"]), node("Abs", ["x"], ["y"])], "'y' is made twice"),
        ([node("Neg", ["x"], ["x"])], "'x' is made twice"),
        ([node("Neg", ["x"], ["z"])], "nothing makes its output 'y'"),
        ([node("Bogus", ["x"], ["y"])], r"the Bogus' \(Bogus\): the op is unknown"),
        ([node("Negg", ["x"], ["y"])], "did you mean Neg"),
        ([node("Neg", ["x"], ["y"], domain="mine")], "no version of its domain 'mine'"),
        ([node("Elu", ["x"], ["y"], slope=1.0)], "no attribute 'slope'"),
        ([node("Elu", ["x"], ["y"], alpha="a")], "'alpha' must be float"),
        ([node("Concat", ["x", "x"], ["y"])], "'axis' is missing"),
        ([node("Add", ["x"], ["y"])], "input 1, 'b', is missing"),
        ([node("Neg", ["x", "x"], ["y"])], "2 inputs, the op takes 1"),
        ([node("If", ["x"], ["y"], then_branch=1, else_branch=1)], "_branch' must be Body"),
    ],
)
def test_graphs_that_make_no_sense(nodes: list[Any], text: str) -> None:
    refused(model_of(nodes, X, Y), text)


def test_opsets_and_versions() -> None:
    model = model_of([node("Neg", ["x"], ["y"])], X, Y)
    model.opset_import[0].version = 99
    refused(model, "opset 99 of ai.onnx.*pip install")
    del model.opset_import[:]
    refused(model, "opset_import of the model is empty")
    model = model_of([node("Neg", ["x"], ["y"])], X, Y)
    model.ir_version = 99
    refused(model, "ir_version 99")
    refused(onnx.ModelProto(), "it has no graph")
    refused(model_of([node("Gelu", ["x"], ["y"])], X, Y, opset=9), "newer opset than 9")


def test_functions_that_call_themselves() -> None:
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("mine", 1)]
    calls = [helper.make_node("B", ["a"], ["b"], domain="mine")]
    back = [helper.make_node("A", ["a"], ["b"], domain="mine")]
    functions = [
        helper.make_function("mine", name, ["a"], ["b"], nodes, imports)
        for name, nodes in (("A", calls), ("B", back))
    ]
    graph = helper.make_graph([helper.make_node("A", ["x"], ["y"], domain="mine")], "g", X, Y)
    refused(helper.make_model(graph, functions=functions, opset_imports=imports), "calls itself")


def test_functions_that_grow_without_end() -> None:
    """Each of 40 functions calls the next twice: a million millions of nodes."""
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("mine", 1)]
    functions = []
    for i in range(40):
        op, domain = (f"F{i + 1}", "mine") if i < 39 else ("Neg", "")
        nodes = [
            helper.make_node(op, ["a"], ["m"], domain=domain),
            helper.make_node(op, ["m"], ["b"], domain=domain),
        ]
        functions.append(helper.make_function("mine", f"F{i}", ["a"], ["b"], nodes, imports))
    graph = helper.make_graph([helper.make_node("F0", ["x"], ["y"], domain="mine")], "g", X, Y)
    refused(helper.make_model(graph, functions=functions, opset_imports=imports), "1000000 nodes")


def tensor(**changes: Any) -> Any:
    made = numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(2, 3), "w")
    for name, value in changes.items():
        if name == "dims":
            made.dims[:] = value
        else:
            setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"dims": [2, 4]}, "'w'.*needs 32 bytes, it has 24"),
        ({"dims": [-2, -3]}, "'w'.*negative"),
        ({"dims": [1 << 40, 1 << 40]}, "'w'.*more than"),
        ({"data_type": 99}, "no element type has the number 99"),
        ({"data_type": TensorProto.DOUBLE}, "needs 48 bytes"),
        ({"data_type": TensorProto.STRING}, "strings can't be stored"),
        ({"name": ""}, "no name"),
    ],
)
def test_tensors_that_lie(changes: dict[str, Any], text: str) -> None:
    model = model_of([node("Identity", ["x"], ["y"])], X, Y)
    model.graph.initializer.append(tensor(**changes))
    refused(model, text)


def test_an_initialiser_that_is_not_what_its_input_says() -> None:
    model = model_of([node("Neg", ["x"], ["y"])], [info("x", [2, 2])], Y)
    model.graph.initializer.append(tensor(name="x"))
    refused(model, "'x' is declared")


def test_numbers_instead_of_bytes() -> None:
    model = model_of([node("Identity", ["w"], ["y"])], X, Y)
    model.graph.initializer.append(
        TensorProto(name="w", data_type=F32, dims=[3], float_data=[1, 2])
    )
    refused(model, "needs 3 elements of float_data, it has 2")
    bad = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[1], int32_data=[300])
    model.graph.initializer[0].CopyFrom(bad)
    refused(model, "out of the range of uint8")


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/passwd", "a/../../secret", "link", "inner/secret", "", "C:\\x"]
)
def test_external_data_that_leads_elsewhere(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"0" * 24)
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "inner").symlink_to(tmp_path)
    _save_external(folder / "m.onnx", location=location)
    refused(folder / "m.onnx", "external_data")


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"offset": "100"}, "which has 24"),
        ({"length": "25"}, "bytes 0 to 25"),
        ({"length": "23"}, "needs 24 bytes, it has 23"),
        ({"offset": "-4"}, "offset='-4'"),
        ({"offset": "9" * 30}, "no size"),
        ({"location": "gone"}, "put it there"),
    ],
)
def test_external_data_that_lies(facts: dict[str, str], text: str, tmp_path: Path) -> None:
    (tmp_path / "w.data").write_bytes(b"0" * 24)
    _save_external(tmp_path / "m.onnx", **{"location": "w.data"} | facts)
    refused(tmp_path / "m.onnx", text)


def _save_external(path: Path, **facts: str) -> None:
    model = model_of([node("Identity", ["w"], ["y"])], X, Y)
    w = TensorProto(name="w", data_type=F32, dims=[2, 3], data_location=1)
    for key, value in facts.items():
        w.external_data.add(key=key, value=value)
    model.graph.initializer.append(w)
    path.write_bytes(model.SerializeToString())


def test_damaged_bytes_are_refused_or_still_a_model() -> None:
    """Bytes cut off, changed and put in: a FormatError, or a model; never anything else."""
    data = linear()[0].SerializeToString()
    rng = np.random.default_rng(3)
    kept = 0
    for i in range(600):
        changed = bytearray(data)
        if i % 3 == 0:
            del changed[rng.integers(len(data)) :]
        elif i % 3 == 1:
            for at in rng.integers(len(data), size=rng.integers(1, 4)):
                changed[at] = rng.integers(256)
        else:
            at = rng.integers(len(data))
            changed[at:at] = rng.bytes(rng.integers(1, 9))
        try:
            ag.onnx.load(bytes(changed))
            kept += 1
        except ag.ArgandError as e:
            assert isinstance(e, ValueError), e
    assert kept < 400


def test_loading_computes_nothing() -> None:
    """A file of a few bytes that asks for 16 TiB is loaded; the call is what fails."""
    shape = np.array([1 << 21, 1 << 21], np.int64)
    nodes = [node("ConstantOfShape", ["s"], ["big"]), node("Add", ["x", "big"], ["y"])]
    model = ag.onnx.load(model_of(nodes, X, Y, {"s": shape}), compiled=False)
    with pytest.raises((MemoryError, RuntimeError, ValueError)):
        model(np.ones(2, np.float32))


@pytest.mark.parametrize(
    ("op", "arrays", "attributes", "text"),
    [
        ("Split", [np.array([5, -3])], {"axis": 1}, "must not be negative"),
        ("Split", [], {"num_outputs": 1}, "num_outputs is 1, the node has 2 outputs"),
        ("CumSum", [np.array(7)], {}, "the axis 7 is none of a tensor of 2"),
        ("Resize", [None, np.array([1, -2], np.float32)], {}, "positive number, got -2.0"),
        ("Resize", [None, np.array([1, np.nan], np.float32)], {}, "positive number, got nan"),
        ("Upsample", [np.array([1, 0], np.float32)], {}, "positive number, got 0.0"),
        ("Reshape", [np.array([2.5, 3])], {}, "whole numbers, got .2.5, 3.0."),
    ],
)
def test_values_that_make_no_sense(op: str, arrays: Any, attributes: Any, text: str) -> None:
    names = ["x", *("" if a is None else f"a{i}" for i, a in enumerate(arrays))]
    outputs = ["y", "z"] if op == "Split" else ["y"]
    node = helper.make_node(op, names, outputs, name="first", **attributes)
    given = {f"a{i}": a for i, a in enumerate(arrays) if a is not None}
    opset = 9 if op == "Upsample" else 21
    model = model_of([node], [info("x", ["n", 3])], [info(o, None) for o in outputs], given, opset)
    with pytest.raises(ValueError, match=text) as raised:
        ag.onnx.load(model)(np.ones((2, 3), np.float32))
    assert "'first'" in str(raised.value) + "".join(getattr(raised.value, "__notes__", ()))
