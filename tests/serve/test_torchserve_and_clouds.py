"""TorchServe's protocol, the clouds' paths, and the handlers that a card describes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import picture, put_pictures
from served import classifier, exported, inputs, put
from web import asked, floats

pytest.importorskip("httptools")

import argand as ag
from argand.base.errors import ArgumentError
from argand.serve import Server
from argand.serve.profiles import settings_of_profile

MANAGER = {"authorization": "Bearer secret"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found: Path = tmp_path_factory.mktemp("models")
    for number in (1, 3):
        put(exported(classifier(number)), found, "digits", number)
    put_pictures(found)
    return found


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Server]:
    with Server(root, port=0, token="secret") as running:
        yield running


@pytest.fixture(scope="module")
def profile(root: Path) -> Iterator[Callable[..., Server]]:
    running: list[Server] = []

    def start(name: str, **options: Any) -> Server:
        set = settings_of_profile(name, options.pop("environment", {}))
        set |= {"host": "127.0.0.1", "port": 0, "grpc_port": None}
        running.append(Server(root, **(set | {"model": "digits"} | options)).start())
        return running[-1]

    yield start
    for one in running:
        one.stop()


def test_an_image_goes_in_and_names_of_classes_come_out(server: Server, root: Path) -> None:
    pixels, file = picture()
    program = ag.export.load(root / "pictures" / "1" / "model.argand")
    scores = program((pixels[None, None] / np.float32(255)).astype(np.float32)).numpy()[0]
    shares = np.exp(scores.astype(np.float64) - scores.max())
    best = ["cat", "dog", "owl"][int(scores.argmax())]
    form = b'--x\r\nContent-Disposition: form-data; name="data"; filename="a.png"\r\n\r\n'
    text = base64.b64encode(file).decode()
    bodies: list[tuple[Any, str]] = [
        (file, "image/png"),
        (file, "application/octet-stream"),
        (form + file + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"),
        ({"data": {"b64": text}}, "application/json"),
        ({"instances": [{"b64": text}]}, "application/json"),
    ]
    for method, (body, kind) in zip(("PUT", *["POST"] * 4), bodies, strict=True):
        found = asked(server, method, "/predictions/pictures", body, content_type=kind)
        assert found.status == 200, found.body
        assert next(iter(found.json)) == best
        assert found.json[best] == pytest.approx(float((shares / shares.sum()).max()), rel=1e-5)
    rows = asked(server, "POST", "/v1/models/pictures:predict", {"instances": [{"b64": text}]})
    assert floats(rows.json["predictions"][0]).tobytes() == scores.tobytes()


def test_arrays_go_in_as_json(server: Server) -> None:
    x = inputs(2)
    for version, seed in (("", 3), ("/3.0", 3), ("/3", 3)):
        found = asked(
            server,
            "POST",
            f"/predictions/digits{version}",
            x.tolist(),
            content_type="application/json",
        )
        assert floats(found.json).tobytes() == exported(classifier(seed))(x).numpy().tobytes()


def test_errors_have_torchserves_shape(server: Server) -> None:
    for path, body, status, kind in (
        ("/predictions/nothing", b"x", 404, "ModelNotFoundException"),
        ("/predictions/digits/7", b"x", 404, "ModelNotFoundException"),
        ("/predictions/pictures", b"no image", 400, "BadRequestException"),
        ("/explanations/digits", b"x", 501, "MethodNotAllowedException"),
    ):
        found = asked(server, "POST", path, body)
        assert (found.status, found.json["code"], found.json["type"]) == (status, status, kind)
        assert found.json["message"]


def test_management_lists_describes_unloads_and_loads(server: Server) -> None:
    assert asked(server, "GET", "/ping").json == {"status": "Healthy"}
    assert asked(server, "GET", "/models").status == 401
    found = asked(server, "GET", "/models?limit=1", **MANAGER).json
    assert found == {
        "models": [{"modelName": "digits", "modelUrl": "model.argand"}],
        "nextPageToken": "1",
    }
    described = asked(server, "GET", "/models/digits", **MANAGER).json
    assert (described[0]["modelName"], described[0]["modelVersion"]) == ("digits", "3.0")
    assert asked(server, "DELETE", "/models/digits", **MANAGER).status == 200
    assert asked(server, "POST", "/predictions/digits", [[0] * 6]).status in (404, 503)
    answer = asked(server, "POST", "/models?url=digits.mar&synchronous=true", **MANAGER)
    assert answer.json == {
        "status": 'Model "digits" Version: 3.0 registered with 1 initial workers'
    }
    assert asked(server, "PUT", "/models/digits/3.0/set-default", **MANAGER).status == 200
    for url in ("../digits", "/etc/passwd", "https://example.com/x.mar", ""):
        assert asked(server, "POST", f"/models?url={url}", **MANAGER).status == 400
    assert asked(server, "PUT", "/models/digits?min_worker=2", **MANAGER).status == 501


def test_management_is_off_without_a_token(profile: Callable[..., Server]) -> None:
    server = profile("azure")
    for method, path in (
        ("GET", "/models"),
        ("POST", "/models?url=digits"),
        ("DELETE", "/models/digits"),
        ("POST", "/v2/repository/models/digits/unload"),
        ("POST", "/v2/repository/models/digits/load"),
    ):
        answer = asked(server, method, path, authorization="Bearer x")
        assert answer.status == 403 and b"--token" in answer.body


def test_vertex(profile: Callable[..., Server]) -> None:
    environment = {"AIP_HEALTH_ROUTE": "/alive", "AIP_PREDICT_ROUTE": "/v1/endpoints/1:predict"}
    server = profile("vertex", environment=environment)
    x = inputs(2)
    assert asked(server, "GET", "/alive").status == 200
    body = {"instances": x.tolist(), "parameters": {}}
    found = asked(server, "POST", "/v1/endpoints/1:predict", body).json
    expected = exported(classifier(3))(x).numpy()
    assert floats(found["predictions"]).tobytes() == expected.tobytes()
    assert asked(server, "POST", "/v1/endpoints/1:predict", {"inputs": []}).status == 400
    assert settings_of_profile("vertex", {"AIP_HTTP_PORT": "8090"})["port"] == 8090
    with pytest.raises(ArgumentError, match="AIP_HTTP_PORT must be a port"):
        settings_of_profile("vertex", {"AIP_HTTP_PORT": "x"})


def test_sagemaker(profile: Callable[..., Server], root: Path) -> None:
    server = profile("sagemaker", environment={"SAGEMAKER_MULTI_MODEL": "true"})
    x = inputs(2)
    expected = exported(classifier(3))(x).numpy()
    assert asked(server, "GET", "/ping").status == 200
    for body in ({"instances": x.tolist()}, x.tolist()):
        found = asked(server, "POST", "/invocations", body, content_type="application/json").json
        rows = found["predictions"] if isinstance(found, dict) else found
        assert floats(rows).tobytes() == expected.tobytes()
    columns = asked(server, "POST", "/invocations", {"inputs": x.tolist()})
    assert floats(columns.json["outputs"]).tobytes() == expected.tobytes()
    loading = {"model_name": "other", "url": str(root / "digits" / "1")}
    assert asked(server, "POST", "/models", loading).status == 200
    assert asked(server, "POST", "/models", loading).status == 409
    names = [m["modelName"] for m in asked(server, "GET", "/models").json["models"]]
    assert "other" in names
    found = asked(server, "POST", "/models/other/invoke", {"instances": x.tolist()}).json
    first = exported(classifier(1))(x).numpy()
    assert floats(found["predictions"]).tobytes() == first.tobytes()
    assert asked(server, "DELETE", "/models/other").status == 200
    assert asked(server, "GET", "/models/other").status == 404
    gone = {"model_name": "gone", "url": str(root / "nothing")}
    assert asked(server, "POST", "/models", gone).status == 404


def test_azure_and_kserve(profile: Callable[..., Server]) -> None:
    x = inputs(1)
    expected = exported(classifier(3))(x).numpy()
    azure = profile("azure", tokens={"digits": "t"})
    for path in ("/", "/liveness", "/readiness"):
        assert asked(azure, "GET", path).status == 200
    json = {"content_type": "application/json"}
    assert asked(azure, "POST", "/score", {"data": x.tolist()}, **json).status == 401
    found = asked(azure, "POST", "/score", {"data": x.tolist()}, authorization="Bearer t", **json)
    assert floats(found.json).tobytes() == expected.tobytes()
    kserve = profile("kserve")
    assert asked(kserve, "GET", "/v1/models").json == {"models": ["digits", "pictures"]}
    assert asked(kserve, "GET", "/v1/models/digits").json == {"name": "digits", "ready": True}
    found = asked(kserve, "POST", "/v1/models/digits:predict", {"instances": x.tolist()})
    assert floats(found.json["predictions"]).tobytes() == expected.tobytes()


def test_a_profile_needs_to_know_which_model_is_meant(profile: Callable[..., Server]) -> None:
    server = profile("sagemaker", model=None)
    found = asked(server, "POST", "/invocations", {"instances": [[0] * 6]})
    assert found.status == 412 and "--model NAME" in found.json["error"]
