"""Whole models, exported with sizes that vary, and run by ONNX Runtime at other sizes too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from judging import session

import argand as ag
from argand import nn
from argand.nn import functional as F

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

Call = tuple[Any, ...]


def agree(model: Callable[..., Any], calls: list[Call], dynamic: Any = None, **options: Any) -> Any:
    """Export for the first call, compare at all of them; the program."""
    program = ag.onnx.export(model, calls[0], dynamic_shapes=dynamic, **options)
    running = session(program.model_proto)
    for args in calls:
        with ag.no_grad():
            expected = model(*args)
        expected = [expected] if isinstance(expected, ag.Tensor) else list(expected)
        given = dict(zip(program.input_names, map(np.asarray, args), strict=True))
        for a, e in zip(running.run(None, given), expected, strict=True):
            np.testing.assert_allclose(a, np.asarray(e), 1e-4, 1e-5)
    return program


def kinds(program: Any) -> list[str]:
    """The operators of a model, in order."""
    return [node.op_type for node in program.model_proto.graph.node]


@pytest.fixture(autouse=True)
def _seed() -> None:
    ag.manual_seed(0)


def test_a_perceptron() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    program = agree(model, [(ag.rand(3, 4),), (ag.rand(1, 4),), (ag.rand(7, 4),)], ({0: "batch"},))
    assert kinds(program) == ["Gemm", "Relu", "Gemm"]
    names = {t.name for t in program.model_proto.graph.initializer}
    assert names == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_a_convolutional_network() -> None:
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)]
    model = nn.Sequential(*layers).eval()
    agree(model, [(ag.rand(2, 3, 8, 8),), (ag.rand(5, 3, 8, 8),)], ({0: "batch"},))


@pytest.mark.parametrize("opset", [17, 20, 23])
def test_a_transformer(opset: int) -> None:
    model = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
    calls = [(ag.rand(2, 5, 16),), (ag.rand(3, 9, 16),), (ag.rand(1, 1, 16),)]
    program = agree(model, calls, ({0: "batch", 1: "time"},), opset=opset)
    assert "LayerNormalization" in kinds(program)
    assert ("Attention" in kinds(program)) == (opset >= 23)


def test_shape_arithmetic() -> None:
    def regrouped(x: Any) -> Any:
        n, t, _ = x.shape
        y = x.reshape(n, t * 3, 1).expand(-1, -1, t // 2).transpose(1, 2)
        return F.pad(y, (1, 2), value=0.5).cumsum(-1) / n + ag.arange(3 * t + 3)

    calls = [(ag.rand(2, 6, 3),), (ag.rand(5, 8, 3),)]
    agree(regrouped, calls, ({0: "n", 1: ag.Dim("t")},))
