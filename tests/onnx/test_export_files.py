"""The arguments of `onnx.export`, what is written, and what is refused."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxrun import session

import argand as ag
from argand import nn
from argand.onnx import saving

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")


def small() -> Any:
    """A model of two layers."""
    ag.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 40), nn.ReLU(), nn.Linear(40, 2))


class Refused(nn.Module):
    """Three things that ONNX has nothing for."""

    def forward(self, x: Any) -> Any:
        """Something of each."""
        y = ag.special.zeta(x, 2.0) + ag.linalg.inv(x)
        return y + ag.rand(3, 3)


def test_all_that_is_refused_is_told_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with pytest.raises(ag.onnx.OnnxExporterError) as caught:
        ag.onnx.export(Refused(), (ag.ones(3, 3),), path)
    text = str(caught.value)
    for part in ("zeta: ONNX has no", "linalg_inv: ONNX has no", "it draws random numbers"):
        assert part in text
    assert text.count("test_export_files.py:") == 3
    assert not list(tmp_path.iterdir())
    assert isinstance(caught.value, RuntimeError) and isinstance(caught.value, ag.ArgandError)


def test_names_lines_and_facts_of_the_model() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2)))
    program = ag.onnx.export(model, (ag.ones(2, 3),))
    graph = program.model_proto.graph
    assert {t.name for t in graph.initializer} == {"0.weight", "0.bias", "1.1.weight", "1.1.bias"}
    assert [n.name for n in graph.node] == ["0/Gemm", "1.0/Relu", "1.1/Gemm"]
    assert all("test_export_files.py:" in n.doc_string for n in graph.node)
    assert "· 1.1" in graph.node[2].doc_string
    assert program.model_proto.producer_name == "argand"


def test_arguments_of_torch(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    found = ag.onnx.export(
        small(),
        (ag.ones(2, 3),),
        str(path),
        export_params=True,
        opset_version=17,
        do_constant_folding=True,
        input_names=["x"],
        output_names=["y"],
        dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
        dynamo=False,
        verbose=False,
    )
    assert found is None
    model = onnx.load(path)
    assert model.opset_import[0].version == 17
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    (y,) = session(model).run(["y"], {"x": np.ones((7, 3), np.float32)})
    assert y.shape == (7, 2)


def test_weights_as_inputs(tmp_path: Path) -> None:
    model = small()
    for keep in (True, False):
        path = tmp_path / f"{keep}.onnx"
        ag.onnx.export(
            model,
            (ag.ones(2, 3),),
            path,
            keep_initializers_as_inputs=keep,
            export_params=keep,
        )
        graph = onnx.load(path).graph
        assert {x.name for x in graph.input} == {"input", *dict(model.named_parameters())}
        assert bool(graph.initializer) == keep


def test_weights_beside_the_model(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    model = nn.Linear(300, 300)
    ag.onnx.export(model, (ag.ones(2, 300),), path, external_data=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
    assert path.stat().st_size < 2000
    onnx.checker.check_model(str(path), full_check=True)
    (y,) = ort.InferenceSession(str(path)).run(None, {"input": np.ones((2, 300), np.float32)})
    np.testing.assert_allclose(y, np.asarray(model(ag.ones(2, 300)).detach()), 1e-5, 1e-6)


def test_models_beyond_the_limit_of_a_file_are_parted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "LIMIT", 100_000)
    ag.onnx.export(nn.Linear(300, 300), (ag.ones(2, 300),), tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx.data").exists()


def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"before")

    def fail(*args: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(saving, "_separate", fail)
    with pytest.raises(OSError, match="full"):
        ag.onnx.export(nn.Linear(300, 300), (ag.ones(2, 300),), path, external_data=True)
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
    assert path.read_bytes() == b"before"


def test_modes_and_state() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout())
    x = ag.rand(4, 3)
    with pytest.raises(ag.onnx.OnnxExporterError, match=r"1\.running_mean: it is changed"):
        ag.onnx.export(model, (x,))
    kinds = [n.op_type for n in _nodes(model, x, training=ag.onnx.TrainingMode.EVAL)]
    assert kinds == ["Gemm", "BatchNormalization"]
    assert model.training and model[1].training
    norm = nn.BatchNorm1d(3)
    program = ag.onnx.export(norm, (x,), mutable_state="inputs")
    assert program.input_names[0] == "input"
    found = session(program.model_proto).run(None, _given(norm, x))
    running = dict(zip(program.output_names, found, strict=True))
    norm(x)
    np.testing.assert_allclose(running["running_mean.out"], np.asarray(norm.running_mean), 1e-5)
    np.testing.assert_allclose(running["running_var.out"], np.asarray(norm.running_var), 1e-5)
    assert running["num_batches_tracked.out"] == 1


def _nodes(model: Any, *args: Any, **options: Any) -> Any:
    return ag.onnx.export(model, args, **options).model_proto.graph.node


def _given(norm: Any, x: Any) -> dict[str, Any]:
    return {"input": np.asarray(x), **{n: np.asarray(b) for n, b in norm.named_buffers()}}


def test_rebound_attributes_are_refused() -> None:
    class Remembers(nn.Module):
        def forward(self, x: Any) -> Any:
            self.last = x * 2
            return x + 1

    with pytest.raises(ag.onnx.OnnxExporterError, match=r"self\.last: it is changed"):
        ag.onnx.export(Remembers(), (ag.ones(3),))


def test_only_calls_inside_an_export_know_of_it() -> None:
    def f(x: Any) -> Any:
        return x + 1 if ag.onnx.is_in_onnx_export() else x * 2

    assert [n.op_type for n in _nodes(f, ag.ones(3))] == ["Add"]
    assert not ag.onnx.is_in_onnx_export()


def test_python_values_are_constants() -> None:
    program = ag.onnx.export(lambda x, n, s: x * n + s, (ag.ones(3), 2, 0.5))
    assert program.input_names == ["x"]
    assert program(ag.ones(3))[0].tolist() == [2.5, 2.5, 2.5]
    program = ag.onnx.export(lambda x, *, y: x - y, (ag.ones(3),), kwargs={"y": ag.ones(3)})
    assert program.input_names == ["x", "y"]


def test_an_input_as_output_and_twice() -> None:
    program = ag.onnx.export(lambda x: (x, x + 1, x), (ag.ones(3),))
    assert program.output_names == ["output_0", "output_1", "output_2"]
    assert [y.tolist() for y in program(ag.zeros(3))] == [[0] * 3, [1] * 3, [0] * 3]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"opset": 16}, "from 17 to"),
        ({"opset": 1000}, "from 17 to"),
        ({"opset": 18, "opset_version": 19}, "differ"),
        ({"input_names": ["a", "b"]}, "2 input_names for 1 inputs"),
        ({"output_names": ["a", "b"]}, "2 output_names for 1 outputs"),
        ({"dynamic_shapes": {"y": {0: "n"}}}, "'y', which is no argument"),
        ({"dynamic_shapes": ({5: "n"},)}, "and 5 is none of them"),
        ({"dynamic_axes": {"x": [5]}}, "and 5 is none of them"),
        ({"dynamic_shapes": ({0: "n"},), "dynamic_axes": {"x": [0]}}, "not both"),
        ({"custom_opsets": {"mine": 1}}, "isn't there"),
        ({"mutable_state": "keep"}, "'refuse' or 'inputs'"),
        ({"f": "a", "path": "b"}, "two files"),
    ],
)
def test_arguments_that_are_refused(options: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ag.onnx.export(lambda x: x + 1, (ag.ones(2),), **options)


def test_more_that_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="unexpected argument 'optimise'; did you mean optimize"):
        ag.onnx.export(small(), (ag.ones(2, 3),), optimise=True)
    with pytest.raises(ValueError, match="no tensor"):
        ag.onnx.export(lambda x: ag.ones(x), (2,))
    with pytest.raises(ValueError, match="no folder"):
        ag.onnx.export(small(), (ag.ones(2, 3),), tmp_path / "none" / "m.onnx")
    with pytest.raises(TypeError, match="expected a Dim or a name"):
        ag.onnx.export(small(), (ag.ones(2, 3),), dynamic_shapes=({0: 1.5},))
    with pytest.raises(ValueError, match="takes the size n of x to be 4"):
        ag.onnx.export(lambda x: x.reshape(4, 2), (ag.ones(4, 2),), dynamic_shapes=({0: "n"},))
    with pytest.raises(RuntimeError, match="dim 'n' was declared to take any size"):
        dims = ({0: ag.Dim("n")},)
        ag.onnx.export(lambda x: x.reshape(4, 2), (ag.ones(4, 2),), dynamic_shapes=dims)
    with pytest.raises(ag.onnx.OnnxExporterError, match="no complex numbers"):
        ag.onnx.export(lambda x: x * 2, (ag.ones(2, dtype=ag.complex64),))


def test_a_compiled_module_and_verification() -> None:
    program = ag.onnx.export(ag.compile(small()), (ag.rand(2, 3),), verify=True)
    assert [n.op_type for n in program.model_proto.graph.node] == ["Gemm", "Relu", "Gemm"]


def test_an_op_of_the_users_own() -> None:
    from argand.ir.elementwise import Elementwise
    from argand.ir.op import ops, registry
    from argand.ir.samples import Uniform

    class OnnxTestSquash(Elementwise):
        """x / (1 + |x|)."""

        samples = Uniform(-5, 5)

        def body(b: Any, x: Any) -> Any:  # noqa: N805
            return x / (1 + abs(x))

    try:
        program = ag.onnx.export(lambda x: ops.onnx_test_squash(x), (ag.ones(3),))
        assert [n.op_type for n in program.model_proto.graph.node] == ["Abs", "Add", "Div"]
    finally:
        del registry._ops["onnx_test_squash"]


def test_exported_programs_know_their_arguments_and_names(tmp_path: Path) -> None:
    model, dims = small(), ({0: ag.Dim("n")},)
    exported = ag.export.export(model, (ag.rand(2, 3),), dynamic_shapes=dims)
    ag.onnx.export(exported, f=tmp_path / "a.onnx")
    again = ag.onnx.load(tmp_path / "a.onnx")
    program = ag.onnx.export(again)
    x = ag.rand(5, 3)
    expected = np.asarray(model(x).detach())
    for proto in (onnx.load(tmp_path / "a.onnx"), program.model_proto):
        assert [n.op_type for n in proto.graph.node] == ["Gemm", "Relu", "Gemm"]
        assert {t.name for t in proto.graph.initializer} == set(dict(model.named_parameters()))
        assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"
        (y,) = session(proto).run(None, {"input": np.asarray(x)})
        np.testing.assert_allclose(y, expected, 1e-5, 1e-6)


def test_symbolic_functions_of_custom_ops() -> None:
    @ag.library.custom_op("onnxtest::shrink", mutates_args=())
    def shrink(x: Any, by: float) -> Any:
        return x - by

    def symbolic(g: Any, x: Any, by: float) -> Any:
        return g.op("onnxtest::Shrink", x, by_f=by)

    name = "onnxtest::shrink"

    def f(x: Any) -> Any:
        return shrink(x, 0.5) * 2

    assert [n.op_type for n in _nodes(f, ag.ones(3))] == ["Sub", "Mul"]
    ag.onnx.register_custom_op_symbolic(name, symbolic, 17)
    try:
        model = ag.onnx.export(f, (ag.ones(3),)).model_proto
        assert [(n.domain, n.op_type) for n in model.graph.node] == [
            ("onnxtest", "Shrink"),
            ("", "Mul"),
        ]
        assert model.graph.node[0].attribute[0].f == 0.5
        assert [x.domain for x in model.opset_import] == ["", "onnxtest"]
        ag.onnx.register_custom_op_symbolic(name, lambda g, x, by: g.op("Relu", x), 17)
        assert [n.op_type for n in _nodes(f, ag.ones(3))] == ["Relu", "Mul"]
        assert f(ag.ones(3)).tolist() == [1, 1, 1]
    finally:
        ag.onnx.unregister_custom_op_symbolic(name, 17)


def test_an_open_file_and_torchs_other_names(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    ag.onnx.export(small(), (ag.ones(2, 3),), buffer)
    assert onnx.load_from_string(buffer.getvalue()).producer_name == "argand"
    program = ag.onnx.export(small(), (ag.ones(2, 3),))
    program.save(tmp_path / "a.onnx", include_initializers=False)
    assert len(onnx.load(tmp_path / "a.onnx").graph.input) == 5
    assert ag.onnx.errors.OnnxExporterError is ag.onnx.OnnxExporterError
    model = nn.Dropout()
    with ag.onnx.select_model_mode_for_export(model, ag.onnx.TrainingMode.EVAL):
        assert not model.training
    assert model.training


def test_the_package_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from argand.onnx import package

    monkeypatch.setitem(sys.modules, "onnx", None)
    package.onnx.cache_clear()
    try:
        with pytest.raises(ImportError, match=r"pip install 'argand\[onnx\]'"):
            ag.onnx.export(small(), (ag.ones(2, 3),))
    finally:
        package.onnx.cache_clear()


def test_expansions_are_written_out_where_nothing_broadcasts() -> None:
    x, y, row = ag.rand(3, 1), ag.rand(3, 1), ag.rand(4)
    for f, args, kinds in (
        (lambda x, y: x.expand(3, 4) * y.expand(3, 4), (x, y), ["Expand", "Mul"]),
        (lambda x: x.expand(3, 4).relu(), (x,), ["Expand", "Relu"]),
        (lambda x, row: x.expand(3, 4) * row.expand(3, 4), (x, row), ["Mul"]),
        (lambda x: x.expand(3, 4), (x,), ["Expand"]),
    ):
        program = ag.onnx.export(f, args)
        assert [n.op_type for n in program.model_proto.graph.node] == kinds
        np.testing.assert_array_equal(program(*args)[0], np.asarray(f(*args)))


def test_16_bit_floats_are_rounded_once() -> None:
    x = ag.rand(4).half()
    assert [n.op_type for n in _nodes(lambda x: x + x, x)] == ["Add"]
    assert [n.op_type for n in _nodes(lambda x: x * 0.5, x)] == ["Mul"]
    wide = ["Cast", "Sqrt", "Reciprocal", "Cast"]
    assert [n.op_type for n in _nodes(ag.rsqrt, x)] == wide
    assert [n.op_type for n in _nodes(lambda x: x * 0.1, x)] == ["Cast", "Mul", "Cast"]


def test_sizes_that_vary_unless_the_function_ties_them() -> None:
    def f(x: Any) -> Any:
        return x.reshape(x.shape[0], 6) + 1

    auto = ag.Dim.AUTO
    for dim, shape in ((auto, ["s0", 2, 3]), (ag.Dim.DYNAMIC, ["s0", 2, 3])):
        program = ag.onnx.export(f, (ag.ones(4, 2, 3),), dynamic_shapes=({0: dim},))
        dims = program.model_proto.graph.input[0].type.tensor_type.shape.dim
        assert [d.dim_param or d.dim_value for d in dims] == shape
    program = ag.onnx.export(f, (ag.ones(4, 2, 3),), dynamic_shapes=({0: auto, 1: auto},))
    dims = program.model_proto.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["s0", 2, 3]
    with pytest.raises(ValueError, match="takes dimension 1 of x to be 2"):
        dims = ({0: ag.Dim.DYNAMIC, 1: ag.Dim.DYNAMIC},)
        ag.onnx.export(f, (ag.ones(4, 2, 3),), dynamic_shapes=dims)


def test_programs_of_files_add_biases_within_the_convolution(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    exported = ag.export.export(model, (ag.rand(2, 3, 8, 8),))
    exported.save(tmp_path / "m.argand")
    program = ag.onnx.export(ag.export.load(tmp_path / "m.argand"))
    assert [n.op_type for n in program.model_proto.graph.node] == ["Conv", "Relu"]
    x = ag.rand(2, 3, 8, 8)
    np.testing.assert_allclose(program(x)[0], np.asarray(model(x).detach()), 1e-4, 1e-5)
