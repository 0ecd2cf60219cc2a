"""A load generator: sends requests of HTTP/1.1 at fixed times, whatever the server does.

    python load.py SPEC

SPEC is a file of JSON: `port`, `path`, `headers`, `bodies` (files, sent in turn), `connections`,
`rate` (requests a second; null: each connection sends as soon as it has its answer) and `seconds`.
It prints what came out as JSON. A request's latency counts from the time at which it was to be
sent, so one that had to wait for a free connection has waited (open loop). Loopback only.

It is one thread on epoll without a library, so that it sends 15,000 requests a second.
"""

from __future__ import annotations

import collections
import json
import select
import socket
import sys
import time
from pathlib import Path
from typing import Any

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_READ = 1 << 16  # bytes; memory for more is mapped anew for each read, which takes 7 us
PATIENCE = 3.0  # seconds that are waited for the last answers


class Connection:
    """A socket, the bytes of the answer so far, and when its request was to be sent."""

    __slots__ = ("due", "rest", "socket", "wanted")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        self.wanted = -1
        self.due = 0.0

    def received(self, data: bytes) -> bool | None:
        """Whether the answer is whole; None where it is an error."""
        self.rest += data
        if self.wanted < 0:
            end = self.rest.find(_END)
            if end < 0:
                return False
            head = self.rest[:end].lower()
            at = head.find(_LENGTH)
            if at < 0:  # chunked: whole when its last chunk is there
                return self.rest.endswith(b"0\r\n\r\n") and self._is_good()
            length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])
            self.wanted = end + len(_END) + length
        if len(self.rest) < self.wanted:
            return False
        return self._is_good()

    def _is_good(self) -> bool | None:
        good = self.rest.startswith(b"HTTP/1.1 200")
        self.rest, self.wanted = b"", -1
        return True if good else None


def requests(spec: dict[str, Any]) -> list[bytes]:
    """The bytes of the requests that are sent in turn."""
    found = []
    for name in spec["bodies"]:
        body = Path(name).read_bytes()
        lines = [f"POST {spec['path']} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
        lines += [f"{k}: {v}" for k, v in spec["headers"].items()]
        found.append("\r\n".join(lines).encode() + _END + body)
    return found


def run(spec: dict[str, Any]) -> dict[str, Any]:
    """Send for some seconds; what came back, and how late."""
    messages = requests(spec)
    connections = [Connection(spec["port"]) for _ in range(spec["connections"])]
    poll = select.epoll()
    for c in connections:
        poll.register(c.socket.fileno(), select.EPOLLIN)
    by_file = {c.socket.fileno(): c for c in connections}
    free = collections.deque(connections)
    late: collections.deque[float] = collections.deque()  # due, and no connection is free
    latencies: list[float] = []
    errors = sent = 0
    rate, clock = spec["rate"], time.perf_counter
    start = clock()
    end = start + spec["seconds"]
    due = start

    def send(time_due: float) -> None:
        nonlocal sent
        c = free.popleft()
        c.due = time_due
        c.socket.sendall(messages[sent % len(messages)])
        sent += 1

    while True:
        now = clock()
        if rate is None:
            while free and now < end:
                send(now)
        else:
            while due <= now and due < end:
                late.append(due)
                due += 1 / rate
            while late and free:
                send(late.popleft())
        is_done = len(free) == len(connections) and not late
        if now >= end and (is_done or now > end + PATIENCE):
            break
        wait = 0.001 if rate is None else max(0.0, min(due - clock(), 0.001))
        for file, _ in poll.poll(wait):
            c = by_file[file]
            data = c.socket.recv(_READ)
            if not data:
                raise SystemExit("the server closed a connection")
            whole = c.received(data)
            if whole is not False:
                errors += whole is None
                latencies.append(clock() - c.due)
                free.append(c)
    lost = sent + len(late) - len(latencies)
    latencies.sort()
    took = max(clock() - start - (PATIENCE if lost else 0.0), 1e-9)
    return {
        "rate": len(latencies) / took,
        "p50": latencies[len(latencies) // 2] if latencies else None,
        "p99": latencies[int(len(latencies) * 0.99)] if latencies and not lost else None,
        "answers": len(latencies),
        "errors": errors,
        "lost": lost,
    }


if __name__ == "__main__":
    print(json.dumps(run(json.loads(Path(sys.argv[1]).read_text()))))
