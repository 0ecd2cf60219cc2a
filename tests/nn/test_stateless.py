"""Modules as functions of their parameters, parametrizations, one device in place of several."""

import warnings

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.base import notices
from argand.nn.utils import parametrizations, parametrize


def test_functional_call_uses_other_tensors_once():
    model = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    weight = ag.tensor([[2.0, 3.0]], requires_grad=True)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    x = ag.rand(4, 2)
    y = ag.func.functional_call(model.eval(), {"0.weight": weight}, (x,))
    mean = x.numpy() @ [[2.0], [3.0]] + model[0].bias.item()
    np.testing.assert_allclose(y.detach().numpy(), mean / np.sqrt(1 + 1e-5), rtol=1e-5)
    (slope,) = ag.autograd.grad(y.sum(), weight)
    np.testing.assert_allclose(slope.numpy()[0], x.numpy().sum(0), rtol=1e-4)
    assert all(before[k].equal(v) for k, v in model.state_dict().items())


def test_functional_call_in_compiled_code():
    model = nn.Linear(2, 1, bias=False)

    @ag.compile
    def run(weight, x):
        return ag.func.functional_call(model, {"weight": weight}, x)

    x = ag.rand(3, 2)
    for scale in (1.0, 5.0):
        weight = ag.full((1, 2), scale)
        np.testing.assert_allclose(run(weight, x).detach().numpy(), (x @ weight.T).numpy(), 1e-6)
    assert isinstance(model.weight, nn.Parameter)


def test_tied_weights_get_one_value():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    double = 2 * ag.eye(2)
    call = ag.func.functional_call
    assert call(model, {"0.weight": double}, ag.ones(1, 2)).tolist() == [[4.0, 4.0]]
    with pytest.raises(ValueError, match="one tensor with another name"):
        call(model, {"0.weight": double, "1.weight": double + 1}, ag.ones(1, 2))


def test_functional_call_names_what_it_does_not_know():
    call, layer = ag.func.functional_call, nn.Linear(1, 1)
    with pytest.raises(ValueError, match="no tensor 'weigth'; did you mean weight"):
        call(layer, {"weigth": ag.ones(1, 1)}, ag.ones(1, 1))
    with pytest.raises(RuntimeError, match=r"missing key.*'bias'"):
        call(layer, {"weight": ag.ones(1, 1)}, ag.ones(1, 1), strict=True)


@pytest.mark.parametrize("how", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("sizes", [(3, 3), (4, 2), (2, 4)])
def test_orthogonal_weights_stay_orthogonal(how, sizes):
    layer = parametrizations.orthogonal(nn.Linear(*sizes).double(), "weight", how)
    opt = ag.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(2):
        opt.zero_grad()
        layer(ag.ones(1, sizes[0], dtype=ag.float64)).square().sum().backward()
        opt.step()
    w = layer.weight.detach().numpy()
    gram = w @ w.T if len(w) <= len(w.T) else w.T @ w
    np.testing.assert_allclose(gram, np.eye(min(sizes)), atol=1e-12)


def test_an_assigned_value_goes_through_the_inverse():
    class Exp(nn.Module):
        def forward(self, x):
            return x.exp()

        def right_inverse(self, x):
            return x.log()

    layer = nn.Linear(1, 2)
    nn.init.ones_(layer.weight)
    weight = layer.weight
    parametrize.register_parametrization(layer, "weight", Exp())
    assert layer.parametrizations.weight.original is weight
    layer.weight = ag.full((2, 1), 4.0)
    np.testing.assert_allclose(weight.detach().numpy(), np.full((2, 1), np.log(4)), rtol=1e-6)
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight


def test_a_parametrization_that_changes_the_shape_is_refused():
    class First(nn.Module):
        def forward(self, x):
            return x[:1]

    with pytest.raises(ValueError, match="pass unsafe=True"):
        parametrize.register_parametrization(nn.Linear(2, 2), "weight", First())


def test_options_without_effect_say_so_once(monkeypatch):
    monkeypatch.setattr(notices, "_said", set())  # whatever other tests have heard
    with pytest.warns(UserWarning, match="device_ids=.* has no effect here: there is one device"):
        nn.DataParallel(nn.Identity(), device_ids=[0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.DataParallel(nn.Identity(), device_ids=[0, 1])


def test_scattered_inputs_come_together_again():
    x = {"a": ag.arange(5), "b": (ag.ones(5, 2), None)}
    parts = nn.parallel.scatter(x, [0, 1])
    assert [len(p["a"]) for p in parts] == [3, 2]
    again = nn.parallel.gather(parts, "cpu")
    assert again["a"].equal(x["a"]) and again["b"][0].equal(x["b"][0])


def test_older_names_of_init_warn():
    with pytest.warns(FutureWarning, match="older name of nn.init.constant_"):
        assert nn.init.constant(ag.empty(1), 2.0).item() == 2.0


def test_skip_init_draws_nothing():
    ag.manual_seed(0)
    expected = ag.rand(1).item()
    ag.manual_seed(0)
    nn.utils.skip_init(nn.Linear, 3, 2)
    assert ag.rand(1).item() == expected
    with pytest.raises(RuntimeError, match="takes no device"):
        nn.utils.skip_init(nn.ReLU)
