"""What errors say: the field that is at fault, what came, and what would have been right."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import classifier, exported, put, run
from web import asked

grpc = pytest.importorskip("grpc")
for needed in ("httptools", "msgspec", "prometheus_client"):
    pytest.importorskip(needed)

import argand as ag
from argand import nn
from argand.serve import Client, Engine, Limits, ServeError, Server
from argand.serve.execution import InProcess


class Switched(nn.Module):
    """A number a row, or nothing of it."""

    def forward(self, x: Any, on: Any, count: Any) -> Any:
        return x * on.unsqueeze(1) + count.unsqueeze(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("models")
    put(exported(classifier()), root, "digits", 1)
    rows = {0: ag.Dim("rows")}
    example = (ag.ones(2, 3), ag.ones(2, dtype=ag.bool), ag.ones(2, dtype=ag.int64))
    program = ag.export.export(Switched(), example, dynamic_shapes=(rows, rows, rows))
    put(program, root, "switched", 1)
    limits = Limits(body=10_000)
    with Server(root, port=0, grpc_port=0, limits=limits, token="secret") as running:
        yield running


@pytest.mark.parametrize(
    ("path", "body", "status", "field", "said"),
    [
        ("/v1/models/dogits:predict", {"instances": [1]}, 404, "model", "did you mean digits"),
        ("/v2/models/dogits/infer", {"inputs": []}, 404, "model", "did you mean digits"),
        ("/predictions/dogits", [1], 404, "model", "did you mean digits"),
        ("/v1/models/digits/versions/9:predict", {"instances": [1]}, 404, "version", "there are 1"),
        ("/v1/models/digits:predict", {"instances": [[1] * 9999]}, 413, "body", "10,000 bytes"),
        ("/v1/completions", {"model": "digits", "prompt": "x"}, 404, "model", "generates no text"),
    ],
)
def test_what_is_not_there_or_too_large_is_named(
    server: Server, path: str, body: Any, status: int, field: str, said: str
) -> None:
    answer = asked(server, "POST", path, body)
    assert (answer.status, answer.headers["X-Error-Field"]) == (status, field)
    assert said.encode() in answer.body


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("on", [2], "on is bool, got a number 2"),
        ("on", [True, 0], "on is bool, got a number 0"),
        ("on", ["yes"], 'on takes numbers, on: bool(rows), got "yes"; that it is a text'),
        ("count", [1, 2.5], "count is int64, got a number 2.5"),
        ("count", [None], "count is int64, got null"),
        ("count", [1, 2**70], "count: 1180591620717411303424 is out of the range of int64"),
        ("count", [2**200], "count: a number above 1e38 is out of the range of int64"),
        ("x", [[1, 2, -(2**2000)]], "x: a number below -1e38 is out of the range of float64"),
        ("x", [[1, 2, "3"]], 'x is float32, got a string "3"'),
    ],
)
def test_what_came_is_shown(server: Server, field: str, value: Any, said: str) -> None:
    inputs = {"x": [[1, 2, 3]], "on": [True], "count": [1]} | {field: value}
    answer = asked(server, "POST", "/v1/models/switched:predict", {"inputs": inputs})
    assert (answer.status, answer.headers["X-Error-Field"]) == (400, field)
    assert answer.json["error"].startswith(said)


def test_parts_of_a_form_that_are_cut_off_are_told_with_the_place(server: Server) -> None:
    parts = {"x": "[[1, 2, 3]]", "on": "[true]", "count": "[1"}
    lines = [
        f'--b\r\ncontent-disposition: form-data; name="{n}"\r\n\r\n{v}' for n, v in parts.items()
    ]
    body = ("\r\n".join(lines) + "\r\n--b--\r\n").encode()
    kind = "multipart/form-data; boundary=b"
    answer = asked(server, "POST", "/predictions/switched", body, content_type=kind)
    assert (answer.status, answer.headers["X-Error-Field"]) == (400, "count")
    assert "got 2 bytes that are no JSON (Expecting ',' delimiter" in answer.json["message"]


def test_seconds_and_tokens(server: Server) -> None:
    body = {"instances": [[0] * 6]}
    answer = asked(server, "POST", "/v1/models/digits:predict", body, x_request_timeout="0")
    assert "a number of seconds above 0, got '0'" in answer.json["error"]
    path = "/v2/repository/models/digits/unload"
    assert asked(server, "POST", path).json["error"].endswith("Bearer TOKEN`")
    wrong = asked(server, "POST", path, authorization="Bearer wrong")
    assert wrong.status == 401
    assert wrong.json["error"].endswith("the token that came is another one")


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_clients_are_told_the_model_that_is_not_there(server: Server, kind: str) -> None:
    url = server.url if kind == "http" else f"grpc://127.0.0.1:{server.grpc_port}"
    with Client(url, "dogits") as client, pytest.raises(ServeError, match="digits") as caught:
        client.predict(ag.ones(1, 6).numpy())
    assert caught.value.field == "model"


def test_why_no_version_answers_yet(tmp_path: Path) -> None:
    put(exported(classifier()), tmp_path, "digits", 7)

    async def ask() -> str:
        ready = asyncio.Event()

        class Waits(InProcess):
            async def load(self, version: Any) -> None:
                await ready.wait()

        engine = Engine([tmp_path], executor=lambda version: Waits())
        loading = asyncio.create_task(engine.poll())
        while not engine.models or not engine.models["digits"].versions:
            await asyncio.sleep(0.001)
        with pytest.raises(ServeError) as caught:
            engine.find("digits")
        ready.set()
        await loading
        await engine.close()
        return str(caught.value)

    assert run(ask()) == "no version of digits is ready: version 7 is being loaded"


def test_a_server_without_models_says_where_it_looks(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with Server(tmp_path, port=0):
        said = f"no model in {tmp_path}: one lies in NAME/1/model.argand (or .onnx)"
        assert said in caplog.messages


def test_each_folder_without_models_is_told(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("full", "empty", "other"):
        (tmp_path / name).mkdir()
    put(exported(classifier()), tmp_path / "full", "digits", 1)
    with Server([tmp_path / name for name in ("empty", "full", "other")], port=0):
        where = f"{tmp_path / 'empty'}, {tmp_path / 'other'}"
        assert f"no model in {where}: one lies in NAME/1/model.argand (or .onnx)" in caplog.messages


def test_the_log_says_where_grpc_listens_and_what_is_unloaded(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "argand.serve")
    put(exported(classifier()), tmp_path, "digits", 1)
    with Server(tmp_path, port=0, grpc_port=0, token="secret") as server:
        said = f"serving digits at {server.url}, gRPC at 127.0.0.1:{server.grpc_port}"
        assert said in caplog.messages
        path, token = "/v2/repository/models/digits/", "Bearer secret"
        assert asked(server, "POST", path + "unload", authorization=token).status == 200
        assert "digits version 1 is unloaded" in caplog.messages
        answer = asked(server, "POST", "/v1/models/digits:predict", {"instances": [[0] * 6]})
        assert answer.status == 503
        assert answer.json["error"].endswith("it is not loaded until that is asked for")
        assert asked(server, "POST", path + "load", authorization=token).status == 200
