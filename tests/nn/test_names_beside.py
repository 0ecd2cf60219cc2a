"""Functions that PyTorch has beside `nn.functional`: the same, or another order of arguments."""

from __future__ import annotations

import numpy as np
import pytest

import argand as ag

F = ag.nn.functional
rng = np.random.default_rng(0)


def floats(*shape: int) -> ag.Tensor:
    return ag.tensor(rng.standard_normal(shape).astype(np.float32))


def test_batch_norm_takes_the_weight_first() -> None:
    x, weight, bias, mean = floats(5, 3), floats(3), floats(3), floats(3)
    var = floats(3).abs() + 1
    found = ag.batch_norm(x, weight, bias, mean, var, False, 0.1, 1e-5, True)
    a = [v.numpy().astype(np.float64) for v in (x, weight, bias, mean, var)]
    wanted = (a[0] - a[3]) / np.sqrt(a[4] + 1e-5) * a[1] + a[2]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_instance_norm_takes_the_weight_first() -> None:
    x, weight, bias = floats(2, 3, 7), floats(3), floats(3)
    found = ag.instance_norm(x, weight, bias, None, None, True, 0.1, 1e-5, False)
    a = x.numpy().astype(np.float64)
    a = (a - a.mean(2, keepdims=True)) / np.sqrt(a.var(2, keepdims=True) + 1e-5)
    wanted = a * weight.numpy()[:, None] + bias.numpy()[:, None]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_embedding_takes_the_weight_first() -> None:
    weight = floats(4, 3).requires_grad_()
    rows = ag.embedding(weight, ag.tensor([3, 1, 1]), 1)
    np.testing.assert_array_equal(rows.detach().numpy(), weight.detach().numpy()[[3, 1, 1]])
    rows.sum().backward()
    assert weight.grad.sum(1).tolist() == [0.0, 0.0, 0.0, 3.0]


def test_adaptive_max_pooling_tells_the_places() -> None:
    values, places = ag.adaptive_max_pool1d(ag.tensor([[[1.0, 5.0, 3.0, 2.0]]]), 2)
    assert (values.tolist(), places.tolist()) == ([[[5.0, 3.0]]], [[[1, 2]]])


@pytest.mark.parametrize("name", ["celu", "selu", "hardshrink", "pixel_unshuffle", "group_norm"])
def test_others_are_those_of_functional(name: str) -> None:
    assert getattr(ag, name) is getattr(F, name)
