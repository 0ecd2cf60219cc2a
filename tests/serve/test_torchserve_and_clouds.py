"""TorchServe's protocol, the clouds' paths, and the handlers that a card describes."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from pictures import picture, put_pictures
from served import classifier, exported, inputs, put
from web import asked, floats

pytest.importorskip("httptools")

import argand as ag
from argand import nn
from argand.base.errors import ArgumentError
from argand.serve import ServeError, Server, Status
from argand.serve.handlers import tables
from argand.serve.http.asking import LARGE
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
        ({"instances": [{"data": text}]}, "application/json"),
        ([{"body": text}], "application/json"),
        (b"data=" + quote(text).encode(), "application/x-www-form-urlencoded"),
        (file, "application/x-www-form-urlencoded"),  # as curl sends --data-binary
    ]
    for i, (body, kind) in enumerate(bodies):
        method = "POST" if i else "PUT"
        found = asked(server, method, "/predictions/pictures", body, content_type=kind)
        assert found.status == 200, found.body
        assert next(iter(found.json)) == best
        assert found.json[best] == pytest.approx(float((shares / shares.sum()).max()), rel=1e-5)
    rows = asked(server, "POST", "/v1/models/pictures:predict", {"instances": [{"b64": text}]})
    assert floats(rows.json["predictions"][0]).tobytes() == scores.tobytes()
    rows = asked(server, "POST", "/v1/models/pictures:predict", {"instances": [{"data": text}]})
    assert floats(rows.json["predictions"][0]).tobytes() == scores.tobytes()
    part = form + file + b"\r\n"
    two = asked(
        server, "POST", "/predictions/pictures", part * 2 + b"--x--\r\n",
        content_type="multipart/form-data; boundary=x",
    )  # fmt: skip
    assert [next(iter(row)) for row in two.json] == [best, best]


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
        ("/predictions/digits/7", b"x", 404, "ModelVersionNotFoundException"),
        ("/predictions/pictures", b"no image", 400, "BadRequestException"),
        ("/explanations/digits", b"x", 501, "MethodNotAllowedException"),
    ):
        found = asked(server, "POST", path, body)
        assert (found.status, found.json["code"], found.json["type"]) == (status, status, kind)
        assert found.json["message"]


def test_wrong_methods_have_one_status(server: Server) -> None:
    found = asked(server, "GET", "/predictions/digits")
    assert (found.status, found.json["code"]) == (405, 405)
    assert found.json["type"] == "MethodNotAllowedException"
    assert found.headers["allow"] == "OPTIONS, POST, PUT"


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


def test_workers_are_scaled(server: Server) -> None:
    def scaled(query: str) -> Any:
        return asked(server, "PUT", f"/models/digits{query}", **MANAGER)

    found = scaled("?min_worker=3&synchronous=true")
    assert (found.status, found.json["status"]) == (200, "Workers scaled to 3 for model: digits")
    described = asked(server, "GET", "/models/digits?customized=true", **MANAGER).json[0]
    assert (described["minWorkers"], described["maxWorkers"]) == (3, 3)
    assert [w["status"] for w in described["workers"]] == ["READY"] * 3
    told = json.loads(described["customizedMetadata"])
    assert list(told["signatures"]) == ["serving_default"]
    assert server.call(lambda: server.engine.find("digits").workers) == 3
    x = inputs(2).tolist()
    expected = exported(classifier(3))(inputs(2)).numpy()
    for _ in range(5):
        found = asked(server, "POST", "/predictions/digits", x, content_type="application/json")
        assert floats(found.json).tobytes() == expected.tobytes()
    found = scaled("/3.0?min_worker=1")
    assert (found.status, found.json["status"]) == (202, "Processing worker updates...")
    for query, field in (
        ("?min_worker=3&max_worker=2", "max_worker"),
        ("?min_worker=0", "min_worker"),
        ("?min_worker=65", "min_worker"),
        ("?min_worker=-1", "min_worker"),
        ("?min_worker=1&synchronous=maybe", "synchronous"),
    ):
        found = scaled(query)
        assert (found.status, found.json["type"]) == (400, "BadRequestException")
        assert found.headers["x-error-field"] == field
    assert scaled("/9.0?min_worker=1").json["type"] == "ModelVersionNotFoundException"


def test_models_are_registered_with_options(server: Server) -> None:
    taken = asked(server, "POST", "/models?url=pictures", **MANAGER)
    assert (taken.status, taken.json["type"]) == (409, "ConflictStatusException")
    assert asked(server, "DELETE", "/models/pictures/1.0", **MANAGER).status == 200
    options = {"url": "pictures.mar", "batch_size": 4, "max_batch_delay": 7, "initial_workers": 2}
    answer = asked(server, "POST", "/models", options, content_type="application/json", **MANAGER)
    assert (answer.status, answer.json["status"]) == (202, "Processing worker updates...")
    (found,) = asked(server, "GET", "/models/pictures/1.0", **MANAGER).json
    assert (found["batchSize"], found["maxBatchDelay"], found["minWorkers"]) == (4, 7, 2)
    for query in ("batch_size=0", "batch_size=x", "response_timeout=-1", "initial_workers=1e3"):
        answer = asked(server, "POST", f"/models?url=pictures&{query}", **MANAGER)
        assert answer.status == 400 and answer.headers["x-error-field"] == query.split("=")[0]


def test_the_api_describes_itself(server: Server) -> None:
    for method, path in (("OPTIONS", "/"), ("GET", "/api-description")):
        assert asked(server, method, path).json["openapi"].startswith("3.")
    paths = asked(server, "OPTIONS", "/predictions/digits").json["paths"]
    assert "/predictions/digits" in paths and not any("pictures" in path for path in paths)
    assert asked(server, "OPTIONS", "/predictions/nothing").status == 404


def test_tables_go_in_and_out(profile: Callable[..., Server]) -> None:
    server = profile("sagemaker")
    x = inputs(3)
    expected = exported(classifier(3))(x).numpy()
    npy = {"content_type": "application/x-npy", "accept": "application/x-npy"}
    for array in (x, np.asfortranarray(x), x.astype(np.float64)):
        found = asked(server, "POST", "/invocations", tables.npy_of(array), **npy)
        assert found.headers["content-type"] == "application/x-npy"
        assert np.load(io.BytesIO(found.body)).tobytes() == expected.tobytes()
    lines = "\n".join(",".join(map(repr, row)) for row in x.tolist()).encode()
    found = asked(server, "POST", "/invocations", lines, content_type="text/csv", accept="text/csv")
    rows = [line.split(",") for line in found.body.decode().splitlines()]
    assert floats(rows).tobytes() == expected.tobytes()
    whole = tables.npy_of(x)
    objects = io.BytesIO()
    np.save(objects, np.array([None, 1]), allow_pickle=True)
    longer = whole.replace(b"(3, 6)", b"(9, 6)")
    for kind, body in (
        ("application/x-npy", b"x"),
        ("application/x-npy", whole[:-1]),
        ("application/x-npy", longer),
        ("application/x-npy", objects.getvalue()),
        ("application/x-npy", whole.replace(b"(3, 6)", b"(-3,6)")),
        ("text/csv", b""),
        ("text/csv", b"1,2\n3"),
        ("text/csv", b"\xff"),
        ("text/csv", b"a,b"),
    ):
        found = asked(server, "POST", "/invocations", body, content_type=kind)
        assert found.status == 400 and found.headers["x-error-field"] in ("body", "input"), found


def test_sagemakers_own_paths(profile: Callable[..., Server]) -> None:
    server = profile("sagemaker")
    x = inputs(2)
    expected = exported(classifier(3))(x).numpy()
    path, body = "/endpoints/anything/invocations", {"instances": x.tolist()}
    found = asked(server, "POST", path, body, x_amzn_sagemaker_target_model="digits.tar.gz")
    assert floats(found.json["predictions"]).tobytes() == expected.tobytes()
    assert found.headers["x-amzn-invoked-production-variant"] == "AllTraffic"
    wrong = asked(server, "POST", path, {"instances": [[1]]})
    assert (wrong.status, wrong.json["OriginalStatusCode"]) == (424, 400)
    assert "'input'" in wrong.json["OriginalMessage"]
    assert wrong.headers["x-amzn-errortype"] == "ModelError"


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


def test_large_bodies_are_answered_alike_by_all_protocols(tmp_path: Path) -> None:
    """They are read on threads."""
    shapes = ({0: ag.Dim("n")},)
    put(ag.export.export(nn.Flatten(), (ag.ones(2, 3),), dynamic_shapes=shapes), tmp_path, "m", 1)
    x = np.random.default_rng(0).standard_normal((9000, 3)).astype(np.float32)
    rows = json.dumps({"instances": x.tolist()}).encode()
    assert len(rows) > 2 * LARGE
    named = json.dumps({"instances": [{"input": row} for row in x.tolist()]}).encode()
    flat = {"name": "input", "shape": x.shape, "datatype": "FP32", "data": x.ravel().tolist()}
    with Server(tmp_path, port=0) as server:
        for where, body, key in (
            ("/v1/models/m:predict", rows, "predictions"),
            ("/v1/models/m:predict", named, "predictions"),
            ("/v1/models/m:predict", rows.replace(b"instances", b"inputs"), "outputs"),
            ("/v2/models/m/infer", json.dumps({"inputs": [flat]}).encode(), "outputs"),
            ("/predictions/m", rows, None),
        ):
            answer = asked(server, "POST", where, body)
            assert answer.status == 200, answer.body[:200]
            found = answer.json if key is None else answer.json[key]
            found = found[0]["data"] if where.startswith("/v2") else found
            assert floats(found).tobytes() == x.tobytes()
        ragged = rows[:-2] + b", [1, 2]]}"
        refused = asked(server, "POST", "/v1/models/m:predict", ragged)
        assert (refused.status, refused.headers["X-Error-Field"]) == (400, "input")


def test_vertex(profile: Callable[..., Server]) -> None:
    environment = {"AIP_HEALTH_ROUTE": "/alive", "AIP_PREDICT_ROUTE": "/v1/endpoints/1:predict"}
    server = profile("vertex", environment=environment)
    x = inputs(2)
    assert asked(server, "GET", "/alive").status == 200
    body = {"instances": x.tolist(), "parameters": {}}
    found = asked(server, "POST", "/v1/endpoints/1:predict", body).json
    expected = exported(classifier(3))(x).numpy()
    assert floats(found["predictions"]).tobytes() == expected.tobytes()
    form = {"content_type": "application/x-www-form-urlencoded"}  # as curl -d sends it
    assert asked(server, "POST", "/v1/endpoints/1:predict", body, **form).json == found
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
    with pytest.MonkeyPatch.context() as patch:

        def add(*_: Any) -> None:
            raise ServeError(Status.RESOURCE_EXHAUSTED, "not enough memory")

        patch.setattr(server.engine, "add", add)
        full = {"model_name": "more", "url": str(root / "digits" / "1")}
        assert asked(server, "POST", "/models", full).status == 507
    gone = {"model_name": "gone", "url": str(root / "nothing")}
    assert asked(server, "POST", "/models", gone).status == 404


def test_azure_and_kserve(profile: Callable[..., Server]) -> None:
    x = inputs(1)
    expected = exported(classifier(3))(x).numpy()
    azure = profile("azure", tokens={"digits": "t"})
    for path in ("/", "/liveness", "/readiness"):
        assert asked(azure, "GET", path).status == 200
    kind = {"content_type": "application/json"}
    assert asked(azure, "POST", "/score", {"data": x.tolist()}, **kind).status == 401
    found = asked(azure, "POST", "/score", {"data": x.tolist()}, authorization="Bearer t", **kind)
    assert floats(found.json).tobytes() == expected.tobytes()
    table = {"columns": list("abcdef"), "index": [0], "data": x.tolist()}
    for given in (x.tolist(), table, {"input": x.tolist()}):
        body = {"input_data": given}
        found = asked(azure, "POST", "/score", body, authorization="Bearer t", **kind)
        assert floats(found.json).tobytes() == expected.tobytes()
    assert asked(azure, "GET", "/swagger.json", authorization="Bearer t").json["openapi"]
    kserve = profile("kserve")
    assert asked(kserve, "GET", "/").json == {"status": "alive"}
    assert b"<html" in asked(kserve, "GET", "/", accept="text/html").body
    assert asked(kserve, "GET", "/v1/models").json == {"models": ["digits", "pictures"]}
    assert asked(kserve, "GET", "/v1/models/digits").json == {"name": "digits", "ready": True}
    found = asked(kserve, "POST", "/v1/models/digits:predict", {"instances": x.tolist()})
    assert floats(found.json["predictions"]).tobytes() == expected.tobytes()


def test_a_profile_needs_to_know_which_model_is_meant(profile: Callable[..., Server]) -> None:
    server = profile("sagemaker", model=None)
    found = asked(server, "POST", "/invocations", {"instances": [[0] * 6]})
    assert found.status == 412 and "--model NAME" in found.json["error"]
