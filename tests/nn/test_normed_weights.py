"""Older forms of normalised weights, fused layers and wrappers, some beside PyTorch's."""

import copy

import numpy as np
import pytest

import argand as ag
from argand import nn, optim
from argand.nn import utils

rng = np.random.default_rng(6)


def numbers(*shape):
    return ag.tensor(rng.standard_normal(shape))


@pytest.mark.parametrize("layer", [lambda: nn.Linear(4, 3), lambda: nn.Conv1d(2, 4, 3)])
def test_weight_norm_and_back(layer):
    made = layer().double()
    x = numbers(5, 4) if isinstance(made, nn.Linear) else numbers(2, 2, 6)
    expected, text, cls = made(x), repr(made), type(made)
    assert utils.weight_norm(made) is made
    assert repr(made) == text
    assert isinstance(made, cls)
    assert {"weight_g", "weight_v"} <= set(made.state_dict())
    assert made(x).allclose(expected)
    twin = copy.deepcopy(made)
    opt = optim.SGD(made.parameters(), lr=0.1)
    made(x).square().sum().backward()
    opt.step()
    assert not made(x).allclose(expected)
    assert twin(x).allclose(expected)
    after = made(x)
    utils.remove_weight_norm(made)
    assert type(made) is cls
    assert sorted(made.state_dict()) == ["bias", "weight"]
    assert made(x).allclose(after)
    with pytest.raises(ValueError, match="not found"):
        utils.remove_weight_norm(made)


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.*deprecated")
@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
def test_as_torch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = getattr(torch.nn.utils, name)(torch.nn.Conv1d(2, 4, 3).double())
    ours = getattr(utils, name)(nn.Conv1d(2, 4, 3).double())
    state = {k: ag.tensor(v.numpy()) for k, v in theirs.state_dict().items()}
    assert set(ours.state_dict()) == set(state)
    ours.load_state_dict(state)
    x = rng.standard_normal((2, 2, 6))
    for _ in range(3):
        y, expected = ours(ag.tensor(x)), theirs(torch.tensor(x))
        np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-7)
    y.square().sum().backward()
    expected.square().sum().backward()
    wanted = dict(theirs.named_parameters())
    for key, mine in ours.named_parameters():
        np.testing.assert_allclose(mine.grad.numpy(), wanted[key].grad.numpy(), atol=1e-9)


def test_a_compiled_step_trains_normed_weights():
    layer = utils.weight_norm(nn.Linear(4, 3))
    twin, x = copy.deepcopy(layer), ag.ones(2, 4)
    opts = [optim.SGD(m.parameters(), lr=0.1) for m in (layer, twin)]

    def step(layer, opt):
        loss = layer(x).square().sum()
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    compiled = ag.compile(lambda: step(layer, opts[0]))
    for _ in range(3):
        assert compiled().allclose(step(twin, opts[1]))


@pytest.mark.parametrize(
    ("make", "norm", "shape", "transpose"),
    [
        (lambda: nn.Conv2d(2, 4, 3), lambda: nn.BatchNorm2d(4), (2, 2, 5, 5), False),
        (lambda: nn.Conv1d(2, 4, 3, bias=False), lambda: nn.BatchNorm1d(4), (2, 2, 5), False),
        (lambda: nn.ConvTranspose2d(2, 4, 3), lambda: nn.BatchNorm2d(4), (2, 2, 5, 5), True),
    ],
)
def test_fused_layers(make, norm, shape, transpose):
    layer, bn = make().double(), norm().double()
    bn(layer(numbers(*shape)))
    with pytest.raises(ag.ArgandError, match="evaluation"):
        utils.fuse_conv_bn_eval(layer, bn, transpose)
    layer.eval(), bn.eval()
    x = numbers(*shape)
    expected = bn(layer(x)).detach().numpy()
    fused = utils.fuse_conv_bn_eval(layer, bn, transpose)
    np.testing.assert_allclose(fused(x).detach().numpy(), expected, atol=1e-12)


def test_wrappers_pass_through():
    layer, x = nn.Linear(3, 2), ag.ones(4, 3)
    for wrapper in (nn.DataParallel, nn.parallel.DistributedDataParallel):
        wrapped = wrapper(layer, device_ids=None)
        assert wrapped(x).equal(layer(x))
        assert list(wrapped.state_dict()) == ["module.weight", "module.bias"]
