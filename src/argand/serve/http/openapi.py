"""OpenAPI: the paths that the models have, and schemas made from their signatures."""

from __future__ import annotations

from html import escape
from typing import Any

from argand import version as release
from argand.export.program import DEFAULT
from argand.serve.generation import is_language_model
from argand.serve.host import Host
from argand.serve.http.app import plain_errors
from argand.serve.http.message import Request, Response
from argand.serve.http.page import SECURITY, datatype_of
from argand.serve.http.routes import Route
from argand.serve.http.values import encoded
from argand.serve.signature import ServedSignature, TensorSpec
from argand.serve.version import ModelVersion

Schema = dict[str, Any]


def routes(host: Host) -> list[Route]:
    """`/openapi.json`, and `/docs` for people."""

    async def document(request: Request) -> Response:
        return Response(encoded(document_of(host)), headers=SECURITY)

    async def page(request: Request) -> Response:
        text = page_of(document_of(host))
        return Response(text.encode(), type=b"text/html; charset=utf-8", headers=SECURITY)

    return [
        Route("GET", path, handler, "openapi", plain_errors, "read")
        for path, handler in (("/openapi.json", document), ("/docs", page))
    ]


def document_of(host: Host, only: str | None = None) -> Schema:
    """The OpenAPI document of what is served now, or of one model."""
    paths: dict[str, Schema] = {}
    for name, model in sorted(host.engine.models.items()):
        if model.available and only in (None, name):
            paths |= _paths(name, model.versions[model.available[-1]])
    for path, what in _PLAIN.items() if only is None else ():
        paths[path] = {"get": _operation("server", what, {})}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Argand", "version": release.__version__},
        "paths": paths,
        "components": {
            "schemas": {"Error": _object({"error": {"type": "string"}})},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_PLAIN = {
    "/livez": "Whether the server answers",
    "/readyz": "Whether requests should come",
    "/metrics": "Metrics for Prometheus",
    "/v2": "The name, the release and the extensions",
    "/v1/models": "The language models, as OpenAI lists them",
    "/ping": "Whether requests should come, as TorchServe says it",
}
_TEXT: Schema = {"type": "string"}


def _paths(name: str, version: ModelVersion) -> dict[str, Schema]:
    """The paths of a model."""
    found = _texts(name) if is_language_model(version) else _calls(name, version)
    status = _operation(name, f"The states of {name}'s versions", {"type": "object"})
    tensors = _operation(name, f"The inputs and outputs of {name}", {"type": "object"})
    signatures = _operation(name, f"The signatures of {name}", {"type": "object"})
    return found | {
        f"/v1/models/{name}": {"get": status},
        f"/v1/models/{name}/metadata": {"get": signatures},
        f"/v2/models/{name}": {"get": tensors},
    }


def _texts(name: str) -> dict[str, Schema]:
    """The paths of a language model."""
    model, most = _TEXT, {"type": "integer", "minimum": 0}
    message = _object({"role": _TEXT, "content": _TEXT}, ["role", "content"])
    messages = {"type": "array", "items": message}
    common = {"max_tokens": most, "temperature": {"type": "number", "minimum": 0}}
    completion = _object({"model": model, "prompt": _TEXT, **common}, ["model", "prompt"])
    chat = _object({"model": model, "messages": messages, **common}, ["model", "messages"])
    text = _object({"text_input": _TEXT, "parameters": _object(common)}, ["text_input"])
    asks = {
        "/v1/completions": ("Go on with a text", completion),
        "/v1/chat/completions": ("Answer a conversation", chat),
        f"/v2/models/{name}/generate": ("Go on with a text", text),
        f"/v2/models/{name}/generate_stream": ("Go on with a text, piece by piece", text),
    }
    return {
        path: {"post": _operation(name, what, {"type": "object"}, body)}
        for path, (what, body) in asks.items()
    }


def _calls(name: str, version: ModelVersion) -> dict[str, Schema]:
    """The paths that compute the signatures of a model, each of which is an alternative."""
    asked, gives, sent, back = [], [], [], []
    for signature in version.signatures.values():
        rows_or_columns, answers = _tensorflow(signature)
        asked += rows_or_columns
        gives += answers
        body, answer = _v2(signature)
        sent.append(body)
        back.append(answer)
    predict = _operation(
        name, f"Ask {name} in TensorFlow Serving's form", _any_of(gives), _one_of(asked)
    )
    infer = _operation(name, f"Ask {name} in the v2 protocol's form", _any_of(back), _one_of(sent))
    whole = _operation(name, f"Ask {name} with an image, a text, a form or JSON", {}, {})
    return {
        f"/v1/models/{name}:predict": {"post": predict},
        f"/v2/models/{name}/infer": {"post": infer},
        f"/predictions/{name}": {"post": whole},
    }


def _any_of(schemas: list[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _one_of(schemas: list[Schema]) -> Schema:
    """Alternatives that a field which must be there, or a signature's name, tells apart."""
    return schemas[0] if len(schemas) == 1 else {"oneOf": schemas}


def _named(signature: ServedSignature) -> tuple[Schema, list[str]]:
    """The field with the name of a signature, which the default one may lack."""
    default = signature.name == DEFAULT
    return {"signature_name": {"const": signature.name}}, [] if default else ["signature_name"]


def _tensorflow(signature: ServedSignature) -> tuple[list[Schema], list[Schema]]:
    """Bodies and answers in columns, and in rows where all inputs and outputs have them."""
    name, needed = _named(signature)
    columns = {x.name: _schema(x, 0) for x in signature.inputs}
    found = {x.name: _schema(x, 0) for x in signature.outputs}
    one = [x.name for x in signature.inputs if not x.optional]
    inputs = _any_of([_object(columns, one), *(columns.values() if len(columns) == 1 else ())])
    bodies = [_object({"inputs": inputs, **name}, ["inputs", *needed])]
    answers = [_object({"outputs": _one_or(found)})]
    if signature.batched:
        row = {x.name: _schema(x, 1) for x in signature.inputs}
        items = _any_of([_object(row, one), *(row.values() if len(row) == 1 else ())])
        rows = {"type": "array", "items": items}
        bodies.append(_object({"instances": rows, **name}, ["instances", *needed]))
        back = {x.name: _schema(x, 1) for x in signature.outputs}
        answers.append(_object({"predictions": {"type": "array", "items": _one_or(back)}}))
    return bodies, answers


def _v2(signature: ServedSignature) -> tuple[Schema, Schema]:
    """The body and the answer in tensors."""
    name, needed = _named(signature)
    tensors = {"type": "array", "items": _any_of([_tensor(x) for x in signature.inputs])}
    back = {"type": "array", "items": _any_of([_tensor(x) for x in signature.outputs])}
    parameters = _object(name, needed)
    body = _object(
        {"id": _TEXT, "inputs": tensors, "parameters": parameters},
        ["inputs", "parameters"] if needed else ["inputs"],
    )
    return body, _object({"model_name": _TEXT, "model_version": _TEXT, "outputs": back})


def _operation(tag: str, summary: str, answer: Schema, body: Schema | None = None) -> Schema:
    problem = {"$ref": "#/components/schemas/Error"}
    content = {"content": {"application/json": {"schema": answer}}} if answer else {}
    found: Schema = {
        "tags": [tag],
        "summary": summary,
        "security": [{}, {"token": []}],
        "responses": {
            "200": {"description": "The answer", **content},
            "default": {
                "description": "What is wrong",
                "content": {"application/json": {"schema": problem}},
            },
        },
    }
    if body is not None:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json" if body else "*/*": {"schema": body}},
        }
    return found


def _object(properties: Schema, required: list[str] | None = None) -> Schema:
    found: Schema = {"type": "object", "properties": properties}
    return found | {"required": required} if required else found


def _one_or(named: dict[str, Schema]) -> Schema:
    """The value alone where there is one, an object of them where there are several."""
    return next(iter(named.values())) if len(named) == 1 else _object(named)


def _schema(spec: TensorSpec, skip: int) -> Schema:
    """Nested lists without the first `skip` dimensions."""
    found: Schema = {"type": _kind(spec)}
    if spec.shape is None:
        return {}
    for size in reversed(spec.shape[skip:]):
        found = {"type": "array", "items": found}
        if isinstance(size, int):
            found |= {"minItems": size, "maxItems": size}
    return found


def _kind(spec: TensorSpec) -> str:
    if spec.dtype is None:
        return "string"
    return {"b": "boolean", "i": "integer", "u": "integer"}.get(spec.dtype.numpy.kind, "number")


def _tensor(spec: TensorSpec) -> Schema:
    return _object(
        {
            "name": {"const": spec.name},
            "datatype": {"const": datatype_of(spec)},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "data": {"type": "array"},
        },
        ["name", "shape", "datatype"],
    )


def page_of(document: Schema) -> str:
    """The document as a page."""
    rows = "".join(
        f"<tr><td>{method.upper()}</td><th scope=row><code>{escape(path)}</code></th>"
        f"<td>{escape(operation['summary'])}</td></tr>\n"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    return _PAGE.format(rows=rows)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Argand serves: paths</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/page/page.css">
</head>
<body>
<header><h1>Paths</h1><nav aria-label="More"><a href="/">Models</a>
<a href="/openapi.json">OpenAPI, with the schemas</a></nav></header>
<main>
<table>
<caption class="quiet">What can be asked now</caption>
<thead><tr><th scope="col">Method</th><th scope="col">Path</th>
<th scope="col">What it does</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
</main>
</body>
</html>
"""


__all__ = ["document_of", "page_of", "routes"]
