"""TensorFlow Serving's REST protocol: predict, classify, regress, status and metadata."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from argand.base.errors import ArgandError
from argand.serve import handlers
from argand.serve.errors import ServeError, Status, invalid
from argand.serve.examples import classes_of, regressions_of
from argand.serve.handlers.bodies import WHOLE
from argand.serve.host import Host
from argand.serve.http import openai
from argand.serve.http.app import plain_errors
from argand.serve.http.asking import LARGE, find, object_of, outputs_of
from argand.serve.http.long_arrays import Writing
from argand.serve.http.message import Request, Response
from argand.serve.http.routes import Route
from argand.serve.http.values import (
    array_of,
    encoded,
    kind_of,
    listed,
    rows_of_floats,
)
from argand.serve.signature import ServedSignature, TensorSpec
from argand.serve.version import ModelVersion

Show = Callable[[Any], Any] | Writing
"""Makes lists of an array, or what stands for them."""

_AT = ("", "/versions/{version}", "/labels/{label}")


def routes(host: Host) -> list[Route]:
    """Its paths, below `/v1/models`."""
    served = TensorFlow(host)
    found = []
    for at in _AT:
        path = "/v1/models/{model}" + at
        found += [
            ("POST", path + ":predict", served.predict),
            ("POST", path + ":classify", served.classify),
            ("POST", path + ":regress", served.regress),
            ("POST", path + ":explain", served.explain),
            ("GET", path, served.status),
            ("GET", path + "/metadata", served.metadata),
        ]
    return [Route(m, p, h, "tensorflow", plain_errors) for m, p, h in found]


class TensorFlow:
    """Answers the protocol's requests."""

    def __init__(self, host: Host) -> None:
        self.engine = host.engine
        self.most = host.options.limits.elements

    # -- inference -----------------------------------------------------------------------------

    async def predict(self, request: Request) -> Response:
        """`{"instances": rows}` to `{"predictions": rows}`, `{"inputs": columns}` to
        `{"outputs": columns}`."""
        is_large = len(request.body) > LARGE
        plain = self._plain(request)
        if plain is not None:
            version, signature, inputs = plain
            outputs = await outputs_of(request, version, signature, inputs)
            return await _answer(version, "predictions", rows_of, signature, outputs)
        body = await object_of(request)
        version, signature = self._asked(request, body)
        if "instances" in body and "inputs" in body:
            raise invalid("Not expecting 'inputs' and 'instances' at the same time", "inputs")
        read: Callable[..., dict[str, Any]]
        if "instances" in body:
            read, given, said, make = self._rows, "instances", "predictions", rows_of
        elif "inputs" in body:
            read, given, said, make = self._columns, "inputs", "outputs", columns_of
        else:
            raise invalid("Missing 'inputs' or 'instances' key", "instances")
        if is_large:
            inputs = await version.beside(read, version, signature, body[given])
        else:
            inputs = read(version, signature, body[given])
        outputs = await outputs_of(request, version, signature, inputs)
        return await _answer(version, said, make, signature, outputs)

    def _plain(
        self, request: Request
    ) -> tuple[ModelVersion, ServedSignature, dict[str, Any]] | None:
        """What most requests ask, rows of numbers for the one input of the default signature;
        None for any other, and for one that is wrong, which is told by the general way."""
        try:
            version = find(self.engine, request)
            signature = version.signature()
        except ArgandError:
            return None
        if len(signature.inputs) != 1 or len(request.body) > LARGE:
            return None
        (spec,) = signature.inputs
        rows = rows_of_floats(request.body, spec, self.most)
        return None if rows is None else (version, signature, {spec.name: rows})

    def _asked(
        self, request: Request, body: Mapping[str, Any]
    ) -> tuple[ModelVersion, ServedSignature]:
        """The version and the signature that a request names."""
        name = body.get("signature_name")
        if name is not None and not isinstance(name, str):
            raise invalid(
                f"'signature_name' key must be a string value, got {kind_of(name)}",
                "signature_name",
            )
        version = find(self.engine, request)
        try:
            return version, version.signature(name or None)
        except ServeError as error:
            raise invalid(str(error), "signature_name") from None

    def _rows(self, version: ModelVersion, signature: ServedSignature, rows: Any) -> dict[str, Any]:
        """The inputs of the row format: values, or objects with a value for each input."""
        if not isinstance(rows, list | np.ndarray):
            raise invalid(
                f"Excepting 'instances' to be an list/array, got {kind_of(rows)}", "instances"
            )
        if not len(rows):
            raise invalid("no values for 'instances' to process: the list is empty", "instances")
        if not _is_named(rows[0]):
            spec = _only(version, signature, "instances")
            return {spec.name: array_of(rows, spec, self.most)}
        columns: dict[str, list[Any]] = {name: [] for name in rows[0]}
        for i, row in enumerate(rows):
            if not _is_named(row) or row.keys() != columns.keys():
                given = ", ".join(row) if isinstance(row, dict) else kind_of(row)
                raise invalid(
                    f"Failed to process element: {i} of 'instances' list: it has {given}, the "
                    f"first one has {', '.join(columns)}",
                    "instances",
                )
            for name, value in row.items():
                columns[name].append(value)
        main = handlers.main_input(version, signature)
        if main is not None and main not in columns and WHOLE in columns:
            columns[main] = columns.pop(WHOLE)
        return self._arrays(signature, columns)

    def _columns(
        self, version: ModelVersion, signature: ServedSignature, columns: Any
    ) -> dict[str, Any]:
        """The inputs of the column format: one value, or an object with one for each input."""
        if not _is_named(columns):
            spec = _only(version, signature, "inputs")
            return {spec.name: array_of(columns, spec, self.most)}
        return self._arrays(signature, columns)

    def _arrays(self, signature: ServedSignature, named: Mapping[str, Any]) -> dict[str, Any]:
        specs = signature.by_name
        unknown = TensorSpec("", None, None)  # is refused with the names that there are
        return {
            name: array_of(value, specs.get(name, unknown._replace(name=name)), self.most)
            for name, value in named.items()
        }

    async def classify(self, request: Request) -> Response:
        """Examples to the classes of each with their scores: `{"results": [[[label, score]]]}`."""
        version, signature, outputs = await self._of_examples(request)
        found = classes_of(version, signature, outputs)
        return Response(encoded({"results": found}, _floats(outputs)))

    async def regress(self, request: Request) -> Response:
        """Examples to a number for each: `{"results": [value]}`."""
        _, signature, outputs = await self._of_examples(request)
        found = regressions_of(signature, outputs)
        return Response(encoded({"results": found.tolist()}, [found]))

    async def explain(self, request: Request) -> Response:
        """KServe's and TorchServe's explanations, which no model has."""
        find(self.engine, request)
        raise ServeError(Status.UNIMPLEMENTED, "explanations are not served; ask :predict")

    async def _of_examples(
        self, request: Request
    ) -> tuple[ModelVersion, ServedSignature, list[Any]]:
        """The outputs for examples: objects with a value for each input, and a context with those
        that all share."""
        body = await object_of(request)
        version, signature = self._asked(request, body)
        examples, context = body.get("examples"), body.get("context", {})
        if not isinstance(examples, list) or not examples:
            raise invalid("'examples' must be a list of objects", "examples")
        if not isinstance(context, dict) or not all(isinstance(x, dict) for x in examples):
            raise invalid("'context' and each of 'examples' must be objects", "examples")
        inputs = self._rows(version, signature, [context | x for x in examples])
        return version, signature, await outputs_of(request, version, signature, inputs)

    # -- status and metadata -------------------------------------------------------------------

    async def status(self, request: Request) -> Response:
        """The states of a model's versions, the newest first; of a language model also what
        OpenAI's clients ask for at this path."""
        params = request.params
        model = self.engine.models.get(params["model"])
        if model is None or "version" in params or "label" in params:
            try:
                versions = [find(self.engine, request)]
            except ServeError as error:
                number = params.get("version", "")
                known = {} if model is None else model.versions
                if error.status is not Status.UNAVAILABLE or not number:
                    raise
                versions = [known[int(number)]]
        else:
            versions = [v for _, v in sorted(model.versions.items(), reverse=True)]
        more = {} if model is None else openai.described(model)
        return Response(encoded({"model_version_status": [*map(_status_of, versions)], **more}))

    async def metadata(self, request: Request) -> Response:
        """The inputs and outputs of all signatures."""
        version = find(self.engine, request)
        found = {
            "model_spec": {
                "name": version.model,
                "signature_name": "",
                "version": str(version.number),
            },
            "metadata": {
                "signature_def": {
                    "signature_def": {n: _signature_def(s) for n, s in version.signatures.items()}
                }
            },
        }
        return Response(encoded(found))


def _is_named(value: Any) -> bool:
    """Whether a value is an object with values by name; `{"b64": ...}` is a string."""
    return isinstance(value, dict) and set(value) != {"b64"}


def _only(version: ModelVersion, signature: ServedSignature, key: str) -> TensorSpec:
    if len(signature.inputs) == 1:
        return signature.inputs[0]
    asked = handlers.asked_inputs(version, signature)
    if len(asked) == 1:
        return asked[0]
    names = ", ".join(signature.by_name)
    raise invalid(f"{signature.name} has the inputs {names}: {key!r} must name them", key)


async def _answer(
    version: ModelVersion,
    name: str,
    make: Callable[[ServedSignature, Sequence[Any]], Any],
    signature: ServedSignature,
    outputs: Sequence[Any],
) -> Response:
    """The response with what is made of some outputs, under a name."""

    if sum(o.nbytes for o in outputs) > LARGE:
        return Response(await version.beside(_written, name, make, signature, outputs))
    return Response(encoded({name: make(signature, outputs)}, outputs))


def _written(
    name: str, make: Callable[..., Any], signature: ServedSignature, outputs: Sequence[Any]
) -> bytes:
    writing = Writing()
    return writing.text({name: make(signature, outputs, writing)})


def rows_of(signature: ServedSignature, outputs: Sequence[Any], show: Show = listed) -> Any:
    """The row format: a value, or an object, for each row."""
    sizes = {o.shape[0] if o.ndim else None for o in outputs}
    if len(sizes) != 1 or None in sizes:
        raise invalid(
            f"the outputs of {signature.name} have no rows in common; ask in the column format, "
            "by 'inputs'",
            "instances",
        )
    names = [x.name for x in signature.outputs]
    if len(names) == 1:
        return _named(names[0], outputs[0], show)

    def objects(parts: Sequence[Any]) -> list[dict[str, Any]]:
        columns = [_named(name, o) for name, o in zip(names, parts, strict=True)]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    return show.rows(outputs, objects) if isinstance(show, Writing) else objects(outputs)


def columns_of(signature: ServedSignature, outputs: Sequence[Any], show: Show = listed) -> Any:
    """The column format: one value, or an object with one for each output."""
    pairs = zip(signature.outputs, outputs, strict=True)
    named = {x.name: _named(x.name, o, show) for x, o in pairs}
    return next(iter(named.values())) if len(named) == 1 else named


def _named(name: str, array: Any, show: Show = listed) -> Any:
    """An output's lists; strings of one that ends with `_bytes` are base64, as they are here."""
    if array.dtype.kind not in "OSU" or not name.endswith("_bytes"):
        return show(array)

    def packed(value: Any) -> Any:
        if isinstance(value, list):
            return [packed(x) for x in value]
        data = value.encode() if isinstance(value, str) else value
        return {"b64": base64.b64encode(data).decode()}

    return packed(array.tolist())


def _floats(arrays: Sequence[Any]) -> list[Any]:
    return [a for a in arrays if a.dtype.kind in "fV"]


def _status_of(version: ModelVersion) -> dict[str, Any]:
    error = version.error
    return {
        "version": str(version.number),
        "state": version.state.name,
        "status": {
            "error_code": "OK" if error is None else error.status.name,
            "error_message": "" if error is None else str(error),
        },
    }


def _signature_def(signature: ServedSignature) -> dict[str, Any]:
    return {
        "inputs": {x.name: _tensor_info(x) for x in signature.inputs},
        "outputs": {x.name: _tensor_info(x) for x in signature.outputs},
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    dims = [
        {"size": str(s if isinstance(s, int) else -1), "name": s if isinstance(s, str) else ""}
        for s in spec.shape or ()
    ]
    dtype = "DT_STRING" if spec.dtype is None else _DTYPES.get(spec.dtype.name, "DT_INVALID")
    return {
        "dtype": dtype,
        "tensor_shape": {"dim": dims, "unknown_rank": spec.shape is None},
        "name": f"{spec.name}:0",
    }


_DTYPES = {
    "float16": "DT_HALF",
    "bfloat16": "DT_BFLOAT16",
    "float32": "DT_FLOAT",
    "float64": "DT_DOUBLE",
    "bool": "DT_BOOL",
    "complex64": "DT_COMPLEX64",
    "complex128": "DT_COMPLEX128",
    **{f"{u}int{n}": f"DT_{u.upper()}INT{n}" for u in ("", "u") for n in (8, 16, 32, 64)},
}


__all__ = ["TensorFlow", "columns_of", "routes", "rows_of"]
