"""The page for people at `/`: plain HTML, CSS and JavaScript, and the JSON that it shows."""

from __future__ import annotations

import functools
import time
from importlib.resources import files
from typing import Any

from argand.base.errors import ArgandError
from argand.export.card import inputs_described
from argand.serve.generation import is_language_model
from argand.serve.host import Host
from argand.serve.http.app import plain_errors
from argand.serve.http.message import Request, Response
from argand.serve.http.routes import Route
from argand.serve.http.values import encoded
from argand.serve.metrics import memory
from argand.serve.signature import ServedSignature, TensorSpec
from argand.serve.version import ModelVersion
from argand_client.datatypes import name_of

SECURITY = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
)
_FILES = {
    "/": ("index.html", b"text/html; charset=utf-8"),
    "/page/page.css": ("page.css", b"text/css; charset=utf-8"),
    "/page/page.js": ("page.js", b"text/javascript; charset=utf-8"),
}


def routes(host: Host) -> list[Route]:
    """`/`, its files, and `/page/status.json`."""

    async def status(request: Request) -> Response:
        found = {
            "now": int(time.time()),
            "ready": host.is_ready,
            "memory": memory(),
            "models": described(host),
            "recent": host.metrics.recent(),
        }
        return Response(encoded(found), headers=SECURITY)

    async def file(request: Request) -> Response:
        name, kind = _FILES[request.path.rstrip("/") or "/"]
        return Response(_contents(name), type=kind, headers=SECURITY)

    found = [Route("GET", path, file, "page", plain_errors, "open") for path in _FILES]
    return [*found, Route("GET", "/page/status.json", status, "page", plain_errors, "read")]


def front() -> Response:
    """The page itself."""
    name, kind = _FILES["/"]
    return Response(_contents(name), type=kind, headers=SECURITY)


@functools.cache
def _contents(name: str) -> bytes:
    return files("argand.serve.http").joinpath("page_files", name).read_bytes()


def described(host: Host) -> list[dict[str, Any]]:
    """The models with their versions and signatures."""
    found = []
    for name, model in sorted(host.engine.models.items()):
        labels = model.options.labels.items()
        versions = [
            {
                "number": number,
                "state": version.state.name,
                "error": None if version.error is None else str(version.error),
                "labels": [label for label, at in labels if at == number],
                "signatures": _signatures(version),
            }
            for number, version in sorted(model.versions.items(), reverse=True)
        ]
        found.append({"name": name, "versions": versions})
    return found


def _signatures(version: ModelVersion) -> list[dict[str, Any]]:
    """The signatures; a language model's are the server's own, people give it a text."""
    if version.program is not None and is_language_model(version):
        return [{"name": "text", "inputs": [], "outputs": [], "generates": True}]
    return [signature_of(version, s) for s in version.signatures.values()]


def signature_of(version: ModelVersion, signature: ServedSignature) -> dict[str, Any]:
    """A signature; of an input also whether it is made of an image or a text (then `made` says that
    the card does it), or follows from another one."""
    try:
        how = inputs_described(version.metadata)
    except ArgandError:
        how = {}
    kinds = {name: how[name].kind for name in how}
    follow = {name for one in how.values() for name in one.names}
    return {
        "name": signature.name,
        "inputs": [
            tensor_of(x)
            | {
                "image": kinds.get(x.name) == "image",
                "text": kinds.get(x.name) == "text" or x.takes_text,
                "made": x.name in kinds,
                "follows": x.name in follow,
            }
            for x in signature.inputs
        ],
        "outputs": [tensor_of(x) for x in signature.outputs],
    }


def tensor_of(spec: TensorSpec) -> dict[str, Any]:
    """A tensor's name, dtype and sizes: numbers, names of those that vary, null for unknown."""
    return {
        "name": spec.name,
        "dtype": "text" if spec.dtype is None else spec.dtype.name,
        "datatype": datatype_of(spec),
        "shape": None if spec.shape is None else list(spec.shape),
    }


def datatype_of(spec: TensorSpec) -> str | None:
    """The v2 protocol's name of a dtype; None where it has none."""
    if spec.dtype is None:
        return "BYTES"
    try:
        return name_of(spec.dtype.numpy)
    except ValueError:
        return None


__all__ = ["SECURITY", "described", "front", "routes", "signature_of", "tensor_of"]
