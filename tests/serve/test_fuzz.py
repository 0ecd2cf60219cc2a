"""Requests drawn at random that are wrong in a place or two; and what such have shown before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import grpc
import pytest
from fuzz import JSON, Draw, fuzz, server
from rpc import Stub
from served import inputs
from web import asked

pytest.importorskip("httptools")

from argand.serve import Server
from argand_client.definitions import messages

MANAGER = {"authorization": "Bearer secret", "content_type": "application/json"}


def test_wrong_requests_are_told_what_is_wrong() -> None:
    assert fuzz(range(400), tell=lambda fault: None) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_wrong_requests_are_told_what_is_wrong() -> None:
    """Nothing but the lines on memory, which stays below twice of what it was in the beginning."""
    told: list[str] = []
    assert fuzz(range(1000, 101_000), tell=told.append) == []
    sizes = [int(line.split()[2]) for line in told]
    assert max(sizes) < 2 * sizes[1], sizes


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root: Path = tmp_path_factory.mktemp("models")
    with server(root) as found:
        yield found


def test_errors_name_their_field(running: Server) -> None:
    """The header of each of some hundred errors, whatever the protocol."""
    seen = 0
    for seed in range(400):
        draw = Draw(seed)
        method, path, value = draw.random.choice(JSON)
        if value is None:
            continue
        body = draw.text(draw.changed(value))
        found = asked(running, method, path, body, **MANAGER)
        if found.status in (400, 413, 501):
            seen += 1
            assert found.headers["x-error-field"] or b"no input ''" in found.body, (path, found)
    assert seen > 150


def test_parts_of_the_wrong_kind_are_named(running: Server) -> None:
    tensor = {"name": "input", "shape": [1, "6"], "datatype": "FP32", "data": [1] * 6}
    for body, field in (
        ({"inputs": [tensor]}, "inputs[0].shape[1]"),
        ({"inputs": [{"name": "input"}]}, "inputs[0].shape"),
        ({"inputs": 3}, "inputs"),
        ({}, "inputs"),
        ([], "body"),
        (b"{", "body"),
        (b'{"inputs": ' + b"[" * 100_000, "inputs[0]"),
    ):
        found = asked(running, "POST", "/v2/models/digits/infer", body)
        assert (found.status, unquote(found.headers["x-error-field"])) == (400, field), found
        assert field in found.json["error"] or field == "body"


def test_faults_of_before_are_none(running: Server) -> None:
    path = "/v2/repository/models/two/load"
    found = asked(running, "POST", path, {"parameters": True}, **MANAGER)
    assert (found.status, found.headers["x-error-field"]) == (400, "parameters")
    deep = b"[[0.5, " + b"[" * 900 + b"]" * 900 + b"]]"
    assert asked(running, "POST", "/predictions/digits", deep, **MANAGER).status == 400
    found = asked(running, "POST", "/v1/models/letters:predict", {"instances": [1]})
    assert (found.status, "prefill" in found.json["error"]) == (400, True)
    odd = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f4', 'fortran_order': [".ljust(118) + bytes(24)
    part = b'--x\r\nContent-Disposition: form-data; name="x"\r\n\r\n%b\r\n'
    twice = part % b"[1, 2, 3]" + part % b"[1, 2, \x88" + b"--x--\r\n"
    for path, body, kind, field in (
        ("/predictions/digits", odd, "application/x-npy", "body"),
        ("/predictions/two", twice, "multipart/form-data; boundary=x", "x"),
    ):
        found = asked(running, "POST", path, body, content_type=kind)
        assert (found.status, found.headers["x-error-field"]) == (400, field), found
    with grpc.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel:
        infer = messages()("inference.ModelInferRequest")(model_name="digits")
        infer.inputs.add(name="input", datatype="FP32", shape=[1, 6])
        infer.raw_input_contents.append(inputs(1).tobytes())
        asks = infer.outputs.add(name="output").parameters["classification"]
        for field, value in (
            ("string_param", "FP64"),
            ("double_param", float("nan")),
            ("double_param", float("inf")),
            ("int64_param", -1),
            ("int64_param", 2**62),
        ):
            setattr(asks, field, value)
            with pytest.raises(grpc.RpcError) as caught:
                Stub(channel, "inference.GRPCInferenceService").ModelInfer(infer, timeout=20)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "classification" in caught.value.details() or "classes" in caught.value.details()
