"""`argand_client`: over HTTP and gRPC, arguments held against signatures, tries, threads."""

from __future__ import annotations

import asyncio
import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rpc import SAVED, Everything, everything, values
from served import classifier, exported, inputs, put

import argand as ag
import argand_client
import argand_client.transport
from argand import nn
from argand.serve import AsyncClient, Client, ServeError, Server, Status
from argand.serve.errors import ServeError as ServerError
from argand.serve.version import ModelVersion


class Pair(nn.Module):
    """Gives a tuple."""

    def forward(self, x: Any) -> Any:
        """The sum and the double."""
        return x.sum(), x * 2


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models."""
    root = tmp_path_factory.mktemp("models")
    program = exported(classifier(), most=64)
    module = classifier()
    program.add_signature("first", module[0], (ag.ones(1, 6),))
    put(program, root, "digits", 1)
    put(everything(tuple(d for d in SAVED if d.kind != "c")), root, "every", 1)
    put(ag.export.export(Pair(), (ag.ones(3),)), root, "pair", 1)
    named = {"a": ag.ones(2), "b": ag.ones(1)}
    put(ag.export.export(Everything(), (), named), root, "named", 1)
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Server]:
    """A server of both protocols."""
    with Server([root], port=0, grpc_port=0) as server:
        yield server


@pytest.fixture(params=["http", "grpc"])
def url(request: Any, server: Server) -> str:
    """The address, by protocol."""
    return server.url if request.param == "http" else f"grpc://127.0.0.1:{server.grpc_port}"


def test_answers_have_the_bits_and_the_structure_of_the_program(url: str) -> None:
    x = inputs(3)
    program = exported(classifier())
    with Client(url, "digits") as client:
        assert client.predict(x).tobytes() == program(x).numpy().tobytes()
        assert client.predict(input=x.tolist()).tobytes() == program(x).numpy().tobytes()
        assert client.infer({"input": x}).keys() == {"output"}
        assert client.is_ready()
    with Client(url, "pair") as client:
        total, double = client.predict(np.arange(3, dtype=np.float32))
        assert (float(total), double.tolist()) == (3.0, [0, 2, 4])
    with Client(url, "named") as client:
        found = client.predict(b=[4], a=[1, 2])
        assert {name: x.tolist() for name, x in found.items()} == {"a": [1, 2], "b": [4]}


def test_signatures_are_attributes(url: str) -> None:
    x = inputs(1)
    with Client(url, "digits") as client:
        assert str(client.signature) == "(input: FP32(?, 6))"
        assert sorted(client.signatures) == ["first", "serving_default"]
        assert client.first.signature.outputs[0].shape == (1, 8)
        np.testing.assert_array_equal(client.first(x), classifier()[0](ag.tensor(x)).detach())
        with pytest.raises(AttributeError, match="no attribute or signature 'second'"):
            _ = client.second


@pytest.mark.parametrize("rows", [0, 3])
def test_every_dtype(url: str, rows: int) -> None:
    given = {d.name: values(d, rows) for d in SAVED if d.kind != "c"} | {"scale": np.array(2.5)}
    with Client(url, "every") as client:
        for name, found in client.infer(given).items():
            assert found.dtype == given[name].dtype
            assert found.tobytes() == given[name].tobytes(), name


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ({"imput": inputs(1)}, "imput", "did you mean input"),
        ({"input": inputs(1)[0]}, "input", r"the shape \(\?, 6\), got \(6\)"),
        ({"input": inputs(1)[:, :5]}, "input", r"the shape \(\?, 6\), got \(1, 5\)"),
        ({"input": inputs(1).astype(np.float64)}, "input", "is FP32, got float64"),
        ({"input": [[None] * 6]}, "input", "takes FP32, got NoneType"),
        ({"input": [[1j] * 6]}, "input", "can't hold these numbers"),
        ({"input": [[1.0] * 6, [1.0]]}, "input", "the lists have different lengths"),
    ],
)
def test_what_does_not_fit_is_not_sent(
    url: str, given: Any, field: str, message: str, monkeypatch: Any
) -> None:
    with Client(url, "digits") as client:
        assert client.signature
        with monkeypatch.context() as patch, pytest.raises(ServeError, match=message) as caught:
            patch.setattr(client, "_transport", None)
            client.infer(given)
    assert (caught.value.status, caught.value.field) == (Status.INVALID_ARGUMENT, field)
    assert isinstance(caught.value, argand_client.ServeError)
    assert isinstance(caught.value, ServerError | ag.ArgandError)


def test_errors_of_the_server_have_status_and_field(url: str) -> None:
    with Client(url, "digits") as client, pytest.raises(ServeError, match="rows is 65") as caught:
        client.predict(inputs(65))
    assert (caught.value.status, caught.value.field) == (Status.INVALID_ARGUMENT, "rows")
    with Client(url, "digit") as client, pytest.raises(ServeError, match="digits") as caught:
        client.predict(inputs(1))
    assert caught.value.status is Status.NOT_FOUND
    with Client(url) as client, pytest.raises(ServeError, match="has 4 models"):
        client.predict(inputs(1))
    with pytest.raises(ServeError, match="lacks the input"), Client(url, "digits") as client:
        client.predict()


def test_one_client_for_many_threads_and_the_async_one(url: str) -> None:
    program = exported(classifier())
    xs = [inputs(1 + i % 3, i) for i in range(40)]
    expected = [program(x).numpy().tobytes() for x in xs]
    with Client(url, "digits") as client, ThreadPoolExecutor(8) as threads:
        assert [y.tobytes() for y in threads.map(client.predict, xs)] == expected

    async def ask() -> list[bytes]:
        async with AsyncClient(url, "digits") as client:
            assert await client.is_ready()
            assert (await client.signature()).inputs[0].name == "input"
            return [y.tobytes() for y in await asyncio.gather(*map(client.predict, xs))]

    assert asyncio.run(ask()) == expected


def test_a_url_of_another_kind() -> None:
    with pytest.raises(ValueError, match="begins with http"):
        Client("ftp://x")


# -- servers that fail -----------------------------------------------------------------------------


class Flaky(http.server.BaseHTTPRequestHandler):
    """Answers what the list says, one after the other."""

    protocol_version = "HTTP/1.1"
    answers: list[Any]
    asked: int

    def do_GET(self) -> None:
        """The next answer."""
        self.server.asked += 1  # type: ignore[attr-defined]
        answer = self.server.answers.pop(0)  # type: ignore[attr-defined]
        if answer == "cut":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        after = None
        if isinstance(answer, tuple):
            answer, after = answer
        if isinstance(answer, float):
            time.sleep(answer)
            answer = 200
        body = json.dumps({"inputs": [], "outputs": [], "error": "later"}).encode()
        self.send_response(answer)
        self.send_header("Content-Length", str(len(body)))
        if answer == 429 or after is not None:
            self.send_header("Retry-After", after or "0")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class FlakyServer(http.server.ThreadingHTTPServer):
    """Waits for its threads, and says nothing of clients that have gone."""

    daemon_threads = False

    def handle_error(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def flaky() -> Iterator[Any]:
    """A server that answers a list."""
    server = FlakyServer(("127.0.0.1", 0), Flaky)
    server.answers, server.asked = [], 0  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def _client(server: Any, **options: Any) -> Client:
    return Client(f"http://127.0.0.1:{server.server_port}", "m", backoff=0.001, **options)


@pytest.mark.parametrize("answers", [[503, 429, 200], ["cut", 200], [200]])
def test_a_server_that_is_busy_is_asked_again(flaky: Any, answers: list[Any]) -> None:
    flaky.answers[:] = list(answers)
    with _client(flaky) as client:
        assert client.signature.inputs == ()
    assert flaky.asked == len(answers)


def test_other_errors_are_told_at_once_and_tries_have_an_end(flaky: Any) -> None:
    flaky.answers[:] = [400, 503, 503, 503, 0.5]
    with _client(flaky, retries=2) as client:
        for status in (Status.INVALID_ARGUMENT, Status.UNAVAILABLE):
            with pytest.raises(ServeError, match="later") as caught:
                _ = client.signature
            assert caught.value.status is status
    assert flaky.asked == 4
    with _client(flaky, timeout=0.1) as client, pytest.raises(ServeError) as caught:
        _ = client.signature
    assert caught.value.status is Status.DEADLINE_EXCEEDED


class Clock:
    """The time of a client that sleeps in no time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of all clients."""
    clock = Clock()
    monkeypatch.setattr(argand_client.transport, "time", clock)
    return clock


def test_a_server_that_says_when_it_will_answer_is_awaited(flaky: Any, clock: Clock) -> None:
    flaky.answers[:] = [(503, "1")] * 20 + [200]
    with _client(flaky, retries=2) as client:
        assert client.signature.inputs == ()
    assert clock.slept == [1.0] * 20
    flaky.answers[:] = [(503, "2")] * 10
    for options, asked in (({"timeout": 9.0}, 5), ({"retries": 0}, 1), ({"timeout": None}, 4)):
        flaky.asked = 0
        with _client(flaky, **({"retries": 3} | options)) as client, pytest.raises(ServeError):
            _ = client.signature
        assert flaky.asked == asked, options


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_an_unloaded_model_is_told_soon_and_one_that_loads_is_awaited(
    root: Path, kind: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = inputs(1)
    with Server([root], port=0, grpc_port=0) as server:
        url = server.url if kind == "http" else f"grpc://127.0.0.1:{server.grpc_port}"
        with Client(url, "digits") as client:
            expected = client.predict(x)
            server.call(lambda: server.engine.unload("digits"))
            with pytest.raises(ServeError, match="not loaded until that is asked for") as caught:
                client.predict(x)
            assert (caught.value.status, caught.value.retry_after) == (Status.UNAVAILABLE, None)
            assert (len(clock.slept), sum(clock.slept) < 2) == (5, True)
            clock.slept.clear()
            begun, ready = threading.Event(), threading.Event()
            warm = ModelVersion.warm

            def warm_when_ready(self: ModelVersion) -> None:
                begun.set()
                assert ready.wait(60)
                warm(self)

            monkeypatch.setattr(ModelVersion, "warm", warm_when_ready)
            with ThreadPoolExecutor(1) as threads:
                loading = threads.submit(server.call, lambda: server.engine.load("digits"))
                monkeypatch.setattr(clock, "sleep", lambda seconds: _until(ready, clock, loading))
                assert begun.wait(60)
                assert client.predict(x).tobytes() == expected.tobytes()
            assert clock.slept


def _until(ready: threading.Event, clock: Clock, loading: Any) -> None:
    clock.slept.append(0.0)
    if len(clock.slept) > 8:
        ready.set()
        loading.result()


def test_a_connection_that_was_closed_meanwhile_is_replaced(flaky: Any) -> None:
    flaky.answers[:] = [200, "cut", 200]
    with _client(flaky, retries=0) as client:
        assert client.signature
        client.refresh()
        assert client.signature
    assert flaky.asked == 3


def test_no_server_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for scheme in ("http", "grpc"):
        url = f"{scheme}://127.0.0.1:{port}"
        with Client(url, "m", retries=1, backoff=0.001, timeout=5) as client:
            with pytest.raises(ServeError) as caught:
                _ = client.signature
            assert caught.value.status is Status.UNAVAILABLE
