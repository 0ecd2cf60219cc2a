"""A model of images, whose card describes them, and an image."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn


def put_pictures(root: Path) -> Any:
    """A model of images of 4 x 4 pixels with names for its classes, described by its card."""
    ag.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
    rows = ag.Dim("rows")
    program = ag.export.export(module, (ag.ones(2, 1, 4, 4),), dynamic_shapes=({0: rows},))
    folder = root / "pictures" / "1"
    folder.mkdir(parents=True)
    card = {
        "inputs": {"input": {"kind": "image", "channels": 1, "size": [4, 4]}},
        "outputs": {"output": {"kind": "classes", "classes": "names.txt", "softmax": True}},
    }
    program.save(folder / "model.argand", assets={"names.txt": "cat\ndog\nowl"}, card=card)
    return program


def picture() -> tuple[np.ndarray, bytes]:
    """An image, and its file."""
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4), dtype=np.uint8)
    file = io.BytesIO()
    image.fromarray(pixels).save(file, "PNG")
    return pixels, file.getvalue()


__all__ = ["picture", "put_pictures"]
