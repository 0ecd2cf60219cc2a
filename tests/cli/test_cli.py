"""The `argand` command."""

import json

import numpy as np
import pytest

import argand as ag
from argand.cli import demo
from argand.cli.main import main


def test_version_and_help(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"argand {ag.__version__}\n"
    assert main([]) == 0
    assert "demo" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--epochs", "0"])
    assert caught.value.code == 2
    assert "must be at least 1" in capsys.readouterr().err


def test_info(capsys):
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["argand"] == ag.__version__ and facts["threads"] >= 1
    assert facts["packages"]["numpy"] == np.__version__
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "llvmlite" in out
    assert f"{facts['target']['vector_bits']}-bit vectors, L1 " in out


def test_demo_as_json(capsys, tmp_path):
    path = tmp_path / "digits.safetensors"
    assert main(["demo", "--json", "--epochs", "3", "--save", str(path)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["epochs"] == 3 and report["held_out"] == 360
    assert report["accuracy"] > 0.8
    assert report["largest_loss_difference"] < 1e-3
    assert report["reloaded_predictions_equal"] is True
    assert report["compiled_samples_per_second"] > 0 and report["compile_seconds"] > 0
    model = demo.make_model(0)
    model.load_state_dict(ag.load(path))


@pytest.mark.slow
def test_demo_reaches_97_percent(capsys):
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    assert float(out.split("% of 360")[0].split()[-1]) >= 97.0
    assert "the same predictions" in out and "What to try next" in out


def test_gallery_shows_mistakes_first():
    images = np.zeros((5, 1, 8, 8), np.float32)
    images[:, :, 3] = 1.0
    scores = np.eye(10, dtype=np.float32)[[1, 2, 3, 4, 5]]
    lines = demo.gallery(images, np.array([1, 2, 3, 4, 9]), scores, count=3).splitlines()
    assert len(lines) == 9 and lines[-1].split() == ["5", "not", "9", "1", "2"]
    assert lines[3] == "  ".join(["█" * 16] * 3)


def test_errors_are_one_line(capsys, monkeypatch):
    from argand.base.errors import missing_extra

    def failing(options):
        raise missing_extra("scikit-learn", "data", "the Digits dataset")

    monkeypatch.setattr(demo, "run", failing)
    assert main(["demo"]) == 1
    assert "pip install 'argand[data]'" in capsys.readouterr().err


def test_demo_exports_and_checks_both_files(capsys, tmp_path):
    pytest.importorskip("onnx")
    assert main(["demo", "--json", "--epochs", "1", "--export", str(tmp_path / "out")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["archive_bits_equal"] and report["samples_equal"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["digits.argand", "digits.onnx"]
    assert report["archive_bytes"] == (tmp_path / "out" / "digits.argand").stat().st_size
    assert report.get("onnx_difference") is None or report["onnx_difference"] < 1e-4
