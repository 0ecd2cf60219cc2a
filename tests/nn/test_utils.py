"""Parametrizations, and sequences of several lengths."""

import copy

import numpy as np
import pytest

import argand as ag
from argand import nn, optim
from argand.nn.utils import parametrizations, parametrize, rnn


def numbers(*shape):
    return ag.tensor(np.random.default_rng(2).standard_normal(shape))


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_trains_size_and_direction_apart(dim):
    layer = nn.Linear(4, 3).double()
    before, x = layer.weight.detach().numpy().copy(), numbers(5, 4)
    expected = layer(x)
    parametrizations.weight_norm(layer, dim=dim)
    g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    kept = {0: (1,), 1: (0,), None: (0, 1)}[dim]
    norm = np.sqrt((before**2).sum(kept, keepdims=dim is not None))
    np.testing.assert_allclose(g.detach().numpy(), norm)
    assert layer(x).allclose(expected)
    layer(x).square().sum().backward()
    whole = nn.Linear(4, 3).double()
    whole.load_state_dict({"weight": ag.tensor(before), "bias": layer.bias.detach()})
    whole(x).square().sum().backward()
    slope = whole.weight.grad.numpy()
    along = (slope * before).sum(kept, keepdims=dim is not None) / norm
    np.testing.assert_allclose(g.grad.numpy(), along)
    np.testing.assert_allclose(v.grad.numpy(), slope - along * before / norm, atol=1e-12)


def test_a_parametrized_layer_compiles_copies_and_goes_back():
    layer = parametrizations.weight_norm(nn.Linear(4, 3))
    opt, x = optim.SGD(layer.parameters(), lr=0.1), ag.ones(2, 4)
    twin = copy.deepcopy(layer)
    other = optim.SGD(twin.parameters(), lr=0.1)

    def step(layer, opt):
        loss = layer(x).square().sum()
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    compiled = ag.compile(lambda: step(layer, opt))
    for _ in range(3):
        assert compiled().allclose(step(twin, other))
    weight = layer.weight.detach()
    assert type(layer).__name__ == "ParametrizedLinear"
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear
    assert layer.weight.equal(weight)
    assert list(layer.state_dict()) == ["bias", "weight"]
    assert parametrize.is_parametrized(twin, "weight")


def test_parametrizations_follow_one_another():
    class Scaled(nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def forward(self, x):
            return x * self.factor

    layer = nn.Linear(2, 2, bias=False)
    weight = layer.weight.detach()
    parametrize.register_parametrization(layer, "weight", Scaled(2))
    parametrize.register_parametrization(layer, "weight", Scaled(5))
    assert layer.weight.allclose(weight * 10)
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert layer.weight.equal(weight)
    with pytest.raises(ValueError, match="has no parametrization of 'weight'"):
        parametrize.remove_parametrizations(layer, "weight")
    with pytest.raises(ValueError, match="Linear has no tensor 'wieght'"):
        parametrize.register_parametrization(layer, "wieght", Scaled(2))


def test_spectral_norm_divides_by_the_largest_singular_value():
    layer = parametrizations.spectral_norm(nn.Conv2d(3, 4, 2).double(), n_power_iterations=50)
    original = layer.parametrizations.weight.original.detach().numpy()
    largest = np.linalg.svd(original.reshape(4, -1))[1][0]
    np.testing.assert_allclose(layer.weight.detach().numpy(), original / largest, rtol=1e-5)
    layer.eval()
    assert layer.weight.equal(layer.weight)
    layer(numbers(1, 3, 4, 4)).sum().backward()
    assert layer.parametrizations.weight.original.grad.any()


@pytest.mark.parametrize("side", ["left", "right"])
def test_pad_sequence(side):
    sequences = [numbers(3, 2), numbers(1, 2), numbers(2, 2)]
    batch = rnn.pad_sequence(sequences, padding_value=-1.0, padding_side=side)
    expected = np.full((3, 3, 2), -1.0)
    for i, x in enumerate(sequences):
        rows = slice(0, len(x)) if side == "right" else slice(3 - len(x), 3)
        expected[rows, i] = x.numpy()
    np.testing.assert_array_equal(batch.numpy(), expected)
    if side == "right":
        found = rnn.unpad_sequence(batch, ag.tensor([3, 1, 2]))
        assert all(a.equal(b) for a, b in zip(found, sequences, strict=True))
    with pytest.raises(RuntimeError, match="differ in L only"):
        rnn.pad_sequence([ag.ones(2, 3), ag.ones(2, 4)])
    with pytest.raises(ValueError, match="there are no sequences"):
        rnn.pad_sequence([])
