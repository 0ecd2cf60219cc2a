"""The server's connections: HTTP as clients really send it, limits, slow clients, draining."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("httptools")

from echoing import LIMITS, Asked, asked, sent

from argand.serve.http import wire


@pytest.fixture
def server() -> Iterator[Asked]:
    with Asked([], port=0, limits=LIMITS, drain=2.0) as running:
        yield running


def test_requests_one_after_the_other_and_sent_ahead_are_answered_in_order(server: Asked) -> None:
    ahead = b"".join(
        b"POST /echo/%d?q=a%%20b HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n%02d" % (i, i)
        for i in range(5)
    )
    last = b"GET /echo/last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    found = sent(server, ahead + last)
    bodies = [json.loads(p.partition(b"\r\n\r\n")[2]) for p in found.split(b"HTTP/1.1 200 OK")[1:]]
    assert [b["path"] for b in bodies] == [*(f"/echo/{i}" for i in range(5)), "/echo/last"]
    assert [b["body"] for b in bodies] == ["00", "01", "02", "03", "04", ""]
    assert bodies[0]["query"] == {"q": "a b"}


def test_heads_that_were_read_before_mean_the_same(server: Asked) -> None:
    head = b"POST /echo/x?q=1 HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n"
    chunked = b"POST /echo/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    pieces = [  # each is sent by itself, and the answers that it completes
        (head + b"first", [b"first"]),
        (head + b"again", [b"again"]),
        (head + b"ab", []),
        (b"cde", [b"abcde"]),
        (head + b"one  " + head + b"two  ", [b"one  ", b"two  "]),
        (chunked + b"2\r\nhi\r\n0\r\n\r\n", [b"hi"]),
        (chunked + b"0\r\n\r\n", [b""]),
        (head.replace(b"5", b"3") + b"abc", [b"abc"]),
        (head + b"after" + head[:20], [b"after"]),
        (head[20:] + b"last!", [b"last!"]),
    ]
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as s:
        for data, bodies in pieces:
            s.sendall(data)
            time.sleep(0.02)  # so that the server reads it by itself
            found = b""
            while found.count(b'"body"') < len(bodies):
                found += s.recv(65536)
            answers = [
                json.loads(p.partition(b"\r\n\r\n")[2]) for p in found.split(b"HTTP/1.1 ")[1:]
            ]
            assert [a["body"].encode() for a in answers] == bodies, data
    heads = server._connections.heads
    assert heads.find(head[:-4]).length == 5 and heads.find(chunked[:-4]) is None
    many = b"POST /echo/x HTTP/1.1\r\nx: %d\r\ncontent-length: 0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as s:
        for i in range(600):
            s.sendall(many % i)
            assert s.recv(65536).startswith(b"HTTP/1.1 200")
    assert len(heads._known) < 512


def test_a_head_that_was_read_before_has_the_limits_of_others(server: Asked) -> None:
    head = b"POST /echo/x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n"
    last = head + b"connection: close\r\n\r\n"
    for _ in range(2):
        assert b"connection: close" in sent(server, last + b"close")
        assert sent(server, head.replace(b"1.1", b"1.0") + b"\r\nhello").count(b"200 OK") == 1
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as s:
        for limit, status in ((1 << 30, b"200"), (4, b"429")):
            object.__setattr__(server.options.limits, "bodies", limit)
            s.sendall(head + b"\r\nhello")
            assert s.recv(65536).startswith(b"HTTP/1.1 " + status)
    object.__setattr__(server.options.limits, "bodies", 1 << 30)
    assert asked(server, "GET", "/echo/x")[0] == 200
    assert server.call(lambda: server._connections.held) == 0


def test_chunked_bodies_expectations_and_heads(server: Asked) -> None:
    head = b"POST /echo/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    chunked = sent(
        server, head + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    assert json.loads(chunked.partition(b"\r\n\r\n")[2])["body"] == "abcde"
    expecting = sent(server, head + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\nhi")
    assert expecting.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")
    status, headers, body = asked(server, "HEAD", "/echo/x")
    assert (status, body) == (200, b"") and int(headers["content-length"]) > 10


def test_an_upgrade_is_ignored(server: Asked) -> None:
    head = b"POST /echo/x HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: h2c\r\n"
    found = sent(server, head + b"content-length: 2\r\n\r\nhi" + b"GET /echo/y HTTP/1.0\r\n\r\n")
    assert found.count(b"HTTP/1.1 200 OK") == 2


def test_errors_and_what_is_not_there(server: Asked) -> None:
    assert asked(server, "GET", "/nothing")[0] == 404
    status, headers, _ = asked(server, "PUT", "/echo/x")
    assert status == 405 and headers["allow"] == "GET, HEAD, POST"
    status, headers, body = asked(server, "GET", "/fails")
    assert (status, headers["retry-after"]) == (429, "1")
    assert json.loads(body) == {"error": "too much"}


def test_ids_and_traces_go_through(server: Asked) -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"x-request-id": "abc", "traceparent": given, "tracestate": "v=1"}
    _, found, _ = asked(server, "GET", "/echo/x", **headers)
    assert found["x-request-id"] == "abc" and found["tracestate"] == "v=1"
    version, trace, span, flags = found["traceparent"].split("-")
    assert (version, trace, flags) == ("00", given.split("-")[1], "01")
    assert len(span) == 16 and span != given.split("-")[2]
    for bad in ("00-" + "0" * 32 + "-b7ad6b7169203331-01", "ff" + given[2:], given + "-x", "?"):
        _, found, _ = asked(server, "GET", "/echo/x", traceparent=bad)
        assert "traceparent" not in found and found["x-request-id"] != "abc"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /echo/x HTTP/1.1\r\nhost: x\r\ncontent-length: abc\r\n\r\n", 400),
        (b"POST /echo/x HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (b"GET /echo/x HTTP/1.1\r\nh: " + b"x" * 5000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 400_000, 431),
        (b"POST /echo/x HTTP/1.1\r\ncontent-length: 10001\r\n\r\n" + b"x" * 10001, 413),
        (b"POST /echo/x HTTP/1.1\r\ncontent-length: 99999999999999999\r\n\r\n", 413),
        (
            b"POST /echo/x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
            + b"1000\r\n%b\r\n" % (b"y" * 0x1000) * 3,
            413,
        ),
        (b"GET /echo/x HTTP/1.1\r\nhost:", 408),
        (b"POST /echo/x HTTP/1.1\r\ncontent-length: 10\r\n\r\nabc", 408),
    ],
)
def test_what_is_malformed_too_large_or_too_slow_is_refused(
    server: Asked, data: bytes, status: int
) -> None:
    assert sent(server, data).startswith(b"HTTP/1.1 %d " % status)
    assert asked(server, "GET", "/echo/x")[0] == 200


def test_a_client_that_does_not_read_is_cut(server: Asked) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        s.recv(10)
        until = time.monotonic() + 10
        while server.call(lambda: len(server._connections.open)) and time.monotonic() < until:
            time.sleep(0.05)
        assert not server.call(lambda: len(server._connections.open))


def test_streams_come_in_chunks_and_what_nobody_waits_for_is_cancelled(server: Asked) -> None:
    assert asked(server, "GET", "/stream?count=3")[2] == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(b"GET /slow?seconds=30 HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(0.1)
    assert server.cancelled.wait(5)


@pytest.mark.parametrize(
    ("requests", "answers"),
    [
        (b"GET /slow?seconds=0.05 HTTP/1.1\r\n\r\n", [b'"done"']),
        (b"GET /slow?seconds=0.05 HTTP/1.0\r\n\r\n", [b'"done"']),
        (b"GET /stream?count=2 HTTP/1.1\r\n\r\n", [b"data: 0\n\n", b"data: 1\n\n", b"0\r\n"]),
        (
            b"GET /slow?seconds=0.05 HTTP/1.1\r\n\r\nGET /echo/x HTTP/1.1\r\n\r\n",
            [b'"done"', b'"/echo/x"'],
        ),
        (
            b"GET /slow?seconds=0.05 HTTP/1.1\r\n\r\nPOST /echo/x HTTP/1.1\r\ncontent-le",
            [b'"done"'],
        ),
        (b"GET /fails HTTP/1.1\r\n\r\n", [b"too much"]),
    ],
)
def test_a_client_that_sends_no_more_gets_its_answers(
    server: Asked, requests: bytes, answers: list[bytes]
) -> None:
    found = sent(server, requests, shut=True)
    assert found.startswith(b"HTTP/1.1 ")
    assert (
        found.count(b"HTTP/1.1 ")
        == found.count(b"content-type: ")
        == max(1, requests.count(b"\r\n\r\n"))
    )
    places = [found.rindex(answer) for answer in answers]
    assert places == sorted(places)
    assert not server.call(lambda: server._connections.half_open)


def test_a_client_that_sends_no_more_gets_a_stream_that_is_read_as_any_other(
    server: Asked,
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", "/stream?count=30000")
        response = connection.getresponse()
        found = response.read(10)
        connection.sock.shutdown(socket.SHUT_WR)
        assert (found + response.read()).endswith(b"data: 29998\n\ndata: 29999\n\n")


def test_a_fault_of_a_handler_is_an_error_of_that_request_alone(
    server: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    status, _, body = asked(server, "GET", "/broken", **{"x-request-id": "abc"} | trace)
    assert status == 500 and b"KeyError" in body
    of = "request abc, trace 0af7651916cd43dd8448eb211c80319c"
    assert f"GET /broken failed ({of}): KeyError: 'a fault of the handler'" in caplog.text
    assert "Traceback" in caplog.text and "in broken" in caplog.text
    assert asked(server, "GET", "/echo/x")[0] == 200


def test_too_many_connections_are_refused(server: Asked) -> None:
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    try:
        for s in held:
            s.sendall(b"GET /slow?seconds=1 HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(0.1)
        found = sent(server, b"GET /echo/x HTTP/1.1\r\nhost: x\r\n\r\n")
        assert found.startswith(b"HTTP/1.1 503 ") and b"retry-after" in found
    finally:
        for s in held:
            s.close()


def test_stopping_waits_for_what_has_begun_and_is_not_ready(server: Asked) -> None:
    found: list[Any] = []
    asking = threading.Thread(
        target=lambda: found.append(asked(server, "GET", "/slow?seconds=0.5"))
    )
    asking.start()
    time.sleep(0.15)
    server.stop()
    asking.join()
    assert found[0][0] == 200 and found[0][1]["connection"] == "close"
    assert not server.is_ready
    with pytest.raises(ConnectionRefusedError):
        asked(server, "GET", "/livez")


def test_a_request_on_its_way_over_an_open_connection_is_answered_while_the_server_ends(
    server: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "LAST_CALL", 30.0)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", "/livez")
        assert connection.getresponse().read()
        assert server._ends is not None and server._loop is not None
        server._loop.call_soon_threadsafe(server._ends.set)
        while not server.is_draining:
            time.sleep(0.001)
        connection.request("GET", "/livez")
        response = connection.getresponse()
        assert (response.status, response.headers["connection"]) == (200, "close")
    server.stop()  # which waits no longer, since nobody is connected


def test_health_says_ready_once_all_models_are(server: Asked) -> None:
    assert asked(server, "GET", "/livez")[0] == asked(server, "GET", "/readyz")[0] == 200
