"""`argand demo --serve`'s part that serves."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("httptools")
pytest.importorskip("grpc")

from argand.cli.demo import make_model
from argand.cli.demo_serve import check_serving
from argand.cli.main import main


def test_all_protocols_answer_the_same_bits(tmp_path: Path) -> None:
    said: list[str] = []
    images = np.random.default_rng(0).random((20, 1, 8, 8), np.float32)
    found = check_serving(make_model(0), images, tmp_path, said.append)["served_bits_equal"]
    assert all(found.values()) and len(found) >= 5
    assert sum("the same bits" in line for line in said) == len(found)


@pytest.mark.parametrize(
    ("absent", "said"),
    [
        ({"sklearn"}, "needs scikit-learn: install them with pip install 'argand[data]'"),
        (
            {"grpc", "msgspec"},
            "needs msgspec, grpcio: install them with pip install 'argand[serve]'",
        ),
        ({"sklearn", "grpc"}, "pip install 'argand[data,serve]'"),
    ],
)
def test_what_is_not_installed_is_told_before_anything_is_trained(
    absent: set[str], said: str, monkeypatch: Any, capsys: Any
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name in absent else find(name)
    )
    assert main(["demo", "--serve"]) == 1
    found = capsys.readouterr()
    assert said in found.err
    assert not found.out
