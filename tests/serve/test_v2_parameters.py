"""The parameters and the outputs of the v2 protocol: one rule over REST, gRPC, and for texts."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from served import classifier, exported, inputs, put
from texts import LETTERS, small_model
from web import asked

grpc = pytest.importorskip("grpc")
pytest.importorskip("httptools")

import argand as ag
from argand import nn
from argand.serve import BatchOptions, ModelOptions, Server, generation
from argand.serve.grpc import inference
from argand_client.datatypes import to_bytes
from argand_client.definitions import messages

LARGEST = 2**53 - 1
TEXT = {"text_input": "the ", "sampling_parameters": json.dumps({"max_tokens": 60})}


class Total(nn.Module):
    """A number of no dimension."""

    def forward(self, input: Any) -> Any:
        return input.sum()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("models")
    put(exported(classifier()), root, "digits", 1)
    letters = generation.export(small_model(64), context=64, page=4, chunk=8, vocabulary=LETTERS)
    put(letters, root, "letters", 1)
    put(ag.export.export(Total(), (ag.ones(1, 6),)), root, "total", 0)
    waits = {"digits": ModelOptions(batching=BatchOptions(max_rows=2, max_delay=0.05))}
    with Server(root, port=0, grpc_port=0, models=waits) as running:
        yield running


Wanted = dict[str, dict[str, Any]]
"""The outputs that a request names, with their parameters."""


def over_rest(
    server: Server, model: str, parameters: dict[str, Any], wanted: Wanted | None = None
) -> tuple[str, str]:
    """How a request ends, and what is said of it."""
    if model != "letters":
        tensors = [{"name": "input", "shape": [1, 6], "datatype": "FP32", "data": [0] * 6}]
    else:
        tensors = [
            {"name": name, "shape": [1], "datatype": "BYTES", "data": [text]}
            for name, text in TEXT.items()
        ]
    outputs = [{"name": name, "parameters": given} for name, given in (wanted or {}).items()]
    body = {"inputs": tensors, "parameters": parameters, "outputs": outputs}
    answer = asked(server, "POST", f"/v2/models/{model}/infer", body)
    ends = {200: "OK", 400: "INVALID_ARGUMENT", 501: "UNIMPLEMENTED", 504: "DEADLINE_EXCEEDED"}
    return ends[answer.status], answer.json.get("error", "")


def over_grpc(
    server: Server, model: str, parameters: dict[str, Any], wanted: Wanted | None = None
) -> tuple[str, str]:
    """The same over gRPC."""
    request = messages()("inference.ModelInferRequest")(model_name=model)
    if model != "letters":
        request.inputs.add(name="input", datatype="FP32", shape=(1, 6))
        request.raw_input_contents.append(inputs(1).tobytes())
    else:
        for name, text in TEXT.items():
            request.inputs.add(name=name, datatype="BYTES", shape=[1])
            request.raw_input_contents.append(to_bytes(np.array([text], object)))
    kinds = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}
    named = ((request.outputs.add(name=name), given) for name, given in (wanted or {}).items())
    for part, given in ((request, parameters), *named):
        for name, value in given.items():
            setattr(part.parameters[name], kinds[type(value)], value)
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        try:
            call(request.SerializeToString(), timeout=20)
        except grpc.RpcError as error:
            return error.code().name, error.details()
    return "OK", ""


@pytest.mark.parametrize("model", ["digits", "letters"])
@pytest.mark.parametrize(
    ("parameters", "ends"),
    [
        ({"timeout": 1}, "DEADLINE_EXCEEDED"),
        ({"timeout": LARGEST, "priority": LARGEST}, "OK"),
        ({"timeout": 0, "priority": -LARGEST}, "OK"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": LARGEST + 1}, "timeout"),
        ({"timeout": 1.5}, "timeout"),
        ({"priority": True}, "priority"),
        ({"priority": "first"}, "priority"),
        ({"priority": LARGEST + 1}, "priority"),
        ({"signature_name": 1}, "signature_name"),
    ],
)
def test_rest_and_grpc_have_one_rule(
    server: Server, model: str, parameters: dict[str, Any], ends: str
) -> None:
    by_rest, by_grpc = (over(server, model, parameters) for over in (over_rest, over_grpc))
    if ends.isupper():
        assert (by_rest[0], by_grpc[0]) == (ends, ends)
    else:
        assert by_rest == by_grpc
        assert by_rest[0] == "INVALID_ARGUMENT" and f"the parameter '{ends}' is" in by_rest[1]


@pytest.mark.parametrize(
    ("model", "wanted", "ends"),
    [
        ("digits", {"output": {}}, "OK"),
        ("digits", {"output": {"classification": 2}}, "OK"),
        ("digits", {"output": {"classification": -1}}, "-1 classes"),
        ("digits", {"output": {"classification": "a"}}, "'classification' is an integer"),
        ("digits", {"other": {}}, "digits has no output 'other'; its outputs are output"),
        ("total", {"output": {}}, "OK"),
        ("total", {"output": {"classification": 1}}, "1 classes"),
        ("letters", {"text_output": {}}, "OK"),
        ("letters", {"output": {}}, "letters has no output 'output'"),
        ("letters", {"text_output": {"shared_memory_region": "a"}}, "UNIMPLEMENTED"),
        ("digits", {"output": {"shared_memory_region": "a"}}, "UNIMPLEMENTED"),
    ],
)
def test_outputs_are_named_by_one_rule(
    server: Server, model: str, wanted: Wanted, ends: str
) -> None:
    by_rest, by_grpc = (over(server, model, {}, wanted) for over in (over_rest, over_grpc))
    assert by_rest == by_grpc
    assert ends == by_rest[0] or (by_rest[0] == "INVALID_ARGUMENT" and ends in by_rest[1])


def test_calls_of_version_0_are_counted_as_its(server: Server) -> None:
    assert over_grpc(server, "total", {})[0] == over_rest(server, "total", {})[0] == "OK"
    assert over_grpc(server, "nobody", {})[0] == "NOT_FOUND"
    counted = asked(server, "GET", "/metrics").body.decode()
    for protocol, status in (("grpc", "OK"), ("v2", "200")):
        labels = f'{{model="total",protocol="{protocol}",status="{status}",version="0"}}'
        assert f"argand_requests_total{labels}" in counted
    assert "nobody" not in counted


@pytest.mark.parametrize(
    ("model", "version", "status"),
    [("digits", "", 200), ("digits", "1", 200), ("digits", "2", 404), ("other", "", 404)],
)
def test_statistics_are_those_of_a_version_that_is_there(
    server: Server, model: str, version: str, status: int
) -> None:
    at = f"/versions/{version}" if version else ""
    assert asked(server, "GET", f"/v2/models/{model}{at}/stats").status == status
    request = messages()("inference.ModelStatisticsRequest")(name=model, version=version)
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelStatistics")
        try:
            call(request.SerializeToString(), timeout=20)
        except grpc.RpcError as error:
            assert (error.code().name, status) == ("NOT_FOUND", 404)
        else:
            assert status == 200


def test_a_stream_that_is_left_cancels_all_that_it_began() -> None:
    async def ask() -> tuple[int, int]:
        service = object.__new__(inference.InferenceService)
        begun, cancelled = [], []

        async def never() -> Any:
            await asyncio.Event().wait()
            yield None

        def begin(request: int, call: Any) -> Any:
            begun.append(request)
            return inference._Answers(never(), functools.partial(cancelled.append, request))

        async def requests() -> Any:
            for number in range(200):
                yield number

        service._begun = begin
        answering = service.model_stream_infer(requests(), None)
        task = asyncio.ensure_future(anext(answering))
        for _ in range(10):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return len(begun), len(cancelled)

    begun, cancelled = asyncio.run(ask())
    assert begun == cancelled > inference._STREAMED


def test_a_text_of_generate_has_a_time_and_a_priority(server: Server) -> None:
    for parameters, status in (({"timeout": 1}, 504), ({"priority": True}, 400)):
        body = {"text_input": "the ", "max_tokens": 60, "parameters": parameters}
        assert asked(server, "POST", "/v2/models/letters/generate", body).status == status
