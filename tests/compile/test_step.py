"""Training steps: compiled and eager do the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import argand as ag
import argand.nn.functional as F  # PyTorch's name
from argand import nn, optim

STEPS = 20


def data(seed: int = 0, batch: int = 5) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(seed)
    return [
        (
            ag.tensor(rng.standard_normal((batch, 6)).astype(np.float32)),
            ag.tensor(rng.integers(0, 3, batch)),
        )
        for _ in range(STEPS)
    ]


def mlp(dropout: float = 0.0) -> nn.Module:
    ag.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 3))


def training_step(model: Any, opt: Any, clear_first: bool = True) -> Any:
    def step(x: Any, y: Any) -> Any:
        if clear_first:
            opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        if not clear_first:
            opt.zero_grad()
        return loss

    return step


def run(
    backend: str | None,
    make_opt: Any,
    dropout: float = 0.0,
    clear_first: bool = True,
    schedule: bool = False,
) -> tuple[list[float], list[Any], Any]:
    model = mlp(dropout)
    opt = make_opt(model.parameters())
    step = training_step(model, opt, clear_first)
    if backend is not None:
        step = ag.compile(step, backend=backend)
    ag.manual_seed(7)
    losses = []
    for i, (x, y) in enumerate(data()):
        if schedule and i % 5 == 4:
            opt.param_groups[0]["lr"] *= 0.5
        losses.append(float(step(x, y).item()))
    return losses, [p.detach().numpy().copy() for p in model.parameters()], step


OPTIMIZERS = {
    "sgd": lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9, weight_decay=1e-3),
    "adam": lambda ps: optim.Adam(ps, lr=0.01),
    "adamw": lambda ps: optim.AdamW(ps, lr=0.01, weight_decay=0.1),
    "amsgrad": lambda ps: optim.Adam(ps, lr=0.01, amsgrad=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("clear_first", [True, False])
def test_steps_agree_with_eager_ones(backend: str, name: str, clear_first: bool) -> None:
    want, params, _ = run(None, OPTIMIZERS[name], 0.3, clear_first, schedule=True)
    losses, mine, step = run(backend, OPTIMIZERS[name], 0.3, clear_first, schedule=True)
    assert len(step.programs) == 1  # neither the schedule nor the new state traced again
    np.testing.assert_allclose(losses, want, rtol=2e-6)
    for a, b in zip(mine, params, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6)


def test_the_gradients_remain_when_nothing_clears_them(compiled: Any) -> None:
    model = mlp()
    opt = optim.SGD(model.parameters(), lr=0.1)
    x, y = data()[0]
    step = compiled(training_step(model, opt))
    step(x, y)
    start = [p.detach().clone() for p in model.parameters()]
    step(x, y)
    for p, before in zip(model.parameters(), start, strict=True):
        moved = (before - p.detach()).numpy()
        np.testing.assert_allclose(moved, 0.1 * p.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_gradients_accumulate_over_calls(compiled: Any) -> None:
    model, twin = mlp(), mlp()
    forward = compiled(lambda x, y: F.cross_entropy(model(x), y).backward())
    for x, y in data()[:3]:
        assert forward(x, y) is None
        F.cross_entropy(twin(x), y).backward()
    assert len(forward.programs) == 2  # without gradients to start from, and with
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-6, atol=1e-7)


def test_the_first_call_steps_once(compiled: Any) -> None:
    model, twin = mlp(), mlp()
    opt, other = (optim.Adam(m.parameters(), lr=0.1) for m in (model, twin))
    x, y = data()[0]
    compiled(training_step(model, opt))(x, y)
    training_step(twin, other)(x, y)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-6)
    assert float(opt.state[next(model.parameters())]["step"].item()) == 1


def test_state_is_named_after_its_place(compiled: Any) -> None:
    model = mlp(0.5)
    opt = optim.Adam(model.parameters())
    step = compiled(training_step(model, opt))
    step(*data()[0])
    names = {v.name for v in step.program().state}
    assert {"0.weight", "3.bias", "opt.0.lr", "opt.0.exp_avg", "opt.3.exp_avg_sq", "rng"} <= names


def test_nodes_keep_the_line_and_the_module(compiled: Any) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(6, 2), nn.ReLU())

        def forward(self, x: Any) -> Any:
            return self.layers(x)

    model = Model()
    f = compiled(lambda x: model(x).sum())
    program = f.program(data()[0][0])
    relu = next(n for n in program if n.op.name == "relu")
    assert relu.module == "layers.1"
    assert relu.location is not None and relu.location.file == __file__
    assert "layers.1" in str(program)


def test_batch_norm_buffers(compiled: Any) -> None:
    def make() -> Any:
        ag.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
        return model, optim.SGD(model.parameters(), lr=0.1)

    (model, opt), (twin, other) = make(), make()
    step = compiled(training_step(model, opt))
    plain = training_step(twin, other)
    for x, y in data():
        np.testing.assert_allclose(step(x, y).numpy(), plain(x, y).detach().numpy(), rtol=1e-5)
    for (name, a), (_, b) in zip(model.named_buffers(), twin.named_buffers(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, err_msg=name)


def test_train_and_eval_are_two_programs(compiled: Any) -> None:
    model = mlp(0.5)
    forward = compiled(lambda x: model(x))
    x = data()[0][0]
    with ag.no_grad():
        for _ in range(2):
            model.train()
            a, b = forward(x), forward(x)
            assert not np.array_equal(a.numpy(), b.numpy())
            model.eval()
            np.testing.assert_allclose(forward(x).numpy(), model(x).numpy(), rtol=1e-6)
            assert np.array_equal(forward(x).numpy(), forward(x).numpy())
    assert len(forward.programs) == 2
    assert "changed" in forward.explain()


def test_two_models_in_one_step(compiled: Any) -> None:
    a, b = mlp(), mlp()
    opt = optim.SGD([*a.parameters(), *b.parameters()], lr=0.1)

    @compiled
    def step(x: Any) -> Any:
        loss = F.mse_loss(a(x), b(x) * 0.5)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    losses = [float(step(x).item()) for x, _ in data()]
    assert losses[-1] < losses[0]
    names = {v.name for v in step.program().state}
    assert {"a.0.weight", "b.0.weight"} <= names


def test_a_frozen_parameter_makes_another_program(compiled: Any) -> None:
    model = mlp()
    opt = optim.SGD(model.parameters(), lr=0.1)
    step = compiled(training_step(model, opt))
    x, y = data()[0]
    step(x, y)
    model[0].requires_grad_(False)
    opt.zero_grad()
    before = model[0].weight.detach().clone()
    step(x, y)
    assert len(step.programs) == 2
    assert np.array_equal(model[0].weight.detach().numpy(), before.numpy())


def test_a_replaced_parameter_is_seen(compiled: Any) -> None:
    model = nn.Linear(6, 2)
    f = compiled(lambda x: model(x))
    x = data()[0][0]
    with ag.no_grad():
        f(x)
        model.weight = nn.Parameter(ag.zeros(2, 6))
        model.bias.data = ag.ones(2)
        assert np.array_equal(f(x).numpy(), np.ones((5, 2), np.float32))
        model.weight.data = ag.ones(2, 6)
        np.testing.assert_allclose(f(x).numpy(), model(x).numpy(), rtol=1e-6)


def test_loading_a_state_dict_is_seen(compiled: Any) -> None:
    model = nn.Linear(6, 2)
    f = compiled(model)
    x = data()[0][0]
    with ag.no_grad():
        f(x)
        model.load_state_dict({"weight": ag.zeros(2, 6), "bias": ag.zeros(2)})
        assert not f(x).numpy().any()
    assert len(f.programs) == 1


def test_a_scheduler_between_the_calls_traces_nothing_again(compiled: Any) -> None:
    model = mlp()
    opt = optim.SGD(model.parameters(), lr=1.0)
    scheduler = optim.lr_scheduler.StepLR(opt, step_size=1, gamma=0.1)
    step = compiled(training_step(model, opt))
    moved = []
    for x, y in [data()[0]] * 3:
        before = model[3].bias.detach().clone()
        step(x, y)
        moved.append(float((model[3].bias.detach() - before).abs().max().item()))
        scheduler.step()
    assert len(step.programs) == 1
    assert moved[1] < 0.2 * moved[0] and moved[2] < 0.2 * moved[1]


def test_a_scheduler_inside_steps_after_each_call(compiled: Any) -> None:
    def make(decorate: Any) -> Any:
        model = mlp()
        opt = optim.SGD(model.parameters(), lr=1.0)
        scheduler = optim.lr_scheduler.ExponentialLR(opt, gamma=0.5)
        plain = training_step(model, opt)

        def step(x: Any, y: Any) -> Any:
            loss = plain(x, y)
            scheduler.step()
            return loss

        return decorate(step), scheduler

    step, scheduler = make(compiled)
    eager, other = make(lambda f: f)
    for x, y in data()[:5]:
        np.testing.assert_allclose(step(x, y).item(), eager(x, y).item(), rtol=1e-5)
        assert scheduler.get_last_lr() == other.get_last_lr()
    assert len(step.programs) == 1
