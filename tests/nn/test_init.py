"""Initial values and nn.utils."""

import math

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.nn import init, utils


def empty(*shape):
    return ag.empty(*shape)


def test_constants():
    t = empty(2, 3)
    assert init.constant_(t, 3.0) is t and t.tolist() == [[3.0] * 3] * 2
    assert init.zeros_(t).sum().item() == 0
    assert init.ones_(t).sum().item() == 6
    assert init.eye_(empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    kernel = init.dirac_(empty(3, 3, 3, 3))
    x = ag.rand(1, 3, 5, 5)
    y = nn.functional.conv2d(x, kernel, padding=1)
    np.testing.assert_allclose(y.numpy(), x.numpy(), rtol=1e-6)


def bounds(t):
    return t.min().item(), t.max().item(), t.std().item()


def test_uniform_and_normal():
    ag.manual_seed(0)
    low, high, _ = bounds(init.uniform_(empty(100, 100), -2.0, 3.0))
    assert -2 <= low < -1.99 and 2.99 < high < 3
    t = init.normal_(empty(100, 100), 1.0, 0.5)
    assert t.mean().item() == pytest.approx(1, abs=0.02)
    assert t.std().item() == pytest.approx(0.5, abs=0.02)
    low, high, std = bounds(init.trunc_normal_(empty(100, 100), 0.0, 1.0, -1.0, 0.5))
    assert -1 <= low < -0.99 and 0.49 < high <= 0.5 and 0.3 < std < 0.5


@pytest.mark.parametrize(
    ("fill", "std"),
    [
        (lambda t: init.kaiming_uniform_(t, nonlinearity="relu"), math.sqrt(2 / 180)),
        (lambda t: init.kaiming_normal_(t, mode="fan_out"), math.sqrt(2 / 360)),
        (lambda t: init.xavier_uniform_(t, gain=2.0), 2 * math.sqrt(2 / 540)),
        (init.xavier_normal_, math.sqrt(2 / 540)),
    ],
)
def test_variances_follow_the_fans(fill, std):
    ag.manual_seed(0)
    t = fill(empty(40, 20, 3, 3))  # fan in 180, fan out 360
    assert t.std().item() == pytest.approx(std, rel=0.05)


def test_layers_start_within_torchs_bounds():
    ag.manual_seed(0)
    linear, conv = nn.Linear(400, 300), nn.Conv2d(16, 32, 5)
    for layer, fan in ((linear, 400), (conv, 400)):
        bound = 1 / math.sqrt(fan)
        for p in layer.parameters():
            assert abs(p.detach().numpy()).max() <= bound
        assert abs(layer.weight.detach().numpy()).max() > 0.98 * bound
    assert nn.Embedding(100, 100).weight.std().item() == pytest.approx(1, abs=0.02)


def test_orthogonal_and_sparse():
    for shape in ((4, 6), (6, 4)):
        q = init.orthogonal_(ag.empty(*shape, dtype=ag.float64), 2.0).numpy()
        product = q @ q.T if shape[0] < shape[1] else q.T @ q
        np.testing.assert_allclose(product, 4 * np.eye(4), atol=1e-12)
    sparse = init.sparse_(empty(10, 5), 0.3).numpy()
    assert ((sparse == 0).sum(0) == 3).all()


def test_gains():
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("leaky_relu", 0.2) == pytest.approx(math.sqrt(2 / 1.04))
    with pytest.raises(ValueError, match="did you mean relu"):
        init.calculate_gain("rlu")
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        init.xavier_uniform_(empty(3))


def with_gradients():
    first, second = nn.Parameter(ag.zeros(2)), nn.Parameter(ag.zeros(1))
    first.grad, second.grad = ag.tensor([3.0, 0.0]), ag.tensor([-4.0])
    return [first, second, nn.Parameter(ag.zeros(1))]


def test_clip_grad_norm():
    params = with_gradients()
    assert utils.clip_grad_norm_(params, 1.0).item() == pytest.approx(5)
    np.testing.assert_allclose(params[0].grad.numpy(), [0.6, 0], rtol=1e-5)
    np.testing.assert_allclose(params[1].grad.numpy(), [-0.8], rtol=1e-5)
    assert utils.clip_grad_norm_(params, 10.0).item() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(params[1].grad.numpy(), [-0.8], rtol=1e-5)
    assert utils.clip_grad_norm_(with_gradients(), 1.0, math.inf).item() == 4
    assert utils.clip_grad_norm_(with_gradients(), 1.0, 1.0).item() == pytest.approx(7)
    assert utils.clip_grad_norm_([], 1.0).item() == 0
    params[0].grad = ag.tensor([math.nan, 0.0])
    with pytest.raises(RuntimeError, match="can't be clipped"):
        utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)


def test_clip_grad_value():
    params = with_gradients()
    utils.clip_grad_value_(params, 2.0)
    assert params[0].grad.tolist() == [2.0, 0.0] and params[1].grad.tolist() == [-2.0]


def test_parameters_as_a_vector():
    layer = nn.Linear(2, 3)
    vector = utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (9,)
    utils.vector_to_parameters(ag.arange(9.0), layer.parameters())
    assert layer.weight.tolist() == [[0, 1], [2, 3], [4, 5]] and layer.bias.tolist() == [6, 7, 8]
    with pytest.raises(RuntimeError, match="take a vector of 9 elements"):
        utils.vector_to_parameters(ag.zeros(8), layer.parameters())
