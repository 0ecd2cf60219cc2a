"""The protocols' own clients, where they are installed: Triton's, TensorFlow Serving's, gRPC's.

They hold others of the packages that Argand needs back to old releases, so they are in no extra;
they run in an environment of their own: `pip install tritonclient[grpc] grpcio-health-checking`,
or `tensorflow-serving-api`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rpc import SAVED, everything, serving, values
from served import classifier, exported, inputs, put, run

from argand_client.datatypes import name_of
from argand_client.definitions import messages


def beside(root: Path, question: Callable[[str], Any]) -> Any:
    """What a function gives that is called on a thread with the address of a server."""

    async def serve() -> Any:
        async with serving(root) as (server, _):
            return await asyncio.to_thread(question, f"127.0.0.1:{server.port}")

    return run(serve())


def described(message: Any) -> dict[int, tuple[Any, ...]]:
    """The fields of a message by number: name, type, whether repeated, and the type's name."""
    found = {}
    for field in message.fields:
        named = field.message_type or field.enum_type
        repeated = getattr(field, "is_repeated", None)
        if repeated is None:
            repeated = field.label == field.LABEL_REPEATED
        kind = field.type if field.enum_type is None else field.TYPE_INT32
        found[field.number] = (field.name, kind, repeated, named and named.full_name)
    return found


def assert_as_official(service: Any) -> None:
    """Each message that a service's methods lead to has the official names, numbers and types."""
    ours = messages().pool
    todo = [m for method in service.methods for m in (method.input_type, method.output_type)]
    seen: set[str] = set()
    while todo:
        official = todo.pop()
        if official.full_name in seen:
            continue
        seen.add(official.full_name)
        try:
            message = ours.FindMessageTypeByName(official.full_name)
        except KeyError:
            continue  # of a method or a field that is not served
        theirs = described(official)
        for number, field in described(message).items():
            name, kind, repeated, named = theirs[number]
            if kind == 5 and field[1] == 5:  # enumerations and their numbers are the same bytes
                named = field[3]
            assert field == (name, kind, repeated, named), f"{official.full_name}.{name}"
        todo += [f.message_type for f in official.fields if f.message_type is not None]
    assert len(seen) > 10


def test_tritonclient(tmp_path: Path) -> None:
    triton = pytest.importorskip("tritonclient.grpc")
    put(exported(classifier()), tmp_path, "digits", 1)
    real = tuple(d for d in SAVED if d.kind != "c")
    put(everything(real), tmp_path, "every", 1)
    x = inputs(3)
    expected = exported(classifier())(x).numpy()

    def question(address: str) -> None:
        with triton.InferenceServerClient(address) as client:
            assert client.is_server_live()
            assert client.is_server_ready()
            assert client.is_model_ready("digits")
            assert client.get_server_metadata().name == "argand"
            assert client.get_model_metadata("digits").inputs[0].datatype == "FP32"
            assert client.get_model_config("digits").config.max_batch_size == 32
            given = triton.InferInput("input", [3, 6], "FP32").set_data_from_numpy(x)
            answer = client.infer("digits", [given], request_id="7", client_timeout=60)
            assert answer.as_numpy("output").tobytes() == expected.tobytes()
            assert answer.get_response().id == "7"
            top = triton.InferRequestedOutput("output", class_count=1)
            found = client.infer("digits", [given], outputs=[top]).as_numpy("output")
            assert [int(t.split(b":")[1]) for t in found[:, 0]] == expected.argmax(1).tolist()
            _every_dtype(client, triton, real)
            _stream(client, triton, given, expected)
            stats = client.get_inference_statistics("digits").model_stats[0]
            assert stats.inference_count == 12
            assert client.get_model_repository_index().models[0].state == "READY"
            wrong = triton.InferInput("imput", [3, 6], "FP32").set_data_from_numpy(x)
            with pytest.raises(triton.InferenceServerException, match="did you mean input"):
                client.infer("digits", [wrong])
            with pytest.raises(triton.InferenceServerException, match="can't be managed"):
                client.load_model("digits")

    beside(tmp_path, question)


def _every_dtype(client: Any, triton: Any, dtypes: Any) -> None:
    given = {d.name: values(d, 3) for d in dtypes} | {"scale": np.array(2.0)}
    names = {name: name_of(x.dtype) for name, x in given.items()}
    sent = [
        triton.InferInput(name, x.shape, names[name]).set_data_from_numpy(x)
        for name, x in given.items()
    ]
    answer = client.infer("every", sent)
    for name, x in given.items():
        assert answer.as_numpy(name).tobytes() == x.tobytes(), name


def _stream(client: Any, triton: Any, given: Any, expected: np.ndarray) -> None:
    answers: list[Any] = []
    client.start_stream(lambda result, error: answers.append((result, error)))
    for i in range(3):
        client.async_stream_infer("digits" if i != 1 else "letters", [given], request_id=str(i))
    client.stop_stream()
    assert "there is no model 'letters'" in str(answers[1][1])
    assert [r.get_response().id for r, e in answers if e is None] == ["0", "2"]
    assert answers[2][0].as_numpy("output").tobytes() == expected.tobytes()


def test_messages_are_those_of_triton() -> None:
    service = pytest.importorskip("tritonclient.grpc.service_pb2")
    assert_as_official(service.DESCRIPTOR.services_by_name["GRPCInferenceService"])


def test_tensorflow_serving_api(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow_serving")
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    put(exported(classifier()), tmp_path, "digits", 1)
    put(everything(), tmp_path, "every", 1)
    x = inputs(3)
    expected = exported(classifier())(x).numpy()

    def question(address: str) -> None:
        with grpc.insecure_channel(address) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "digits"
            request.inputs["input"].CopyFrom(tf.make_tensor_proto(x))
            found = stub.Predict(request, 60).outputs["output"]
            assert tf.make_ndarray(found).tobytes() == expected.tobytes()
            assert np.array(found.float_val, np.float32).tobytes() == expected.tobytes()
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "every"
            given = {d.name: values(d, 3) for d in SAVED} | {"scale": np.array(2.0)}
            for name, array in given.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
            answer = stub.Predict(request, 60)
            for name, array in given.items():
                assert tf.make_ndarray(answer.outputs[name]).tobytes() == array.tobytes(), name
            request.inputs["int8"].ClearField("tensor_shape")
            with pytest.raises(grpc.RpcError) as caught:
                stub.Predict(request, 60)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            asked = get_model_metadata_pb2.GetModelMetadataRequest()
            asked.model_spec.name = "digits"
            asked.metadata_field.append("signature_def")
            packed = stub.GetModelMetadata(asked, 60).metadata["signature_def"]
            signatures = get_model_metadata_pb2.SignatureDefMap()
            assert packed.Unpack(signatures)
            info = signatures.signature_def["serving_default"].outputs["output"]
            assert info.dtype == tf.float32.as_datatype_enum
            states = get_model_status_pb2.GetModelStatusRequest()
            states.model_spec.name = "digits"
            models = model_service_pb2_grpc.ModelServiceStub(channel)
            (status,) = models.GetModelStatus(states, 60).model_version_status
            assert (status.version, status.state) == (1, 30)

    beside(tmp_path, question)
    for service in ("prediction_service", "model_service"):
        module = pytest.importorskip(f"tensorflow_serving.apis.{service}_pb2")
        for described_service in module.DESCRIPTOR.services_by_name.values():
            assert_as_official(described_service)


def test_grpcio_health_checking(tmp_path: Path) -> None:
    health_pb2 = pytest.importorskip("grpc_health.v1.health_pb2")
    health_pb2_grpc = pytest.importorskip("grpc_health.v1.health_pb2_grpc")
    import grpc

    put(exported(classifier()), tmp_path, "digits", 1)

    def question(address: str) -> None:
        with grpc.insecure_channel(address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            serving_now = health_pb2.HealthCheckResponse.SERVING
            for name in ("", "tensorflow.serving.PredictionService", "digits"):
                asked = health_pb2.HealthCheckRequest(service=name)
                assert stub.Check(asked, timeout=60).status == serving_now
            watch = stub.Watch(health_pb2.HealthCheckRequest(service="letters"))
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
            watch.cancel()

    beside(tmp_path, question)
