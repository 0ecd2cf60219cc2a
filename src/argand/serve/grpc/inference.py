"""GRPCInferenceService: the v2 inference protocol of KServe and Triton."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import numpy as np

from argand import version as release
from argand.serve import v2_texts
from argand.serve.errors import ServeError, Status, invalid
from argand.serve.generation import Generation, is_language_model
from argand.serve.grpc import generating
from argand.serve.grpc.calls import Call
from argand.serve.grpc.service import Asked, Service
from argand.serve.handlers.strings import objects
from argand.serve.metrics import Metrics
from argand.serve.tracing import told_of
from argand.serve.v2_absent import (
    LOG,
    TRACE,
    loaded_as_it_is,
    no_region,
    no_shared_memory,
    unchangeable,
)
from argand.serve.v2_parameters import Parameters, integer_of, signature_name_of, timeout_of
from argand.serve.v2_tensors import (
    EXTENSIONS,
    batched_rows,
    check_given,
    check_wanted,
    classified,
    datatype,
    datatype_of,
    indexed,
    sizes,
    statistics,
)
from argand.serve.version import ModelVersion, version_number
from argand_client.datatypes import dtype_of, element_count, from_bytes, to_bytes
from argand_client.definitions import messages

PLATFORM = "argand"
_VERSION = "model_version"  # the field of requests
_STREAMED = 64  # requests of one stream that are computed at once

_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The typed field of values; FP16 and BF16 are given as raw bytes only."""

_CONFIG_TYPES = {name: number for number, name in enumerate(
    ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16",
     "FP32", "FP64", "BYTES", "BF16"), 1)}  # fmt: skip


class _Answers(NamedTuple):
    """The answers to one request of a stream, and what stops them."""

    answers: AsyncIterator[Any]
    cancel: Callable[[], Any]


async def _one(answer: Any) -> AsyncIterator[Any]:
    yield answer


def _nothing() -> None:
    """Stops what has ended."""


class InferenceService(Service):
    """Answers the v2 protocol."""

    name = "inference.GRPCInferenceService"

    def __init__(self, *args: Any, server: Any, metrics: Metrics) -> None:
        super().__init__(*args)
        self._server = server
        self._metrics = metrics
        kinds = messages()
        self._response = kinds("inference.ModelInferResponse")
        self._streamed = kinds("inference.ModelStreamInferResponse")

    def _made(self, kind: str, /, **fields: Any) -> Any:
        return messages()(f"inference.{kind}")(**fields)

    # -- the server and its models -------------------------------------------------------------

    async def server_live(self, request: Any, call: Call) -> Any:
        """That the server answers."""
        return self._made("ServerLiveResponse", live=True)

    async def server_ready(self, request: Any, call: Call) -> Any:
        """Whether requests should come."""
        return self._made("ServerReadyResponse", ready=self._server.is_ready)

    async def server_metadata(self, request: Any, call: Call) -> Any:
        """The name and the release."""
        return self._made(
            "ServerMetadataResponse",
            name="argand",
            version=release.__version__,
            extensions=EXTENSIONS,
        )

    async def model_ready(self, request: Any, call: Call) -> Any:
        """Whether requests should come to a version. It takes no token, as over REST: probes have
        none."""
        call.model = request.name
        ready = not self._server.is_draining
        try:
            found = self.engine.find(request.name, version_number(request.version))
            call.version = found.number
        except ServeError as error:
            if error.status is not Status.UNAVAILABLE:
                raise
            ready = False
        return self._made("ModelReadyResponse", ready=ready)

    async def model_metadata(self, request: Any, call: Call) -> Any:
        """The inputs and outputs of the default signature, or of that in the metadata's
        `signature-name`."""
        version = self._version(call, request.name, request.version)
        named = call.metadata.get("signature-name")
        found = self._made(
            "ModelMetadataResponse",
            name=version.model,
            versions=[str(n) for n in self.engine.models[version.model].available],
            platform=PLATFORM,
        )
        if is_language_model(version) and named is None:
            for name, kind in v2_texts.INPUTS:
                found.inputs.add(name=name, datatype=kind, shape=[1])
            found.outputs.add(name=v2_texts.TEXT, datatype="BYTES", shape=[1])
            return found
        signature = version.signature(named)
        for specs, into in ((signature.inputs, found.inputs), (signature.outputs, found.outputs)):
            for spec in specs:
                into.add(name=spec.name, datatype=datatype(spec), shape=sizes(spec))
        return found

    async def model_config(self, request: Any, call: Call) -> Any:
        """What Triton's clients ask before they call: types, sizes, the most rows of a batch."""
        version = self._version(call, request.name, request.version)
        found = self._made("ModelConfigResponse")
        config = found.config
        config.name, config.platform, config.backend = version.model, PLATFORM, PLATFORM
        if is_language_model(version):
            config.model_transaction_policy.decoupled = True
            for name, kind in v2_texts.INPUTS:
                config.input.add(name=name, data_type=_CONFIG_TYPES[kind], dims=[1], optional=True)
            config.output.add(name=v2_texts.TEXT, data_type=_CONFIG_TYPES["BYTES"], dims=[1])
            return found
        signature = version.signature()
        if signature.batched:
            config.max_batch_size = batched_rows(version, signature)
            delay = int(version.options.batching.max_delay * 1e6)
            config.dynamic_batching.max_queue_delay_microseconds = delay
        for specs, into in ((signature.inputs, config.input), (signature.outputs, config.output)):
            for spec in specs:
                shape = sizes(spec)[1 if signature.batched else 0 :]
                into.add(name=spec.name, data_type=_CONFIG_TYPES[datatype(spec)], dims=shape)
        return found

    def _version(self, call: Call, name: str, version: str) -> ModelVersion:
        return self.find(call, Asked(name, version_number(version, _VERSION)))

    # -- inference -----------------------------------------------------------------------------

    async def model_infer(self, request: Any, call: Call) -> Any:
        """The outputs for some inputs."""
        asked = Asked(request.model_name, version_number(request.model_version, _VERSION))
        version = self.find(call, asked)
        parameters = values_of(request.parameters)
        signature_name = signature_name_of(parameters)
        if is_language_model(version) and signature_name is None:
            generation = self._text(request, version, parameters, call)
            answer = self._name(self._response(), request, version)
            return generating.write(answer, *await v2_texts.whole(generation))
        version, signature, outputs = await self.outputs(
            call,
            asked,
            signature_name,
            self._inputs(request),
            timeout=timeout_of(parameters),
            priority=integer_of(parameters, "priority"),
        )
        wanted = _wanted(request)
        check_wanted(wanted, outputs, version.model)
        answer = self._name(self._response(), request, version)
        for name in wanted or outputs:
            array = classified(version, signature, name, outputs[name], wanted.get(name, {}))
            kind = datatype_of(array.dtype, name)
            answer.outputs.add(name=name, datatype=kind, shape=array.shape)
            answer.raw_output_contents.append(to_bytes(array))
        return answer

    def _text(
        self, request: Any, version: ModelVersion, parameters: Parameters, call: Call
    ) -> Generation:
        """The text of a language model, which is computed from now on."""
        check_wanted(_wanted(request), [v2_texts.TEXT], version.model)
        return v2_texts.begun(version, self._inputs(request), parameters, call.timeout)

    async def model_stream_infer(
        self, requests: AsyncIterator[Any], call: Call
    ) -> AsyncIterator[Any]:
        """An answer for each request of a stream, in their order, or one for each piece of a text;
        an error ends none but its own.

        Several are computed at once, so that their rows can be batched.
        """
        waiting: asyncio.Queue[_Answers | None] = asyncio.Queue(_STREAMED)
        begun: set[_Answers] = set()
        failed: list[BaseException] = []

        async def read() -> None:
            try:
                async for request in requests:
                    answers = self._begun(request, call)
                    begun.add(answers)
                    await waiting.put(answers)
            except Exception as error:
                failed.append(error)
            await waiting.put(None)

        reader = asyncio.create_task(read())
        try:
            while (found := await waiting.get()) is not None:
                async for answer in found.answers:
                    yield answer
                begun.discard(found)
        finally:
            reader.cancel()
            for answers in begun:
                answers.cancel()
        if failed:
            raise failed[0]

    def _begun(self, request: Any, call: Call) -> _Answers:
        """Begin to answer a request of a stream: a text gives many answers, all else one."""
        try:
            version = self._version(call, request.model_name, request.model_version)
            if is_language_model(version):
                parameters = values_of(request.parameters)
                generation = self._text(request, version, parameters, call)
                ends_empty = generating.ends_empty(parameters)
                texts = self._texts(request, version, generation, ends_empty, call)
                return _Answers(texts, generation.cancel)
        except Exception as error:
            return _Answers(_one(self._failure(request, error, call)), _nothing)
        task = asyncio.create_task(self.model_infer(request, call))
        return _Answers(self._arrays(request, task, call), task.cancel)

    async def _arrays(
        self, request: Any, task: asyncio.Task[Any], call: Call
    ) -> AsyncIterator[Any]:
        try:
            answer = self._streamed(infer_response=await task)
            answer.infer_response.parameters[generating.FINAL].bool_param = True
            yield answer
        except Exception as error:
            yield self._failure(request, error, call)

    async def _texts(
        self,
        request: Any,
        version: ModelVersion,
        generation: Generation,
        ends_empty: bool,
        call: Call,
    ) -> AsyncIterator[Any]:
        """The answers to a text; behind the last piece one without outputs where asked for."""
        try:
            async for text, finish in generating.pieces(generation):
                answer = self._streamed()
                self._name(answer.infer_response, request, version)
                final = False if ends_empty else None
                generating.write(answer.infer_response, text, finish, final=final)
                yield answer
            if ends_empty:
                answer = self._streamed()
                last = self._name(answer.infer_response, request, version)
                last.parameters[generating.FINAL].bool_param = True
                yield answer
        except Exception as error:
            yield self._failure(request, error, call)

    def _failure(self, request: Any, error: Exception, call: Call) -> Any:
        told = told_of(error, call.method, call.request_id, call.trace)
        answer = self._streamed(error_message=str(told)[:4000])
        answer.infer_response.id = request.id
        answer.infer_response.model_name = request.model_name
        return answer

    def _name(self, answer: Any, request: Any, version: ModelVersion) -> Any:
        """Say who answers what."""
        answer.model_name, answer.model_version = version.model, str(version.number)
        answer.id = request.id
        return answer

    def _inputs(self, request: Any) -> dict[str, Any]:
        """The arrays of a request by name: of raw bytes, in the order of the inputs, or typed."""
        raw, found = request.raw_input_contents, dict[str, Any]()
        if raw and len(raw) != len(request.inputs):
            raise invalid(
                f"raw_input_contents has {len(raw)} entries for {len(request.inputs)} inputs",
                "raw_input_contents",
            )
        for i, tensor in enumerate(request.inputs):
            name = tensor.name
            try:
                check_given(tensor, found, self.most_elements)
                if raw and tensor.HasField("contents"):
                    raise ValueError("it has contents besides raw_input_contents")
                found[name] = (
                    from_bytes(raw[i], tensor.datatype, tensor.shape) if raw else _typed(tensor)
                )
            except ValueError as error:
                raise invalid(f"{name}: {error}", name) from None
        return found

    # -- statistics and management -------------------------------------------------------------

    async def model_statistics(self, request: Any, call: Call) -> Any:
        """How many requests and batches were computed, and how long that took."""
        if request.name:
            self._version(call, request.name, request.version)
        else:
            self.allow(call, "read")
        number = version_number(request.version, _VERSION)
        found = self._made("ModelStatisticsResponse")
        for counted in statistics(self.engine, self._metrics, request.name, number):
            found.model_stats.append(self._made("ModelStatistics", **counted))
        return found

    async def repository_index(self, request: Any, call: Call) -> Any:
        """The models with their versions and states."""
        self.allow(call, "read")
        found = self._made("RepositoryIndexResponse")
        for told in indexed(self.engine, request.ready):
            found.models.add(**{**told, "reason": told["reason"][:1000]})
        return found

    async def repository_model_load(self, request: Any, call: Call) -> Any:
        """Load what the folders hold of a model."""
        self.allow(call, "manage", request.model_name)
        if request.parameters:
            raise loaded_as_it_is(request.parameters)
        await self.engine.load(request.model_name)
        return self._made("RepositoryModelLoadResponse")

    async def repository_model_unload(self, request: Any, call: Call) -> Any:
        """Unload a model when it has answered what it has."""
        self.allow(call, "manage", request.model_name)
        await self.engine.unload(request.model_name)
        return self._made("RepositoryModelUnloadResponse")

    # -- what there is not -----------------------------------------------------------------------

    async def system_shared_memory_status(self, request: Any, call: Call) -> Any:
        """The regions of shared memory: none."""
        self.allow(call, "read")
        no_region(request.name)
        return self._made("SystemSharedMemoryStatusResponse")

    async def cuda_shared_memory_status(self, request: Any, call: Call) -> Any:
        """The regions of a GPU's shared memory: none."""
        self.allow(call, "read")
        no_region(request.name)
        return self._made("CudaSharedMemoryStatusResponse")

    async def system_shared_memory_register(self, request: Any, call: Call) -> Any:
        """No region can be registered."""
        self.allow(call, "read")
        raise no_shared_memory(request.name)

    async def cuda_shared_memory_register(self, request: Any, call: Call) -> Any:
        """No region can be registered."""
        self.allow(call, "read")
        raise no_shared_memory(request.name)

    async def system_shared_memory_unregister(self, request: Any, call: Call) -> Any:
        """No region is registered: there is nothing to do."""
        self.allow(call, "read")
        return self._made("SystemSharedMemoryUnregisterResponse")

    async def cuda_shared_memory_unregister(self, request: Any, call: Call) -> Any:
        """No region is registered: there is nothing to do."""
        self.allow(call, "read")
        return self._made("CudaSharedMemoryUnregisterResponse")

    async def trace_setting(self, request: Any, call: Call) -> Any:
        """The settings of traces, which can't be changed."""
        self.allow(call, "read")
        if request.settings:
            raise unchangeable("traces")
        if request.model_name:
            self._version(call, request.model_name, "")
        answer = self._made("TraceSettingResponse")
        for name, value in TRACE.items():
            answer.settings[name].value.extend([value] if isinstance(value, str) else value)
        return answer

    async def log_settings(self, request: Any, call: Call) -> Any:
        """The settings of the log, which can't be changed."""
        self.allow(call, "read")
        if request.settings:
            raise unchangeable("the log")
        answer = self._made("LogSettingsResponse")
        for name, value in LOG.items():
            setattr(answer.settings[name], _LOG_FIELDS[type(value)], value)
        return answer


_LOG_FIELDS = {bool: "bool_param", int: "uint32_param", str: "string_param"}


def _wanted(request: Any) -> dict[str, Parameters]:
    """The parameters of the outputs that a request names."""
    return {o.name: values_of(o.parameters) for o in request.outputs}


def values_of(parameters: Any) -> dict[str, Any]:
    """The parameters of a request by name."""
    found = {}
    for name, value in parameters.items():
        kind = value.WhichOneof("parameter_choice")
        if kind is not None:
            found[name] = getattr(value, kind)
    return found


def _typed(tensor: Any) -> np.ndarray[Any, Any]:
    """The array of an input's `contents`; ValueError where it does not fit the type or shape."""
    dtype, field = dtype_of(tensor.datatype), _CONTENTS.get(tensor.datatype)
    if field is None:
        raise ValueError(f"{tensor.datatype} is given in raw_input_contents only")
    values, count = getattr(tensor.contents, field), element_count(tensor.shape)
    if len(values) != count:
        raise ValueError(
            f"the shape {list(tensor.shape)} has {count} elements, {field} has {len(values)}"
        )
    if dtype.kind == "O":
        return objects(values).reshape(tensor.shape)
    try:
        return np.fromiter(values, dtype, count).reshape(tensor.shape)
    except OverflowError:
        raise ValueError(f"a value is out of the range of {tensor.datatype}") from None


__all__ = ["InferenceService"]
