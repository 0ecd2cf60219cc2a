"""Libraries from the registry run where `torch` is Argand; they are installed for these tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from environments import NotInstalledError, python, run

# What is put to use, with what pip installs for it.
LIBRARIES = {
    "einops": "einops",
    "torchinfo": "torchinfo",
    "torchmetrics": "torchmetrics",
    "torchvision": "torchvision",
    "timm": "timm",
    "safetensors": "safetensors",
    "tensorboard": "tensorboard",
    "transformers": "transformers accelerate",
    "lightning": "lightning",
    "lightning_checkpoints": "lightning",
    "transformers_checkpoints": "transformers accelerate",
    "accelerate": "accelerate",
    "peft": "peft transformers jinja2",  # which PyTorch would bring
    "diffusers": "diffusers transformers",
    "keras": "keras",
    "stable_baselines3": "stable-baselines3 gymnasium",
    "ignite": "pytorch-ignite",
    "skorch": "skorch",
    "optuna": "optuna",
    "fastai": "fastai",
    "sentence_transformers": "sentence-transformers",
    "others": "entmax torch_ema ema-pytorch vector-quantize-pytorch lion-pytorch vit-pytorch",
    "captum": "captum",
    "torch_geometric": "torch_geometric",
    "gpytorch": "gpytorch",
    "pyro": "pyro-ppl",
    "torchdiffeq": "torchdiffeq",
    "pytorch_metric_learning": "pytorch-metric-learning",
    "segmentation_models_pytorch": "segmentation-models-pytorch",
    "monai": "monai",
    "kornia": "kornia",
    "open_clip": "open_clip_torch",
    "x_transformers": "x-transformers",
}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def interpreter(*libraries: str) -> Path:
    """An interpreter with these libraries; the test is skipped where they can't be installed."""
    try:
        return python(*libraries)
    except NotInstalledError as error:
        pytest.skip(f"not installed from the registry: {error}")


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_works_as_it_is(name: str) -> None:
    program = Path(__file__).with_name("uses.py")
    words = [interpreter(*LIBRARIES[name].split()), program, name]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_pip_has_taken_the_alias_for_pytorch() -> None:
    listed = run(interpreter("torchmetrics"), "-m", "pip", "list", "--format=freeze").splitlines()
    (found,) = [line for line in listed if line.startswith("torch==")]
    assert found.endswith("+argand")
