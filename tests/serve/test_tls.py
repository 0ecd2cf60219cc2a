"""TLS over both ports, with a certificate made here: who trusts it is answered, nobody else."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from echoing import Asked
from rpc import Stub
from served import classifier, exported, inputs, put

pytest.importorskip("httptools")

from argand.base.errors import ArgumentError
from argand.serve import Client, Limits, ServeError, Server, Status
from argand_client.definitions import messages

V2 = "inference.GRPCInferenceService"


def certificate(folder: Path, name: str = "server") -> tuple[Path, Path]:
    """A certificate of its own for this machine, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate")
    key, chain = folder / f"{name}.key", folder / f"{name}.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-days", "1", "-subj", "/CN=localhost", "-keyout", str(key)]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", str(chain)]
    subprocess.run(command, check=True, capture_output=True)
    return chain, key


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def server(files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("models")
    put(exported(classifier()), root, "digits", 1)
    set = {"certificate": str(files[0]), "key": str(files[1])}
    with Server(root, port=0, grpc_port=0, **set) as running:
        yield running


def test_those_who_trust_the_certificate_are_answered(
    server: Server, files: tuple[Path, Path]
) -> None:
    x = inputs(3)
    expected = exported(classifier())(x).numpy()
    assert server.url.startswith("https://")
    for url in (server.url, f"grpcs://127.0.0.1:{server.grpc_port}"):
        with Client(url, "digits", certificates=files[0], timeout=20) as client:
            assert client.is_ready()
            assert client.predict(x).tobytes() == expected.tobytes()
            with pytest.raises(ServeError, match="has the shape"):
                client.predict(x[:, :2])
    trusted = grpc.ssl_channel_credentials(files[0].read_bytes())
    live = messages()("inference.ServerLiveRequest")()
    with grpc.secure_channel(f"localhost:{server.grpc_port}", trusted) as channel:
        assert Stub(channel, V2).ServerLive(live, timeout=20).live


def test_others_are_not(server: Server, files: tuple[Path, Path], tmp_path: Path) -> None:
    other, _ = certificate(tmp_path, "other")
    for trust in (None, other):
        for url in (server.url, f"grpcs://127.0.0.1:{server.grpc_port}"):
            with Client(url, "digits", certificates=trust, timeout=5, retries=0) as client:
                with pytest.raises(ServeError) as caught:
                    client.predict(inputs(1))
                assert caught.value.status in (Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED)
    for url in (f"http://127.0.0.1:{server.port}", f"grpc://127.0.0.1:{server.grpc_port}"):
        with Client(url, "digits", timeout=5, retries=0) as client, pytest.raises(ServeError):
            client.predict(inputs(1))


def test_a_key_that_is_not_the_certificates_is_refused(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    _, key = certificate(tmp_path, "other")
    with pytest.raises(ssl.SSLError, match=r"other.key: .* the key that belongs to them"):
        Server([], port=0, certificate=str(files[0]), key=str(key)).start()
    none = tmp_path / "none.pem"
    none.write_text("[server]")
    with pytest.raises(ssl.SSLError, match=r"none.pem: no PEM of certificates"):
        Server([], port=0, certificate=str(files[0]), key=str(files[1]), clients=str(none)).start()


def test_clients_show_certificates_where_the_server_asks_for_them(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    put(exported(classifier()), tmp_path / "models", "digits", 1)
    known, unknown = certificate(tmp_path, "known"), certificate(tmp_path, "unknown")
    set = {"certificate": str(files[0]), "key": str(files[1]), "clients": str(known[0])}
    with Server(tmp_path / "models", port=0, grpc_port=0, **set) as server:
        for url in (server.url, f"grpcs://127.0.0.1:{server.grpc_port}"):
            asks = {"certificates": files[0], "timeout": 5, "retries": 0}
            with Client(url, "digits", identity=known, **asks) as client:
                assert client.predict(inputs(1)).shape == (1, 3)
            for identity in (None, unknown):
                client = Client(url, "digits", identity=identity, **asks)
                with client, pytest.raises(ServeError):
                    client.predict(inputs(1))
    with pytest.raises(ArgumentError, match="give certificate too"):
        Server([], port=0, clients=str(known[0]))


def test_who_never_begins_tls_is_cut(files: tuple[Path, Path]) -> None:
    set = {"certificate": str(files[0]), "key": str(files[1])}
    limits = Limits(header_seconds=0.1)
    with (
        Server([], port=0, limits=limits, **set) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as silent,
    ):
        assert silent.recv(1) == b""


@pytest.mark.parametrize("says_so", [True, False])
def test_who_ends_tls_has_gone(files: tuple[Path, Path], says_so: bool) -> None:
    """Over plain TCP a client that sends no more gets its answer; TLS 1.2 ends both directions at
    once (RFC 5246, 7.2.1), and what is not ended by TLS may have been cut off by anybody."""
    trusting = ssl.create_default_context(cafile=str(files[0]))
    with Asked([], port=0, certificate=str(files[0]), key=str(files[1])) as server:
        raw = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        with trusting.wrap_socket(raw, server_hostname="localhost") as client:
            client.sendall(b"GET /slow?seconds=20 HTTP/1.1\r\n\r\n")
            while not server.call(lambda: any(c._task for c in server._connections.open)):
                time.sleep(0.001)
            if says_so:
                client.unwrap().close()
            else:
                client.shutdown(socket.SHUT_WR)
            assert server.cancelled.wait(10)
