"""Optimizers inside a compiled step: eager's numbers, and no new trace when a rate changes."""

import numpy as np
import pytest

import argand as ag
from argand import nn, optim
from argand.nn import functional as F

BUILDERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.01, amsgrad=True),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, centered=True, momentum=0.5),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1),
    "adadelta": lambda p: optim.Adadelta(p),
    "adamax": lambda p: optim.Adamax(p, lr=0.01),
    "asgd": lambda p: optim.ASGD(p, lr=0.1, t0=3.0, lambd=0.01),
    "nadam": lambda p: optim.NAdam(p, lr=0.01, weight_decay=0.01, decoupled_weight_decay=True),
    "radam": lambda p: optim.RAdam(p, lr=0.01),
    "rprop": lambda p: optim.Rprop(p, lr=0.01),
    "lion": lambda p: optim.Lion(p, lr=0.01, weight_decay=0.1),
    "sparse adam": lambda p: optim.SparseAdam(p, lr=0.01),
    "adafactor": lambda p: optim.Adafactor(p, lr=0.05),
    "muon": lambda p: optim.Muon([q for q in p if q.ndim == 2], lr=0.02),
}


def run(build, compiled):
    ag.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    optimizer = build(model.parameters())
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.8)
    rng = np.random.default_rng(0)
    x = ag.tensor(rng.standard_normal((16, 4)).astype(np.float32))
    y = ag.tensor(rng.integers(0, 3, 16))

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        model.zero_grad()
        return loss

    fast = ag.compile(step) if compiled else step
    losses = []
    for _ in range(8):
        losses.append(fast(x, y).item())
        schedule.step()
    return losses, [p.detach().numpy() for p in model.parameters()], fast, optimizer


@pytest.mark.parametrize("name", BUILDERS)
def test_compiled_equals_eager_and_is_traced_once(name):
    losses, params, _, _ = run(BUILDERS[name], compiled=False)
    again, same, fast, optimizer = run(BUILDERS[name], compiled=True)
    np.testing.assert_allclose(again, losses, rtol=2e-5)
    for got, expected in zip(same, params, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=2e-5)
    assert len(fast.programs) == 1
    step = next(iter(optimizer.state.values()), {}).get("step")
    assert step is None or step.item() == 8


def test_setting_a_rate_inside_a_compiled_function_is_explained():
    p = nn.Parameter(ag.ones(1))
    optimizer = optim.SGD([p], lr=0.1)

    @ag.compile
    def step(x):
        optimizer.param_groups[0]["lr"] = 0.5
        return x

    with pytest.raises(RuntimeError, match="'lr' is set inside a compiled function"):
        step(ag.ones(1))
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_two_compiled_functions_share_an_optimizer():
    """One updates both parameters, the other only the first: their steps part, as in eager code."""

    def play(compiled):
        p, q = nn.Parameter(ag.ones(2)), nn.Parameter(ag.ones(2))
        optimizer = optim.Adam([p, q], lr=0.1)

        def both(x):
            (p * x + q * q).sum().backward()
            optimizer.step()
            optimizer.zero_grad()

        def first(x):
            (p * p * x).sum().backward()
            optimizer.step()
            optimizer.zero_grad()

        if compiled:
            both, first = ag.compile(both), ag.compile(first)
        x = ag.tensor([1.0, -2.0])
        for step in (both, both, first, first, both, first, both):
            step(x)
        return p.tolist() + q.tolist(), [s["step"].item() for s in optimizer.state.values()]

    (eager, steps), (fast, same) = play(False), play(True)
    assert steps == same == [7, 4]
    np.testing.assert_allclose(fast, eager, rtol=1e-5)


def test_complex_parameters_are_updated_by_their_parts():
    def play(compiled):
        p = nn.Parameter(ag.tensor([1.0 + 2.0j, -0.5 + 0.25j]))
        optimizer = optim.Adam([p], lr=0.1)

        def step(x):
            loss = ((p * x).abs() ** 2).sum()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        fast = ag.compile(step) if compiled else step
        for _ in range(5):
            fast(ag.tensor([1.0, 2.0]))
        return p.detach().numpy(), optimizer.state_dict()["state"][0]

    (eager, state), (fast, same) = play(False), play(True)
    np.testing.assert_allclose(fast, eager, rtol=1e-5)
    for key in ("exp_avg", "exp_avg_sq"):
        assert state[key].dtype is ag.complex64
        np.testing.assert_allclose(same[key].numpy(), state[key].numpy(), rtol=1e-5)


def test_lbfgs_is_refused_in_a_trace():
    p = nn.Parameter(ag.ones(2))
    optimizer = optim.LBFGS([p])

    @ag.compile
    def step(x):
        optimizer.step(lambda: (p * x).sum())

    with pytest.raises(RuntimeError, match="LBFGS decides by values"):
        step(ag.ones(2))
