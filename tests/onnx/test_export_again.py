"""ONNX models that were read, exported again and run by ONNX Runtime: what the suite expects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx_suite
from onnxrun import run

import argand as ag
from argand.base.errors import ArgandError

NAMES = [n for n in onnx_suite.cases() if n.startswith(("pytorch-operator/", "pytorch-converted/"))]


def _is_plain(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind in "biuf"


def again(name: str, opset: int) -> bool:
    """Whether a case could be exported again; it must agree then."""
    for model, inputs, expected in onnx_suite.data_of(onnx_suite.cases()[name]):
        if not inputs or not all(map(_is_plain, [*inputs, *expected])):
            return False
        args = tuple(ag.tensor(x) for x in inputs)
        try:
            program = ag.onnx.export(ag.onnx.load(model), args, opset=opset)
        except ArgandError:
            return False
        found = run(program.model_proto, inputs[: len(program.input_names)])
        for a, e in zip(found or (), expected, strict=False):
            np.testing.assert_allclose(np.asarray(a, e.dtype), e, 1e-3, 1e-5, err_msg=name)
    return True


def test_models_of_pytorch_are_exported_again() -> None:
    assert all(again(name, 20) for name in NAMES[::9])


@pytest.mark.slow
def test_all_models_of_pytorch_are_exported_again() -> None:
    assert all(again(name, opset) for name in NAMES for opset in (17, 23))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nodes_of_the_suite_are_exported_again() -> None:
    names = [n for n in onnx_suite.cases() if n.startswith("node/")]
    words = ("no_saturate", "training", "nonmaxsuppression")
    counted = [again(n, 24) for n in names[::3] if not any(w in n for w in words)]
    assert sum(counted) > 0.6 * len(counted)
