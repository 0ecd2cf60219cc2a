"""Pruning: what is left, what is trained, and how it is undone."""

import copy

import numpy as np
import pytest

import argand as ag
from argand import nn, optim
from argand.nn.utils import prune


def layer_of(values):
    layer = nn.Linear(*np.shape(values)[::-1], bias=False)
    layer.weight.data = ag.tensor(values)
    return layer


VALUES = np.arange(12, dtype=np.float32).reshape(3, 4) - 5.4


def test_l1_leaves_the_largest():
    layer = prune.l1_unstructured(layer_of(VALUES), "weight", 5)
    expected = np.where(np.argsort(np.argsort(abs(VALUES), None)).reshape(3, 4) < 5, 0, VALUES)
    np.testing.assert_array_equal(layer.weight.detach().numpy(), expected)
    assert list(layer.state_dict()) == ["weight_orig", "weight_mask"]


def test_channels_of_least_norm_go_first():
    layer = prune.ln_structured(layer_of(VALUES), "weight", 1, n=2, dim=0)
    assert layer.weight_mask.sum(1).tolist() == [4.0, 0.0, 4.0]
    layer = prune.ln_structured(layer_of(VALUES), "weight", 0.5, n=1, dim=-1)
    assert sorted(layer.weight_mask.sum(0).tolist()) == [0.0, 0.0, 3.0, 3.0]


def test_methods_prune_what_others_left():
    layer = prune.ln_structured(layer_of(VALUES), "weight", 1, n=2, dim=0)
    prune.l1_unstructured(layer, "weight", 3)
    kept = layer.weight_mask.numpy()
    assert kept[1].sum() == 0
    assert kept.sum() == 5
    (container,) = layer._forward_pre_hooks.values()
    assert [type(m).__name__ for m in container] == ["LnStructured", "L1Unstructured"]


def test_pruned_elements_get_no_gradient_and_stay_zero():
    layer = prune.random_unstructured(nn.Linear(5, 4), "weight", 0.5)
    twin = copy.deepcopy(layer)
    before = layer.weight.detach().clone()
    opt = optim.SGD(layer.parameters(), lr=0.1)
    layer(ag.ones(2, 5)).square().sum().backward()
    opt.step()
    pruned = layer.weight_mask == 0
    assert bool((layer.weight[pruned] == 0).all())
    assert bool((layer.weight_orig.grad[pruned] == 0).all())
    assert not layer.weight.equal(before)
    assert twin.weight.equal(before)


def test_compiled_steps_see_the_mask():
    layer = prune.l1_unstructured(layer_of(VALUES), "weight", 6)
    x = ag.rand(2, 4)
    run = ag.compile(lambda t: layer(t))
    np.testing.assert_allclose(run(x).detach().numpy(), layer(x).detach().numpy(), rtol=1e-6)
    prune.remove(layer, "weight")
    np.testing.assert_allclose(run(x).detach().numpy(), layer(x).detach().numpy(), rtol=1e-6)
    assert not prune.is_pruned(layer)


def test_global_pruning_compares_all_parameters():
    small, large = layer_of(VALUES / 100), layer_of(VALUES)
    pairs = [(small, "weight"), (large, "weight")]
    prune.global_unstructured(pairs, prune.L1Unstructured, amount=0.5)
    assert small.weight_mask.sum().item() < large.weight_mask.sum().item()
    assert small.weight_mask.sum().item() + large.weight_mask.sum().item() == 12


@pytest.mark.parametrize(
    ("amount", "error"), [("x", TypeError), (-1, ValueError), (1.5, ValueError), (99, ValueError)]
)
def test_bad_amounts(amount, error):
    layer = layer_of(VALUES)
    with pytest.raises(error, match="amount"):
        prune.l1_unstructured(layer, "weight", amount)
    assert list(layer.state_dict()) == ["weight"]


def test_what_is_not_pruned_cannot_be_restored():
    with pytest.raises(ValueError, match="'weight' of Linear is not pruned"):
        prune.remove(nn.Linear(1, 1), "weight")
