"""Values and gradients at points where a formula divides 0 by 0, or an infinity by one.

What is expected is PyTorch 2.13's, written down.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag
import argand.nn.functional as F

INF, NAN = math.inf, math.nan
both_ways = pytest.mark.parametrize("run", [lambda f: f, ag.compile], ids=["eager", "compiled"])


def _gradients(run: Any, formula: Callable[..., Any], *values: Any) -> list[Any]:
    operands = [ag.tensor(v, requires_grad=True) for v in values]

    def step(*xs: Any) -> Any:
        return ag.autograd.grad(formula(*xs).sum(), xs)

    return [g.tolist() for g in run(step)(*operands)]


@both_ways
@pytest.mark.parametrize(
    ("formula", "values", "expected"),
    [
        (ag.atan2, ([0.0, 3.0], [0.0, 4.0]), [[0.0, 4 / 25], [-0.0, -3 / 25]]),
        (lambda x: F.huber_loss(x, ag.zeros(2)), ([INF, -0.5],), [[0.5, -0.25]]),
        (lambda x: F.smooth_l1_loss(x, ag.zeros(2)), ([-INF, 0.5],), [[-0.5, 0.25]]),
        (ag.max, ([1.0, NAN, NAN],), [[0.0, 0.5, 0.5]]),
        (ag.min, ([1.0, NAN],), [[0.0, 1.0]]),
        (ag.amin, ([1.0, 1.0, 2.0],), [[0.5, 0.5, 0.0]]),
        (ag.logit, ([1.5, -0.5, 0.5],), [[NAN, NAN, 4.0]]),
        (lambda x: ag.logit(x, 0.1), ([1.5, 0.05, 0.5],), [[0.0, 0.0, 4.0]]),
        (ag.median, ([1.0, 1.0, 2.0, 2.0],), [[0.5, 0.5, 0.0, 0.0]]),
        (ag.median, ([[3.0, 1.0], [1.0, 1.0]],), [[[0.0, 1 / 3], [1 / 3, 1 / 3]]]),
        (ag.nanmedian, ([1.0, 1.0, NAN],), [[0.5, 0.5, 0.0]]),
        (ag.median, ([-INF, -INF, -INF, 5.0],), [[1 / 3, 1 / 3, 1 / 3, 0.0]]),
        (ag.median, ([1.0, NAN, 2.0],), [[0.0, 1.0, 0.0]]),
        (ag.nanmedian, ([NAN, NAN],), [[0.5, 0.5]]),
        (F.celu, ([-10.0, -20.0],), [[math.exp(-10), math.exp(-20)]]),
        (lambda x: F.celu(x, 0.1), ([-1.0, -2.0],), [[math.exp(-10), math.exp(-20)]]),
        (lambda x: F.celu(x, 0.5), ([0.0, 2.0, -INF],), [[1.0, 1.0, 0.0]]),
    ],
)
def test_gradients(run: Any, formula: Any, values: Any, expected: Any) -> None:
    found = _gradients(run, formula, *values)
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


@both_ways
@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (lambda: F.celu(ag.tensor([1e38, 0.3]), 0.1), [1e38, 0.3]),
        (lambda: ag.round(ag.tensor([700.0], dtype=ag.float16), decimals=2), [700.0]),
        (lambda: ag.tensor([[1, 0]]).any(dim=()), [[True, False]]),
        (lambda: ag.tensor([[NAN, 0.0]]).all(dim=()), [[True, False]]),
        (lambda: ag.any(ag.tensor([2, 0], dtype=ag.uint8), dim=[]), [1, 0]),
        (lambda: F.celu(ag.tensor([-0.0, NAN])), [-0.0, NAN]),
        (lambda: ag.nan_to_num(ag.tensor([NAN, INF]), INF, 3.0), [INF, 3.0]),
        (lambda: ag.logit(ag.tensor([0.5]), 0.6), [math.log(0.6 / 0.4)]),
    ],
)
def test_values(run: Any, formula: Any, expected: Any) -> None:
    np.testing.assert_allclose(run(formula)().tolist(), expected, rtol=1e-6)


@pytest.mark.parametrize("loss", [F.huber_loss, F.smooth_l1_loss])
def test_second_derivatives_where_a_loss_is_0(loss: Any) -> None:
    x = ag.zeros(1, requires_grad=True, dtype=ag.float64)
    (slope,) = ag.autograd.grad(loss(x, ag.zeros(1, dtype=ag.float64)), x, create_graph=True)
    assert ag.autograd.grad(slope.sum(), x)[0].tolist() == [1.0]


def test_any_and_all_write_what_out_holds() -> None:
    x = ag.tensor([[2, 0], [0, 0]], dtype=ag.uint8)
    for dtype in (ag.bool, ag.uint8):
        out = ag.empty(2, dtype=dtype)
        assert ag.any(x, dim=1, out=out) is out
        assert out.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("interpolation", "expected"),
    [("lower", [-INF, -INF, INF]), ("higher", [-INF, 1.0, INF]), ("nearest", [-INF, 1.0, INF])],
)
@pytest.mark.parametrize("quantile", [ag.quantile, ag.nanquantile])
def test_elements_of_quantiles_are_taken_as_they_are(
    quantile: Any, interpolation: str, expected: Any
) -> None:
    marks = ag.tensor([0.0, 0.4, 1.0])
    found = quantile(ag.tensor([1.0, INF, -INF]), marks, interpolation=interpolation)
    assert found.tolist() == expected


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_samples_at_no_number(mode: str) -> None:
    image = ag.arange(4.0).reshape(1, 1, 2, 2)
    for place in (NAN, INF, 1e30):
        found = F.grid_sample(image, ag.tensor([[[[place, 0.1]]]]), mode=mode).item()
        is_nan = mode != "nearest" and place != 1e30
        assert math.isnan(found) if is_nan else found == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.argmax(),
        lambda x: x.amax(1),
        lambda x: x.max(1),
        lambda x: x.median(1),
        lambda x: x.kthvalue(1, 1),
        lambda x: x.mode(1),
        lambda x: x.quantile(0.5),
    ],
)
def test_nothing_has_no_value(call: Any) -> None:
    """Of the types that PyTorch raises, IndexError along a dimension and RuntimeError else."""
    for error in (IndexError, RuntimeError):
        with pytest.raises(error, match="empty"):
            call(ag.zeros(2, 0))


def test_celu_of_no_width() -> None:
    with pytest.raises(RuntimeError, match="alpha can't be 0"):
        F.celu(ag.ones(2), 0.0)
