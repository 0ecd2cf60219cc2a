"""Files of ONNX as other libraries write them: strings in and out, scores as maps."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from web import asked

import argand as ag
from argand.serve import Client, ServeError, Status, serve
from argand_client.datatypes import from_bytes, to_bytes

onnx = pytest.importorskip("onnx")
helper = pytest.importorskip("onnx.helper")
FLOAT, INT64, STRING = 1, 7, 8
ML = "ai.onnx.ml"
WORDS = ["a", "", "Zürich \N{SNOWMAN}"]


def write(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any]) -> Path:
    """A file of a graph."""
    graph = helper.make_graph(nodes, "graph", inputs, outputs)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), path)
    return path


def words(path: Path) -> Path:
    """Gives back strings, (n,) and (n, 1)."""
    value = helper.make_tensor_value_info
    nodes = [helper.make_node("Identity", [n], [f"same_{n}"]) for n in ("text", "column")]
    shapes: dict[str, list[Any]] = {"text": ["n"], "column": ["n", 1]}
    return write(
        path,
        nodes,
        [value(n, STRING, s) for n, s in shapes.items()],
        [value(f"same_{n}", STRING, s) for n, s in shapes.items()],
    )


def classifier(path: Path) -> Path:
    """As scikit-learn's converter writes one: the scores are a list of maps, and the label comes
    from a table of names."""
    value = helper.make_tensor_value_info
    labels = helper.make_tensor("labels", STRING, [3], [b"ant", b"bee", b"cat"])
    shape = helper.make_tensor("shape", INT64, [1], [-1])
    make = helper.make_node
    nodes = [
        make("Constant", [], ["labels"], value=labels),
        make("Constant", [], ["shape"], value=shape),
        make("Softmax", ["x"], ["p"]),
        make("ArgMax", ["p"], ["best"], axis=1),
        make("ArrayFeatureExtractor", ["labels", "best"], ["row"], domain=ML),
        make("Reshape", ["row", "shape"], ["label"]),
        make("ZipMap", ["p"], ["maps"], domain=ML, classlabels_strings=["ant", "bee", "cat"]),
    ]
    maps = helper.make_sequence_type_proto(
        helper.make_map_type_proto(STRING, helper.make_tensor_type_proto(FLOAT, []))
    )
    outputs = [value("label", STRING, [None]), helper.make_value_info("maps", maps)]
    return write(path, nodes, [value("x", FLOAT, [None, 3])], outputs)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("onnx")
    served = {
        "words": words(folder / "words.onnx"),
        "classes": classifier(folder / "classes.onnx"),
    }
    with serve(served, port=0, block=False) as running:
        yield running


def test_strings_over_tensorflows_rest(server: Any) -> None:
    packed = [{"b64": base64.b64encode(w.encode()).decode()} for w in WORDS]
    for given in (WORDS, packed):
        rows = [{"text": w, "column": [w]} for w in given]
        answer = asked(server, "POST", "/v1/models/words:predict", {"instances": rows}).json
        expected = [{"same_text": w, "same_column": [w]} for w in WORDS]
        assert answer == {"predictions": expected}
        columns = {"text": given, "column": [[w] for w in given]}
        answer = asked(server, "POST", "/v1/models/words:predict", {"inputs": columns}).json
        assert answer == {"outputs": {"same_text": WORDS, "same_column": [[w] for w in WORDS]}}
    wrong = {"inputs": {"text": [{"b64": "/w=="}], "column": [["x"]]}}
    answer = asked(server, "POST", "/v1/models/words:predict", wrong)
    assert answer.status == 400 and answer.json["error"].startswith("text: a string is no UTF-8")


def test_strings_over_v2(server: Any) -> None:
    arrays = {"text": np.array(WORDS, object), "column": np.array(WORDS, object)[:, None]}
    listed = [
        {"name": n, "datatype": "BYTES", "shape": list(a.shape), "data": a.reshape(-1).tolist()}
        for n, a in arrays.items()
    ]
    answer = asked(server, "POST", "/v2/models/words/infer", {"inputs": listed}).json
    assert [o["data"] for o in answer["outputs"]] == [WORDS, WORDS]
    head = b'{"inputs":['
    tail = b""
    for name, array in arrays.items():
        data = to_bytes(array)
        tail += data
        head += (
            b'{"name":"%s","datatype":"BYTES","shape":%s,"parameters":{"binary_data_size":%d}},'
            % (
                name.encode(),
                str(list(array.shape)).encode(),
                len(data),
            )
        )
    head = head.rstrip(b",") + b'],"parameters":{"binary_data_output":true}}'
    length = {"Inference_Header_Content_Length": str(len(head))}
    answer = asked(server, "POST", "/v2/models/words/infer", head + tail, **length)
    rest = answer.body[int(answer.headers["Inference-Header-Content-Length"]) :]
    assert rest == tail
    found = from_bytes(memoryview(rest[: len(to_bytes(arrays["text"]))]), "BYTES", [3])
    assert [x.decode() for x in found] == WORDS
    with Client(server.url, "words") as client:
        none = client.infer({"text": [], "column": np.empty((0, 1), object)})
    assert [a.shape for a in none.values()] == [(0,), (0, 1)]


def test_strings_over_torchserves_routes(server: Any) -> None:
    body = {"text": WORDS, "column": WORDS}
    answer = asked(server, "POST", "/predictions/words", body, content_type="application/json")
    assert answer.json == {"same_text": WORDS, "same_column": [[w] for w in WORDS]}
    wrong = {"text": [1], "column": ["x"]}
    answer = asked(server, "POST", "/predictions/words", wrong, content_type="application/json")
    assert answer.status == 400 and "text: expected strings" in answer.json["message"]


def test_labels_are_names_and_maps_are_scores(server: Any) -> None:
    x = [[1.0, 3.0, 2.0], [0.0, -1.0, 4.0]]
    expected = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    described = asked(server, "GET", "/v2/models/classes").json["outputs"]
    assert described == [
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "maps", "datatype": "FP32", "shape": [-1, 3]},
    ]
    answer = asked(server, "POST", "/v1/models/classes:predict", {"instances": x}).json
    assert [row["label"] for row in answer["predictions"]] == ["bee", "cat"]
    np.testing.assert_allclose([row["maps"] for row in answer["predictions"]], expected, 1e-6)
    examples = {"examples": [{"x": row} for row in x]}
    results = asked(server, "POST", "/v1/models/classes:classify", examples).json["results"]
    np.testing.assert_allclose([[s for _, s in row] for row in results], expected, 1e-6)


def test_a_program_in_python_gives_the_maps(tmp_path: Path) -> None:
    program = ag.onnx.load(classifier(tmp_path / "classes.onnx"))
    label, (scores,) = program(np.float32([[1, 3, 2]]))
    assert label.tolist() == ["bee"]
    assert list(scores) == ["ant", "bee", "cat"] and sum(scores.values()) == pytest.approx(1)


def test_a_model_of_one_output_gives_an_array_and_errors_name_no_line_of_a_thread(
    tmp_path: Path,
) -> None:
    table = helper.make_tensor("table", FLOAT, [3], [0.5, 1.5, 2.5])
    nodes = [helper.make_node("Gather", ["table", "ids"], ["found"])]
    value = helper.make_tensor_value_info
    given, made = value("ids", INT64, ["n"]), value("found", FLOAT, ["n"])
    graph = helper.make_graph(nodes, "graph", [given], [made], [table])
    path = tmp_path / "table.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    with serve({"table": path}, port=0, grpc_port=0, block=False) as server:
        for url in (server.url, f"grpc://127.0.0.1:{server.grpc_port}"):
            with Client(url, "table") as client:
                np.testing.assert_array_equal(client.predict([2, 0]), np.float32([2.5, 0.5]))
                with pytest.raises(ServeError, match=r"99 is out of range [^\[]*$") as caught:
                    client.predict([99])
                assert caught.value.status is Status.INVALID_ARGUMENT


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_tensor_without_rank_is_told_as_unknown_and_takes_any(
    tmp_path: Path, protocol: str
) -> None:
    pytest.importorskip("grpc")
    value = helper.make_tensor_value_info
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    path = write(tmp_path / "any.onnx", nodes, [value("x", FLOAT, None)], [value("y", FLOAT, None)])
    with serve(path, port=0, grpc_port=0, block=False) as running:
        told = asked(running, "GET", "/v2/models/any").json
        assert told["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1]}]
        assert told["outputs"][0]["shape"] == [-1]
        config = asked(running, "GET", "/v2/models/any/config").json
        assert (config["max_batch_size"], config["input"][0]["dims"]) == (0, [-1])
        url = running.url if protocol == "http" else f"grpc://127.0.0.1:{running.grpc_port}"
        with Client(url, "any") as client:
            assert client.signature.inputs[0].shape == (-1,)
            for shape in ((), (3,), (2, 3), (2, 1, 2)):
                x = np.arange(-2, np.prod(shape) - 2, dtype=np.float32).reshape(shape)
                found = client.infer({"x": x})["y"]
                np.testing.assert_array_equal(found, np.maximum(x, 0), strict=True)
