"""Libraries from the registry run where `torch` is Argand; they are installed for these tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from environments import NotInstalledError, python, run

LIBRARIES = [
    "einops",
    "torchinfo",
    "torchmetrics",
    "torchvision",
    "timm",
    "safetensors",
    "tensorboard",
    "transformers",
    "lightning",
]
CHECKPOINTS = ["lightning_checkpoints", "transformers_checkpoints"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def interpreter() -> Path:
    try:
        return python(*LIBRARIES, "accelerate")
    except NotInstalledError as error:
        pytest.skip(f"no libraries from the registry: {error}")


@pytest.mark.parametrize("name", [*LIBRARIES, *CHECKPOINTS])
def test_a_library_works_as_it_is(interpreter: Path, name: str) -> None:
    program = Path(__file__).with_name("uses.py")
    done = subprocess.run([interpreter, program, name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_pip_has_taken_the_alias_for_pytorch(interpreter: Path) -> None:
    listed = run(interpreter, "-m", "pip", "list", "--format=freeze").splitlines()
    (found,) = [line for line in listed if line.startswith("torch==")]
    assert found.endswith("+argand")
