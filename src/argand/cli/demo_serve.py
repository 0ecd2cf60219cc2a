"""What `argand demo --serve` does: the trained model behind a server, asked over each protocol."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from argand.base.dim import Dim
from argand.base.errors import ArgandError, MissingExtraError
from argand.export.program import export
from argand.nn.module import Module
from argand.tensor.core import wrap

_ASKED = 16  # images
_NEEDED = {
    "data": {"sklearn": "scikit-learn"},
    "serve": {
        "httptools": "httptools",
        "msgspec": "msgspec",
        "prometheus_client": "prometheus-client",
        "grpc": "grpcio",
    },
}
"""Packages by the extras that bring them, and by what is imported of them."""
Ask = Callable[[Any, np.ndarray], np.ndarray]


def check_packages() -> None:
    """Raises MissingExtraError where something is not installed that `--serve` needs, the digits
    among it; asked before anything is trained."""
    missing = {
        extra: [package for name, package in names.items() if not importlib.util.find_spec(name)]
        for extra, names in _NEEDED.items()
    }
    extras = ",".join(extra for extra, packages in missing.items() if packages)
    if extras:
        packages = ", ".join(package for found in missing.values() for package in found)
        raise MissingExtraError(
            f"--serve needs {packages}: install them with pip install 'argand[{extras}]'"
        )


def check_serving(
    model: Module, images: np.ndarray, folder: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Export, serve, ask over each protocol, and compare the bits of all answers."""
    check_packages()
    from argand.serve.server import Server

    logging.getLogger("argand.serve").setLevel(logging.WARNING)
    model.eval()
    example = (wrap(images[:4].copy()),)
    program = export(model, example, dynamic_shapes=({0: Dim("batch", min=1)},))
    place = folder / "digits" / "1"
    place.mkdir(parents=True, exist_ok=True)
    program.save(place / "model.argand")
    x = images[:_ASKED].copy()
    expected = program(x).numpy()
    same: dict[str, bool] = {}
    with Server(folder, port=0, grpc_port=0) as server:
        say(f"{server.url} serves the digits, and gRPC on port {server.grpc_port}:")
        for name, (install, ask) in _PROTOCOLS.items():
            try:
                same[name] = ask(server, x).tobytes() == expected.tobytes()
            except _AbsentError:
                say(f"  {name}: its client is not here (pip install {install})")
                continue
            say(f"  {name}: {'the same bits' if same[name] else 'NOT the same bits'}")
    return {"served_bits_equal": same}


class _AbsentError(Exception):
    """A protocol's own client can't be imported."""


@contextlib.contextmanager
def _importing() -> Iterator[None]:
    """Around the import of a client; without its extras, Triton's raises RuntimeError."""
    try:
        yield
    except (ImportError, RuntimeError) as error:
        raise _AbsentError from error


def _posted(server: Any, path: str, body: bytes, **headers: str) -> bytes:
    """The answer to a request, by the standard library alone."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        found = response.read()
        if response.status != 200:
            raise ArgandError(f"{path}: {response.status}: {found[:500].decode()}")
        return found
    finally:
        connection.close()


def _asked(server: Any, path: str, body: Any) -> Any:
    kind = {"content-type": "application/json"}
    return json.loads(_posted(server, path, json.dumps(body).encode(), **kind))


def _float32(rows: Any) -> np.ndarray:
    """Numbers of JSON; each is a float32, written so that it comes back."""
    return np.asarray(rows, np.float64).astype(np.float32)


def _tensorflow(server: Any, x: np.ndarray) -> np.ndarray:
    found = _asked(server, "/v1/models/digits:predict", {"instances": x.tolist()})
    return _float32(found["predictions"])


def _torchserve(server: Any, x: np.ndarray) -> np.ndarray:
    return _float32(_asked(server, "/predictions/digits", x.tolist()))


def _v2(server: Any, x: np.ndarray) -> np.ndarray:
    tensor = {"name": "input", "shape": x.shape, "datatype": "FP32", "data": x.tolist()}
    found = _asked(server, "/v2/models/digits/infer", {"inputs": [tensor]})["outputs"][0]
    return _float32(found["data"]).reshape(found["shape"])


def _client(server: Any, x: np.ndarray) -> np.ndarray:
    from argand_client import Client

    with Client(server.url) as client:
        return np.asarray(client.predict(x))


def _client_grpc(server: Any, x: np.ndarray) -> np.ndarray:
    from argand_client import Client

    with Client(f"grpc://127.0.0.1:{server.grpc_port}") as client:
        return np.asarray(client.predict(x))


def _triton(module: Any, address: str, x: np.ndarray) -> np.ndarray:
    with module.InferenceServerClient(address) as client:
        given = module.InferInput("input", list(x.shape), "FP32")
        given.set_data_from_numpy(x)
        return np.asarray(client.infer("digits", [given]).as_numpy("output"))


def _triton_http(server: Any, x: np.ndarray) -> np.ndarray:
    with _importing():
        from tritonclient import http

    return _triton(http, urlsplit(server.url).netloc, x)


def _triton_grpc(server: Any, x: np.ndarray) -> np.ndarray:
    with _importing():
        from tritonclient import grpc

    return _triton(grpc, f"127.0.0.1:{server.grpc_port}", x)


def _tensorflow_grpc(server: Any, x: np.ndarray) -> np.ndarray:
    with _importing():
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "digits"
        request.inputs["input"].CopyFrom(tf.make_tensor_proto(x))
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        return np.asarray(tf.make_ndarray(stub.Predict(request, 60).outputs["output"]))


_TRITON = "'tritonclient[all]'"
_PROTOCOLS: dict[str, tuple[str, Ask]] = {
    "TensorFlow Serving, REST": ("", _tensorflow),
    "TensorFlow Serving, gRPC": ("tensorflow-serving-api", _tensorflow_grpc),
    "KServe v2, JSON": ("", _v2),
    "KServe v2, argand.serve.Client, binary": ("", _client),
    "KServe v2, argand.serve.Client, gRPC": ("", _client_grpc),
    "Triton's client, HTTP": (_TRITON, _triton_http),
    "Triton's client, gRPC": (_TRITON, _triton_grpc),
    "TorchServe": ("", _torchserve),
}
"""By protocol: what installs its own client, where it takes one, and how it asks."""


__all__ = ["check_serving"]
