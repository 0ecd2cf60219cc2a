"""The programs in examples/, made small."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import argand as ag

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


@pytest.fixture
def archive(tmp_path):
    """A tenth of an MNIST's size: blocks of light whose place is the label."""
    rng = np.random.default_rng(0)
    parts = {}
    for part, count in (("train", 300), ("test", 60)):
        labels = rng.integers(0, 10, count).astype(np.uint8)
        images = rng.integers(0, 60, (count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            row, column = divmod(int(label), 5)
            image[row * 14 : row * 14 + 10, column * 5 : column * 5 + 5] = 255
        parts |= {f"x_{part}": images, f"y_{part}": labels}
    path = tmp_path / "mnist.npz"
    np.savez(path, **parts)
    return path


@pytest.mark.parametrize("mode", [["--eager"], []], ids=["eager", "compiled"])
def test_mnist(mode, archive, tmp_path, monkeypatch, capsys):
    weights = tmp_path / "weights.safetensors"
    arguments = ["--data", archive, "--epochs", 2, "--batch-size", 20, "--save", weights]
    run("mnist.py", monkeypatch, *arguments, *mode)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and weights.exists()
    assert float(lines[1].split("test accuracy ")[1].split("%")[0]) > 90


@pytest.mark.parametrize("mode", [["--eager"], []], ids=["eager", "compiled"])
def test_char_gpt(mode, tmp_path, monkeypatch, capsys):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat. " * 60)
    sizes = ["--length", 16, "--layers", 1, "--heads", 2, "--width", 16, "--batch-size", 8]
    steps = ["--steps", 40, "--lr", 0.01, "--characters", 30, "--prompt", "the "]
    archive = tmp_path / "served" / "model.argand"
    run("char_gpt.py", monkeypatch, "--text", text, *sizes, *steps, *mode, "--export", archive)
    assert list(ag.export.load(archive).signatures) == ["prefill", "decode"]
    out = capsys.readouterr().out
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in out.splitlines()[1:-1]]
    assert losses[-1] < 0.6 * losses[0]
    assert out.splitlines()[-1].startswith("the ")
