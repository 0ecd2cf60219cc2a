"""`argand serve`: its options, its file, and the process from its start to SIGTERM."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from served import classifier, exported, put

pytest.importorskip("httptools")

from argand.base.errors import ArgumentError, FormatError
from argand.cli.serve import add_options, settings_of
from argand.cli.serve import run as command_run
from argand.serve import Server
from argand.serve.config import read_config

TOML = """
[server]
port = 8123
drain = 5
tokens = { digits = "t" }
[server.limits]
body = 1000
[models.digits]
timeout = 2
labels = { stable = 1 }
[models.digits.policy]
kind = "specific"
versions = [1, 2]
[default.batching]
max_rows = 8
"""


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args(arguments)


def test_a_file_sets_what_the_command_line_does_not(tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text(TOML)
    made, models, default = settings_of(
        parsed("models", "--config", str(path), "--port", "9", "--model-token", "a=b")
    )
    assert (made.port, made.drain, made.limits.body, made.log) == (9, 5, 1000, "json")
    assert made.tokens == {"a": "b"}
    assert models["digits"].policy.versions == (1, 2)
    assert models["digits"].labels == {"stable": 1} and default.batching.max_rows == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server]\nprot = 1", "there is no server.prot; did you mean port"),
        ("[server]\nport = 'x'", "server.port must be int, got 'x'"),
        ("[server]\nport = true", "server.port must be int"),
        ("[server]\nprofile = 'x'", "server.profile must be"),
        ("[models.m.batching]\nmax_rows = 1.5", "models.m.batching.max_rows must be int"),
        ("[models.m]\nlabels = {a = 'b'}", "models.m.labels must be"),
        ("[modles]", "there is no modles; did you mean models"),
        ("server = 3", "server must be a table"),
        ("[server", "neither TOML nor JSON"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_place(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "serve.toml"
    path.write_text(text)
    with pytest.raises((ArgumentError, FormatError), match=re.escape(message)):
        read_config(path)


def test_secrets_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    made, _, _ = settings_of(parsed("--token", f"@{tmp_path / 'token'}"))
    assert made.token == "secret"


def test_a_profile_listens_where_its_cloud_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIP_HTTP_PORT", "8099")
    made, _, _ = settings_of(parsed("--profile", "vertex"))
    assert (made.host, made.port, made.predict_path) == ("0.0.0.0", 8099, "/predict")


def test_the_command_serves_logs_and_ends_by_sigterm(tmp_path: Path) -> None:
    put(exported(classifier()), tmp_path, "digits", 1)
    command = [sys.executable, "-m", "argand.cli.main", "serve", str(tmp_path), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ), text=True
    ) as process:
        assert process.stderr is not None and process.stdout is not None
        lines = iter(process.stderr.readline, "")
        found = (re.search(r"serving digits at (http://127\.0\.0\.1:\d+)", x) for x in lines)
        match = next(filter(None, found), None)
        assert match is not None
        body = json.dumps({"instances": [[0.0] * 6]}).encode()
        request = urllib.request.Request(
            f"{match[1]}/v1/models/digits:predict", body, {"x-request-id": "mine"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            assert len(json.load(response)["predictions"][0]) == 3
        process.send_signal(signal.SIGTERM)
        logged = json.loads(process.stdout.read())
        assert process.wait(20) == 0
    assert logged["request_id"] == "mine" and logged["status"] == 200
    assert (logged["protocol"], logged["model"], logged["version"]) == ("tensorflow", "digits", 1)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "argand.cli.main", "serve", str(tmp_path / "nothing")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 1 and "there is no such file or folder" in found.stderr
    (tmp_path / "train.py").write_text("")
    for arguments, said in (
        ([], "give what is to be served"),
        ([str(tmp_path / "train.py")], "a model's file is .argand or .onnx"),
    ):
        with pytest.raises(ArgumentError, match=said):
            command_run(parsed(*arguments))


def test_tls_and_the_same_server_by_any_asgi_server(tmp_path: Path) -> None:
    httpx = pytest.importorskip("httpx")
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
    command += f" -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout {key}"
    command += f" -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    put(exported(classifier()), tmp_path / "models", "digits", 1)
    files = {"certificate": str(certificate), "key": str(key)}
    with Server(tmp_path / "models", port=0, **files) as server:
        trusting = ssl.create_default_context(cafile=str(certificate))
        with urllib.request.urlopen(f"{server.url}/readyz", context=trusting, timeout=10) as found:
            assert found.status == 200
        with pytest.raises(urllib.error.URLError, match="certificate"):
            urllib.request.urlopen(f"{server.url}/readyz", timeout=10)

        async def ask() -> Any:
            transport = httpx.ASGITransport(app=server.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                body = {"instances": [[0.0] * 6]}
                return await client.post("/v1/models/digits:predict", json=body)

        answer = server.call(ask)
        assert answer.status_code == 200 and len(answer.json()["predictions"][0]) == 3
        assert answer.headers["x-request-id"]
