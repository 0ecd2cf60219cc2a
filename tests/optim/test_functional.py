"""The update rules as functions do what the optimizers do."""

import pytest

import argand as ag
from argand import optim
from argand.optim import _functional

DECAY = {"weight_decay": 0.1}
BETAS = {"beta1": 0.8, "beta2": 0.9, "eps": 1e-8}
CASES = {
    "sgd": (
        optim.SGD,
        {"momentum": 0.9, "dampening": 0.5, "nesterov": False, **DECAY, "maximize": True},
    ),
    "adam": (optim.Adam, {**BETAS, **DECAY, "amsgrad": True, "maximize": False}),
    "adamw": (optim.AdamW, {**BETAS, **DECAY, "amsgrad": False, "maximize": True}),
    "adamax": (optim.Adamax, {**BETAS, **DECAY}),
    "nadam": (optim.NAdam, {**BETAS, **DECAY, "momentum_decay": 4e-3}),
    "radam": (optim.RAdam, {**BETAS, **DECAY}),
    "adagrad": (optim.Adagrad, {**DECAY, "lr_decay": 0.1, "eps": 1e-10, "maximize": False}),
    "adadelta": (optim.Adadelta, {**DECAY, "rho": 0.9, "eps": 1e-6, "maximize": False}),
    "asgd": (optim.ASGD, {**DECAY, "lambd": 1e-2, "t0": 2.0, "alpha": 0.75}),
    "rmsprop": (
        optim.RMSprop,
        {**DECAY, "alpha": 0.9, "eps": 1e-8, "momentum": 0.9, "centered": True},
    ),
    "rprop": (
        optim.Rprop,
        {"step_size_min": 1e-6, "step_size_max": 50.0, "etaminus": 0.5, "etaplus": 1.2},
    ),
}
LISTS = {
    "sgd": "momentum_buffer",
    "adam": "exp_avg exp_avg_sq max_exp_avg_sq step",
    "adamw": "exp_avg exp_avg_sq max_exp_avg_sq step",
    "adamax": "exp_avg exp_inf step",
    "nadam": "exp_avg exp_avg_sq mu_product step",
    "radam": "exp_avg exp_avg_sq step",
    "adagrad": "sum step",
    "adadelta": "square_avg acc_delta step",
    "asgd": "ax mu eta step",
    "rmsprop": "square_avg grad_avg momentum_buffer step",
    "rprop": "prev step_size step",
}
FIRST = {"mu": 1.0, "mu_product": 1.0, "eta": 0.1, "step_size": 0.1}
SCALARS = ("mu", "mu_product", "eta", "step")


def _class_options(given):
    found = dict(given)
    if "beta1" in found:
        found["betas"] = (found.pop("beta1"), found.pop("beta2"))
    if "etaminus" in found:
        found["etas"] = (found.pop("etaminus"), found.pop("etaplus"))
        found["step_sizes"] = (found.pop("step_size_min"), found.pop("step_size_max"))
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_function_steps_as_its_optimizer(name):
    kind, options = CASES[name]
    ag.manual_seed(0)
    params = [ag.randn(3, 2), ag.randn(4)]
    held = [ag.nn.Parameter(p.clone()) for p in params]
    optimizer = kind(held, lr=0.1, **_class_options(options))
    states = []
    for key in LISTS[name].split():
        first = FIRST.get(key, 0.0)
        states.append(
            [ag.tensor(first) if key in SCALARS else ag.full_like(p, first) for p in params]
        )
    if name == "sgd":
        states = [[None, None]]
    rule = getattr(_functional, name)
    given = dict(options) if name == "rprop" else {**options, "lr": 0.1}
    for step in range(3):
        grads = [ag.full_like(p, 0.3 * (-1) ** step) + 0.1 * p for p in params]
        for p, g in zip(held, grads, strict=True):
            p.grad = g.clone()
        optimizer.step()
        rule(params, grads, *states, **given)
        for p, twin in zip(params, held, strict=True):
            assert ag.allclose(p, twin, rtol=1e-6, atol=1e-7)
    assert name == "sgd" or states[-1][0] == 3
    assert all(state is not None for state in states[0])


def test_a_step_of_sparse_adam_takes_the_number_of_the_step():
    p, grad = ag.ones(3, 2), ag.tensor([[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]])
    m, v = ag.zeros(3, 2), ag.zeros(3, 2)
    options = {"eps": 1e-8, "beta1": 0.9, "beta2": 0.999, "lr": 0.1, "maximize": False}
    _functional.sparse_adam([p], [grad], [m], [v], [1], **options)
    assert ag.allclose(p, ag.tensor([[0.9, 0.9], [1.0, 1.0], [0.9, 0.9]]), atol=1e-5)


def test_a_step_is_left_out_where_gradients_overflowed():
    p, buffer = ag.ones(2), [None]
    options = {"weight_decay": 0, "momentum": 0.9, "lr": 1.0, "dampening": 0, "nesterov": False}
    scaled = {"grad_scale": ag.tensor(4.0), "found_inf": ag.tensor(1.0), "maximize": False}
    _functional.sgd([p], [ag.ones(2)], buffer, **scaled, **options)
    assert p.tolist() == [1, 1] and buffer == [None]
    scaled["found_inf"] = ag.tensor(0.0)
    _functional.sgd([p], [ag.ones(2)], buffer, **scaled, **options)
    assert p.tolist() == [0.75, 0.75] and buffer[0].tolist() == [0.25, 0.25]


def test_a_missing_number_is_named():
    with pytest.raises(TypeError, match="weight_decay"):
        _functional.sgd([], [], [], lr=1.0)
    with pytest.raises(AttributeError, match="lion"):
        _functional.lion  # noqa: B018
