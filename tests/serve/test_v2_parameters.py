"""The parameters of the v2 protocol: one rule over REST, gRPC, and for texts."""

from __future__ import annotations

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

from argand.serve import BatchOptions, ModelOptions, Server, generation
from argand_client.datatypes import to_bytes
from argand_client.definitions import messages

LARGEST = 2**53 - 1
TEXT = {"text_input": "the ", "sampling_parameters": json.dumps({"max_tokens": 60})}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("models")
    put(exported(classifier()), root, "digits", 1)
    letters = generation.export(small_model(64), context=64, page=4, chunk=8, vocabulary=LETTERS)
    put(letters, root, "letters", 1)
    waits = {"digits": ModelOptions(batching=BatchOptions(max_rows=2, max_delay=0.05))}
    with Server(root, port=0, grpc_port=0, models=waits) as running:
        yield running


def over_rest(server: Server, model: str, parameters: dict[str, Any]) -> tuple[str, str]:
    """How a request ends, and what is said of it."""
    if model == "digits":
        tensors = [{"name": "input", "shape": [1, 6], "datatype": "FP32", "data": [0] * 6}]
    else:
        tensors = [
            {"name": name, "shape": [1], "datatype": "BYTES", "data": [text]}
            for name, text in TEXT.items()
        ]
    body = {"inputs": tensors, "parameters": parameters}
    answer = asked(server, "POST", f"/v2/models/{model}/infer", body)
    ends = {200: "OK", 400: "INVALID_ARGUMENT", 504: "DEADLINE_EXCEEDED"}
    return ends[answer.status], answer.json.get("error", "")


def over_grpc(server: Server, model: str, parameters: dict[str, Any]) -> tuple[str, str]:
    """The same over gRPC."""
    request = messages()("inference.ModelInferRequest")(model_name=model)
    if model == "digits":
        request.inputs.add(name="input", datatype="FP32", shape=(1, 6))
        request.raw_input_contents.append(inputs(1).tobytes())
    else:
        for name, text in TEXT.items():
            request.inputs.add(name=name, datatype="BYTES", shape=[1])
            request.raw_input_contents.append(to_bytes(np.array([text], object)))
    kinds = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}
    for name, value in parameters.items():
        setattr(request.parameters[name], kinds[type(value)], value)
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


def test_a_text_of_generate_has_a_time_and_a_priority(server: Server) -> None:
    for parameters, status in (({"timeout": 1}, 504), ({"priority": True}, 400)):
        body = {"text_input": "the ", "max_tokens": 60, "parameters": parameters}
        assert asked(server, "POST", "/v2/models/letters/generate", body).status == status
