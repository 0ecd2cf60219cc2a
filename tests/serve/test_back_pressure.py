"""What clients hear of a queue that is full: when to ask again, in each protocol."""

from __future__ import annotations

from pathlib import Path

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
