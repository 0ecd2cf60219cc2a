"""Clients that send or read slowly, or not at all: each has its time, and none takes others'."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("httptools")

from echoing import LIMITS, Asked, asked, sent

from argand.serve.http import wire
from argand.serve.http.log import AccessLog

GET = b"GET /echo/x HTTP/1.1\r\nhost: x\r\n\r\n"


class Logged(Asked):
    """A server whose access log is kept."""

    def make_app(self) -> Any:
        app = super().make_app()
        self.written = io.BytesIO()
        app.observers.append(AccessLog(self.written))
        return app

    def lines(self) -> list[dict[str, Any]]:
        """What has been logged so far."""
        return [json.loads(line) for line in self.call(self.written.getvalue).splitlines()]


@pytest.fixture(scope="module")
def server() -> Iterator[Logged]:
    limits = replace(LIMITS, connections=100, idle_seconds=0.3)
    patch = pytest.MonkeyPatch()
    patch.setattr(wire, "_SWEEP", 0.05)
    patch.setattr(wire, "_LINGER", 0.1)
    with Logged([], port=0, limits=limits, drain=2.0) as running:
        yield running
    patch.undo()


@contextlib.contextmanager
def connected(server: Logged) -> Iterator[socket.socket]:
    """A connection whose client can be sent little that it has not read."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(("127.0.0.1", server.port))
        until(lambda: opened(server) == 1)
        yield client
    until(lambda: opened(server) == 0)


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that must come true."""
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def held(server: Logged) -> Any:
    return server._connections.open


def narrow(transport: Any) -> None:
    """Let the kernel keep little of what the server sends."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


def opened(server: Logged) -> int:
    found: int = server.call(lambda: len(server._connections.open))
    return found


def unread(server: Logged) -> int:
    """Bytes that the server keeps for clients that do not read."""
    connections = server._connections

    def size() -> int:
        return sum(c._transport.get_write_buffer_size() for c in connections.open)

    found: int = server.call(size)
    return found


def everything(client: socket.socket) -> bytes:
    """What comes until the server closes."""
    return b"".join(iter(lambda: client.recv(1 << 16), b""))


# -- who sends slowly ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", b""),
        (GET, b"HTTP/1.1 200"),
        (GET[:9], b"HTTP/1.1 408"),
        (b"GET /slow?seconds=0.1 HTTP/1.1\r\nhost: x\r\n\r\n" + GET[:9], b"HTTP/1.1 200"),
    ],
)
def test_who_says_nothing_more_is_cut(server: Logged, data: bytes, status: bytes) -> None:
    with connected(server) as client:
        client.sendall(data)
        found = everything(client)
    assert found.startswith(status) and bool(found) == bool(data)
    if data[-9:] == GET[:9]:
        assert b"headers came too slowly" in found


@pytest.mark.parametrize("whole", [GET, b"POST" + GET[3:-2] + b"content-length: 50\r\n\r\n"])
def test_single_bytes_give_no_more_time(server: Logged, whole: bytes) -> None:
    with connected(server) as client:
        start = time.monotonic()
        with contextlib.suppress(OSError):  # it is cut while it sends
            client.sendall(whole[:-9])
            while time.monotonic() < start + 5:
                client.sendall(b"x")
                time.sleep(0.02)
                assert asked(server, "GET", "/echo/other")[0] == 200
        assert time.monotonic() < start + 5


# -- who does not read -----------------------------------------------------------------------------


def test_answers_to_a_client_that_does_not_read_do_not_pile_up(server: Logged) -> None:
    with connected(server) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n" * 4)
        most = 0
        while opened(server):
            most = max(most, unread(server))
            assert asked(server, "GET", "/echo/other")[0] == 200
        assert most <= 64 << 20


@pytest.mark.parametrize("last", [b"", b"GET /echo/x HTTP/1.1\r\nconnection: close\r\n\r\n"])
def test_small_answers_that_nobody_reads_keep_no_connection(server: Logged, last: bytes) -> None:
    with connected(server) as client:
        server.call(lambda: [narrow(c._transport) for c in held(server)])
        while not unread(server):
            client.sendall(GET)
        client.sendall(last)
        until(lambda: opened(server) == 0)


def test_a_client_that_reads_slowly_is_not_cut(server: Logged) -> None:
    with connected(server) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        start = time.monotonic()
        client.sendall(b"GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        size = 0
        while data := client.recv(1 << 20):
            size += len(data)
            time.sleep(0.02)
        assert size > 64 << 20
        assert time.monotonic() > start + 3 * LIMITS.write_seconds


# -- who sends ahead -------------------------------------------------------------------------------


def test_what_is_refused_is_answered_behind_what_was_asked_before(server: Logged) -> None:
    slow = b"GET /slow?seconds=0.1 HTTP/1.1\r\nhost: x\r\n\r\n"
    found = sent(server, slow + GET + b"nonsense\r\n\r\n")
    assert [part[:3] for part in found.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"400"]


def test_a_body_that_is_held_back_is_asked_for_behind_the_answer_before(server: Logged) -> None:
    with connected(server) as client:
        head = b"POST /echo/x HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
        client.sendall(b"GET /slow?seconds=0.1 HTTP/1.1\r\nhost: x\r\n\r\n" + head)
        found = b""
        while b"100 Continue\r\n\r\n" not in found:
            found += client.recv(1 << 16)
        assert found.index(b'"done"') < found.index(b"HTTP/1.1 100")
        client.sendall(b"hi")
        assert b'"body": "hi"' in everything(client)


def test_clients_of_http_1_0(server: Logged) -> None:
    head = b"GET /echo/x HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"
    found = sent(server, head * 2)
    assert found.count(b"connection: keep-alive\r\n") == found.count(b" 200 OK") == 2
    found = sent(server, b"GET /stream?count=2 HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
    assert b"chunked" not in found and b"connection: close\r\n" in found
    assert found.endswith(b"\r\n\r\ndata: 0\n\ndata: 1\n\n")


# -- what is logged --------------------------------------------------------------------------------


def test_each_request_has_a_line_whatever_became_of_it(server: Logged) -> None:
    before = len(server.lines())
    given = b"host: x\r\nx-request-id: %d\r\n"
    trace = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
    with connected(server) as client:
        for i in range(2):  # the second one waits
            client.sendall(b"GET /slow?seconds=30 HTTP/1.1\r\n" + given % i + trace + b"\r\n")
        client.sendall(b"POST /echo/x HTTP/1.1\r\n" + given % 2 + trace)
        client.sendall(b"content-length: 2\r\n\r\nh")
        until(lambda: bool(server.call(lambda: sum(len(c._waiting) for c in held(server)))))
    sent(server, b"POST /echo/x HTTP/1.1\r\n" + given % 3 + trace + b"content-length: 2\r\n\r\nh")
    sent(server, b"GET /stream?count=3 HTTP/1.1\r\n" + given % 4 + trace + b"\r\n")
    with connected(server) as client:
        client.sendall(b"GET /stream?count=999999999 HTTP/1.1\r\n" + given % 5 + trace + b"\r\n")
        assert client.recv(100)
    until(lambda: len(server.lines()) >= before + 6)
    lines = {line["request_id"]: line for line in server.lines()[before:]}
    assert len(lines) == len(server.lines()) - before
    assert {i: lines[i]["status"] for i in sorted(lines)} == {
        "0": 499, "1": 499, "2": 499, "3": 408, "4": 200, "5": 499
    }  # fmt: skip
    assert {line["trace_id"] for line in lines.values()} == {"0af7651916cd43dd8448eb211c80319c"}
    assert lines["4"]["bytes_out"] == 27
