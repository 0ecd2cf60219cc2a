"""OpenAPI: the paths that the models have, and schemas made from their signatures."""

from __future__ import annotations

from html import escape
from typing import Any

from argand import version as release
from argand.serve.host import Host
from argand.serve.http.app import plain_errors
from argand.serve.http.message import Request, Response
from argand.serve.http.page import SECURITY, datatype_of
from argand.serve.http.routes import Route
from argand.serve.http.values import encoded
from argand.serve.signature import ServedSignature, TensorSpec

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


def document_of(host: Host) -> Schema:
    """The OpenAPI document of what is served now."""
    paths: dict[str, Schema] = {}
    for name, model in sorted(host.engine.models.items()):
        if not model.available:
            continue
        version = model.versions[model.available[-1]]
        signature = version.signature()
        paths |= _paths(name, signature)
    for path, what in _PLAIN.items():
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
}


def _paths(name: str, signature: ServedSignature) -> dict[str, Schema]:
    """The paths of a model."""
    rows = signature.batched
    columns = {x.name: _schema(x, 0) for x in signature.inputs}
    found = {x.name: _schema(x, 0) for x in signature.outputs}
    one = [x.name for x in signature.inputs if not x.optional]
    inputs = {"inputs": {"oneOf": [_object(columns, one), *list(columns.values())[:1]]}}
    bodies: list[Schema] = [_object({**inputs, "signature_name": {"type": "string"}}, ["inputs"])]
    answers: list[Schema] = [_object({"outputs": _one_or(found)})]
    if rows:
        row = _object({x.name: _schema(x, 1) for x in signature.inputs}, one)
        items = {"anyOf": [row, *[_schema(x, 1) for x in signature.inputs[:1]]]}
        bodies.append(_object({"instances": {"type": "array", "items": items}}, ["instances"]))
        back = {x.name: _schema(x, 1) for x in signature.outputs}
        answers.append(_object({"predictions": {"type": "array", "items": _one_or(back)}}))
    predict = _operation(
        name, f"Ask {name} in TensorFlow Serving's form", {"oneOf": answers}, {"oneOf": bodies}
    )
    tensors = {"type": "array", "items": {"oneOf": [_tensor(x) for x in signature.inputs]}}
    asked = _object({"id": {"type": "string"}, "inputs": tensors}, ["inputs"])
    gives = {"type": "array", "items": {"oneOf": [_tensor(x) for x in signature.outputs]}}
    infer = _operation(
        name,
        f"Ask {name} in the v2 protocol's form",
        _object({"model_name": {"type": "string"}, "outputs": gives}),
        asked,
    )
    status = _operation(name, f"The states of {name}'s versions", {"type": "object"})
    return {
        f"/v1/models/{name}:predict": {"post": predict},
        f"/v1/models/{name}": {"get": status},
        f"/v2/models/{name}/infer": {"post": infer},
        f"/v2/models/{name}": {
            "get": _operation(name, f"The inputs and outputs of {name}", {"type": "object"})
        },
    }


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
            "content": {"application/json": {"schema": body}},
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
