"""What Triton adds to the v2 protocol, over REST and gRPC: raw bodies, labels of classes, strings,
and what this server has not (shared memory, settings of traces and logs)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from pictures import put_pictures
from rpc import Stub
from served import classifier, exported, inputs, put
from web import asked, floats, two_inputs

pytest.importorskip("httptools")

from argand.serve import Server
from argand_client.datatypes import from_bytes, to_bytes
from argand_client.definitions import messages

V2 = "inference.GRPCInferenceService"
TEXTS = ["a", "", "Zürich \N{SNOWMAN}"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("models")
    put(exported(classifier()), root, "digits", 1)
    put(two_inputs(), root, "two", 1)
    put_pictures(root)
    _put_words(root)
    with Server(root, port=0, grpc_port=0) as running:
        yield running


def _put_words(root: Path) -> None:
    """A model of ONNX that gives strings back, where there is the package."""
    try:
        import onnx.helper as make
    except ImportError:
        return
    text, same = (make.make_tensor_value_info(n, 8, ["n"]) for n in ("text", "same_bytes"))
    node = make.make_node("Identity", ["text"], ["same_bytes"])
    graph = make.make_graph([node], "words", [text], [same])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)])
    (root / "words" / "1").mkdir(parents=True)
    (root / "words" / "1" / "model.onnx").write_bytes(model.SerializeToString())


def rpc(server: Server, method: str, request: str, **fields: Any) -> Any:
    """The answer to a call."""
    made = messages()(f"inference.{request}")(**fields)
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        return getattr(Stub(channel, V2), method)(made, timeout=20)


def refused(call: Callable[[], Any], code: str, word: str) -> None:
    """A call that ends with a status."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code().name == code and word in caught.value.details()


# -- inference -------------------------------------------------------------------------------------


def test_a_raw_body_is_the_one_input(server: Server) -> None:
    x = inputs(3)
    kind = {"content_type": "application/octet-stream", "inference_header_content_length": "0"}
    found = asked(server, "POST", "/v2/models/digits/infer", x.tobytes(), **kind)
    expected = exported(classifier())(x).numpy()
    assert floats(found.json["outputs"][0]["data"]).tobytes() == expected.tobytes()
    for model, body, word in (
        ("digits", x.tobytes()[:-1], "input: FP32 of the shape [2, 6] has 48 bytes"),
        ("digits", b"\0" * 4, "input: FP32 of the shape [0, 6] has 0 bytes"),
        ("two", x.tobytes(), "has 2 inputs"),
    ):
        found = asked(server, "POST", f"/v2/models/{model}/infer", body, **kind)
        assert (found.status, word in found.json["error"]) == (400, True), found.body


def test_classes_have_the_names_of_the_card(server: Server) -> None:
    image = np.random.default_rng(0).random((2, 1, 4, 4), np.float32)
    given = {"name": "input", "shape": [2, 1, 4, 4], "datatype": "FP32", "data": image.tolist()}
    wanted = [{"name": "output", "parameters": {"classification": 3}}]
    body = {"inputs": [given], "outputs": wanted}
    (found,) = asked(server, "POST", "/v2/models/pictures/infer", body).json["outputs"]
    assert (found["datatype"], found["shape"]) == ("BYTES", [2, 3])
    for text in found["data"]:
        _, index, name = text.split(":")
        assert name == ["cat", "dog", "owl"][int(index)]
    request = messages()("inference.ModelInferRequest")(model_name="pictures")
    request.inputs.add(name="input", datatype="FP32", shape=image.shape)
    request.raw_input_contents.append(image.tobytes())
    output = request.outputs.add(name="output")
    output.parameters["classification"].int64_param = 3
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        answer = Stub(channel, V2).ModelInfer(request)
    texts = from_bytes(answer.raw_output_contents[0], "BYTES", [2, 3]).reshape(-1)
    assert [t.decode() for t in texts] == found["data"]


def test_strings_are_texts_in_all_protocols(server: Server) -> None:
    pytest.importorskip("onnx.helper")
    packed = [{"b64": base64.b64encode(t.encode()).decode()} for t in TEXTS]
    for rows in (TEXTS, packed, [{"text": t} for t in packed]):
        found = asked(server, "POST", "/v1/models/words:predict", {"instances": rows})
        assert found.json == {"predictions": packed}  # the output's name ends with _bytes
    given = {"name": "text", "shape": [3], "datatype": "BYTES"}
    body = {"inputs": [given | {"data": TEXTS}]}
    found = asked(server, "POST", "/v2/models/words/infer", body)
    assert found.json["outputs"][0]["data"] == TEXTS
    data = to_bytes(np.array(TEXTS, object))
    given["parameters"] = {"binary_data_size": len(data)}
    head = json.dumps({"inputs": [given], "parameters": {"binary_data_output": True}}).encode()
    length = str(len(head))
    found = asked(
        server, "POST", "/v2/models/words/infer", head + data,
        inference_header_content_length=length,
    )  # fmt: skip
    assert found.body.endswith(data)
    for wrong in ([1], [None], [{"b64": "/w=="}], [{"b64": 1}], [["a"], "b"]):
        found = asked(server, "POST", "/v1/models/words:predict", {"instances": wrong})
        assert (found.status, found.headers["x-error-field"]) == (400, "text"), wrong


def test_whole_numbers_are_exact(server: Server) -> None:
    rows = [{"x": [10**30, 2**63, 1], "k": 2**31 - 1}]
    found = asked(server, "POST", "/v1/models/two:predict", {"instances": rows}).json
    assert floats(found["predictions"][0]["up"]).tobytes() == floats([10**30, 2**63, 2]).tobytes()
    for k in (2**31, 2**64, -(10**30)):
        wrong = [{"x": [1, 2, 3], "k": k}]
        found = asked(server, "POST", "/v1/models/two:predict", {"instances": wrong})
        assert (found.status, found.headers["x-error-field"]) == (400, "k")


# -- what there is not -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["system", "cuda"])
def test_shared_memory_is_told_and_refused(server: Server, kind: str) -> None:
    path = f"/v2/{kind}sharedmemory"
    assert asked(server, "GET", path + "/status").json == []
    assert asked(server, "GET", path + "/region/r/status").status == 404
    for at in ("", "/region/r"):
        assert asked(server, "POST", f"{path}{at}/unregister").status == 200
    body = {"key": "/r", "offset": 0, "byte_size": 8}
    found = asked(server, "POST", path + "/region/r/register", body)
    assert found.status == 501 and "shared memory is not served" in found.json["error"]
    name = f"{kind.title()}SharedMemory"
    assert not rpc(server, name + "Status", name + "StatusRequest").regions
    rpc(server, name + "Unregister", name + "UnregisterRequest", name="r")
    asks = {"Status": "NOT_FOUND", "Register": "UNIMPLEMENTED"}
    for end, code in asks.items():
        refused(lambda e=end: rpc(server, name + e, f"{name}{e}Request", name="r"), code, "r")
    in_region = {"name": "input", "shape": [1, 6], "datatype": "FP32"}
    in_region["parameters"] = {"shared_memory_region": "r", "shared_memory_byte_size": 24}
    found = asked(server, "POST", "/v2/models/digits/infer", {"inputs": [in_region]})
    assert (found.status, found.headers["x-error-field"]) == (501, "input")
    plain = {"name": "input", "shape": [1, 6], "datatype": "FP32", "data": [1] * 6}
    outputs = [{"name": "output", "parameters": {"shared_memory_region": "r"}}]
    found = asked(
        server, "POST", "/v2/models/digits/infer", {"inputs": [plain], "outputs": outputs}
    )
    assert (found.status, found.headers["x-error-field"]) == (501, "output")


def test_settings_are_told_and_stay(server: Server) -> None:
    for path in ("/v2/trace/setting", "/v2/models/digits/trace/setting"):
        assert asked(server, "GET", path).json["trace_level"] == ["OFF"]
        assert asked(server, "POST", path, {"trace_level": ["MAX"]}).status == 501
    assert asked(server, "GET", "/v2/models/digit/trace/setting").status == 404
    assert asked(server, "GET", "/v2/logging").json["log_verbose_level"] == 0
    assert asked(server, "POST", "/v2/logging", {"log_verbose_level": 1}).status == 501
    found = rpc(server, "TraceSetting", "TraceSettingRequest", model_name="digits")
    assert list(found.settings["trace_level"].value) == ["OFF"]
    found = rpc(server, "LogSettings", "LogSettingsRequest")
    assert found.settings["log_info"].bool_param is True
    change = {"log_info": {"bool_param": False}}
    refused(
        lambda: rpc(server, "LogSettings", "LogSettingsRequest", settings=change),
        "UNIMPLEMENTED", "the log",
    )  # fmt: skip
    change = {"trace_level": {"value": ["MAX"]}}
    refused(
        lambda: rpc(server, "TraceSetting", "TraceSettingRequest", settings=change),
        "UNIMPLEMENTED", "traces",
    )  # fmt: skip


def test_bodies_say_live_and_ready(server: Server) -> None:
    assert asked(server, "GET", "/v2/health/live").json == {"live": True}
    assert asked(server, "GET", "/v2/health/ready").json == {"ready": True}
    found = asked(server, "GET", "/v2/models/digits/ready")
    assert found.json == {"name": "digits", "ready": True}
    assert "digits" in asked(server, "GET", "/v2/models").json["models"]


def test_a_stream_says_which_answer_is_the_last(server: Server) -> None:
    request = messages()("inference.ModelInferRequest")(model_name="digits", id="1")
    request.inputs.add(name="input", datatype="FP32", shape=[1, 6])
    request.raw_input_contents.append(inputs(1).tobytes())
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        (answer,) = Stub(channel, V2).ModelStreamInfer(iter([request]))
    assert answer.infer_response.parameters["triton_final_response"].bool_param


def test_unknown_paths_answer_in_the_nearest_protocols_way(server: Server) -> None:
    for path, field in (
        ("/v1/models/digits:embed", str),
        ("/v1/embeddings", dict),
        ("/v2/models/digits/embed", str),
        ("/nothing", str),
    ):
        found = asked(server, "POST", path, {})
        assert found.status == 404 and isinstance(found.json["error"], field), found.body
    assert asked(server, "POST", "/models/a/b/c/d", {}).json["type"] == "ModelNotFoundException"
