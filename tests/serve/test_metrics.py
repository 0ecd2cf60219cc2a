"""What is counted and logged of requests."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from served import classifier, exported, inputs, put
from web import asked

pytest.importorskip("httptools")
parser = pytest.importorskip("prometheus_client.parser")

from argand.serve import Server
from argand.serve.http.log import line_of
from argand.serve.http.message import Request, Response
from argand.serve.tracing import trace_of


def test_requests_batches_and_versions_are_counted(tmp_path: Path) -> None:
    put(exported(classifier()), tmp_path, "digits", 1)
    with Server(tmp_path, port=0) as server:
        for rows in (1, 3):
            asked(server, "POST", "/v1/models/digits:predict", {"instances": inputs(rows).tolist()})
        asked(server, "POST", "/v1/models/digits:predict", {"instances": 5})
        asked(server, "GET", "/v1/models/nothing")
        answer = asked(server, "GET", "/metrics")
        recent = server.metrics.recent()
    assert answer.headers["content-type"].startswith("text/plain")
    found = {}
    for family in parser.text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            found[sample.name, *sorted(sample.labels.values())] = sample.value
    assert found["argand_requests_total", "1", "200", "digits", "tensorflow"] == 2
    assert found["argand_requests_total", "1", "400", "digits", "tensorflow"] == 1
    assert found["argand_requests_total", "", "", "404", "tensorflow"] == 1
    assert found["argand_batch_rows_sum", "1", "digits"] == 4
    assert found["argand_batch_rows_count", "1", "digits"] == 2
    buckets = {"1.0": 1, "2.0": 1, "4.0": 2, "+Inf": 2}
    for bound, count in buckets.items():
        assert found["argand_batch_rows_bucket", *sorted(("1", "digits", bound))] == count
    assert found["argand_request_seconds_count", "digits", "tensorflow"] == 3
    assert found["argand_version_state", "1", "AVAILABLE", "digits"] == 1
    assert found["argand_in_flight", "1", "digits"] == 0
    assert found["argand_version_bytes", "1", "digits"] == 4 * (6 * 8 + 8 + 8 * 3 + 3)
    assert found[("argand_memory_bytes",)] > 1e7
    assert found[("argand_connections",)] >= 1  # that which asks
    assert sum(second["requests"] for second in recent) >= 4


def test_a_line_of_the_log_has_the_ids_of_a_trace() -> None:
    request = Request("GET", '/v1/models/"x"\n', client="::1")
    request.id = "abc"
    request.trace = trace_of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    line = line_of(request, Response(b"12345", status=404), 0.25)
    assert b"\n" not in line
    said = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", said.pop("time"))
    span = said.pop("span_id")
    assert len(span) == 16 and span != "b7ad6b7169203331"
    assert said == {
        "method": "GET",
        "path": '/v1/models/"x"\n',
        "protocol": "",
        "status": 404,
        "seconds": 0.25,
        "bytes_in": 0,
        "bytes_out": 5,
        "client": "::1",
        "request_id": "abc",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "parent_id": "b7ad6b7169203331",
    }
