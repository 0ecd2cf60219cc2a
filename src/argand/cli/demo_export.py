"""What `argand demo --export` does: the trained model as an archive and as ONNX, both checked."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from argand import onnx
from argand.base.dim import Dim
from argand.compile.api import compile as compile_function
from argand.export.archive import load
from argand.export.program import export
from argand.export.samples import check_samples
from argand.nn.module import Module
from argand.tensor.core import wrap
from argand.transform.mode import no_grad

_TOLERANCE = 1e-4  # of ONNX Runtime, which adds up in another order
_DIGITS = "zero one two three four five six seven eight nine"


def check_exports(
    model: Module, images: np.ndarray, folder: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Write both files, run them on all images, and compare with the compiled model."""
    model.eval()
    compiled = compile_function(model)
    with no_grad():
        expected = np.array(compiled(wrap(images.copy())).numpy_array())
    archive = folder / "digits.argand"
    example = wrap(images[:4].copy())
    program = export(model, (example,), dynamic_shapes=({0: Dim("batch", min=1)},))
    program.save(
        archive,
        assets={"classes.txt": "\n".join(_DIGITS.split())},
        card={"title": "Handwritten digits of 8 x 8 pixels, from 0 to 1"},
    )
    loaded = load(archive)
    found = {
        "archive": str(archive),
        "archive_bytes": os.path.getsize(archive),
        "archive_bits_equal": loaded(images).numpy_array().tobytes() == expected.tobytes(),
        "samples_equal": all(c.is_equal for c in check_samples(loaded)),
    }
    same = "the same bits" if found["archive_bits_equal"] else "NOT the same bits"
    say(f"{archive.name}: {found['archive_bytes']:,} bytes, gives {same} as the compiled model.")
    if not importlib.util.find_spec("onnx"):
        say("No ONNX file, which takes the package onnx: pip install onnx")
        return found
    target = folder / "digits.onnx"
    onnx.export(loaded, f=target)
    found |= {"onnx": str(target), "onnx_bytes": os.path.getsize(target)}
    found["onnx_difference"] = _onnx_difference(target, images, expected)
    off = found["onnx_difference"]
    said = "pip install onnxruntime to compare it"
    if off is not None:
        fits = "within" if off <= _TOLERANCE else "NOT within"
        said = f"ONNX Runtime is {fits} {_TOLERANCE:g} of the compiled model ({off:.1e})"
    say(f"{target.name}: {found['onnx_bytes']:,} bytes, {said}.")
    return found


def _onnx_difference(path: Path, images: np.ndarray, expected: np.ndarray) -> float | None:
    """The largest difference, as a part of the largest magnitude; None without ONNX Runtime."""
    if not importlib.util.find_spec("onnxruntime"):
        return None
    import onnxruntime as runtime

    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: images})
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def agrees(found: dict[str, Any]) -> bool:
    """Whether the archive gives the same bits, and ONNX Runtime what it may."""
    off = found.get("onnx_difference")
    whole = found["archive_bits_equal"] and found["samples_equal"]
    return bool(whole and (off is None or off <= _TOLERANCE))
