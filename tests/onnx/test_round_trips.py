"""Random ONNX graphs, read, run and exported again: ONNX Runtime computes the same of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import argand as ag

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from graphs import arrays_for, graphs
from onnxrun import NO_KERNEL, session

SHORT = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
LONG = settings(SHORT, max_examples=1500)


def expected_of(model: Any, calls: list[list[Any]]) -> list[list[Any]] | None:
    """What ONNX Runtime computes; None where it has no kernel."""
    try:
        run = session(model)
        names = [x.name for x in model.graph.input]
        return [run.run(None, dict(zip(names, c, strict=True))) for c in calls]
    except Exception as error:
        if any(text in str(error) for text in NO_KERNEL):
            return None
        raise


def assert_near(found: Any, expected: Any, what: str) -> None:
    """Equal up to rounding, which other terms of a sum may have magnified."""
    found = np.asarray(found)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), what
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected, what)
        return
    finite = expected[np.isfinite(expected)]
    scale = max(1.0, float(np.abs(finite).max())) if finite.size else 1.0
    np.testing.assert_allclose(found, expected, 1e-3, 1e-4 * scale, err_msg=what)


def read_and_export_again(model: Any) -> None:
    onnx.checker.check_model(model, full_check=True)
    calls = [arrays_for(model.graph.input, n, seed) for seed, n in enumerate((3, 3, 4, 2, 1))]
    expected = expected_of(model, calls)
    if expected is None:
        return
    program = ag.onnx.load(model)
    for arrays, wanted in zip(calls, expected, strict=True):
        found = program(*arrays)
        found = found if isinstance(found, tuple) else (found,)
        for value, e, info in zip(found, wanted, model.graph.output, strict=True):
            assert_near(value.detach(), e, f"read: {info.name}")
    again = ag.onnx.export(ag.onnx.load(model), opset=max(17, model.opset_import[0].version))
    names = [x.name for x in again.model_proto.graph.input]
    assert names == [x.name for x in model.graph.input]
    results = expected_of(again.model_proto, calls[:4])
    for found, wanted in zip(results or (), expected, strict=False):
        for value, e, info in zip(found, wanted, model.graph.output, strict=True):
            assert_near(value, e, f"exported again: {info.name}")


@SHORT
@given(graphs())
def test_graphs_come_in_and_go_out(model: Any) -> None:
    read_and_export_again(model)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@LONG
@given(graphs())
def test_many_graphs_come_in_and_go_out(model: Any) -> None:
    read_and_export_again(model)


# -- functions of Argand ---------------------------------------------------------------------------

F = ag.nn.functional


def _loop(x: Any) -> Any:
    return ag.while_loop(
        lambda i, y: (i < 3) & (y.abs().max() < 9), lambda i, y: (i + 1, y * 2), (0, x)
    )[1]


# Each takes a tensor (n, 3, 4), another one, and a number from 0 to 3; it keeps the shape.
STEPS: list[Callable[[Any, Any, int], Any]] = [
    lambda x, y, k: (x.tanh, x.sigmoid, x.relu, x.abs)[k](),
    lambda x, y, k: (F.gelu, F.silu, F.softplus, F.elu)[k](x),
    lambda x, y, k: (x + y, x - y, x * y, x / (y.abs() + 1))[k],
    lambda x, y, k: x.softmax(k % 3),
    lambda x, y, k: x.log_softmax(-1 - k % 2),
    lambda x, y, k: x - x.mean(k % 3, keepdim=True),
    lambda x, y, k: (x.sum, x.amax, x.amin, x.logsumexp)[k](2, keepdim=True) + y,
    lambda x, y, k: x.cumsum(k % 3),
    lambda x, y, k: F.layer_norm(x, (3, 4)[k % 2 :]),
    lambda x, y, k: x.transpose(1, 2).reshape(x.shape[0], 3, 4) + k,
    lambda x, y, k: x.reshape(-1, 4).matmul(ag.ones(4, 4) / 4).reshape(x.shape),
    lambda x, y, k: ag.cat([x[:, :k], y[:, k:]], 1),
    lambda x, y, k: ag.stack([x, y], 1).sum(1),
    lambda x, y, k: x.flip(1 + k % 2),
    lambda x, y, k: x.roll(k, 2),
    lambda x, y, k: ag.where(y.round() > 0, x, y) if k % 2 else x.clamp(-1, k),
    lambda x, y, k: F.pad(x, (k, 1))[..., k:-1],
    lambda x, y, k: x[:, [0, 2, k % 3]],
    lambda x, y, k: F.conv1d(x, ag.ones(3, 3, 3) / 9, padding=1),
    lambda x, y, k: F.max_pool1d(x, 3, 1, 1) if k % 2 else F.avg_pool1d(x, 3, 1, 1),
    lambda x, y, k: F.scaled_dot_product_attention(x, y, y, is_causal=k == 3),
    lambda x, y, k: ag.einsum(("bij,bkj->bik", "bij,bkj->bki")[k % 2], x, y) @ x,
    lambda x, y, k: ag.cond(x.amax() > k, lambda: x + y, lambda: x * y),
    lambda x, y, k: _loop(x) / (8, 4, 2, 1)[k],
    lambda x, y, k: x.to(ag.float64).exp().clamp(max=99).to(ag.float32) if k % 2 else x.square(),
    lambda x, y, k: x.to((ag.float64, ag.float16)[k % 2]).to(ag.float32),
    lambda x, y, k: x.sort(2, descending=bool(k % 2)).values,
    lambda x, y, k: x.gather(2, y.argsort(2)[..., :4]) if k % 2 else x.topk(4, 2).values,
    lambda x, y, k: x.unfold(2, 2, 2).flatten(2),
    lambda x, y, k: x * x.shape[0] + ag.arange(4),
    lambda x, y, k: x.masked_fill(y > 1, k).tril(k),
    lambda x, y, k: x.expand(2, *x.shape).mean(0) + x.var((1, 2), keepdim=True),
]


@st.composite
def functions(draw: Any) -> Any:
    """Random functions of two tensors (n, 3, 4) that return some of their values."""
    places = st.integers(0, 9)
    step = st.tuples(st.integers(0, len(STEPS) - 1), places, places, st.integers(0, 3))
    steps = draw(st.lists(step, min_size=1, max_size=6))
    shown = draw(st.lists(places, max_size=2))

    def function(x: Any, y: Any) -> tuple[Any, ...]:
        values = [x, y]
        for number, a, b, k in steps:
            values.append(STEPS[number](values[-1 - a % len(values)], values[b % len(values)], k))
        return (values[-1], *(values[i % len(values)] for i in shown))

    function.__doc__ = repr((steps, shown))
    return function


def export_and_run(function: Any, opset: int) -> None:
    x, y = ag.rand(3, 3, 4), ag.rand(3, 3, 4)
    n = {0: ag.Dim("n")}
    program = ag.onnx.export(function, (x, y), dynamic_shapes=(n, n), opset=opset)
    for seed, size in enumerate((3, 5, 2)):
        rng = np.random.default_rng(seed)
        arrays = [(rng.integers(-12, 13, (size, 3, 4)) / 4).astype(np.float32) for _ in "xy"]
        results = expected_of(program.model_proto, [arrays])
        if results is None:
            return
        expected = function(*map(ag.tensor, arrays))
        for i, (found, e) in enumerate(zip(results[0], expected, strict=True)):
            assert_near(found, np.asarray(e), f"output {i} of {function.__doc__}")


@SHORT
@given(functions(), st.sampled_from((17, 20, 23)))
def test_functions_go_out(function: Any, opset: int) -> None:
    export_and_run(function, opset)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@LONG
@given(functions(), st.integers(17, 24))
def test_many_functions_go_out(function: Any, opset: int) -> None:
    export_and_run(function, opset)
