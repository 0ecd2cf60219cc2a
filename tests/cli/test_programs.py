"""`argand check`, `inspect` and `predict`: exported programs on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.cli.main import main
from argand.export import export, load


@pytest.fixture(scope="module")
def model() -> nn.Module:
    ag.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval()


@pytest.fixture(scope="module")
def file(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> str:
    program = export(model, (ag.rand(2, 1, 8, 8),), dynamic_shapes=({0: ag.Dim("n", max=32)},))
    path = tmp_path_factory.mktemp("cli") / "m.argand"
    program.save(path, assets={"classes.txt": "ant\nbee\ncat"}, card={"license": "MIT"})
    return str(path)


def said(capsys: Any, *argv: str) -> tuple[int, str]:
    status = main(argv)
    caught = capsys.readouterr()
    return status, caught.out + caught.err


def test_check_says_that_all_bits_are_equal(file: str, capsys: Any) -> None:
    status, text = said(capsys, "check", file)
    assert (status, "the same, bit for bit" in text) == (0, True)
    status, text = said(capsys, "check", file, "--json")
    (row,) = json.loads(text)["outputs"]
    assert (row["equal"], row["largest"], row["tolerance"]) == (True, 0.0, 1e-4)


def spoiled(file: str, path: Path, change: Any) -> str:
    """The file with other outputs in its sample."""
    program = load(file)
    change(program.samples[0].outputs[0])
    sample = program.samples[0]
    inputs = [sample.inputs[0].numpy()]

    class Spoiled(type(program.default)):  # type: ignore[misc]
        def flat(self, tensors: Any) -> Any:
            return [ag.tensor(sample.outputs[0])]

    program.default.__class__ = Spoiled
    program.save(path, samples={"serving_default": [(inputs, {})]})
    return str(path)


@pytest.mark.parametrize(
    ("value", "tolerance", "status", "words"),
    [
        (1e-6, None, 0, "within the tolerance 0.0001"),
        (1e-2, None, 1, "BEYOND the tolerance 0.0001"),
        (1e-2, "1", 0, "within the tolerance 1"),
        (np.nan, "1", 1, "inf"),
        (np.inf, "1", 1, "BEYOND"),
    ],
)
def test_check_says_how_far_off(
    value: float, tolerance: str | None, status: int, words: str, file: str, tmp_path: Path,
    capsys: Any,
) -> None:  # fmt: skip
    def change(output: np.ndarray) -> None:
        output[0, 0] += value

    path = spoiled(file, tmp_path / "off.argand", change)
    more = ["--tolerance", tolerance] if tolerance else []
    found, text = said(capsys, "check", path, *more)
    assert found == status, text
    assert words in text


def test_inspect_counts_as_by_hand(file: str, capsys: Any) -> None:
    status, text = said(capsys, "inspect", file, "--json")
    report = json.loads(text)
    (signature,) = report["signatures"]
    assert status == 0
    assert report["assets"] == {"classes.txt": 11}
    assert report["card"] == {"license": "MIT"}
    assert report["format"] == 1
    layers = {row["module"]: row for row in signature["layers"]}
    assert layers["0"]["parameters"] == 4 * 9 + 4
    assert layers["3"]["parameters"] == 144 * 3 + 3
    assert layers["0"]["multiply_adds"] == f"{4 * 36 * 9}*n"
    assert layers["3"]["multiply_adds"] == f"{144 * 3}*n"
    assert signature["memory"] is None
    status, text = said(capsys, "inspect", file, "--json", "--size", "n=5")
    (signature,) = json.loads(text)["signatures"]
    assert signature["multiply_adds"] == 5 * (4 * 36 * 9 + 144 * 3)
    memory = signature["memory"]
    assert memory["inputs"] == 5 * 64 * 4
    assert memory["state"] == 4 * (40 + 435)
    assert memory["peak"] == sum(v for k, v in memory.items() if k != "peak")
    status, text = said(capsys, "inspect", file, "--size", "n=5")
    assert "conv2d add" in text
    assert "peak memory" in text


def test_products_of_composites_and_branches(tmp_path: Path, capsys: Any) -> None:
    def f(q: Any, w: Any) -> Any:
        y = nn.functional.scaled_dot_product_attention(q, q, q)
        return ag.cond(y.sum() > 0, lambda t, w: t @ w @ w, lambda t, w: t @ w, y, w)

    export(f, (ag.rand(2, 3, 5, 4), ag.rand(4, 4))).save(tmp_path / "f.argand")
    status, text = said(capsys, "inspect", str(tmp_path / "f.argand"), "--json")
    assert status == 0
    attention, branches = 2 * (2 * 3 * 5 * 5 * 4), 2 * (2 * 3 * 5 * 4 * 4)
    assert json.loads(text)["signatures"][0]["multiply_adds"] == attention + branches


def test_predict_takes_arrays_and_writes_them(
    file: str, model: nn.Module, tmp_path: Path, capsys: Any
) -> None:
    x = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)
    expected = model(ag.tensor(x)).detach().numpy()
    np.save(tmp_path / "x.npy", x.astype(np.float64))
    np.savez(tmp_path / "x.npz", anything=x)
    (tmp_path / "x.json").write_text(json.dumps(x.tolist()))
    for given in ("x.npy", "x.npz", "x.json"):
        for prefix in ("", "input="):
            out = tmp_path / "y.npy"
            argv = ["predict", file, "--input", prefix + str(tmp_path / given)]
            assert said(capsys, *argv, "--output", str(out)) == (0, "")
            np.testing.assert_allclose(np.load(out), expected, rtol=1e-5)
    status, text = said(capsys, "predict", file, "--input", str(tmp_path / "x.npy"))
    assert status == 0
    best = ["ant", "bee", "cat"][int(expected[0].argmax())]
    assert f"row 0: {best} " in text
    argv = ["predict", file, "--input", str(tmp_path / "x.npy"), "--json"]
    np.testing.assert_allclose(json.loads(said(capsys, *argv)[1])["output"], expected, rtol=1e-5)
    for name in ("y.npz", "y.json"):
        assert said(capsys, *argv[:-1], "--output", str(tmp_path / name))[0] == 0
    np.testing.assert_allclose(np.load(tmp_path / "y.npz")["output"], expected, rtol=1e-5)
    assert list(json.loads((tmp_path / "y.json").read_text())) == ["output"]


def test_predict_takes_images(file: str, model: nn.Module, tmp_path: Path, capsys: Any) -> None:
    images = pytest.importorskip("PIL.Image")
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    images.fromarray(pixels).save(tmp_path / "x.png")
    argv = ["predict", file, "--json", "--input", str(tmp_path / "x.png")]
    expected = model(ag.tensor(pixels.astype(np.float32)[None, None] / 255)).detach().numpy()
    np.testing.assert_allclose(json.loads(said(capsys, *argv)[1])["output"], expected, rtol=1e-5)
    images.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "wide.jpg")
    assert said(capsys, *argv[:-1], str(tmp_path / "wide.jpg"))[0] == 0
    (tmp_path / "bad.png").write_bytes(b"no image")
    status, text = said(capsys, *argv[:-1], str(tmp_path / "bad.png"))
    assert (status, text.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["check", "none.argand"], "none.argand: No such file"),
        (["check", "text.argand"], "text.argand: not an Argand program"),
        (["inspect", "FILE", "--size", "m=3"], "no size 'm'; there are: n"),
        (["inspect", "FILE", "--size", "n=99"], "n is 99, but .* 0 to 32"),
        (["inspect", "FILE", "--signature", "x"], "no signature 'x'"),
        (["predict", "FILE"], r"lacks input: f32\(n, 1, 8, 8\)"),
        (["predict", "FILE", "--input", "none.npy"], "none.npy: No such file"),
        (["predict", "FILE", "--input", "text.argand"], "text.argand: no arrays that can be read"),
        (["predict", "FILE", "--input", "y=x.npy"], "no input 'y'; there are input"),
        (["predict", "FILE", "--input", "x.npy"], r"must be 1, got \(2, 2, 2, 2\)"),
        (["predict", "FILE", "--input", "c.npy"], "input is float32, got complex128"),
        (["predict", "FILE", "--input", "x.npy", "--output", "y.txt"], "--output writes .npy"),
    ],
)
def test_errors_are_one_line(
    argv: list[str], words: str, file: str, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.argand").write_text("something else")
    np.save("x.npy", np.zeros((2, 2, 2, 2)))
    np.save("c.npy", np.zeros((2, 1, 8, 8), complex))
    status, text = said(capsys, *[file if a == "FILE" else a for a in argv])
    assert status == 1
    assert text.startswith(f"argand {argv[0]}: ")
    assert text.count("\n") == 1
    assert re.search(words, text), text


def test_interruption_is_a_status(file: str, capsys: Any, monkeypatch: Any) -> None:
    from argand.cli import check

    def interrupted(options: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "run", interrupted)
    assert main(["check", file]) == 130


def test_export_writes_what_onnx_runtime_computes(
    file: str, model: nn.Module, tmp_path: Path, capsys: Any
) -> None:
    pytest.importorskip("onnx")
    target = tmp_path / "m.onnx"
    assert said(capsys, "export", file, str(target))[0] == 0
    x = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)
    np.save(tmp_path / "x.npy", x)
    expected = model(ag.tensor(x)).detach().numpy()
    argv = ["predict", str(target), "--json", "--input", str(tmp_path / "x.npy")]
    np.testing.assert_allclose(json.loads(said(capsys, *argv)[1])["output"], expected, rtol=1e-5)
    status, text = said(capsys, "inspect", str(target), "--json")
    assert status == 0
    assert json.loads(text)["signatures"][0]["multiply_adds"].endswith("*s0")
    status, text = said(capsys, "export", file, str(tmp_path / "m.txt"))
    assert (status, "must end in .onnx" in text) == (1, True)
    assert not (tmp_path / "m.txt").exists()
