"""Hostile bytes at a server's ports: each is answered or cut, and the server lives on."""

from __future__ import annotations

import gzip
import json
import socket
import time
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from served import classifier, exported, inputs, put

from argand.serve import Client, Limits, Server

BODY = json.dumps(
    {"inputs": [{"name": "input", "shape": [1, 6], "datatype": "FP32", "data": [1.0] * 6}]}
).encode()
INFER = b"/v2/models/digits/infer"


def _gzip(data: bytes, level: int = 9) -> bytes:
    """Packed without the time, which would give the tests other names in other processes."""
    return gzip.compress(data, level, mtime=0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with narrow limits."""
    root = tmp_path_factory.mktemp("models")
    put(exported(classifier(), most=64), root, "digits", 1)
    limits = Limits(body=1 << 20, bodies=3 << 20, header=4096)
    with Server([root], port=0, grpc_port=0, limits=limits) as server:
        yield server


def post(body: bytes, headers: bytes = b"", length: int | None = None) -> bytes:
    """A request."""
    size = len(body) if length is None else length
    return b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%b\r\n%b" % (
        INFER, size, headers, body
    )  # fmt: skip


def connect(port: int) -> socket.socket:
    """A connection."""
    found = socket.create_connection(("127.0.0.1", port), timeout=20)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """The status and the body of one response."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(1 << 16) or b"\r\n\r\n"
    head, _, body = data.partition(b"\r\n\r\n")
    length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    while length and len(body) < int(length[0].split(b":")[1]):
        body += connection.recv(1 << 16)
    return int(head.split(b" ")[1]), body


def asked(server: Server, data: bytes) -> tuple[int, bytes]:
    """What a server answers to some bytes; it answers others afterwards."""
    with connect(server.port) as connection:
        connection.sendall(data)
        found = answer(connection)
    with Client(server.url, "digits", retries=0, timeout=20) as client:
        assert client.predict(inputs(1)).shape == (1, 3)
    return found


# -- packed bodies ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "body"),
    [(b"gzip", _gzip(BODY)), (b"deflate", zlib.compress(BODY)), (b"Identity", BODY)],
)
def test_packed_bodies_are_unpacked(server: Server, name: bytes, body: bytes) -> None:
    status, data = asked(server, post(body, b"Content-Encoding: %b\r\n" % name))
    assert status == 200
    assert len(json.loads(data)["outputs"][0]["data"]) == 3


@pytest.mark.parametrize(
    ("name", "body", "status", "message"),
    [
        (b"gzip", _gzip(bytes(100 << 20)), 413, "larger than 1,048,576 bytes, unpacked"),
        (b"gzip", _gzip(bytes(9 << 20), 1), 413, "larger than 1,048,576 bytes, unpacked"),
        (b"deflate", zlib.compress(bytes(2 << 20)), 413, "larger than 1,048,576 bytes, unpacked"),
        (b"gzip", BODY, 400, "the body is no gzip"),
        (b"gzip", _gzip(BODY)[:-9], 400, "the body is no whole gzip"),
        (b"gzip", _gzip(BODY) * 2, 400, "the body is no whole gzip"),
        (b"br", BODY, 415, "packed with gzip or deflate"),
        (b"gzip, gzip", _gzip(_gzip(BODY)), 415, "packed with gzip or deflate"),
    ],
)
def test_bombs_and_damaged_bodies_are_refused(
    server: Server, name: bytes, body: bytes, status: int, message: str
) -> None:
    found, data = asked(server, post(body, b"Content-Encoding: %b\r\n" % name))
    assert (found, message in json.loads(data)["error"]) == (status, True), data


# -- trailers and memory ---------------------------------------------------------------------------


def chunked(body: bytes, trailers: bytes = b"", headers: bytes = b"") -> bytes:
    """A request in one chunk, with trailers."""
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n%b\r\n" % (INFER, headers)
    return head + b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailers)


def test_trailers_change_nothing_and_have_a_limit(server: Server) -> None:
    for name in (b"Inference-Header-Content-Length: 3", b"Content-Encoding: gzip"):
        assert asked(server, chunked(BODY, name + b"\r\n"))[0] == 200
    status, _ = asked(server, chunked(BODY, b"A: b\r\n" * 40_000))
    assert status == 431


def test_the_bodies_of_all_requests_have_a_limit(server: Server) -> None:
    half = post(bytes(1 << 19), length=1 << 20)
    open_ones = [connect(server.port) for _ in range(6)]
    try:
        for connection in open_ones[:5]:
            connection.sendall(half)
        _wait_for(server, 5 << 19)
        open_ones[5].sendall(post(bytes(1 << 20)))
        status, body = answer(open_ones[5])
        assert (status, b"of all requests" in body) == (429, True)
    finally:
        for connection in open_ones:
            connection.close()
    _wait_for(server, 0)
    assert asked(server, post(BODY))[0] == 200


def _wait_for(server: Server, held: int) -> None:
    for _ in range(1000):
        if server._connections.held == held:
            return
        time.sleep(0.01)
    raise AssertionError(f"{server._connections.held} bytes are held, not {held}")


@pytest.mark.parametrize(
    "path", [b"//", b"/page.js/", b"/..", b"/%2e%2e/page.js", b"/v1/models/%00"]
)
def test_odd_paths_are_found_or_not_there(server: Server, path: bytes) -> None:
    status, _ = asked(server, b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
    assert status in (200, 404)


# -- the port of gRPC ------------------------------------------------------------------------------

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        post(BODY),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        PREFACE + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
        PREFACE + np.random.default_rng(0).bytes(3000),
        PREFACE + bytes(9) * 500,
    ],
)
def test_bytes_that_are_no_grpc(server: Server, data: bytes) -> None:
    with connect(server.grpc_port) as connection:
        connection.sendall(data)
        connection.settimeout(0.2)
        try:
            while connection.recv(1 << 16):
                pass
        except OSError:
            pass
    with Client(f"grpc://127.0.0.1:{server.grpc_port}", "digits", retries=0) as client:
        assert client.predict(inputs(1)).shape == (1, 3)
