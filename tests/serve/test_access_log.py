"""The access log, when who reads it is slow, goes away, or is no file."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("msgspec")

from argand.serve.http.log import MOST, AccessLog

RECORD = SimpleNamespace(
    method="/a.B/C",
    status=None,
    seconds=0.5,
    peer="ipv4:1.2.3.4:5",
    request_id="x" * 3000,
    model=None,
    version=None,
    trace=None,
)


def read(descriptor: int, *, until_closed: bool = False) -> bytes:
    """All that can be read now, or comes."""
    os.set_blocking(descriptor, until_closed)
    found = b""
    try:
        while data := os.read(descriptor, 1 << 16):
            found += data
    except BlockingIOError:
        pass
    return found


@pytest.mark.timeout(60)
def test_a_reader_that_does_not_read_holds_up_nothing() -> None:
    out, into = os.pipe()
    with os.fdopen(into, "wb") as stream:
        log = AccessLog(stream)
        count = 3 * MOST // 3000
        for _ in range(count):  # the pipe takes 64 KiB, the log keeps MOST
            log.of_call(RECORD)
        lines = b""
        until = time.monotonic() + 60
        while not lines.endswith(b"}\n") or b"lines_left_out" not in lines:
            assert time.monotonic() < until
            lines += read(out)
            log.of_call(RECORD)
        reader = threading.Thread(target=lambda: rest.append(read(out, until_closed=True)))
        rest: list[bytes] = []
        reader.start()
        log.close()
    reader.join()
    lines += rest[0]
    os.close(out)
    told: list[dict[str, Any]] = [json.loads(line) for line in lines.splitlines()]
    (left_out,) = [line["lines_left_out"] for line in told if "lines_left_out" in line]
    kept = sum("request_id" in line for line in told)
    assert all(line["request_id"] == "x" * 3000 for line in told if "request_id" in line)
    assert left_out > count // 2 and kept + left_out > count and kept > MOST // 3300


def test_a_reader_that_goes_away_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    out, into = os.pipe()
    with os.fdopen(into, "wb") as stream, caplog.at_level(logging.WARNING, "argand.serve"):
        log = AccessLog(stream)
        log.of_call(RECORD)
        os.close(out)
        for _ in range(3):
            log.of_call(RECORD)
    assert [r.getMessage() for r in caplog.records] == [
        "requests are not logged any more: [Errno 32] Broken pipe"
    ]


def test_a_stream_that_is_no_file_gets_whole_lines() -> None:
    for stream in (io.BytesIO(), io.StringIO()):  # a notebook's output takes text
        log = AccessLog(stream)
        for _ in range(2):
            log.of_call(RECORD)
        lines = stream.getvalue().splitlines()
        assert [json.loads(line)["protocol"] for line in lines] == ["grpc"] * 2
