"""Which methods of gRPC take which tokens: each method with right, wrong, others' and no tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from served import classifier, exported, put

grpc = pytest.importorskip("grpc")
pytest.importorskip("httptools")

from argand.serve import Server
from argand_client.definitions import messages

OPEN, MODEL, READ, MANAGE = ("", "wrong", "others", "own", "manager"), ("own", "manager"), \
    ("others", "own", "manager"), ("manager",)  # fmt: skip
TOKENS = {
    "grpc.health.v1.Health": {"Check": OPEN, "Watch": OPEN},
    "grpc.reflection.v1.ServerReflection": {"ServerReflectionInfo": OPEN},
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": OPEN},
    "tensorflow.serving.PredictionService": {
        "Classify": MODEL,
        "Regress": MODEL,
        "Predict": MODEL,
        "MultiInference": MODEL,
        "GetModelMetadata": MODEL,
    },
    "tensorflow.serving.ModelService": {
        "GetModelStatus": MODEL,
        "HandleReloadConfigRequest": MANAGE,
    },
    "inference.GRPCInferenceService": {
        **dict.fromkeys(("ServerLive", "ServerReady", "ServerMetadata", "ModelReady"), OPEN),
        **dict.fromkeys(("ModelMetadata", "ModelConfig", "ModelInfer", "ModelStreamInfer"), MODEL),
        **dict.fromkeys(("ModelStatistics", "TraceSetting"), MODEL),
        **dict.fromkeys(("RepositoryIndex", "LogSettings"), READ),
        **dict.fromkeys(("RepositoryModelLoad", "RepositoryModelUnload"), MANAGE),
        **{
            f"{kind}SharedMemory{what}": READ
            for kind in ("System", "Cuda")
            for what in ("Status", "Register", "Unregister")
        },
    },
}
"""The tokens that a method takes which is asked about the model `served`."""


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("models")
    for model in ("served", "other"):
        put(exported(classifier()), root, model, 1)
    tokens = {"served": "own", "other": "others"}
    with (
        Server(root, port=0, grpc_port=0, token="manager", tokens=tokens) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as made,
    ):
        yield made


def request_of(kind: Any) -> Any:
    """A request about the model `served`."""
    made = kind()
    for name in ("name", "model_name", "service"):
        if name in kind.DESCRIPTOR.fields_by_name:
            setattr(made, name, "served")
    if "model_spec" in kind.DESCRIPTOR.fields_by_name:
        made.model_spec.name = "served"
    if "metadata_field" in kind.DESCRIPTOR.fields_by_name:
        made.metadata_field.append("signature_def")
    if "tasks" in kind.DESCRIPTOR.fields_by_name:
        made.tasks.add(method_name="tensorflow/serving/classify").model_spec.name = "served"
    return made


def lets_in(channel: Any, service: str, method: Any, token: str) -> bool:
    """Whether a method does not ask for another token."""
    kind = "stream" if method.many_requests else "unary"
    kind += "_stream" if method.many_responses else "_unary"
    call = getattr(channel, kind)(f"/{service}/{method.name}")
    sent = request_of(method.request).SerializeToString()
    header = (("authorization", f"Bearer {token}"),) if token else ()
    try:
        answer = call(iter([sent]) if method.many_requests else sent, timeout=20, metadata=header)
        if not method.many_responses:
            return True
        first = next(answer)
        answer.cancel()
        found = getattr(method.response.FromString(first), "error_message", "")
    except grpc.RpcError as error:
        assert error.code() is not grpc.StatusCode.PERMISSION_DENIED
        return error.code() is not grpc.StatusCode.UNAUTHENTICATED
    return "authorization" not in found


@pytest.mark.parametrize("service", sorted(messages().services))
def test_each_method_takes_the_tokens_that_are_for_it(channel: Any, service: str) -> None:
    methods = {m.name: m for m in messages().methods(service)}
    assert methods.keys() == TOKENS[service].keys()
    for name, method in methods.items():
        found = tuple(token for token in OPEN if lets_in(channel, service, method, token))
        assert found == TOKENS[service][name], name
