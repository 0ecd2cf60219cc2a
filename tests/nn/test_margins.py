"""Losses that compare, activations and lazy layers against their formulas in float64 NumPy."""

import copy

import numpy as np
import pytest

import argand as ag
from argand import nn, optim
from argand.nn import functional as F

rng = np.random.default_rng(5)
x1, x2, x3 = (rng.standard_normal((4, 6)) for _ in range(3))
sign = np.where(rng.random((4, 6)) < 0.5, -1.0, 1.0)
labels = rng.integers(0, 6, 4)
gap = np.linalg.norm(x1 - x2 + 1e-6, axis=1)
cosine = (x1 * x2).sum(1) / np.linalg.norm(x1, axis=1) / np.linalg.norm(x2, axis=1)
yes = (sign + 1) / 2


def above(x):
    return np.maximum(x, 0)


def multi_margin():
    terms = above(1 - x1[np.arange(4), labels][:, None] + x1)
    terms[np.arange(4), labels] = 0
    return terms.sum(1) / 6


LOSSES = {
    "margin_ranking_loss": ((x1, x2, sign, 0.3), above(-sign * (x1 - x2) + 0.3)),
    "hinge_embedding_loss": ((x1, sign, 0.5), np.where(sign == 1, x1, above(0.5 - x1))),
    "cosine_embedding_loss": (
        (x1, x2, sign[:, 0], 0.1),
        np.where(sign[:, 0] == 1, 1 - cosine, above(cosine - 0.1)),
    ),
    "triplet_margin_loss": (
        (x1, x2, x3),
        above(gap - np.linalg.norm(x1 - x3 + 1e-6, axis=1) + 1),
    ),
    "soft_margin_loss": ((x1, sign), np.log1p(np.exp(-sign * x1))),
    "multilabel_soft_margin_loss": ((x1, yes), np.log1p(np.exp(-sign * x1)).mean(1)),
    "multi_margin_loss": ((x1, labels), multi_margin()),
    "poisson_nll_loss": ((x1, yes), np.exp(x1) - yes * x1),
    "gaussian_nll_loss": ((x1, x2, x3**2), (np.log(x3**2) + (x1 - x2) ** 2 / x3**2) / 2),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name):
    given, expected = LOSSES[name]
    function = getattr(F, name)
    args = [ag.tensor(a) if isinstance(a, np.ndarray) else a for a in given]
    np.testing.assert_allclose(function(*args, reduction="none").numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(function(*args, reduction="sum").item(), expected.sum())
    args[0].requires_grad_()
    assert ag.autograd.gradcheck(lambda x: function(x, *args[1:]), (args[0],))
    assert float(ag.compile(lambda x: function(x, *args[1:]))(args[0])) == pytest.approx(
        expected.mean()
    )


def test_loss_layers_are_the_functions():
    a, b, c = map(ag.tensor, (x1, x2, x3))
    assert nn.TripletMarginLoss(0.5, swap=True)(a, b, c) == F.triplet_margin_loss(
        a, b, c, 0.5, swap=True
    )
    weight = ag.tensor(rng.random(6))
    layer = nn.MultiMarginLoss(2, weight=weight, reduction="sum")
    assert layer(a, ag.tensor(labels)) == F.multi_margin_loss(
        a, ag.tensor(labels), 2, weight=weight, reduction="sum"
    )
    np.testing.assert_allclose(nn.PairwiseDistance()(a, b).numpy(), gap)


@pytest.mark.parametrize("p", [1.0, 3.0, float("inf")])
def test_pairwise_distance(p):
    found = F.pairwise_distance(ag.tensor(x1), ag.tensor(x2), p)
    np.testing.assert_allclose(found.numpy(), np.linalg.norm(x1 - x2 + 1e-6, p, axis=1))


def test_full_likelihoods():
    count = np.array([0.0, 1.0, 5.0])
    stirling = np.where(count > 1, count * np.log(np.maximum(count, 1)) - count, 0)
    stirling += np.where(count > 1, 0.5 * np.log(2 * np.pi * np.maximum(count, 1)), 0)
    mean = np.array([0.5, 1.5, 4.0])
    found = F.poisson_nll_loss(
        ag.tensor(mean), ag.tensor(count), log_input=False, full=True, reduction="none"
    )
    np.testing.assert_allclose(found.numpy(), mean - count * np.log(mean + 1e-8) + stirling)
    tiny = ag.tensor([0.0], dtype=ag.float64, requires_grad=True)
    one = ag.tensor([1.0], dtype=ag.float64)
    loss = F.gaussian_nll_loss(one, one, tiny, full=True, eps=0.5)
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * np.log(0.5) + 0.5 * np.log(2 * np.pi))
    assert tiny.grad.tolist() == [1.0]  # 0.5 / v, as if v were not clamped


ACTIVATIONS = {
    "celu": ({"alpha": 2.0}, np.where(x1 > 0, x1, 2 * np.expm1(x1 / 2))),
    "hardshrink": ({}, np.where(abs(x1) > 0.5, x1, 0)),
    "softshrink": ({}, np.sign(x1) * above(abs(x1) - 0.5)),
    "tanhshrink": ({}, x1 - np.tanh(x1)),
    "threshold": ({"threshold": 0.1, "value": 7.0}, np.where(x1 > 0.1, x1, 7)),
    "rrelu": ({}, np.where(x1 > 0, x1, x1 * 11 / 48)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    options, expected = ACTIVATIONS[name]
    function = getattr(F, name)
    x = ag.tensor(x1, requires_grad=True)
    np.testing.assert_allclose(function(x, **options).detach().numpy(), expected, rtol=1e-9)
    assert ag.autograd.gradcheck(lambda x: function(x, **options), (x,))


def test_rrelu_draws_its_slopes_in_training():
    slopes = -nn.RReLU(0.2, 0.4)(-ag.ones(2000))
    assert slopes.min() >= 0.2
    assert slopes.max() < 0.4
    assert abs(slopes.mean().item() - 0.3) < 0.01


def test_gumbel_softmax_draws_categories():
    ag.manual_seed(0)
    logits = ag.tensor([0.0, 1.0, 2.0]).expand(6000, 3).clone().requires_grad_()
    hard = F.gumbel_softmax(logits, hard=True)
    assert set(hard.detach().flatten().tolist()) == {0.0, 1.0}
    share = hard.detach().mean(0).numpy()
    np.testing.assert_allclose(share, ag.softmax(logits[0], 0).detach().numpy(), atol=0.02)
    (hard * ag.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert logits.grad.any()


def test_lazy_layers_wait_with_a_dtype_and_are_trained_by_an_earlier_optimizer():
    layer = nn.LazyLinear(2).double()
    twin = copy.deepcopy(layer)
    opt = optim.SGD(layer.parameters(), lr=0.5)
    assert isinstance(layer, nn.Linear) and layer.has_uninitialized_params()
    layer(ag.ones(3, 4, dtype=ag.float64)).sum().backward()
    before = layer.weight.detach().clone()
    opt.step()
    np.testing.assert_allclose(layer.weight.detach().numpy(), before.numpy() - 1.5)
    twin.load_state_dict(layer.state_dict())
    assert twin.weight.equal(layer.weight) and twin.weight.dtype is ag.float64
    assert twin(ag.ones(1, 4, dtype=ag.float64)).shape == (1, 2)
    assert type(twin) is nn.Linear


def test_lazy_layers_take_the_size_of_the_first_input():
    model = nn.Sequential(
        nn.LazyConv2d(4, 3, padding=1), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(5)
    )
    text = "LazyConv2d(0, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))"
    assert repr(model[0]) == text
    with pytest.raises(RuntimeError, match=r"has no shape before .* call the model"):
        _ = model[0].weight.shape
    optim.SGD(model.parameters(), lr=0.1)  # may be made before the first input, as in PyTorch
    model.eval()
    assert model(ag.ones(2, 3, 6, 6)).shape == (2, 5)
    assert [type(m).__name__ for m in model] == ["Conv2d", "BatchNorm2d", "Flatten", "Linear"]
    assert not any(m.training for m in model)
    assert model[3].in_features == 4 * 36
    assert len(list(model.parameters())) == 6
