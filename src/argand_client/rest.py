"""The v2 protocol over HTTP, with binary tensors."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import numpy as np

from argand_client.datatypes import dtype_of, from_bytes, name_of, to_bytes
from argand_client.errors import failed
from argand_client.signature import Arrays, Signature, Tensor
from argand_client.status import Status
from argand_client.transport import Target, timed_out

_LENGTH = "Inference-Header-Content-Length"
_BY_HTTP = {s.http: s for s in Status} | {405: Status.UNIMPLEMENTED, 408: Status.UNAVAILABLE}
_KEPT = 16  # connections that are kept open while nobody uses them
_GONE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class Rest:
    """Asks over HTTP. Connections are kept; each is used by one thread at a time."""

    def __init__(
        self, url: str, headers: dict[str, str], context: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or (443 if self._secure else 80)
        self._prefix = parts.path.rstrip("/")
        self._headers = headers
        self._context = context
        self._kept: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    # -- the protocol --------------------------------------------------------------------------

    def infer(self, target: Target, inputs: Arrays, seconds: float | None) -> Arrays:
        """The outputs by name."""
        head, tensors = _request(target, inputs, seconds)
        headers = {"Content-Type": "application/octet-stream", _LENGTH: str(len(head))}
        response, body = self._ask(
            "POST", f"{_path(target)}/infer", seconds, b"".join([head, *tensors]), headers
        )
        return _outputs(response, body)

    def signature(self, target: Target, seconds: float | None) -> Signature:
        """What a signature takes and gives."""
        query = "" if target.signature is None else f"?signature_name={quote(target.signature)}"
        found = self._json("GET", _path(target) + query, seconds)
        inputs, outputs = (
            [Tensor(x["name"], x["datatype"], tuple(map(int, x["shape"]))) for x in found[part]]
            for part in ("inputs", "outputs")
        )
        return Signature(target.signature, inputs, outputs)

    def signatures(self, target: Target, seconds: float | None) -> list[str]:
        """The names of a model's signatures, which TensorFlow Serving's protocol tells."""
        version = "" if target.version is None else f"/versions/{target.version}"
        path = f"/v1/models/{quote(target.model, safe='')}{version}/metadata"
        found = self._json("GET", path, seconds)
        return list(found["metadata"]["signature_def"]["signature_def"])

    def models(self, seconds: float | None) -> list[str]:
        """The models of the server."""
        found = self._json("POST", "/v2/repository/index", seconds, b"{}")
        return list(dict.fromkeys(model["name"] for model in found))

    def is_ready(self, target: Target | None, seconds: float | None) -> bool:
        """Whether a model, or the server, takes requests."""
        path = "/v2/health/ready" if target is None else f"{_path(target)}/ready"
        response, _ = self._answer("GET", path, seconds, None, {})
        return response.status == 200

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            kept, self._kept = self._kept, []
        for connection in kept:
            connection.close()

    # -- HTTP ----------------------------------------------------------------------------------

    def _json(
        self, method: str, path: str, seconds: float | None, body: bytes | None = None
    ) -> Any:
        _, data = self._ask(method, path, seconds, body, {"Content-Type": "application/json"})
        return _decoded(data)

    def _ask(
        self,
        method: str,
        path: str,
        seconds: float | None,
        body: bytes | None,
        headers: dict[str, str],
    ) -> tuple[http.client.HTTPResponse, bytes]:
        response, data = self._answer(method, path, seconds, body, headers)
        if response.status != 200:
            raise _error(response, data)
        return response, data

    def _answer(
        self,
        method: str,
        path: str,
        seconds: float | None,
        body: bytes | None,
        headers: dict[str, str],
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """The response and its body. A connection that the server has closed meanwhile is
        replaced once: a request of inference can be sent twice."""
        where = f"{self._host}:{self._port}"
        while True:
            connection, kept = self._connection(seconds)
            try:
                connection.request(method, self._prefix + path, body, {**self._headers, **headers})
                response = connection.getresponse()
                data = response.read()
            except TimeoutError:
                connection.close()
                raise timed_out(seconds, where) from None
            except _GONE as error:
                connection.close()
                if kept:
                    continue
                raise failed(Status.UNAVAILABLE, f"{where}: {error}") from None
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                said = str(error) or type(error).__name__
                raise failed(Status.UNAVAILABLE, f"{where}: {said}") from None
            except BaseException:
                connection.close()
                raise
            self._keep(connection, response)
            return response, data

    def _connection(self, seconds: float | None) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            connection = self._kept.pop() if self._kept else None
        if connection is not None and connection.sock is not None:
            connection.sock.settimeout(seconds)
            return connection, True
        if self._secure:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=seconds, context=self._context
            ), False
        return http.client.HTTPConnection(self._host, self._port, timeout=seconds), False

    def _keep(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> None:
        with self._lock:
            if not response.will_close and len(self._kept) < _KEPT:
                self._kept.append(connection)
                return
        connection.close()


def _path(target: Target) -> str:
    version = "" if target.version is None else f"/versions/{target.version}"
    return f"/v2/models/{quote(target.model, safe='')}{version}"


def _request(target: Target, inputs: Arrays, seconds: float | None) -> tuple[bytes, list[bytes]]:
    """The JSON of a request, and its tensors."""
    parameters: dict[str, Any] = {"binary_data_output": True}
    if target.signature is not None:
        parameters["signature_name"] = target.signature
    if seconds is not None:
        parameters["timeout"] = max(int(seconds * 1e6), 1)
    tensors = [to_bytes(array) for array in inputs.values()]
    described = [
        {
            "name": name,
            "datatype": name_of(array.dtype),
            "shape": array.shape,
            "parameters": {"binary_data_size": len(data)},
        }
        for (name, array), data in zip(inputs.items(), tensors, strict=True)
    ]
    return json.dumps({"inputs": described, "parameters": parameters}).encode(), tensors


def _outputs(response: http.client.HTTPResponse, body: bytes) -> Arrays:
    """The outputs of a response, binary or as JSON."""
    length = response.headers.get(_LENGTH)
    try:
        size = len(body) if length is None else int(length)
        rest = memoryview(body)[size:]
        found, place = Arrays(), 0
        for output in json.loads(body[:size])["outputs"]:
            name, datatype, shape = output["name"], output["datatype"], output["shape"]
            count = output.get("parameters", {}).get("binary_data_size")
            if count is None:
                found[name] = _of_json(output["data"], datatype, shape)
            else:
                found[name] = from_bytes(rest[place : place + count], datatype, shape)
                place += count
    except (KeyError, TypeError, ValueError) as error:
        raise failed(Status.INTERNAL, f"the server's answer can't be read: {error!r}") from None
    return found


def _of_json(data: Any, datatype: str, shape: list[int]) -> np.ndarray[Any, Any]:
    dtype = dtype_of(datatype)
    if dtype.kind == "O":
        data = [text.encode() for text in np.asarray(data, object).ravel().tolist()]
    return np.array(data, dtype).reshape(shape)


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        raise failed(Status.INTERNAL, f"the server's answer is no JSON: {data[:80]!r}") from None


def _error(response: http.client.HTTPResponse, data: bytes) -> Any:
    """The error that a response tells."""
    try:
        said = json.loads(data)
        message = said.get("error", said.get("message", said)) if isinstance(said, dict) else said
    except ValueError:
        message = data[:500].decode("utf-8", "replace")
    status = _BY_HTTP.get(response.status)
    if status is None:
        status = Status.INTERNAL if response.status >= 500 else Status.INVALID_ARGUMENT
    field, after = response.headers.get("X-Error-Field"), response.headers.get("Retry-After", "")
    return failed(
        status,
        str(message) or response.reason,
        field=None if field is None else unquote(field),
        retry_after=float(after) if after.isdecimal() else None,
    )


__all__ = ["Rest"]
