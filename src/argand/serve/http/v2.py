"""The v2 inference protocol of KServe and Triton over REST, with binary tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from argand import version as release
from argand.serve import v2_texts
from argand.serve.errors import ServeError, Status, invalid
from argand.serve.generation import is_language_model
from argand.serve.handlers.strings import objects
from argand.serve.host import Host
from argand.serve.http.app import plain_errors
from argand.serve.http.asking import LARGE, find, outputs_of, seconds_of
from argand.serve.http.message import Request, Response
from argand.serve.http.routes import Route
from argand.serve.http.values import array_of, decoded, encoded, listed
from argand.serve.signature import ServedSignature, TensorSpec
from argand.serve.v2_absent import loaded_as_it_is
from argand.serve.v2_parameters import integer_of, signature_name_of, timeout_of
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

_HEADER = b"inference-header-content-length"
_BINARY = b"application/octet-stream"
Parameters = dict[str, Any]


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: Any = None
    parameters: Parameters = {}


class _Output(msgspec.Struct):
    name: str
    parameters: Parameters = {}


class _Infer(msgspec.Struct):
    inputs: list[_Input]
    outputs: list[_Output] = []
    id: str = ""
    parameters: Parameters = {}

    @property
    def wanted(self) -> dict[str, Parameters]:
        """The parameters of the outputs that are named; where none is, all are asked for."""
        return {o.name: o.parameters for o in self.outputs}


_decode = msgspec.json.Decoder(_Infer).decode


def routes(host: Host) -> list[Route]:
    """Its paths, below `/v2`."""
    served = V2(host)
    found: list[tuple[str, str, Any, Any]] = [
        ("GET", "/v2", served.server, "open"),
        ("GET", "/v2/health/live", served.live, "open"),
        ("GET", "/v2/health/ready", served.ready, "open"),
        ("GET", "/v2/models", served.models, "read"),
        ("GET", "/v2/models/stats", served.all_statistics, "read"),
        ("POST", "/v2/repository/index", served.index, "read"),
        ("POST", "/v2/repository/models/{model}/load", served.load, "manage"),
        ("POST", "/v2/repository/models/{model}/unload", served.unload, "manage"),
    ]
    for at in ("", "/versions/{version}"):
        path = "/v2/models/{model}" + at
        found += [
            ("POST", path + "/infer", served.infer, "model"),
            ("GET", path, served.metadata, "model"),
            ("GET", path + "/ready", served.model_ready, "open"),
            ("GET", path + "/config", served.config, "model"),
            ("GET", path + "/stats", served.statistics, "model"),
        ]
    return [Route(m, p, h, "v2", plain_errors, scope) for m, p, h, scope in found]


class V2:
    """Answers the protocol's requests."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.engine: Any = host.engine
        self.most = host.options.limits.elements
        self.counts = host.metrics

    # -- inference -----------------------------------------------------------------------------

    async def infer(self, request: Request) -> Response:
        """The outputs for some inputs."""
        body, rest = _split(request)
        version = find(self.engine, request)
        is_raw = not body and len(rest) > 0
        is_large = len(body) > LARGE
        if is_raw:
            asked = _raw(version.signature(), len(rest))
        else:
            asked = await version.beside(_infer_of, body) if is_large else _infer_of(body)
        parameters = asked.parameters
        name = signature_name_of(parameters)
        if name is None and is_language_model(version):
            return await self._text(request, asked, version, rest)
        signature = version.signature(name)
        if is_large:
            inputs = await version.beside(self._inputs, asked.inputs, rest)
        else:
            inputs = self._inputs(asked.inputs, rest)
        outputs = await outputs_of(
            request,
            version,
            signature,
            inputs,
            timeout=timeout_of(parameters),
            priority=integer_of(parameters, "priority"),
        )
        named = signature.named(outputs)
        check_wanted(asked.wanted, named, version.model)
        wanted = asked.wanted or dict.fromkeys(named, Parameters())
        arrays = {n: classified(version, signature, n, named[n], p) for n, p in wanted.items()}
        if sum(a.nbytes for a in arrays.values()) > LARGE:
            return await version.beside(_answer, asked, version, arrays)
        return _answer(asked, version, arrays)

    async def _text(
        self, request: Request, asked: _Infer, version: ModelVersion, rest: memoryview
    ) -> Response:
        """The text of a language model."""
        check_wanted(asked.wanted, [v2_texts.TEXT], version.model)
        inputs = self._inputs(asked.inputs, rest)
        made = v2_texts.begun(version, inputs, asked.parameters, seconds_of(request))
        text, finish = await v2_texts.whole(made)
        outputs = {v2_texts.TEXT: objects([text])}
        return _answer(asked, version, outputs, {"finish_reason": finish})

    def _inputs(self, tensors: Sequence[_Input], rest: memoryview) -> dict[str, Any]:
        """The arrays by name; those that are binary lie in `rest`, one after the other."""
        found: dict[str, Any] = {}
        place = 0
        for tensor in tensors:
            name = tensor.name
            try:
                check_given(tensor, found, self.most)
                if "binary_data_size" in tensor.parameters:
                    size = integer_of(tensor.parameters, "binary_data_size")
                    if size < 0 or place + size > len(rest):
                        raise ValueError(
                            f"binary_data_size is {size}, {len(rest) - place} bytes are left"
                        )
                    data = rest[place : place + size]
                    found[name] = from_bytes(data, tensor.datatype, tensor.shape)
                    place += size
                else:
                    found[name] = self._of_json(tensor)
            except ValueError as error:
                raise invalid(f"{name}: {error}", name) from None
        if place != len(rest):
            raise invalid(f"{len(rest) - place} bytes follow the last binary tensor", "inputs")
        return found

    def _of_json(self, tensor: _Input) -> np.ndarray:
        """The array of `data`, which may be nested or flat."""
        dtype = dtype_of(tensor.datatype)
        if tensor.data is None:
            raise ValueError("it has neither data nor binary_data_size")
        if dtype.kind == "O":
            array = array_of(tensor.data, TensorSpec(tensor.name, None, None), self.most)
            if array.dtype.kind != "O":
                raise ValueError("BYTES are strings")
        else:
            array = array_of(tensor.data, _typed(tensor.name, dtype), self.most)
            if array.dtype.kind == "O":
                raise ValueError(f"{tensor.datatype} are no strings")
        if array.size != element_count(tensor.shape):
            raise ValueError(
                f"the shape {tensor.shape} has {element_count(tensor.shape)} elements, data has "
                f"{array.size}"
            )
        return array.reshape(tensor.shape)

    # -- the server and its models -------------------------------------------------------------

    async def server(self, request: Request) -> Response:
        """The name, the release and the extensions."""
        return Response(
            encoded({"name": "argand", "version": release.__version__, "extensions": EXTENSIONS})
        )

    async def live(self, request: Request) -> Response:
        """That the server answers."""
        return Response(b'{"live":true}')

    async def ready(self, request: Request) -> Response:
        """Whether requests should come."""
        ready = self.host.is_ready
        return Response(encoded({"ready": ready}), status=200 if ready else 400)

    async def model_ready(self, request: Request) -> Response:
        """Whether requests should come to a version."""
        ready = not self.host.is_draining
        try:
            find(self.engine, request)
        except ServeError as error:
            if error.status is not Status.UNAVAILABLE:
                raise
            ready = False
        said = {"name": request.params["model"], "ready": ready}
        return Response(encoded(said), status=200 if ready else 400)

    async def models(self, request: Request) -> Response:
        """The names of the models, as KServe lists them."""
        return Response(encoded({"models": list(self.engine.models)}))

    async def metadata(self, request: Request) -> Response:
        """The inputs and outputs of the default signature, or of `?signature_name=`."""
        version = find(self.engine, request)
        found = {
            "name": version.model,
            "versions": [str(n) for n in self.engine.models[version.model].available],
            "platform": "argand",
        }
        asked = request.query.get("signature_name")
        if asked is None and is_language_model(version):
            tensors: Any = (
                [_of_text(*x) for x in v2_texts.INPUTS],
                [_of_text(v2_texts.TEXT, "BYTES")],
            )
        else:
            signature = version.signature(asked)
            tensors = [[_described(x) for x in s] for s in (signature.inputs, signature.outputs)]
        return Response(encoded({**found, "inputs": tensors[0], "outputs": tensors[1]}))

    async def config(self, request: Request) -> Response:
        """What Triton's clients ask before they call."""
        version = find(self.engine, request)
        if is_language_model(version):
            return Response(encoded(_config_of_text(version)))
        signature = version.signature()
        rows = batched_rows(version, signature)
        skip = 1 if signature.batched else 0
        found: dict[str, Any] = {
            "name": version.model,
            "platform": "argand",
            "backend": "argand",
            "version_policy": {"specific": {"versions": [version.number]}},
            "max_batch_size": rows,
            "input": [_configured(x, skip) for x in signature.inputs],
            "output": [_configured(x, skip) for x in signature.outputs],
        }
        if rows:
            delay = int(version.options.batching.max_delay * 1e6)
            found["dynamic_batching"] = {"max_queue_delay_microseconds": delay}
        reasons = {"not_batched": signature.reason, "not_padded": signature.padding_reason}
        told = {name: {"string_value": x} for name, x in reasons.items() if x is not None}
        if told:
            found["parameters"] = told
        return Response(encoded(found))

    # -- statistics and management -------------------------------------------------------------

    async def statistics(self, request: Request) -> Response:
        """How many requests and batches of a model were computed, and how long that took."""
        number = version_number(request.params.get("version"))
        find(self.engine, request)
        found = statistics(self.engine, self.counts, request.params["model"], number)
        return Response(encoded({"model_stats": found}))

    async def all_statistics(self, request: Request) -> Response:
        """The statistics of all models."""
        return Response(encoded({"model_stats": statistics(self.engine, self.counts)}))

    async def index(self, request: Request) -> Response:
        """The models with their versions and states."""
        asked = decoded(request.body) if request.body.strip() else {}
        ready = isinstance(asked, dict) and bool(asked.get("ready"))
        return Response(encoded(indexed(self.engine, ready)))

    async def load(self, request: Request) -> Response:
        """Load what the folders hold of a model."""
        asked = decoded(request.body) if request.body.strip() else {}
        parameters = asked.get("parameters") if isinstance(asked, dict) else None
        if not isinstance(parameters, dict | None):
            raise invalid("the field 'parameters' is an object", "parameters")
        if parameters:
            raise loaded_as_it_is(parameters)
        await self.engine.load(request.params["model"])
        return Response(b"")

    async def unload(self, request: Request) -> Response:
        """Unload a model when it has answered what it has."""
        await self.engine.unload(request.params["model"])
        return Response(b"")


# -- requests --------------------------------------------------------------------------------------


def _split(request: Request) -> tuple[bytes, memoryview]:
    """The JSON of a body, and the binary tensors behind it."""
    header = request.headers.get(_HEADER)
    body = request.body
    if header is None:
        return body, memoryview(b"")
    text = header.strip()
    if not text.isdigit() or len(text) > 18 or int(text) > len(body):
        shown = text[:40].decode("latin-1")
        raise invalid(
            f"Inference-Header-Content-Length is {shown!r}, the body has {len(body)} bytes",
            "inference-header-content-length",
        )
    size = int(text)
    return body[:size], memoryview(body)[size:]


def _infer_of(body: bytes) -> _Infer:
    """The request of a JSON body."""
    try:
        return _decode(body)
    except msgspec.ValidationError as error:
        if "out of range" not in str(error):  # of which the input is told below
            raise _misfit(error) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    try:
        return msgspec.convert(decoded(body), _Infer)  # with NaN, or the error of the JSON
    except msgspec.ValidationError as error:
        raise _misfit(error) from None


def _misfit(error: msgspec.ValidationError) -> ServeError:
    """The error of a body whose parts are of other kinds; msgspec tells which as `$.inputs[0]`."""
    said = str(error)
    found = [pattern.search(said) for pattern in (_PLACE, _MISSING)]
    field = ".".join(match.group(1) for match in found if match) or "body"
    return invalid(f"{field}: {said.partition(' - at ')[0]}", field)


_PLACE = re.compile(r"at `\$\.?([^`]+)`")
_MISSING = re.compile(r"required field `(\w+)`")


def _raw(signature: ServedSignature, size: int) -> _Infer:
    """The request of a body that is nothing but the bytes of a signature's one input, as Triton
    takes it: one size that varies follows from the number of bytes, others are 1."""
    if len(signature.inputs) != 1:
        raise invalid(
            f"{signature.name} has {len(signature.inputs)} inputs: the body must name them"
        )
    (spec,) = signature.inputs
    kind, shape = datatype(spec), sizes(spec)
    if kind == "BYTES":
        raise invalid(
            f"{spec.name}: strings have lengths, which a body of raw bytes lacks", spec.name
        )
    for i in [i for i, n in enumerate(shape) if n < 0][:-1]:
        shape[i] = 1
    if -1 in shape:
        one = dtype_of(kind).itemsize * element_count([n for n in shape if n >= 0])
        shape[shape.index(-1)] = size // one if one else 0
    return _Infer([_Input(spec.name, shape, kind, parameters={"binary_data_size": size})])


def _typed(name: str, dtype: np.dtype[Any]) -> TensorSpec:
    from argand.base.dtype import from_numpy

    return TensorSpec(name, from_numpy(dtype), None)


# -- responses -------------------------------------------------------------------------------------


def _answer(
    asked: _Infer,
    version: ModelVersion,
    arrays: Mapping[str, np.ndarray],
    told: Parameters | None = None,
) -> Response:
    """The response with these outputs; `told` are its parameters."""
    wanted = asked.wanted
    default = bool(asked.parameters.get("binary_data_output", False))
    outputs: list[dict[str, Any]] = []
    binary: list[bytes] = []
    plain = []
    for name, array in arrays.items():
        said: dict[str, Any] = {
            "name": name,
            "datatype": datatype_of(array.dtype, name),
            "shape": list(array.shape),
        }
        if wanted.get(name, {}).get("binary_data", default):
            binary.append(to_bytes(array))
            said["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            plain.append(array)
            said["data"] = listed(array.reshape(-1))
        outputs.append(said)
    found: dict[str, Any] = {"model_name": version.model, "model_version": str(version.number)}
    if asked.id:
        found["id"] = asked.id
    if told:
        found["parameters"] = told
    found["outputs"] = outputs
    head = encoded(found, plain)
    if not binary:
        return Response(head)
    return Response(b"".join([head, *binary]), type=_BINARY, headers=[(_HEADER, b"%d" % len(head))])


def _of_text(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "datatype": kind, "shape": [1]}


def _config_of_text(version: ModelVersion) -> dict[str, Any]:
    """The configuration of a language model."""
    return {
        "name": version.model,
        "platform": "argand",
        "backend": "argand",
        "version_policy": {"specific": {"versions": [version.number]}},
        "max_batch_size": 0,
        "input": [
            {"name": name, "data_type": _config_type(kind), "dims": [1], "optional": True}
            for name, kind in v2_texts.INPUTS
        ],
        "output": [{"name": v2_texts.TEXT, "data_type": "TYPE_STRING", "dims": [1]}],
        "model_transaction_policy": {"decoupled": True},
    }


def _config_type(kind: str) -> str:
    return "TYPE_STRING" if kind == "BYTES" else f"TYPE_{kind}"


def _described(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": datatype(spec), "shape": sizes(spec)}


def _configured(spec: TensorSpec, skip: int) -> Mapping[str, Any]:
    return {
        "name": spec.name,
        "data_type": _config_type(datatype(spec)),
        "dims": sizes(spec)[skip:],
    }


__all__ = ["V2", "routes"]
