"""gRPC: TensorFlow Serving's services, those of KServe and Triton, health, reflection, errors."""

from __future__ import annotations

import asyncio
import gzip
import io
import struct
from pathlib import Path
from typing import Any

import grpc
import ml_dtypes
import numpy as np
import pytest
from rpc import DTYPES, SAVED, Stub, everything, serving, values
from served import classifier, exported, inputs, put, run

import argand as ag
from argand import nn
from argand.base.dtype import DType
from argand.serve import BatchOptions, Limits, ModelOptions, ServeError, Status, serve
from argand.serve.access import Access
from argand.serve.grpc import Record
from argand.serve.grpc.tensor_proto import fill, to_array
from argand_client.datatypes import from_bytes, name_of, to_bytes
from argand_client.definitions import messages

V2 = "inference.GRPCInferenceService"
PREDICTION = "tensorflow.serving.PredictionService"
MODELS = "tensorflow.serving.ModelService"
HEALTH = "grpc.health.v1.Health"
BAD = grpc.StatusCode.INVALID_ARGUMENT


def infer_request(x: np.ndarray, **changes: Any) -> Any:
    """A ModelInferRequest of rows."""
    request = messages()("inference.ModelInferRequest")(model_name="digits", id="7")
    request.inputs.add(name="input", datatype=name_of(x.dtype), shape=x.shape)
    request.raw_input_contents.append(to_bytes(x))
    for name, value in changes.items():
        setattr(request, name, value)
    return request


def predict_request(x: np.ndarray, name: str = "input") -> Any:
    """A PredictRequest of rows."""
    request = messages()("tensorflow.serving.PredictRequest")()
    request.model_spec.name = "digits"
    fill(request.inputs[name], x)
    return request


def ask(root: Path, question: Any, **options: Any) -> Any:
    """What `question(server, channel)` gives on a server over a folder."""

    async def serve() -> Any:
        async with serving(root, **options) as (server, channel):
            return await question(server, channel)

    return run(serve())


def refused(root: Path, service: str, method: str, request: Any) -> grpc.aio.AioRpcError:
    """The error of a call, after which the server still answers."""

    async def question(server: Any, channel: Any) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(Stub(channel, service), method)(request)
        await Stub(channel, V2).ModelInfer(infer_request(inputs(1)))
        return caught.value

    return ask(root, question)


def field_of(error: grpc.aio.AioRpcError) -> str:
    """The field that an error names, as google.rpc.BadRequest."""
    data = dict(error.trailing_metadata())["grpc-status-details-bin"]
    status = messages()("google.rpc.Status").FromString(data)
    assert status.code == error.code().value[0]
    bad = messages()("google.rpc.BadRequest").FromString(status.details[0].value)
    return str(bad.field_violations[0].field)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model `digits` for up to 64 rows."""
    root = tmp_path_factory.mktemp("digits")
    put(exported(classifier(), most=64), root, "digits", 1)
    return root


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of all dtypes."""
    root = tmp_path_factory.mktemp("every")
    put(everything(), root, "every", 1)
    put(everything(tuple(d for d in SAVED if d.kind != "c")), root, "real", 1)
    return root


# -- answers ---------------------------------------------------------------------------------------


def test_both_protocols_give_the_bits_of_the_program(digits: Path) -> None:
    x = inputs(5)
    expected = exported(classifier())(x).numpy()

    async def question(server: Any, channel: Any) -> list[Any]:
        infer = await Stub(channel, V2).ModelInfer(infer_request(x))
        predict = await Stub(channel, PREDICTION).Predict(predict_request(x))
        return [infer, predict]

    infer, predict = ask(digits, question)
    assert (infer.id, infer.model_name, infer.model_version) == ("7", "digits", "1")
    assert infer.raw_output_contents[0] == expected.tobytes()
    assert to_array(predict.outputs["output"], "", 100).tobytes() == expected.tobytes()
    assert predict.model_spec.version.value == 1
    assert predict.model_spec.signature_name == "serving_default"


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_every_dtype_comes_back_bit_for_bit(every: Path, rows: int) -> None:
    given = {d.name: values(d, rows, rows) for d in SAVED}
    given["scale"] = np.array(2.5)
    predict = messages()("tensorflow.serving.PredictRequest")()
    predict.model_spec.name = "every"
    for name, x in given.items():
        fill(predict.inputs[name], x)
    infer = messages()("inference.ModelInferRequest")(model_name="real")
    real = {name: x for name, x in given.items() if x.dtype.kind != "c"}
    for name, x in real.items():
        infer.inputs.add(name=name, datatype=name_of(x.dtype), shape=x.shape)
        infer.raw_input_contents.append(to_bytes(x))

    async def question(server: Any, channel: Any) -> Any:
        return (
            await Stub(channel, PREDICTION).Predict(predict),
            await Stub(channel, V2).ModelInfer(infer),
        )

    predicted, inferred = ask(every, question)
    for name, x in given.items():
        found = to_array(predicted.outputs[name], name, 1000)
        assert (found.dtype, found.shape) == (x.dtype, x.shape)
        assert found.tobytes() == x.tobytes(), name
    for tensor, raw in zip(inferred.outputs, inferred.raw_output_contents, strict=True):
        found = from_bytes(raw, tensor.datatype, tensor.shape)
        assert found.tobytes() == real[tensor.name].tobytes(), tensor.name


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
def test_tensor_protos_hold_values_in_content_and_in_fields(dtype: DType) -> None:
    x = values(dtype, 3)
    typed, content = (messages()("tensorflow.TensorProto")() for _ in range(2))
    fill(typed, x)
    assert not typed.tensor_content
    content.CopyFrom(typed)
    for field in list(content.DESCRIPTOR.fields_by_name):
        if field.endswith("_val"):
            content.ClearField(field)
    content.tensor_content = x.tobytes()
    assert to_array(content, "x", 100).tobytes() == to_array(typed, "x", 100).tobytes()


@pytest.mark.parametrize(
    ("number", "given", "expected"),
    [
        (3, {"int_val": [7]}, np.full(6, 7, np.int32)),
        (1, {"float_val": [1, 2, 3, 4]}, np.float32([1, 2, 3, 4, 4, 4])),
        (1, {}, np.zeros(6, np.float32)),
        (10, {"bool_val": [True, False]}, np.array([True] + [False] * 5)),
        (19, {"half_val": [0x3C00, 0x4000]}, np.float16([1, 2, 2, 2, 2, 2])),
        (8, {"scomplex_val": [1, 2, 3, 4]}, np.complex64([1 + 2j] + [3 + 4j] * 5)),
        (25, {"float8_val": b"\x38\x40"}, np.array([1, 2, 2, 2, 2, 2], ml_dtypes.float8_e4m3fn)),
        (7, {"string_val": [b"a", b"b"]}, np.array([b"a", b"b", b"b", b"b", b"b", b"b"], object)),
        (7, {}, np.array([b""] * 6, object)),
    ],
)
def test_the_last_value_stands_for_those_that_are_left_out(
    number: int, given: dict[str, Any], expected: np.ndarray
) -> None:
    tensor = messages()("tensorflow.TensorProto")(dtype=number, **given)
    for size in (2, 3):
        tensor.tensor_shape.dim.add(size=size)
    found = to_array(tensor, "x", 6)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected.reshape(2, 3))
    with pytest.raises(ServeError, match="6 elements are more than 5"):
        to_array(tensor, "x", 5)


def test_typed_contents_of_the_v2_protocol(digits: Path) -> None:
    x = inputs(2)
    request = infer_request(x)
    del request.raw_input_contents[:]
    request.inputs[0].contents.fp32_contents.extend(x.ravel().tolist())
    request.parameters["priority"].int64_param = 1
    request.parameters["timeout"].int64_param = 10_000_000

    async def question(server: Any, channel: Any) -> Any:
        return await Stub(channel, V2).ModelInfer(request)

    expected = exported(classifier())(x).numpy()
    assert ask(digits, question).raw_output_contents[0] == expected.tobytes()


def test_strings(tmp_path: Path) -> None:
    pytest.importorskip("onnx.helper")
    import onnx

    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["text"], ["same"])],
        "strings",
        [value("text", onnx.TensorProto.STRING, ["n"])],
        [value("same", onnx.TensorProto.STRING, ["n"])],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    folder = tmp_path / "words" / "1"
    folder.mkdir(parents=True)
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset), folder / "model.onnx")
    x = np.array(["a", "", "Zürich \N{SNOWMAN}"], object)
    predict = messages()("tensorflow.serving.PredictRequest")()
    predict.model_spec.name = "words"
    fill(predict.inputs["text"], x)
    infer = messages()("inference.ModelInferRequest")(model_name="words")
    infer.inputs.add(name="text", datatype="BYTES", shape=x.shape)
    infer.raw_input_contents.append(to_bytes(x))

    async def question(server: Any, channel: Any) -> None:
        answer = await Stub(channel, PREDICTION).Predict(predict)
        found = to_array(answer.outputs["same"], "", 10)
        assert [text.decode() for text in found] == x.tolist()
        answer = await Stub(channel, V2).ModelInfer(infer)
        assert answer.outputs[0].datatype == "BYTES"
        assert answer.raw_output_contents[0] == infer.raw_input_contents[0]
        infer.raw_input_contents[0] = struct.pack("<I", 1) + b"\xff" + struct.pack("<II", 0, 0)
        with pytest.raises(grpc.aio.AioRpcError, match="a string is no UTF-8"):
            await Stub(channel, V2).ModelInfer(infer)

    ask(tmp_path, question)


def test_metadata_status_index_and_configuration(digits: Path) -> None:
    async def question(server: Any, channel: Any) -> None:
        stub, kinds = Stub(channel, V2), messages()
        assert (await stub.ServerLive(kinds("inference.ServerLiveRequest")())).live
        assert (await stub.ServerReady(kinds("inference.ServerReadyRequest")())).ready
        named = {"name": "digits"}
        assert (await stub.ModelReady(kinds("inference.ModelReadyRequest")(**named))).ready
        found = await stub.ModelMetadata(kinds("inference.ModelMetadataRequest")(**named))
        assert list(found.versions) == ["1"]
        assert [(i.name, i.datatype, list(i.shape)) for i in found.inputs] == [
            ("input", "FP32", [-1, 6])
        ]
        found = await stub.ModelConfig(kinds("inference.ModelConfigRequest")(**named))
        assert found.config.max_batch_size == 32
        assert list(found.config.input[0].dims) == [6]
        found = await stub.RepositoryIndex(kinds("inference.RepositoryIndexRequest")())
        assert [(m.name, m.version, m.state) for m in found.models] == [("digits", "1", "READY")]

        request = kinds("tensorflow.serving.GetModelMetadataRequest")()
        request.model_spec.name = "digits"
        request.metadata_field.append("signature_def")
        found = await Stub(channel, PREDICTION).GetModelMetadata(request)
        described = kinds("tensorflow.serving.SignatureDefMap").FromString(
            found.metadata["signature_def"].value
        )
        info = described.signature_def["serving_default"].inputs["input"]
        assert (info.dtype, [d.size for d in info.tensor_shape.dim]) == (1, [-1, 6])
        request = kinds("tensorflow.serving.GetModelStatusRequest")()
        request.model_spec.name = "digits"
        found = await Stub(channel, MODELS).GetModelStatus(request)
        assert [(s.version, s.state) for s in found.model_version_status] == [(1, 30)]

    ask(digits, question)


def test_statistics_count_rows_and_batches(digits: Path) -> None:
    async def question(server: Any, channel: Any) -> Any:
        stub = Stub(channel, V2)
        for _ in range(3):
            await stub.ModelInfer(infer_request(inputs(4)))
        return await stub.ModelStatistics(messages()("inference.ModelStatisticsRequest")())

    (found,) = ask(digits, question).model_stats
    assert (found.inference_count, found.execution_count) == (12, 3)
    assert found.inference_stats.success.count == 3
    assert [(b.batch_size, b.compute_infer.count) for b in found.batch_stats] == [(4, 3)]


def test_examples_are_classified_and_regressed(digits: Path, tmp_path: Path) -> None:
    program = exported(classifier())
    folder = tmp_path / "digits" / "1"
    folder.mkdir(parents=True)
    program.save(folder / "model.argand", assets={"classes.txt": "a\nb\nc"})
    x = inputs(2)
    scores = program(x).numpy()
    given = messages()("tensorflow.serving.ClassificationRequest")()
    given.model_spec.name = "digits"
    for row in x:
        example = given.input.example_list.examples.add()
        example.features.feature["input"].float_list.value.extend(row.tolist())

    async def question(server: Any, channel: Any) -> None:
        stub = Stub(channel, PREDICTION)
        found = (await stub.Classify(given)).result.classifications
        assert [[(c.label, c.score) for c in row.classes] for row in found] == [
            list(zip("abc", row, strict=True)) for row in scores.tolist()
        ]
        tasks = messages()("tensorflow.serving.MultiInferenceRequest")(input=given.input)
        tasks.tasks.add(model_spec=given.model_spec, method_name="tensorflow/serving/classify")
        (result,) = (await stub.MultiInference(tasks)).results
        assert result.classification_result.classifications[1].classes[2].label == "c"
        given.input.example_list.examples[0].features.feature["input"].float_list.value.append(1)
        with pytest.raises(grpc.aio.AioRpcError, match="different numbers of values"):
            await stub.Classify(given)
        regression = messages()("tensorflow.serving.RegressionRequest").FromString(
            given.SerializeToString()
        )
        del regression.input.example_list.examples[0]
        with pytest.raises(grpc.aio.AioRpcError, match="a number for each row"):
            await stub.Regress(regression)

    ask(tmp_path, question)


def test_a_stream_answers_in_order_and_goes_on_after_an_error(digits: Path) -> None:
    async def question(server: Any, channel: Any) -> list[Any]:
        requests = [infer_request(inputs(1, i), id=str(i)) for i in range(20)]
        requests[3].model_name = "digit"
        return [a async for a in Stub(channel, V2).ModelStreamInfer(iter(requests))]

    answers = ask(digits, question)
    program = exported(classifier())
    assert [a.infer_response.id for a in answers] == [str(i) for i in range(20)]
    for i, answer in enumerate(answers):
        if i == 3:
            assert answer.error_message.startswith("there is no model 'digit'")
        else:
            expected = program(inputs(1, i)).numpy().tobytes()
            assert answer.infer_response.raw_output_contents[0] == expected


def test_health_is_told_and_watched(digits: Path) -> None:
    asked = messages()("grpc.health.v1.HealthCheckRequest")

    async def question(server: Any, channel: Any) -> None:
        stub = Stub(channel, HEALTH)
        for service in ("", V2, PREDICTION, "digits"):
            assert (await stub.Check(asked(service=service))).status == 1
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(asked(service="letters"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        watch = stub.Watch(asked())
        assert (await watch.read()).status == 1
        server.is_draining = True
        assert (await watch.read()).status == 2
        watch.cancel()

    ask(digits, question)


def test_reflection_describes_what_is_served(digits: Path) -> None:
    asked = messages()("grpc.reflection.v1.ServerReflectionRequest")

    async def question(server: Any, channel: Any) -> list[Any]:
        stub = Stub(channel, "grpc.reflection.v1.ServerReflection")
        questions = [
            asked(list_services=""),
            asked(file_containing_symbol=V2),
            asked(file_by_filename="no.proto"),
        ]
        return [a async for a in stub.ServerReflectionInfo(iter(questions))]

    listed, file, missing = ask(digits, question)
    assert {V2, PREDICTION, HEALTH} <= {s.name for s in listed.list_services_response.service}
    assert b"ModelStreamInfer" in file.file_descriptor_response.file_descriptor_proto[0]
    assert missing.error_response.error_code == 5


# -- errors ----------------------------------------------------------------------------------------


def _changed(**changes: Any) -> Any:
    request = infer_request(inputs(2))
    for name, value in changes.items():
        if name == "raw":
            request.raw_input_contents[0] = value
        elif name == "shape":
            request.inputs[0].shape[:] = value
        else:
            setattr(request.inputs[0], name, value)
    return request


@pytest.mark.parametrize(
    ("request_", "message", "field"),
    [
        (_changed(raw=b"abc"), "has 48 bytes, got 3", "input"),
        (_changed(shape=[2, 7]), "has 56 bytes, got 48", "input"),
        (_changed(shape=[-2, -6]), "a negative size", "input"),
        (_changed(shape=[1] * 65), "65 dimensions are more than 64", "input"),
        (_changed(datatype="FP33"), "'FP33' is no data type", "input"),
        (_changed(datatype=""), "'' is no data type", "input"),
        (_changed(datatype="FP64", shape=[1, 6]), "is float32, got float64", "input"),
        (_changed(datatype="BYTES"), "ends after the data", "input"),
        (_changed(name="imput"), "did you mean input", "imput"),
        (_changed(name="x" * 100_000), "has no input", "x" * 200),
        (infer_request(inputs(65)), "rows is 65, the model takes sizes from", "rows"),
        (infer_request(inputs(1), model_version="two"), "a version is a number", "model_version"),
    ],
)
def test_inference_requests_that_do_not_fit(
    digits: Path, request_: Any, message: str, field: str
) -> None:
    error = refused(digits, V2, "ModelInfer", request_)
    assert error.code() is BAD
    assert message in error.details()
    assert field_of(error) == field


def test_more_errors_of_inference_requests(digits: Path) -> None:
    twice = infer_request(inputs(1))
    twice.inputs.append(twice.inputs[0])
    error = refused(digits, V2, "ModelInfer", twice)
    assert "raw_input_contents has 1 entries for 2 inputs" in error.details()
    twice.raw_input_contents.append(b"")
    assert "is given twice" in refused(digits, V2, "ModelInfer", twice).details()
    both = infer_request(inputs(1))
    both.inputs[0].contents.fp32_contents.append(1)
    assert "besides raw_input" in refused(digits, V2, "ModelInfer", both).details()
    huge = _changed(shape=[1 << 40, 1 << 40])
    error = refused(digits, V2, "ModelInfer", huge)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    output = infer_request(inputs(1))
    output.outputs.add(name="outputs")
    assert field_of(refused(digits, V2, "ModelInfer", output)) == "outputs"
    for name, code in (("letters", "NOT_FOUND"), ("", "NOT_FOUND")):
        error = refused(digits, V2, "ModelInfer", infer_request(inputs(1), model_name=name))
        assert error.code().name == code
    error = refused(digits, V2, "ModelInfer", infer_request(inputs(1), model_version="9"))
    assert error.code() is grpc.StatusCode.NOT_FOUND


def _tensor(**changes: Any) -> Any:
    request = predict_request(inputs(2))
    tensor = request.inputs["input"]
    shape = changes.pop("shape", None)
    if shape is not None:
        del tensor.tensor_shape.dim[:]
        for size in shape:
            tensor.tensor_shape.dim.add(size=size)
    if changes:
        tensor.ClearField("float_val")
    for name, value in changes.items():
        if isinstance(value, list):
            getattr(tensor, name).extend(value)
        else:
            setattr(tensor, name, value)
    return request


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (_tensor(shape=[2, 5]), "has 10 elements, float_val has 12 values"),
        (_tensor(shape=[0, 6], float_val=[1.0]), "has 0 elements, float_val has 1 values"),
        (_tensor(shape=[2, 7]), "dimension 1 of the input 'input' must be 6, got (2, 7)"),
        (_tensor(shape=[-1, 6]), "a negative size"),
        (_tensor(shape=[1] * 70), "70 dimensions are more than 64"),
        (_tensor(tensor_content=b"abcd"), "has 48 bytes, tensor_content has 4"),
        (_tensor(dtype=99), "99 is no data type that is served"),
        (_tensor(dtype=0), "0 is no data type that is served"),
        (_tensor(dtype=20), "20 is no data type that is served"),
        (_tensor(dtype=7, tensor_content=b"ab"), "strings are given in string_val"),
        (_tensor(dtype=6, int_val=[300] * 12), "out of the range of int8"),
        (_tensor(dtype=19, half_val=[-1] * 12), "out of the range of float16"),
        (_tensor(dtype=10, tensor_content=b"\2" * 12), "neither 0 nor 1"),
        (_tensor(int_val=[1] * 12), "float32 are in float_val, got some in int_val"),
        (_tensor(dtype=7, float_val=[1.0]), "strings are in string_val, got some in float_val"),
        (_tensor(dtype=8, scomplex_val=[1.0] * 3), "lacks the imaginary part"),
        (_tensor(dtype=8, scomplex_val=[1.0] * 26), "12 elements, scomplex_val has 13 values"),
    ],
)
def test_tensors_that_do_not_fit(digits: Path, request_: Any, message: str) -> None:
    error = refused(digits, PREDICTION, "Predict", request_)
    assert error.code() is BAD
    assert message in error.details()
    assert field_of(error) == "input"


def test_one_value_for_a_huge_shape_is_refused_before_it_takes_memory(digits: Path) -> None:
    error = refused(digits, PREDICTION, "Predict", _tensor(shape=[1 << 30, 6], float_val=[1.0]))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert field_of(error) == "input"


@pytest.mark.parametrize("data", [b"\xff" * 10, b"\x0a\xff\xff\xff\xff\x0f", b"\x0b" * 200])
@pytest.mark.parametrize(
    ("service", "method"), [(V2, "ModelInfer"), (PREDICTION, "Predict"), (HEALTH, "Check")]
)
def test_malformed_messages(digits: Path, service: str, method: str, data: bytes) -> None:
    error = refused(digits, service, method, data)
    assert error.code() is BAD
    assert "the request is no" in error.details()


def test_random_bytes_never_end_the_server(digits: Path) -> None:
    random = np.random.default_rng(0)
    whole = [infer_request(inputs(2)).SerializeToString(),
             predict_request(inputs(2)).SerializeToString()]  # fmt: skip

    async def question(server: Any, channel: Any) -> set[str]:
        codes = set()
        stubs = [Stub(channel, V2).ModelInfer, Stub(channel, PREDICTION).Predict]
        for i in range(300):
            data = bytearray(whole[i % 2])
            for place in random.integers(0, len(data), 1 + i % 4):
                data[place] = random.integers(0, 256)
            try:
                await stubs[i % 2](bytes(data[: len(data) - i % 3]))
            except grpc.aio.AioRpcError as error:
                codes.add(error.code().name)
        await stubs[0](whole[0])
        return codes

    assert ask(digits, question) <= {
        "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED"
    }  # fmt: skip


def test_messages_above_the_limit_are_refused_packed_ones_too(digits: Path) -> None:
    async def question(server: Any, channel: Any) -> list[Any]:
        codes = []
        big = infer_request(inputs(1))
        big.raw_input_contents.append(bytes(3 << 20))
        for packed in (None, grpc.Compression.Gzip):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await Stub(channel, V2).ModelInfer(big, compression=packed)
            codes.append(caught.value.code())
        await Stub(channel, V2).ModelInfer(infer_request(inputs(1)))
        return codes

    assert len(gzip.compress(bytes(3 << 20))) < 10_000
    expected = [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2
    assert ask(digits, question, limits=Limits(body=1 << 20)) == expected


def test_a_full_queue_a_deadline_and_a_client_that_leaves(digits: Path) -> None:
    options = ModelOptions(batching=BatchOptions(max_queued_rows=5, max_rows=64, max_delay=30.0))

    async def question(server: Any, channel: Any) -> None:
        stub = Stub(channel, V2)
        left = [asyncio.ensure_future(stub.ModelInfer(infer_request(inputs(2)))) for _ in "ab"]
        version = server.engine.find("digits")
        while version.in_flight < 2:
            await asyncio.sleep(0.01)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ModelInfer(infer_request(inputs(2)))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        for call in left:
            call.cancel()
        while version.in_flight:
            await asyncio.sleep(0.01)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ModelInfer(infer_request(inputs(1)), timeout=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        while version.in_flight:
            await asyncio.sleep(0.01)

    ask(digits, question, engine_options={"default": options})


def test_tokens_request_ids_and_what_is_told_of_calls(digits: Path) -> None:
    told: list[Record] = []
    trace = f"00-{'1' * 32}-{'2' * 16}-01"

    async def question(server: Any, channel: Any) -> None:
        stub = Stub(channel, V2)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ModelInfer(infer_request(inputs(1)))
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        sent = [("authorization", "Bearer secret"), ("x-request-id", "r1"), ("traceparent", trace)]
        call = stub.ModelInfer(infer_request(inputs(1)), metadata=sent)
        await call
        trailing = dict(list(await call.trailing_metadata()))
        assert trailing["x-request-id"] == "r1"
        assert trailing["traceparent"].startswith(f"00-{'1' * 32}-")
        assert trailing["traceparent"] != trace
        load = messages()("inference.RepositoryModelLoadRequest")(model_name="digits")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.RepositoryModelLoad(load)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED

    ask(digits, question, access=Access(None, {"digits": "secret"}), observe=told.append)
    assert [t.status for t in told] == [
        Status.UNAUTHENTICATED, None, Status.PERMISSION_DENIED
    ]  # fmt: skip
    assert told[1].method == f"/{V2}/ModelInfer"
    assert (told[1].model, told[1].version) == ("digits", 1)
    followed = told[1].trace
    assert followed is not None
    assert (told[1].request_id, followed.trace, followed.parent) == ("r1", "1" * 32, "2" * 16)


def test_a_configuration_chooses_versions_within_the_served_folders(tmp_path: Path) -> None:
    for number in (1, 2):
        put(exported(classifier(number)), tmp_path, "digits", number)
    request = messages()("tensorflow.serving.ReloadConfigRequest")()
    config = request.config.model_config_list.config.add(name="digits")
    config.base_path = str(tmp_path / "digits")
    config.model_version_policy.specific.versions.append(1)
    config.version_labels["stable"] = 1
    token = [("authorization", "Bearer manager")]

    async def question(server: Any, channel: Any) -> None:
        stub = Stub(channel, MODELS)
        assert server.engine.find("digits").number == 2
        with pytest.raises(grpc.aio.AioRpcError, match="Bearer TOKEN"):
            await stub.HandleReloadConfigRequest(request)
        await stub.HandleReloadConfigRequest(request, metadata=token)
        assert server.engine.find("digits").number == 1
        assert server.engine.find("digits", label="stable").number == 1
        config.base_path = "/"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.HandleReloadConfigRequest(request, metadata=token)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        config.base_path = ""
        config.model_version_policy.specific.ClearField("versions")
        with pytest.raises(grpc.aio.AioRpcError, match="has to name versions"):
            await stub.HandleReloadConfigRequest(request, metadata=token)

    ask(tmp_path, question, access=Access("manager"))


def test_a_server_has_grpc_beside_http() -> None:
    program = exported(classifier())
    with (
        serve(program, port=0, grpc_port=0, block=False) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel,
    ):
        x = inputs(2)
        call = channel.unary_unary(f"/{V2}/ModelInfer")
        data = call(infer_request(x, model_name="model").SerializeToString(), timeout=60)
        answer = messages()("inference.ModelInferResponse").FromString(data)
        assert answer.raw_output_contents[0] == program(x).numpy().tobytes()
        with pytest.raises(OSError, match="can't listen at"):
            serve(program, port=0, grpc_port=server.grpc_port, block=False)


def test_images_are_decoded_as_the_card_says(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    rows = ag.Dim("rows")
    program = ag.export.export(nn.Flatten(), (ag.ones(2, 3, 2, 2),), dynamic_shapes=({0: rows},))
    folder = tmp_path / "pixels" / "1"
    folder.mkdir(parents=True)
    described = ag.export.card.image(size=2)
    program.save(folder / "model.argand", card={"inputs": {"input": described}})
    buffer = io.BytesIO()
    pillow.new("RGB", (2, 2), (255, 0, 0)).save(buffer, "PNG")
    request = messages()("inference.ModelInferRequest")(model_name="pixels")
    request.inputs.add(name="input", datatype="BYTES", shape=[1])
    request.raw_input_contents.append(to_bytes(np.array([buffer.getvalue()], object)))

    async def question(server: Any, channel: Any) -> Any:
        answer = await Stub(channel, V2).ModelInfer(request)
        request.raw_input_contents[0] = to_bytes(np.array([b"no image"], object))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await Stub(channel, V2).ModelInfer(request)
        assert caught.value.code() is BAD
        assert field_of(caught.value) == "input"
        return np.frombuffer(answer.raw_output_contents[0], np.float32)

    np.testing.assert_array_equal(ask(tmp_path, question), [1] * 4 + [0] * 8)
