"""Requests that are wrong in one or two places, drawn at random, for both ports of a server.

    PYTHONPATH=src:tests/serve python tests/serve/fuzz.py FIRST:LAST

draws the cases of these seeds against a server of its own, and prints what was answered as no
request may be: by no protocol's error, by a fault of the server, or not at all.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import logging
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from pictures import put_pictures
from served import classifier, exported, inputs, put
from texts import LETTERS, small_model
from web import two_inputs

from argand.serve import GenerationOptions, Limits, ModelOptions, Server, generation
from argand.serve.metrics import memory
from argand_client.definitions import messages

SECONDS = 20.0  # in which each request must be answered
TOLD = {"error", "message", "ready", "status", "OriginalMessage"}
FAULTS = {"INTERNAL", "UNKNOWN", "DATA_LOSS"}
ROWS = [[0.5, 1.0, -2.0, 3.0, 4.0, 5.0]]
TENSOR = {"name": "input", "shape": [1, 6], "datatype": "FP32", "data": ROWS}
TWO = {"x": [1.0, 2.0, 3.0], "k": 5}
CHAT = {"model": "letters", "messages": [{"role": "user", "content": "a"}], "max_tokens": 2}
JSON: list[tuple[str, str, Any]] = [
    ("POST", "/v1/models/digits:predict", {"instances": ROWS, "signature_name": "serving_default"}),
    ("POST", "/v1/models/digits:predict", {"inputs": {"input": ROWS}}),
    ("POST", "/v1/models/two/versions/1:predict", {"instances": [TWO, TWO]}),
    ("POST", "/v1/models/pictures:predict", {"instances": [{"b64": "aGFsbG8="}]}),
    ("POST", "/v1/models/digits:classify", {"examples": [{"input": ROWS[0]}], "context": {}}),
    ("POST", "/v1/models/digits:regress", {"examples": [{"input": ROWS[0]}]}),
    ("POST", "/v2/models/digits/infer",
     {"id": "1", "inputs": [TENSOR], "outputs": [{"name": "output", "parameters": {
         "binary_data": False, "classification": 2}}],
      "parameters": {"timeout": 10**7, "priority": 1, "binary_data_output": False}}),
    ("POST", "/v2/repository/index", {"ready": True}),
    ("POST", "/v2/repository/models/two/load", {"parameters": {}}),
    ("POST", "/v2/models/letters/generate", {"text_input": "a", "parameters": {"max_tokens": 2}}),
    ("POST", "/v2/models/letters/generate_stream", {"text_input": "a", "max_tokens": 2}),
    ("POST", "/v1/completions",
     {"model": "letters", "prompt": ["a", [1, 2]], "max_tokens": 2, "temperature": 0.5, "n": 2,
      "stop": ["b"], "logprobs": 1, "echo": True, "seed": 3, "stream": True,
      "logit_bias": {"3": 1.0}, "stream_options": {"include_usage": True}, "top_k": 3}),
    ("POST", "/v1/chat/completions", CHAT | {"logprobs": True, "top_logprobs": 2}),
    ("POST", "/predictions/digits", ROWS),
    ("POST", "/predictions/letters", {"prompt": "a", "max_new_tokens": 2, "temperature": 0.5}),
    ("POST", "/predictions/pictures", [{"data": "aGFsbG8="}]),
    ("POST", "/predictions/digits", {"input_data": {"columns": [0], "index": [0], "data": ROWS}}),
    ("POST", "/v2/models/letters/infer",
     {"inputs": [{"name": "text_input", "shape": [1], "datatype": "BYTES", "data": ["a"]},
                 {"name": "sampling_parameters", "shape": [1], "datatype": "BYTES",
                  "data": ['{"max_tokens": 2}']}],
      "outputs": [{"name": "text_output", "parameters": {"classification": 1}}],
      "parameters": {"max_tokens": 2, "temperature": 0.5}}),
    ("POST", "/predictions/two/1.0", TWO),
    ("POST", "/predictions/pictures", {"data": {"b64": "aGFsbG8="}}),
    ("POST", "/models", {"url": "two", "batch_size": 2, "initial_workers": 1}),
    ("PUT", "/models/two?min_worker=1&synchronous=true", None),
    ("GET", "/models?limit=2&next_page_token=1", None),
    ("GET", "/models/two/all?customized=true", None),
    ("GET", "/v1/models/two/versions/1/metadata", None),
    ("GET", "/v2/models/two/versions/1/config", None),
    ("GET", "/v2/models/two/stats", None),
    ("GET", "/openapi.json", None),
    ("GET", "/metrics", None),
]  # fmt: skip
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, -(2**31) - 1, 2**53, 2**63, 2**64, -(2**63) - 1, 10**40,
    0.5, -0.0, 1e308, 1e-320, float("nan"), float("inf"), "", "a", "0", "-1", "NaN", "\ud800",
    "\x00", "é" * 50, "a" * 5000, [], {}, [[]], [{}], {"": 0}, [None], {"b64": "*"}, {"b64": 1},
    {"b64": "aGFsbG8=", "x": 1}, [[1], [1, 2]], [0] * 1000, "../../etc/passwd", "%s%n", "BYTES",
    "FP64", "BF16", "INT64", [2**40, 2**40], [-1, 6], [1] * 70, [0, 6], [2**62, 4],
]  # fmt: skip


def server(root: Path) -> Server:
    """A server with a model of each kind."""
    put(exported(classifier(), most=64), root, "digits", 1)
    put(two_inputs(), root, "two", 1)
    put_pictures(root)
    roles = {"user": "U: {content}\n", "prompt": "A:"}
    program = generation.export(
        small_model(32), context=32, page=4, chunk=8, vocabulary=LETTERS, roles=roles
    )
    put(program, root, "letters", 1)
    text = ModelOptions(generation=GenerationOptions(max_rows=4, max_waiting=8))
    limits = Limits(body=1 << 20, bodies=8 << 20, header=8192, elements=1 << 16)
    return Server(
        root, port=0, grpc_port=0, limits=limits, models={"letters": text}, token="secret"
    )


# -- values that are wrong -------------------------------------------------------------------------


class Draw:
    """Draws from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def places(self, value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """The ways to all parts of a JSON value."""
        found = [at]
        if isinstance(value, dict | list):
            parts = value.items() if isinstance(value, dict) else enumerate(value)
            for key, part in parts:
                found += self.places(part, (*at, key))
        return found

    def changed(self, value: Any) -> Any:
        """A JSON value with one part replaced, removed, repeated, or named otherwise."""
        at = self.random.choice(self.places(value))
        return self._changed(json.loads(json.dumps(value)), at)

    def _changed(self, value: Any, at: tuple[Any, ...]) -> Any:
        if not at:
            return self.random.choice(ODD)
        key, rest = at[0], at[1:]
        kind = self.random.randrange(6)
        if rest or kind < 3:
            value[key] = self._changed(value[key], rest)
        elif kind == 3:
            del value[key]
        elif isinstance(value, list):
            value.extend([value[key]] * self.random.choice((1, 7, 100)))
        else:
            value[self.random.choice(("inputs", "instances", "", "name", "x", "shape"))] = value[
                key
            ]
        return value

    def text(self, value: Any) -> bytes:
        """JSON, sometimes such as no encoder writes."""
        found = json.dumps(value, ensure_ascii=self.random.random() < 0.5)
        data = found.encode("utf-8", "surrogatepass")
        kind = self.random.randrange(12)
        if kind == 0 and data[:1] == b"{":  # a name twice
            data = b'{"inputs":1,"model":"a",' + data[1:]
        elif kind == 1:
            depth = self.random.choice((50, 900, 5000, 100_000))
            data = data.replace(b"1.0", b"[" * depth + b"]" * depth, 1)
        elif kind == 2:
            data = self.damaged(data)
        elif kind == 3:
            data = b"\xef\xbb\xbf" + data
        elif kind == 4:
            data = data.decode("utf-8", "replace").encode("utf-16")
        return data

    def damaged(self, data: bytes) -> bytes:
        """Bytes that are changed, cut or repeated."""
        made = bytearray(data)
        for _ in range(self.random.choice((1, 1, 2, 8))):
            at = self.random.randrange(len(made) + 1)
            kind = self.random.randrange(4)
            if kind == 0 and made:
                made[at % len(made)] = self.random.randrange(256)
            elif kind == 1:
                del made[at : at + self.random.choice((1, 4, 1000))]
            elif kind == 2:
                made[at:at] = self.random.randbytes(self.random.choice((1, 4, 64)))
            else:
                made[at:at] = made[at : at + 16] * self.random.choice((1, 3))
        return bytes(made)


# -- HTTP ------------------------------------------------------------------------------------------


def http_case(draw: Draw) -> bytes:
    """The bytes of a request."""
    pick = draw.random
    method, path, value = pick.choice(JSON)
    headers: list[tuple[bytes, bytes]] = [(b"host", b"x"), (b"authorization", b"Bearer secret")]
    if pick.random() < 0.15:
        method, path, kind, body = pick.choice(BODIES)
        headers.append((b"content-type", kind))
        body = body if pick.random() < 0.1 else draw.damaged(body)
        if pick.random() < 0.2:
            headers.append((b"content-encoding", b"gzip"))
            body = gzip.compress(body, mtime=0)
            body = draw.damaged(body) if pick.random() < 0.3 else body
    elif value is None:
        body = b""
    elif path.endswith("/infer") and pick.random() < 0.4:
        body = binary(draw, headers)
    else:
        for _ in range(pick.choice((0, 1, 1, 1, 2))):
            value = draw.changed(value)
        body = draw.text(value)
        headers.append((b"content-type", b"application/json"))
    if pick.random() < 0.15:
        path = draw.damaged(path.encode()).decode("latin-1").replace("\n", "").replace("\r", "")
    if pick.random() < 0.1:
        kinds = (
            b"text/csv",
            b"application/x-npy",
            b"multipart/form-data; boundary=x",
            b"image/png",
        )
        headers.append((b"content-type", pick.choice(kinds)))
    if pick.random() < 0.2:
        headers.append(pick.choice(HEADERS))
    return wire(draw, method.encode(), path.encode("latin-1"), headers, body)


def _npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.float32(ROWS))
    return file.getvalue()


_PART = b'--x\r\nContent-Disposition: form-data; name="data"; filename="a"\r\n\r\n'
_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
BODIES: list[tuple[str, str, bytes, bytes]] = [
    ("POST", "/predictions/digits", b"application/x-npy", _npy()),
    ("POST", "/predictions/digits", b"text/csv", b"1,2,3,4,5,6\n1,2,3,4,5,6.5\n"),
    ("POST", "/predictions/pictures", b"image/png", _PIXEL),
    ("PUT", "/predictions/pictures", b"application/x-www-form-urlencoded", b"data=aGFsbG8%3D"),
    ("POST", "/predictions/pictures", b"multipart/form-data; boundary=x",
     _PART + _PIXEL + b"\r\n" + _PART + _PIXEL + b"\r\n--x--\r\n"),
    ("POST", "/predictions/two", b"multipart/form-data; boundary=x",
     _PART.replace(b"data", b"x") + b"[1, 2, 3]\r\n" + _PART.replace(b"data", b"k")
     + b"5\r\n--x--\r\n"),
    ("POST", "/predictions/letters", b"text/plain", b"the cat"),
]  # fmt: skip

HEADERS = [
    (b"x-request-timeout", b"0"), (b"x-request-timeout", b"nan"), (b"x-request-timeout", b"1e9"),
    (b"traceparent", b"00-0-0-00"), (b"x-request-id", b"\xff\x00a"), (b"x-request-id", b"a" * 3000),
    (b"content-encoding", b"gzip"), (b"content-encoding", b"br"), (b"accept", b"text/csv"),
    (b"inference-header-content-length", b"-1"), (b"inference-header-content-length", b"9" * 30),
    (b"inference-header-content-length", b"3"), (b"inference-header-content-length", b"0"),
    (b"expect", b"100-continue"), (b"upgrade", b"websocket"), (b"connection", b"upgrade, close"),
    (b"connection", b"close"), (b"authorization", b"\xff"), (b"authorization", b"Bearer"),
    (b"content-type", b"multipart/form-data"), (b"content-type", b"application/json; charset=x"),
]  # fmt: skip


def binary(draw: Draw, headers: list[tuple[bytes, bytes]]) -> bytes:
    """A request of the v2 protocol with a binary tensor whose sizes may lie."""
    pick = draw.random
    data = inputs(1).tobytes()
    size = pick.choice((24, 24, 0, 23, 25, -1, 2**31, 2**53, 2**63, "24", 24.0, None, True))
    shape = pick.choice(([1, 6], [1, 6], [6], [2**62, 4], [-1, 6], [0], [], [1] * 65, "6", [1.5]))
    kind = pick.choice(("FP32", "FP32", "BYTES", "FP16", "BOOL", "XX", "", 3))
    tensor = {"name": "input", "shape": shape, "datatype": kind}
    tensor["parameters"] = {"binary_data_size": size}
    head = json.dumps({"inputs": [tensor] * pick.choice((1, 1, 1, 2))}).encode()
    length = len(head) + pick.choice((0, 0, 0, 1, -1, 24, 10**6))
    headers.append((b"inference-header-content-length", b"%d" % length))
    return head + data[: pick.choice((24, 24, 0, 23))]


def wire(
    draw: Draw, method: bytes, path: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> bytes:
    """The request as bytes: with a length that may lie, in chunks, damaged, or twice."""
    pick = draw.random
    kind = pick.randrange(20)
    if kind < 3:
        headers.append((b"transfer-encoding", b"chunked"))
        parts = [body[i : i + 50] for i in range(0, len(body), 50)]
        sizes = [b"%x" % len(p) for p in parts]
        if parts and kind == 0:
            lies = (b"-1", b"f" * 20, b"0x5", b"", b"zz", b"5;a=b", b" 5", b"1\n")
            sizes[pick.randrange(len(parts))] = pick.choice(lies)
        sent = b"".join(s + b"\r\n" + p + b"\r\n" for s, p in zip(sizes, parts, strict=True))
        sent += b"0\r\n\r\n"
    else:
        lies = (len(body), len(body) + 5, 0, -1, 10**30, 2**64, "a", "")
        length = len(body) if kind > 4 else pick.choice(lies)
        headers.append((b"content-length", str(length).encode()))
        sent = body
    lines = b"".join(n + b": " + v + b"\r\n" for n, v in headers)
    version = pick.choice((b"HTTP/1.1",) * 20 + (b"HTTP/1.0", b"HTTP/9.9", b"HTTP", b""))
    data = method + b" " + path + b" " + version + b"\r\n" + lines + b"\r\n" + sent
    if pick.random() < 0.1:
        data = draw.damaged(data)
    return data * pick.choice((1,) * 10 + (2, 5))


def http_answer(port: int, data: bytes, draw: Draw) -> list[str]:
    """What is wrong with the answers to some bytes."""
    pick = draw.random
    found = b""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as s:
        try:
            cut = pick.randrange(len(data) + 1) if pick.random() < 0.2 else len(data)
            s.sendall(data[:cut])
            if cut < len(data) and pick.random() < 0.5:
                time.sleep(0.001)
                s.sendall(data[cut:])
            s.shutdown(socket.SHUT_WR)
            if pick.random() < 0.05:
                return []  # goes without reading
            while part := s.recv(1 << 16):
                found += part
        except TimeoutError:
            return ["nothing came"]
        except OSError:
            pass  # cut off
    return faults_of(found)


def faults_of(data: bytes) -> list[str]:
    """What no answer may have."""
    marks = (b"Traceback", b'File "', b"HTTP/1.1 500", b"<frame")
    faults = [data.decode("latin-1")[:1500]] if any(mark in data for mark in marks) else []
    head, _, body = data.partition(b"\r\n\r\n")
    if head and not head.startswith(b"HTTP/1.1 "):
        faults.append(f"no HTTP: {head[:100]!r}")
    status = int(head.split(b" ")[1]) if not faults and head else 200
    if 400 <= status < 600 and b"application/json" in head.lower() and body:
        try:
            said, _ = json.JSONDecoder().raw_decode(body.decode())
        except ValueError:
            said = None
        if not isinstance(said, dict) or not said.keys() & TOLD:
            faults.append(f"no error: {data[:500]!r}")
    return faults


# -- gRPC ------------------------------------------------------------------------------------------


def calls() -> list[tuple[str, Any, Any]]:
    """The methods of all services, and a request for each."""
    kinds = messages()
    return [
        (f"/{service}/{m.name}", m, request_of(m))
        for service in kinds.services
        if "Health" not in service  # whose `Watch` has no end
        for m in kinds.methods(service)
    ]


def request_of(method: Any) -> Any:
    """A request that a method answers well."""
    made = method.request()
    names = {f.name for f in made.DESCRIPTOR.fields}
    for name in names & {"name", "model_name"}:
        setattr(made, name, "two" if "Repository" in method.name else "digits")
    if "model_spec" in names:
        made.model_spec.name = "digits"
    kind = made.DESCRIPTOR.name
    if kind == "ModelInferRequest":
        made.inputs.add(name="input", datatype="FP32", shape=[1, 6])
        made.raw_input_contents.append(inputs(1).tobytes())
        made.parameters["timeout"].int64_param = 10**7
        made.outputs.add(name="output").parameters["classification"].int64_param = 1
    elif kind == "PredictRequest":
        made.inputs["input"].dtype = 1
        for size in (1, 6):
            made.inputs["input"].tensor_shape.dim.add(size=size)
        made.inputs["input"].float_val.extend([1.0] * 6)
        made.output_filter.append("output")
    elif kind in ("ClassificationRequest", "RegressionRequest", "MultiInferenceRequest"):
        example = made.input.example_list.examples.add()
        example.features.feature["input"].float_list.value.extend([1.0] * 6)
        if kind == "MultiInferenceRequest":
            task = made.tasks.add(method_name="tensorflow/serving/classify")
            task.model_spec.name = "digits"
    elif kind == "GetModelMetadataRequest":
        made.metadata_field.append("signature_def")
    elif kind == "ReloadConfigRequest":
        made.config.model_config_list.config.add(name="two")
    return made


def changed_message(draw: Draw, message: Any) -> bytes:
    """A message with some of its fields changed, or its bytes."""
    pick = draw.random
    made = type(message).FromString(message.SerializeToString())
    for _ in range(pick.choice((0, 1, 1, 2))):
        change(draw, made)
    data: bytes = made.SerializeToString()
    return draw.damaged(data) if pick.random() < 0.4 else data


def change(draw: Draw, message: Any) -> None:
    """Change a field, or one of a part."""
    pick = draw.random
    fields = list(message.DESCRIPTOR.fields)
    if not fields:
        return
    field = pick.choice(fields)
    value = getattr(message, field.name)
    if hasattr(value, "keys"):
        if value and pick.random() < 0.7:
            key = pick.choice(list(value))
            if hasattr(value[key], "DESCRIPTOR"):
                change(draw, value[key])
        else:
            _ = value["x"] if field.message_type.fields_by_name["key"].cpp_type == 9 else None
        return
    if hasattr(value, "append") or hasattr(value, "add"):
        if value and pick.random() < 0.5 and hasattr(value[0], "DESCRIPTOR"):
            change(draw, pick.choice(value))
        elif value and pick.random() < 0.3:
            del value[pick.randrange(len(value))]
        elif hasattr(value, "add"):
            change(draw, value.add())
        else:
            value.extend([scalar(draw, field)] * pick.choice((1, 3, 100)))
        return
    if field.message_type is not None:
        change(draw, value)
        return
    setattr(message, field.name, scalar(draw, field))


WORDS = ("", "x", "pictures", "two", "letters", "serving_default", "é" * 3000, "9" * 30, "1", "-1",
         "BYTES", "FP64", "BF16", "input", "output", "../x")  # fmt: skip
_INTS = {1: (-(2**31), 2**31 - 1, -1, 0, 7), 2: (-(2**63), 2**63 - 1, -1, 0, 2**40),
         3: (0, 2**32 - 1, 7), 4: (0, 2**64 - 1, 7)}  # fmt: skip


def scalar(draw: Draw, field: Any) -> Any:
    """A value of a field's type."""
    pick, kind = draw.random, field.cpp_type
    if kind in _INTS:
        return pick.choice(_INTS[kind])
    if kind in (5, 6):
        return pick.choice((float("nan"), float("inf"), -1.0, 0.0, 1e300 if kind == 5 else 1e30))
    if kind == 7:
        return pick.random() < 0.5
    if kind == 8:
        return pick.choice([v.number for v in field.enum_type.values] + [99])
    if field.type == 12:
        return pick.choice((b"", b"\xff", b"\0" * 24, pick.randbytes(50)))
    return pick.choice(WORDS)


def grpc_answer(channel: Any, case: tuple[str, Any, Any], draw: Draw) -> list[str]:
    """What is wrong with the answer to a call."""
    path, method, request = case
    kind = "stream" if method.many_requests else "unary"
    kind += "_stream" if method.many_responses else "_unary"
    call = getattr(channel, kind)(path)
    sent = [changed_message(draw, request) for _ in range(draw.random.choice((1, 1, 3)))]
    metadata = (("authorization", "Bearer secret"),)
    try:
        given = iter(sent) if method.many_requests else sent[0]
        answer = call(given, timeout=SECONDS, metadata=metadata)
        if method.many_responses:
            for _ in answer:
                pass
    except grpc.RpcError as error:
        details = error.details() or ""
        if error.code().name in FAULTS or "Traceback" in details:
            return [f"{error.code().name}: {details[:500]}"]
        if error.code().name == "DEADLINE_EXCEEDED" and "the deadline passed" not in details:
            return [f"DEADLINE_EXCEEDED: {details[:200]}"]
    return []


# -- running ---------------------------------------------------------------------------------------


class Faults(logging.Handler):
    """What the server's log has of faults."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record that has a traceback, or that asyncio wrote."""
        if record.exc_info or record.name == "asyncio":
            text = logging.Formatter().format(record)
            self.found.append(text)


def well(running: Server, expected: bytes) -> bool:
    """Whether another request is answered as it was."""
    body = json.dumps({"instances": inputs(2).tolist()}).encode()
    head = b"POST /v1/models/digits:predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    head += b"content-length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", running.port), timeout=SECONDS) as s:
        s.sendall(head + body)
        found = b""
        while part := s.recv(1 << 16):
            found += part
    rows = json.loads(found.partition(b"\r\n\r\n")[2]).get("predictions")
    return rows is not None and np.float32(rows).tobytes() == expected


def fuzz(seeds: range, tell: Callable[[str], Any] = print) -> list[str]:
    """The faults that the cases of some seeds show."""
    faults: list[str] = []
    log = Faults()
    loggers = [logging.getLogger(name) for name in ("argand.serve", "asyncio", "grpc")]
    for logger in loggers:
        logger.addHandler(log)
    expected = exported(classifier(), most=64)(inputs(2)).numpy().tobytes()
    methods = calls()
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as running:
        channel = grpc.insecure_channel(f"127.0.0.1:{running.grpc_port}")
        with channel:
            for seed in seeds:
                draw = Draw(seed)
                if seed % 3:
                    data = http_case(draw)
                    found = http_answer(running.port, data, draw)
                    case = repr(data[:1500])
                else:
                    picked = draw.random.choice(methods)
                    found = grpc_answer(channel, picked, draw)
                    case = picked[0]
                found += log.found
                log.found = []
                if seed % 20 == 0 and not well(running, expected):
                    found.append("another request failed")
                for fault in found:
                    faults.append(f"seed {seed}: {fault}\n  {case}")
                    tell(faults[-1])
                if seed % 5000 == 0:
                    tell(f"seed {seed}: {memory() >> 20} MiB")
    for logger in loggers:
        logger.removeHandler(log)
    return faults


if __name__ == "__main__":
    first, _, last = sys.argv[1].partition(":")
    sys.exit(bool(fuzz(range(int(first), int(last)))))
