"""`argand demo --serve`'s part that serves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("httptools")
pytest.importorskip("grpc")

from argand.cli.demo import make_model
from argand.cli.demo_serve import check_serving


def test_all_protocols_answer_the_same_bits(tmp_path: Path) -> None:
    said: list[str] = []
    images = np.random.default_rng(0).random((20, 1, 8, 8), np.float32)
    found = check_serving(make_model(0), images, tmp_path, said.append)["served_bits_equal"]
    assert all(found.values()) and len(found) >= 5
    assert sum("the same bits" in line for line in said) == len(found)
