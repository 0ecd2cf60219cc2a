"""What clients hear of a queue that is full: when to ask again, in each protocol."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from served import classifier, exported, inputs, put
from web import asked

grpc = pytest.importorskip("grpc")
pytest.importorskip("httptools")
parser = pytest.importorskip("prometheus_client.parser")

from argand.serve import BatchOptions, Client, ModelOptions, ServeError, Status, serve
from argand_client.definitions import DETAILS, RETRY_INFO, messages

SERVICE = "inference.GRPCInferenceService"


def test_clients_hear_how_long_a_full_queue_will_take(tmp_path: Path) -> None:
    put(exported(classifier()), tmp_path, "digits", 1)
    options = {"digits": ModelOptions(batching=BatchOptions(max_queued_rows=8))}
    with serve(tmp_path, port=0, grpc_port=0, block=False, models=options) as server:
        budget = server.engine.models["digits"].budget
        budget.observe(2, 2.45)
        budget.rows = 8  # as if they waited
        rows = {"instances": inputs(1).tolist()}
        answer = asked(server, "POST", "/v1/models/digits:predict", rows)
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "10"
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            request = messages()("inference.ModelInferRequest")(model_name="digits")
            request.inputs.add(name="input", datatype="FP32", shape=(1, 6))
            request.raw_input_contents.append(inputs(1).tobytes())
            call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            with pytest.raises(grpc.RpcError) as caught:
                call(request.SerializeToString())
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        trailing = dict(caught.value.trailing_metadata())
        (detail,) = messages()("google.rpc.Status").FromString(trailing[DETAILS]).details
        assert detail.type_url == RETRY_INFO
        delay = messages()("google.rpc.RetryInfo").FromString(detail.value).retry_delay
        assert delay.seconds + delay.nanos / 1e9 == pytest.approx(9.8)
        for url in (server.url, f"grpc://127.0.0.1:{server.grpc_port}"):
            with Client(url, "digits", retries=0) as client, pytest.raises(ServeError) as told:
                client.predict(inputs(1))
            assert told.value.status is Status.RESOURCE_EXHAUSTED
            assert told.value.field is None
            assert told.value.retry_after == pytest.approx(9.8, abs=0.21)
        text = asked(server, "GET", "/metrics").body.decode()
        budget.rows = 0
        assert asked(server, "POST", "/v1/models/digits:predict", rows).status == 200
    found = {
        sample.name: sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert (found["argand_queued_rows"], found["argand_queue_limit"]) == (8, 8)


def test_the_memory_and_the_ends_of_workers_are_counted(tmp_path: Path) -> None:
    pytest.importorskip("msgspec")
    put(exported(classifier()), tmp_path, "digits", 1)
    with serve(tmp_path, port=0, workers=1, block=False) as server:
        text = asked(server, "GET", "/metrics").body.decode()
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["argand_worker_memory_bytes", "0"] > 1e7
    assert found[("argand_worker_restarts_total",)] == 0


HTTP = {
    "/v1/models/digits:predict": {"instances": inputs(1).tolist()},
    "/v2/models/digits/infer": {
        "inputs": [
            {"name": "input", "shape": [1, 6], "datatype": "FP32", "data": inputs(1).tolist()}
        ]
    },
    "/predictions/digits": {"data": inputs(1).tolist()},
}
V1 = "tensorflow.serving.PredictionService"


def test_full_queues_and_passed_deadlines_in_each_protocols_form(tmp_path: Path) -> None:
    put(exported(classifier()), tmp_path, "digits", 1)
    waits = BatchOptions(max_rows=64, max_delay=600.0, max_queued_rows=64)
    models = {"digits": ModelOptions(batching=waits)}
    v1, v2 = messages()("tensorflow.serving.PredictRequest")(), _inference()
    v1.model_spec.name = "digits"
    v1.inputs["input"].dtype = 1
    v1.inputs["input"].tensor_content = inputs(1).tobytes()
    for size in (1, 6):
        v1.inputs["input"].tensor_shape.dim.add(size=size)
    calls = {f"/{V1}/Predict": v1, f"/{SERVICE}/ModelInfer": v2}
    with (
        serve(tmp_path, port=0, grpc_port=0, block=False, models=models) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel,
    ):
        budget = server.engine.models["digits"].budget
        for path, body in HTTP.items():
            late = asked(server, "POST", path, body, x_request_timeout="0.02")
            assert late.status == 504
            assert "deadline" in _said(late.json)
            budget.rows += 64
            full = asked(server, "POST", path, body)
            budget.rows -= 64
            assert (full.status, full.headers["Retry-After"]) == (429, "1")
            assert "wait" in _said(full.json)
        for name, request in calls.items():
            call, data = channel.unary_unary(name), request.SerializeToString()
            with pytest.raises(grpc.RpcError) as caught:
                call(data, timeout=0.1)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            budget.rows += 64
            with pytest.raises(grpc.RpcError) as caught:
                call(data, timeout=20)
            budget.rows -= 64
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        version = server.call(lambda: server.engine.find("digits"))
        until = time.monotonic() + 20
        while version.in_flight and time.monotonic() < until:
            time.sleep(0.01)
        assert (version.in_flight, budget.rows) == (0, 0)  # nothing of them is left


def _inference() -> Any:
    request = messages()("inference.ModelInferRequest")(model_name="digits")
    request.inputs.add(name="input", datatype="FP32", shape=(1, 6))
    request.raw_input_contents.append(inputs(1).tobytes())
    return request


def _said(answer: Any) -> str:
    found = answer.get("error") or answer["message"]
    assert isinstance(found, str)
    return found
