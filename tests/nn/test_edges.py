"""Values at the edge, where a formula taken literally goes wrong: against what PyTorch gives."""

from __future__ import annotations

import math

import numpy as np
import pytest

import argand as ag
import argand.nn.functional as F  # PyTorch's name

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("compiled", [False, True])
def test_saturated_probabilities_have_gradients(compiled: bool) -> None:
    targets = ag.tensor([1.0, 0.0, 0.3])

    def loss(z: ag.Tensor) -> ag.Tensor:
        return F.binary_cross_entropy(ag.sigmoid(z), targets, reduction="sum")

    z = ag.tensor([200.0, -200.0, 3.0], requires_grad=True)
    value = (ag.compile(loss) if compiled else loss)(z)
    value.backward()
    p = 1 / (1 + math.exp(-3.0))
    assert value.item() == pytest.approx(-0.3 * math.log(p) - 0.7 * math.log(1 - p), rel=1e-6)
    assert z.grad is not None
    np.testing.assert_allclose(z.grad.numpy(), [0, 0, p - 0.3], rtol=1e-5, atol=0)
    worst = F.binary_cross_entropy(ag.tensor([0.0, 1.0]), ag.tensor([1.0, 0.0]), reduction="none")
    assert worst.tolist() == [100.0, 100.0]


def test_weighted_means_are_divided_by_the_weights() -> None:
    x, y, w = ag.tensor([1.0, 2.0, 3.0]), ag.zeros(3), ag.tensor([1.0, 0.0, 3.0])
    assert F.mse_loss(x, y, weight=w).item() == 7.0
    assert F.l1_loss(x, y, weight=w).item() == 2.5
    assert F.mse_loss(x, y, weight=w, reduction="sum").item() == 28.0
    assert F.l1_loss(x, y, weight=ag.tensor(2.0)).item() == 2.0


def test_nan_is_not_hidden() -> None:
    x = ag.tensor([NAN, 0.2, -2.0])
    np.testing.assert_array_equal(F.hardshrink(x).numpy(), np.float32([NAN, 0, -2]))
    np.testing.assert_array_equal(F.threshold(x, 0.0, 7.0).numpy(), np.float32([NAN, 0.2, 7]))


@pytest.mark.parametrize("dtype", [ag.bfloat16, ag.float16, ag.float32, ag.float64])
def test_nan_is_sorted_last(dtype: ag.dtype) -> None:
    x = ag.tensor([3.0, NAN, 2.0, -5.0], dtype=dtype)
    np.testing.assert_array_equal(x.sort()[0].double().numpy(), [-5, 2, 3, NAN])
    np.testing.assert_array_equal(x.sort(descending=True)[0].double().numpy(), [NAN, 3, 2, -5])
    np.testing.assert_array_equal(x.argsort().numpy(), [3, 2, 0, 1])
    np.testing.assert_array_equal(x.topk(2)[0].double().numpy(), [NAN, 3])


def test_searches_for_what_lies_between_whole_numbers_and_for_nan() -> None:
    assert ag.searchsorted(ag.tensor([1, 3, 7]), 1.5).item() == 1
    assert ag.searchsorted(ag.tensor([1, 3, 7]), 3).item() == 1
    row = ag.tensor([1.0, 3.0, 7.0])
    assert ag.searchsorted(row, ag.tensor([NAN, 2.0, INF, -INF])).tolist() == [3, 1, 3, 0]
    assert ag.bucketize(ag.tensor([NAN]), row, right=True).tolist() == [3]


def test_numbers_are_rounded_once_on_the_way_to_a_dtype() -> None:
    for made in (ag.tensor, ag.as_tensor, ag.asarray):
        assert made([0.1], dtype=ag.float64).tolist() == [0.1]
        assert made([1e300], dtype=ag.float64).tolist() == [1e300]
        assert made([16777217.0], dtype=ag.int64).tolist() == [16777217]
    assert ag.tensor(0.1, dtype=ag.float64).item() == 0.1
    assert ag.tensor([0.1 + 2j], dtype=ag.complex128).tolist() == [0.1 + 2j]
    assert ag.ones(1).new_tensor([0.1], dtype=ag.float64).tolist() == [0.1]
    assert ag.tensor(2**63, dtype=ag.float64).item() == 2.0**63
    assert ag.tensor([0.1]).item() == np.float32(0.1)


def test_shifts_are_in_place() -> None:
    x = ag.tensor([1, 2, 3])
    view = x[:2]
    view <<= 1
    assert x.tolist() == [2, 4, 3]
    view >>= 2
    assert x.tolist() == [0, 1, 3]
