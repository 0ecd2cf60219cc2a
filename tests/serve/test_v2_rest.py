"""The v2 protocol over REST: documented requests, binary tensors, Triton's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import classifier, exported, inputs, put
from web import asked, floats, two_inputs

pytest.importorskip("httptools")

from argand.serve import ModelOptions, ServeError, Server, VersionPolicy
from argand.serve.http.v2_asked import Reading


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root: Path = tmp_path_factory.mktemp("models")
    for number in (1, 3):
        put(exported(classifier(number)), root, "digits", number)
    put(two_inputs(), root, "two", 1)
    options = {"digits": ModelOptions(policy=VersionPolicy("all"))}
    with Server(root, port=0, models=options, token="secret") as running:
        yield running


def tensor(x: np.ndarray, **more: Any) -> dict[str, Any]:
    """An input of the digits' model."""
    return {"name": "input", "shape": list(x.shape), "datatype": "FP32", **more}


def binary(
    server: Server, head: dict[str, Any], *tensors: bytes, path: str = "digits", **headers: str
) -> Any:
    """What a request with binary tensors gives."""
    text = json.dumps(head).encode()
    length = {"inference_header_content_length": str(len(text))} | headers
    return asked(server, "POST", f"/v2/models/{path}/infer", b"".join([text, *tensors]), **length)


def test_flat_nested_and_binary_data_have_the_bits_of_a_call(server: Server) -> None:
    x = inputs(3)
    for path, seed in (("digits", 3), ("digits/versions/1", 1)):
        expected = exported(classifier(seed))(x).numpy()
        for data in (x.tolist(), x.ravel().tolist()):
            head = {"id": "7", "inputs": [tensor(x, data=data)]}
            found = asked(server, "POST", f"/v2/models/{path}/infer", head).json
            assert found["id"] == "7" and found["model_version"] == str(seed)
            (output,) = found["outputs"]
            assert (output["shape"], output["datatype"]) == ([3, 3], "FP32")
            assert floats(output["data"]).tobytes() == expected.tobytes()
        head = {
            "inputs": [tensor(x, parameters={"binary_data_size": x.nbytes})],
            "parameters": {"binary_data_output": True},
        }
        answer = binary(server, head, x.tobytes(), path=path)
        size = int(answer.headers["inference-header-content-length"])
        said = json.loads(answer.body[:size])["outputs"][0]
        assert "data" not in said and said["parameters"] == {"binary_data_size": 36}
        assert answer.body[size:] == expected.tobytes()


def test_the_same_json_before_other_tensors(server: Server) -> None:
    call = exported(classifier(3))
    x = inputs(2)
    head = {
        "inputs": [tensor(x, parameters={"binary_data_size": x.nbytes})],
        "parameters": {"binary_data_output": True},
    }
    for seed in range(3):
        x = inputs(2, seed)
        found = binary(server, head, x.tobytes())
        size = int(found.headers["inference-header-content-length"])
        assert found.body[size:] == call(x).numpy().tobytes()
        said = json.loads(found.body[:size])["outputs"][0]
        assert (said["shape"], said["parameters"]) == ([2, 3], {"binary_data_size": 24})
    for wrong in (x.tobytes()[:-4], x.tobytes() + b"1234", b""):
        assert binary(server, head, wrong).status == 400
    one = binary(server, head, x.tobytes(), path="digits/versions/1")
    size = int(one.headers["inference-header-content-length"])
    assert one.body[size:] == exported(classifier(1))(x).numpy().tobytes()
    assert json.loads(one.body[:size])["model_version"] == "1"
    assert binary(server, head, x.tobytes(), path="two").status == 400  # has no such input


def test_what_short_json_says_is_kept_within_bounds() -> None:
    reading = Reading(most=12)
    x = inputs(2)

    def arrays(data: bytes, **changes: Any) -> dict[str, Any]:
        size = {"parameters": {"binary_data_size": len(data)}}
        head = json.dumps({"inputs": [tensor(x, **size) | changes]}).encode()
        return reading.arrays(reading.asked(head), head, memoryview(data))

    for _ in range(2):
        assert arrays(x.tobytes())["input"].tobytes() == x.tobytes()
        assert arrays(b"\x01" * 12, datatype="BOOL")["input"].all()
        with pytest.raises(ServeError, match="neither 0 nor 1"):
            arrays(b"\x02" * 12, datatype="BOOL")
        with pytest.raises(ServeError, match="more than 12"):
            arrays(bytes(52), shape=[13])
    assert len(reading._known) == 1
    for i in range(600):
        arrays(x.tobytes(), name=f"x{i}")
        arrays(x.tobytes(), name=f"x{i}" * 1000)
    assert 1 < len(reading._known) <= 256


def test_outputs_are_chosen_and_may_be_classes(server: Server) -> None:
    rows = [
        {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 5, 3]},
        {"name": "k", "shape": [1], "datatype": "INT32", "data": [4]},
    ]
    head = {"inputs": rows, "outputs": [{"name": "twice", "parameters": {"binary_data": True}}]}
    answer = asked(server, "POST", "/v2/models/two/infer", head)
    assert answer.body.endswith(np.int32(8).tobytes())
    classes = {"inputs": rows, "outputs": [{"name": "up", "parameters": {"classification": 2}}]}
    found = asked(server, "POST", "/v2/models/two/infer", classes).json["outputs"]
    assert found == [
        {
            "name": "up",
            "datatype": "BYTES",
            "shape": [1, 2],
            "data": ["6.000000:1", "4.000000:2"],
        }
    ]


def test_health_metadata_config_and_statistics(server: Server) -> None:
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/digits/ready"):
        assert asked(server, "GET", path).status == 200
    assert asked(server, "GET", "/v2/models/digits/versions/3/ready").status == 200
    assert asked(server, "GET", "/v2").json["name"] == "argand"
    found = asked(server, "GET", "/v2/models/digits").json
    assert found["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 6]}]
    assert found["versions"] == ["1", "3"]
    config = asked(server, "GET", "/v2/models/digits/config").json
    assert config["max_batch_size"] == 32
    assert config["input"] == [{"name": "input", "data_type": "TYPE_FP32", "dims": [6]}]
    x = inputs(2)
    before = asked(server, "GET", "/v2/models/digits/versions/3/stats").json["model_stats"][0]
    asked(server, "POST", "/v2/models/digits/infer", {"inputs": [tensor(x, data=x.tolist())]})
    after = asked(server, "GET", "/v2/models/digits/versions/3/stats").json["model_stats"][0]
    assert after["inference_count"] - before["inference_count"] == 2
    assert after["inference_stats"]["success"]["count"] >= 1
    assert any(b["batch_size"] == 2 for b in after["batch_stats"])
    everything = asked(server, "GET", "/v2/models/stats", authorization="Bearer secret").json
    assert len(everything["model_stats"]) == 3


def test_the_index_is_read_and_models_are_managed_with_a_token_only(server: Server) -> None:
    found = asked(server, "POST", "/v2/repository/index", {"ready": True}).json
    assert {(m["name"], m["version"], m["state"]) for m in found} == {
        ("digits", "1", "READY"),
        ("digits", "3", "READY"),
        ("two", "1", "READY"),
    }
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic secret"}):
        answer = asked(server, "POST", "/v2/repository/models/two/unload", {}, **headers)
        assert answer.status == 401 and "www-authenticate" in answer.headers


BAD: list[tuple[Any, int, str]] = [
    (b"{", 400, "no JSON"),
    (b"\xff", 400, "no JSON"),
    (b"[" * 100_000, 400, ""),
    ({}, 400, "inputs"),
    ({"inputs": [{"name": 3, "shape": [1], "datatype": "FP32"}]}, 400, "name"),
    ({"inputs": [{"name": "input", "shape": [1, 6]}]}, 400, "datatype"),
    ({"inputs": [tensor(inputs(1))]}, 400, "input: it has neither data nor binary_data_size"),
    ({"inputs": [tensor(inputs(1), data=[1, 2])]}, 400, "input: the shape [1, 6] has 6 elements"),
    ({"inputs": [tensor(inputs(1), data=["a"] * 6)]}, 400, "input: FP32 are no strings"),
    ({"inputs": [tensor(inputs(1), data=[{"a": 1}] * 6)]}, 400, "input"),
    ({"inputs": [tensor(inputs(1), data=[0] * 6)] * 2}, 400, "given twice"),
    ({"inputs": [tensor(inputs(1), data=[0] * 6) | {"name": "imput"}]}, 400, "did you mean input"),
    ({"inputs": [tensor(inputs(1), data=[0] * 6) | {"datatype": "FP64"}]}, 400, "is float32"),
    ({"inputs": [tensor(inputs(1), data=[0] * 6) | {"datatype": "FP31"}]}, 400, "no data type"),
    ({"inputs": [tensor(inputs(1), data=[0]) | {"shape": [-1, 6]}]}, 400, "negative"),
    ({"inputs": [tensor(inputs(1), data=[0]) | {"shape": [1 << 40, 6]}]}, 413, "input: the shape"),
    ({"inputs": [tensor(inputs(1), data=[0] * 6)], "outputs": [{"name": "x"}]}, 400, "output 'x'"),
    (
        {"inputs": [tensor(inputs(1), data=[0] * 6)], "parameters": {"timeout": "soon"}},
        400,
        "timeout",
    ),
    (
        {"inputs": [tensor(inputs(1), parameters={"shared_memory_region": "x"})]},
        501,
        "shared memory",
    ),
]


@pytest.mark.parametrize(("body", "status", "message"), BAD)
def test_what_does_not_fit_is_refused_with_the_field(
    server: Server, body: Any, status: int, message: str
) -> None:
    found = asked(server, "POST", "/v2/models/digits/infer", body)
    assert found.status == status and list(found.json) == ["error"]
    assert message in found.json["error"]


@pytest.mark.parametrize(
    ("length", "size", "data", "message"),
    [
        ("x", 24, b"\0" * 24, "Inference-Header-Content-Length"),
        ("-1", 24, b"\0" * 24, "Inference-Header-Content-Length"),
        ("9" * 30, 24, b"\0" * 24, "Inference-Header-Content-Length"),
        (None, 24, b"\0" * 20, "binary_data_size is 24, 20 bytes are left"),
        (None, 24, b"\0" * 25, "1 bytes follow"),
        (None, 20, b"\0" * 20, "has 24 bytes, got 20"),
        (None, -4, b"\0" * 24, "binary_data_size is -4"),
        (None, "24", b"\0" * 24, "binary_data_size"),
        (None, 1 << 60, b"\0" * 24, "binary_data_size"),
    ],
)
def test_malformed_binary_bodies_are_refused(
    server: Server, length: str | None, size: Any, data: bytes, message: str
) -> None:
    head = {"inputs": [tensor(inputs(1), parameters={"binary_data_size": size})]}
    more = {} if length is None else {"inference_header_content_length": length}
    found = binary(server, head, data, **more)
    assert found.status == 400 and message in found.json["error"]


def test_no_body_brings_the_server_down(server: Server) -> None:
    rng = np.random.default_rng(0)
    x = inputs(1)
    head = {"inputs": [tensor(x, parameters={"binary_data_size": 24})]}
    text = json.dumps(head).encode()
    for _ in range(200):
        body = bytearray(text + x.tobytes())
        for place in rng.integers(0, len(text), rng.integers(1, 4)):
            body[place] = rng.integers(0, 256)
        length = str(int(rng.integers(0, len(body) + 2)) if rng.random() < 0.3 else len(text))
        answer = asked(
            server,
            "POST",
            "/v2/models/digits/infer",
            bytes(body),
            inference_header_content_length=length,
        )
        assert answer.status in (200, 400, 413), (bytes(body), answer.body)


def test_tritons_own_client(server: Server) -> None:
    triton = pytest.importorskip("tritonclient.http")
    x = inputs(5)
    expected = exported(classifier(3))(x).numpy()
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        assert client.is_server_live() and client.is_server_ready()
        assert client.is_model_ready("digits") and not client.is_model_ready("nothing")
        assert client.get_model_metadata("digits", "3")["name"] == "digits"
        assert client.get_model_config("digits")["name"] == "digits"
        assert client.get_inference_statistics("digits")["model_stats"]
        assert len(client.get_model_repository_index()) == 3
        for sends, asks in ((True, True), (True, False), (False, True), (False, False)):
            given = triton.InferInput("input", list(x.shape), "FP32")
            given.set_data_from_numpy(x, binary_data=sends)
            output = triton.InferRequestedOutput("output", binary_data=asks)
            found = client.infer("digits", [given], outputs=[output], request_id="9")
            assert found.as_numpy("output").tobytes() == expected.tobytes()
            assert found.get_response()["id"] == "9"
        given = triton.InferInput("input", [1, 5], "FP32")
        given.set_data_from_numpy(x[:1, :5].copy())
        with pytest.raises(Exception, match="dimension 1 of the input 'input' must be 6"):
            client.infer("digits", [given])
