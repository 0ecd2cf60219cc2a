"""Readiness apart from liveness, while a server loads and while it ends; signals."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rpc import Stub, serving
from served import classifier, exported, inputs, put, run
from texts import LETTERS, small_model
from web import asked

grpc = pytest.importorskip("grpc")
pytest.importorskip("httptools")

from argand.serve import BatchOptions, ModelOptions, Server, generation
from argand_client.definitions import messages

V2 = "/inference.GRPCInferenceService"


def test_a_server_that_loads_is_alive_and_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(exported(classifier()), tmp_path, "digits", 1)
    server = Server(tmp_path, port=0)
    may_load = threading.Event()
    poll = server.engine.poll

    async def late() -> None:
        await asyncio.to_thread(may_load.wait, 20)
        await poll()

    monkeypatch.setattr(server.engine, "poll", late)
    starting = threading.Thread(target=server.start)
    starting.start()
    rows = {"instances": inputs(1).tolist()}
    try:
        while server._connections is None or not server.port:
            time.sleep(0.001)
        assert asked(server, "GET", "/livez").status == 200
        answer = asked(server, "GET", "/readyz")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert asked(server, "GET", "/v2/health/live").status == 200
        assert asked(server, "GET", "/v2/health/ready").json == {"ready": False}
        for path in ("/v1/models/digits:predict", "/v2/models/digits/infer", "/predictions/digits"):
            answer = asked(server, "POST", path, rows)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    finally:
        may_load.set()
        starting.join()
    with server:
        for path in ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/ping"):
            assert asked(server, "GET", path).status == 200
        assert asked(server, "POST", "/v1/models/digits:predict", rows).status == 200


@pytest.mark.timeout(60)
def test_a_server_that_ends_is_not_ready_and_a_second_signal_cuts(tmp_path: Path) -> None:
    put(exported(classifier()), tmp_path, "digits", 1)
    server = Server(tmp_path, port=0, grpc_port=0, drain=600).start()

    ended = threading.Event()

    def nothing() -> Iterator[bytes]:
        ended.wait(60)
        yield from ()

    with contextlib.ExitStack() as opened:
        opened.callback(ended.set)
        half = opened.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        half.sendall(b"POST /v1/models/digits:predict HTTP/1.1\r\ncontent-length: 9\r\n\r\nabc")
        channel = opened.enter_context(grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}"))
        stream = channel.stream_stream(f"{V2}/ModelStreamInfer")(nothing())
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert status_of(next(watch)) == 1
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        opened.callback(connection.close)
        connection.request("GET", "/readyz")
        assert connection.getresponse().read() == b'{"status":"ok"}'
        server.call(server._on_signal)
        connection.request("GET", "/readyz")  # over a connection that was there
        assert connection.getresponse().status == 503
        assert status_of(next(watch)) == 2
        with pytest.raises(grpc.RpcError) as caught:
            next(watch)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        half.settimeout(0.1)
        with pytest.raises(TimeoutError):
            half.recv(1)  # what has begun has all of the time
        server.call(server._on_signal)
        half.settimeout(20)
        with contextlib.suppress(ConnectionResetError):
            assert half.recv(1) == b""
        with pytest.raises(grpc.RpcError):
            list(stream)
        server.stop()


def status_of(message: bytes) -> Any:
    return messages()("grpc.health.v1.HealthCheckResponse").FromString(message).status


@pytest.mark.timeout(60)
def test_idle_streams_end_with_the_server_and_what_they_asked_is_answered(tmp_path: Path) -> None:
    put(exported(classifier()), tmp_path, "digits", 1)
    options = ModelOptions(batching=BatchOptions(max_rows=9, max_delay=0.5))
    server = Server(tmp_path, port=0, grpc_port=0, drain=5, models={"digits": options}).start()
    request = messages()("inference.ModelInferRequest")(model_name="digits")
    request.inputs.add(name="input", datatype="FP32", shape=(1, 6))
    request.raw_input_contents.append(inputs(1).tobytes())
    ended = threading.Event()

    def then_nothing(*sent: bytes) -> Iterator[bytes]:
        yield from sent
        ended.wait(60)

    with contextlib.ExitStack() as opened:
        opened.callback(ended.set)
        channel = opened.enter_context(grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}"))
        asks = channel.stream_stream(f"{V2}/ModelStreamInfer")(
            then_nothing(request.SerializeToString())
        )
        others = [
            channel.stream_stream(path)(then_nothing(b""))
            for path in (
                f"{V2}/ModelStreamInfer",
                "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            )
        ]
        for stream in others:
            next(stream)
        while not server.engine.find("digits").in_flight:
            time.sleep(0.001)
        server.stop()  # which is not to wait for `drain`
        assert b"digits" in next(asks)
        for stream in (asks, *others):
            with pytest.raises(grpc.RpcError, match="the server ends") as caught:
                next(stream)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.timeout(60)
def test_who_waits_when_the_time_to_end_is_over_hears_so(tmp_path: Path) -> None:
    put(exported(classifier()), tmp_path, "digits", 1)
    letters = generation.export(small_model(64), context=64, vocabulary=LETTERS)
    put(letters, tmp_path, "letters", 1)
    waits = ModelOptions(batching=BatchOptions(max_rows=9, max_delay=600))
    server = Server(tmp_path, port=0, grpc_port=0, drain=0.3, models={"digits": waits}).start()
    rows = {"instances": inputs(1).tolist()}
    text = {"model": "letters", "prompt": "a", "max_tokens": 9, "stream": True}
    request = messages()("inference.ModelInferRequest")(model_name="digits")
    request.inputs.add(name="input", datatype="FP32", shape=(1, 6))
    request.raw_input_contents.append(inputs(1).tobytes())
    version = server.engine.find("letters")
    scheduler = server.call(lambda: generation.generator_of(version)).scheduler

    async def held() -> None:
        while not all(s.ended for s in scheduler.running):
            await asyncio.sleep(0.001)

    scheduler._step = held
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        with ThreadPoolExecutor(2) as threads:
            posts = [
                threads.submit(asked, server, "POST", *what)
                for what in (("/v1/models/digits:predict", rows), ("/v1/completions", text))
            ]
            call = channel.unary_unary(f"{V2}/ModelInfer").future(request.SerializeToString())
            while server.engine.find("digits").in_flight < 2 or not scheduler.running:
                time.sleep(0.001)
            server.stop()
            row, stream = (post.result() for post in posts)
        assert call.code() is grpc.StatusCode.UNAVAILABLE
    assert (row.status, row.json) == (503, {"error": "serving_default: the model was unloaded"})
    assert (stream.status, stream.body.count(b"data: ")) == (200, 1)
    assert b'"message":"the model is being unloaded"' in stream.body


def test_over_grpc_nothing_is_ready_where_the_server_ends(tmp_path: Path) -> None:
    put(exported(classifier()), tmp_path, "digits", 1)
    kinds = messages()

    async def ready() -> list[bool]:
        async with serving(tmp_path) as (server, channel):
            stub, health = Stub(channel, V2[1:]), Stub(channel, "grpc.health.v1.Health")

            async def states() -> list[bool]:
                asks_health = kinds("grpc.health.v1.HealthCheckRequest")(service="digits")
                asks_model = kinds("inference.ModelReadyRequest")(name="digits")
                return [
                    (await stub.ServerReady(kinds("inference.ServerReadyRequest")())).ready,
                    (await stub.ModelReady(asks_model)).ready,
                    (await health.Check(asks_health)).status == 1,
                ]

            before = await states()
            server.is_draining = True
            return before + await states()

    assert run(ready()) == [True] * 3 + [False] * 3
