"""pip and uv take the alias for PyTorch, and keep it."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from environments import ROOT, NotInstalledError, run

LIBRARIES = ["timm", "transformers", "lightning", "torchvision", "torchmetrics"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
PROGRAM = """
import torch, timm, transformers, lightning, torchvision, torchmetrics
assert torch.__version__.endswith("+argand"), torch.__version__
with torch.no_grad():
    assert timm.create_model("resnet18").eval()(torch.rand(1, 3, 64, 64)).shape == (1, 1000)
"""


@pytest.fixture(scope="module")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uv")
    venv.create(folder, with_pip=True)
    try:
        run(folder / "bin" / "pip", "install", "uv")
    except NotInstalledError as error:
        pytest.skip(f"no uv from the registry: {error}")
    return folder / "bin" / "uv"


def test_pip(tmp_path: Path) -> None:
    venv.create(tmp_path, with_pip=True)
    pip, argand = tmp_path / "bin" / "pip", tmp_path / "bin" / "argand"
    try:
        run(pip, "install", "--editable", ROOT)
        run(argand, "as-torch")
        run(pip, "install", *LIBRARIES)
    except NotInstalledError as error:
        pytest.skip(f"no libraries from the registry: {error}")
    run(pip, "check")
    run(tmp_path / "bin" / "python", "-c", PROGRAM)
    again = run(pip, "install", "--dry-run", "--upgrade", "--upgrade-strategy", "eager", "timm")
    assert "torch-" not in again.partition("Would install")[2].replace("torch-lightning", "")
    refused = subprocess.run([pip, "install", "torch==2.13.0"], capture_output=True, text=True)
    assert refused.returncode and "2.15.0+argand" in refused.stdout + refused.stderr
    run(argand, "as-torch", "--remove")
    assert "torch" not in _packages(run(pip, "list", "--format=freeze"))


def test_uv(uv: Path, tmp_path: Path) -> None:
    """An environment that uv makes has no pip."""
    run(uv, "venv", "--clear", "--python", sys.executable, tmp_path)
    here = ("--python", tmp_path / "bin" / "python")
    try:
        run(uv, "pip", "install", *here, "--editable", ROOT)
        said = run(tmp_path / "bin" / "argand", "as-torch")
        run(uv, "pip", "install", *here, *LIBRARIES)
    except NotInstalledError as error:
        pytest.skip(f"no libraries from the registry: {error}")
    run(uv, "pip", "check", *here)
    run(tmp_path / "bin" / "python", "-c", PROGRAM)
    run(uv, "pip", "install", *here, "--upgrade", *LIBRARIES)
    assert _packages(run(uv, "pip", "freeze", *here))["torch"].endswith("+argand")
    constraint = said.partition("UV_CONSTRAINT=")[2].partition(". ")[0]
    refused = subprocess.run(
        [uv, "pip", "install", *map(str, here), "--dry-run", "torch==2.13.0"],
        capture_output=True,
        text=True,
        env={**os.environ, "UV_CONSTRAINT": constraint},
    )
    assert refused.returncode and "2.15.0+argand" in refused.stderr
    run(uv, "pip", "uninstall", *here, "torch")
    assert not list(tmp_path.rglob("site-packages/torch/__init__.py"))


def _packages(frozen: str) -> dict[str, str]:
    lines = (line.partition("==") for line in frozen.splitlines())
    return {name: version for name, _, version in lines}
