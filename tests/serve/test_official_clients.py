"""The protocols' own clients, in environments of their own that these tests make: what their
users ask is in `clients/`. `ARGAND_CLIENTS` names a folder for the environments to be kept in."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httptools")

from clients import models

from argand.serve import Server
from argand.serve.profiles import settings_of_profile

HERE = Path(__file__).parent / "clients"
SOURCE = Path(__file__).parents[2] / "src"
PACKAGES = {
    "grpc": ("grpcio-health-checking", "grpcio-reflection", "numpy"),
    "triton": ("tritonclient[http,grpc]",),
    "tensorflow": ("tensorflow-serving-api", "requests"),
    "openai": ("openai",),
    "kserve": ("kserve",),
    "clouds": ("boto3", "numpy", "requests"),
}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def python(name: str) -> Path:
    """The interpreter of an environment with some clients, which is made if it isn't there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "argand"
    made = "{}-{}.{}".format(name, *sys.version_info)
    folder = Path(os.environ.get("ARGAND_CLIENTS") or cache / "clients") / made
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "done"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs of the tests make it once
        if not done.exists():
            venv.create(folder, with_pip=True)
            pip = [str(folder / "bin" / "pip"), "install", "--quiet", *PACKAGES[name]]
            found = subprocess.run(pip, capture_output=True, text=True, check=False)
            if found.returncode:
                pytest.skip(f"no clients from the registry: {found.stderr.strip()[-300:]}")
            done.touch()
    return folder / "bin" / "python"


def run(name: str, program: str, *arguments: Any) -> None:
    """Run a program of `clients/` in an environment; the test fails with what it prints."""
    words = [python(name), HERE / program, *arguments]
    found = subprocess.run(map(str, words), capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr[-3000:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found: Path = tmp_path_factory.mktemp("served")
    (found / "models").mkdir()
    models.put_all(found / "models")
    models.write_answers(found)
    return found


@contextlib.contextmanager
def serving(folder: Path, profile: str | None = None) -> Iterator[Server]:
    """A server of all models; with a profile its paths ask the digits."""
    set: dict[str, Any] = {"token": models.TOKEN}
    if profile is not None:
        set |= settings_of_profile(profile, {}) | {"host": "127.0.0.1", "model": "digits"}
    set |= {"port": 0, "grpc_port": 0}
    with Server(folder / "models", models=models.OPTIONS, **set) as server:
        yield server


def addresses(server: Server) -> tuple[str, str]:
    """Of HTTP and gRPC."""
    return f"127.0.0.1:{server.port}", f"127.0.0.1:{server.grpc_port}"


@pytest.mark.parametrize("name", ["grpc", "triton", "tensorflow", "openai"])
def test_clients(folder: Path, name: str) -> None:
    with serving(folder) as server:
        run(name, f"{name}_uses.py", *addresses(server), folder)


def test_kserve(folder: Path) -> None:
    with serving(folder, "kserve") as server:
        run("kserve", "kserve_uses.py", *addresses(server), folder)


def test_clouds_and_torchserve(folder: Path) -> None:
    profiles = ("sagemaker", "vertex", "azure", None)
    with contextlib.ExitStack() as stack:
        servers = [(p, stack.enter_context(serving(folder, p))) for p in profiles]
        named = [f"{p or 'torchserve'}={addresses(server)[0]}" for p, server in servers]
        run("clouds", "clouds_uses.py", folder, *named)


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("triton", "tritonclient"),
        ("tensorflow", "tensorflow_serving"),
        ("grpc", "grpc_health"),
        ("grpc", "grpc_reflection"),
    ],
)
def test_messages_are_the_official_ones(name: str, package: str) -> None:
    run(name, "messages_as_official.py", SOURCE, package)
