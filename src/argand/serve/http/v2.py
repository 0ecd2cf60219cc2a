"""The v2 inference protocol of KServe and Triton over REST, with binary tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from argand import version as release
from argand.serve import v2_texts
from argand.serve.errors import ServeError, Status, invalid
from argand.serve.generation import is_language_model
from argand.serve.handlers.strings import objects
from argand.serve.host import Host
from argand.serve.http.app import plain_errors
from argand.serve.http.asking import LARGE, find, outputs_of, seconds_of
from argand.serve.http.long_arrays import Writing
from argand.serve.http.message import Request, Response
from argand.serve.http.routes import Route
from argand.serve.http.v2_asked import HEADER, Asked, Parameters, Reading, raw, split
from argand.serve.http.values import decoded, encoded, listed
from argand.serve.signature import TensorSpec
from argand.serve.v2_absent import loaded_as_it_is
from argand.serve.v2_tensors import (
    EXTENSIONS,
    batched_rows,
    check_wanted,
    classified,
    datatype,
    datatype_of,
    indexed,
    sizes,
    statistics,
)
from argand.serve.version import ModelVersion, version_number
from argand_client.datatypes import to_bytes

_BINARY = b"application/octet-stream"


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
        self.reading = Reading(host.options.limits.elements)
        self.counts = host.metrics

    # -- inference -----------------------------------------------------------------------------

    async def infer(self, request: Request) -> Response:
        """The outputs for some inputs."""
        body, rest = split(request)
        version = find(self.engine, request)
        read = self.reading
        is_large = len(body) > LARGE
        if not body and len(rest) > 0:
            asked = raw(version.signature(), len(rest))
        else:
            asked = await version.beside(read.asked, body) if is_large else read.asked(body)
        name = asked.signature_name
        if name is None and is_language_model(version):
            return await self._text(request, asked, version, rest)
        signature = version.signature(name)
        if is_large:
            inputs = await version.beside(read.arrays, asked, body, rest)
        else:
            inputs = read.arrays(asked, body, rest)
        outputs = await outputs_of(
            request,
            version,
            signature,
            inputs,
            timeout=asked.timeout,
            priority=asked.priority,
        )
        arrays = signature.named(outputs)
        if asked.wanted:
            check_wanted(asked.wanted, arrays, version.model)
            arrays = {
                n: classified(version, signature, n, arrays[n], p) for n, p in asked.wanted.items()
            }
        if sum([a.nbytes for a in arrays.values()]) > LARGE:
            return await version.beside(_answer, asked, version, arrays, None, Writing())
        return _answer(asked, version, arrays)

    async def _text(
        self, request: Request, asked: Asked, version: ModelVersion, rest: memoryview
    ) -> Response:
        """The text of a language model."""
        check_wanted(asked.wanted, [v2_texts.TEXT], version.model)
        inputs = asked.arrays(rest, self.reading.most)
        made = v2_texts.begun(version, inputs, asked.parameters, seconds_of(request))
        text, finish = await v2_texts.whole(made)
        outputs = {v2_texts.TEXT: objects([text])}
        return _answer(asked, version, outputs, {"finish_reason": finish})

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


# -- responses -------------------------------------------------------------------------------------


def _answer(
    asked: Asked,
    version: ModelVersion,
    arrays: Mapping[str, np.ndarray],
    told: Parameters | None = None,
    writing: Writing | None = None,
) -> Response:
    """The response with these outputs; `told` are its parameters."""
    if asked.is_binary and not (asked.wanted or asked.id or told):
        binary = [to_bytes(a) for a in arrays.values()]
        facts = [
            (n, a.dtype, a.shape, len(b)) for (n, a), b in zip(arrays.items(), binary, strict=True)
        ]
        return _parted(_head_of_binary(version.model, version.number, *facts), binary)
    outputs: list[dict[str, Any]] = []
    binary = []
    plain = []
    for name, array in arrays.items():
        is_binary = asked.wanted.get(name, {}).get("binary_data", asked.is_binary)
        if is_binary:
            binary.append(to_bytes(array))
        else:
            plain.append(array)
        said = _output(name, array.dtype, array.shape, len(binary[-1]) if is_binary else None)
        if not is_binary:
            said["data"] = (writing or listed)(array.reshape(-1))
        outputs.append(said)
    more: dict[str, Any] = {"id": asked.id} if asked.id else {}
    if told:
        more["parameters"] = told
    found = _said(version.model, version.number, more, outputs)
    head = encoded(found, plain) if writing is None else writing.text(found)
    return _parted(head, binary) if binary else Response(head)


@lru_cache(512)
def _head_of_binary(model: str, number: int, *outputs: tuple[Any, ...]) -> bytes:
    """The JSON before outputs that are all binary, of which the names, dtypes, shapes and bytes are
    given: the same again and again."""
    return encoded(_said(model, number, {}, [_output(*x) for x in outputs]))


def _said(
    model: str, number: int, more: Mapping[str, Any], outputs: Sequence[Any]
) -> dict[str, Any]:
    return {"model_name": model, "model_version": str(number), **more, "outputs": outputs}


def _output(name: str, dtype: Any, shape: Sequence[int], size: int | None) -> dict[str, Any]:
    """What is said of an output, with the bytes of one that is binary."""
    said = {"name": name, "datatype": datatype_of(dtype, name), "shape": list(shape)}
    return said if size is None else said | {"parameters": {"binary_data_size": size}}


def _parted(head: bytes, binary: Sequence[bytes]) -> Response:
    """JSON with binary tensors behind it."""
    return Response(b"".join([head, *binary]), type=_BINARY, headers=[(HEADER, b"%d" % len(head))])


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
