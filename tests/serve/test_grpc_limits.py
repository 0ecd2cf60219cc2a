"""The limits of gRPC: connections that say nothing, calls at a time, sizes; and what is logged."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from served import classifier, exported, inputs, put

grpc = pytest.importorskip("grpc")
pytest.importorskip("httptools")

from argand.serve import Limits, Server
from argand.serve.http.log import AccessLog
from argand_client.definitions import DETAILS, RETRY_INFO, messages

V2 = "/inference.GRPCInferenceService"
TRACE = f"00-{'1' * 32}-{'2' * 16}-01"
MOST = 4


class Logged(Server):
    """A server whose access log is kept."""

    def make_app(self) -> Any:
        app = super().make_app()
        self.written = io.BytesIO()
        self._log = AccessLog(self.written)
        return app


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    root = tmp_path_factory.mktemp("models")
    put(exported(classifier()), root, "digits", 1)
    limits = Limits(body=10_000, elements=600, header=2000, connections=MOST, header_seconds=0.2)
    with Logged(root, port=0, grpc_port=0, limits=limits) as running:
        yield running


@contextlib.contextmanager
def channel(server: Server) -> Iterator[Any]:
    """A connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options) as made:
        yield made


def asked(channel: Any, rows: int = 1, method: str = "ModelInfer", **metadata: str) -> Any:
    """The status, the message and the trailing metadata of an inference."""
    request = messages()("inference.ModelInferRequest")(model_name="digits")
    request.inputs.add(name="input", datatype="FP32", shape=(rows, 6))
    request.raw_input_contents.append(inputs(rows).tobytes())
    given = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
    call = channel.unary_unary(f"{V2}/{method}")
    try:
        _, ended = call.with_call(request.SerializeToString(), timeout=20, metadata=given)
    except grpc.RpcError as error:
        ended = error
    return ended.code(), ended.details(), dict(ended.trailing_metadata() or ())


def test_calls_above_the_limit_are_refused_with_when_to_ask_again(server: Logged) -> None:
    ends = threading.Event()

    def nothing() -> Iterator[bytes]:
        ends.wait(20)
        yield from ()

    with channel(server) as made:
        streams = [made.stream_stream(f"{V2}/ModelStreamInfer")(nothing()) for _ in range(MOST)]
        for _ in range(1000):  # until the streams have begun
            code, message, trailing = asked(made)
            if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
                break
        assert message == f"{MOST} calls are answered already; try again later"
        assert trailing["grpc-retry-pushback-ms"] == "1000"
        (detail,) = messages()("google.rpc.Status").FromString(trailing[DETAILS]).details
        assert detail.type_url == RETRY_INFO
        ends.set()
        assert [list(stream) for stream in streams] == [[]] * MOST
        assert asked(made)[0] is grpc.StatusCode.OK


def test_each_call_has_a_line_and_follows_its_trace(server: Logged) -> None:
    before = len(server.written.getvalue().splitlines())
    with channel(server) as made:
        said = [
            asked(made, x_request_id="answered", traceparent=TRACE, tracestate="v=1"),
            asked(made, rows=101, x_request_id="elements", traceparent=TRACE),
            asked(made, method="Nothing", x_request_id="unknown", traceparent=TRACE),
        ]
    lines = [json.loads(line) for line in server.written.getvalue().splitlines()[before:]]
    assert [line["status"] for line in lines] == ["OK", "TOO_LARGE", "UNIMPLEMENTED"]
    for (code, _, trailing), line in zip(said, lines, strict=True):
        assert line.keys() - {"model", "version"} == {
            "time", "method", "protocol", "status", "seconds", "client", "request_id",
            "trace_id", "span_id", "parent_id",
        }  # fmt: skip
        assert code.name in (line["status"], "RESOURCE_EXHAUSTED")
        assert trailing["x-request-id"] == line["request_id"]
        assert trailing["traceparent"] == f"00-{'1' * 32}-{line['span_id']}-01"
        assert (line["trace_id"], line["parent_id"]) == ("1" * 32, "2" * 16)
        assert line["client"] == "127.0.0.1"
    assert said[0][2]["tracestate"] == "v=1"


@pytest.mark.parametrize(("rows", "metadata"), [(1000, ""), (1, "x" * 5000)])
def test_what_is_too_large_is_refused_and_the_connection_lives(
    server: Logged, rows: int, metadata: str
) -> None:
    with channel(server) as made:
        code, message, _ = asked(made, rows=rows, large=metadata)
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "larger than max" in message or "exceeds hard limit" in message
        assert asked(made)[0] is grpc.StatusCode.OK


def test_connections_that_say_nothing_are_closed_and_have_a_number(server: Logged) -> None:
    with contextlib.ExitStack() as opened, channel(server) as made:
        assert asked(made)[0] is grpc.StatusCode.OK
        address = ("127.0.0.1", server.grpc_port)
        silent = [opened.enter_context(socket.create_connection(address)) for _ in range(2 * MOST)]
        assert asked(made)[0] is grpc.StatusCode.OK  # who is there is not affected
        for client in silent:
            client.settimeout(20)
            with contextlib.suppress(ConnectionResetError):
                while client.recv(1000):
                    pass
    with channel(server) as made:
        assert asked(made)[0] is grpc.StatusCode.OK
