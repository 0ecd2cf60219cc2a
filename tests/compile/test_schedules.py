"""Schedulers stepped inside a compiled training step: eager's rates, momenta, state and weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn, optim
from argand.base.errors import TraceError
from argand.optim import lr_scheduler as S

STEPS = 50

SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "step": lambda o: S.StepLR(o, 7, 0.5),
    "multi step": lambda o: S.MultiStepLR(o, [3, 3, 20], 0.5),
    "exponential": lambda o: S.ExponentialLR(o, 0.95),
    "cosine": lambda o: S.CosineAnnealingLR(o, 30, 0.01),
    "restarts": lambda o: S.CosineAnnealingWarmRestarts(o, 4, 2),
    "lambda": lambda o: S.LambdaLR(o, lambda t: 1 / (t + 1)),
    "constant": lambda o: S.ConstantLR(o, 0.25, 4),
    "linear": lambda o: S.LinearLR(o, 0.2, 0.8, 10),
    "polynomial": lambda o: S.PolynomialLR(o, 60, 2.0),
    "one cycle": lambda o: S.OneCycleLR(o, 0.3, total_steps=STEPS + 1),
    "one cycle linear": lambda o: S.OneCycleLR(
        o, 0.3, total_steps=60, anneal_strategy="linear", cycle_momentum=False
    ),
    "sequential": lambda o: S.SequentialLR(
        o, [S.LinearLR(o, 0.1, 1.0, 5), S.OneCycleLR(o, 0.3, total_steps=STEPS)], [5]
    ),
}
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: optim.Adam(p, lr=0.01),
}


def run(optimizer_of: Any, schedule_of: Any, compiled: bool) -> tuple[list[Any], Any, Any, Any]:
    ag.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = optimizer_of(model.parameters())
    schedule = schedule_of(optimizer)
    x = ag.tensor(np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32))

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss

    fast = ag.compile(step) if compiled else step
    seen = []
    for _ in range(STEPS):
        loss = fast(x).item()
        group = optimizer.param_groups[0]
        momentum = group.get("betas", (group.get("momentum"),))[0]
        seen.append((loss, *schedule.get_last_lr(), momentum))
    return seen, model.weight.detach().numpy(), schedule.state_dict(), fast


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_stepped_inside_gives_eagers_run(name: str, optimizer: str) -> None:
    args = OPTIMIZERS[optimizer], SCHEDULES[name]
    seen, weight, state, _ = run(*args, compiled=False)
    again, same, found, fast = run(*args, compiled=True)
    assert [s[1:] for s in again] == [s[1:] for s in seen]  # rates and momenta, exactly
    assert found == state
    np.testing.assert_allclose([s[0] for s in again], [s[0] for s in seen], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(same, weight, rtol=1e-4, atol=1e-6)
    assert len(fast.programs) <= 2  # a rate or momentum of 0 has its own


def parts() -> tuple[Any, Any]:
    p = nn.Parameter(ag.ones(2))
    return p, optim.SGD([p], lr=1.0)


def test_the_plateau_takes_a_number_and_explains_that_it_takes_no_traced_tensor() -> None:
    def rates(compiled: bool) -> list[float]:
        _, optimizer = parts()
        schedule = S.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)

        def step(x: Any, metric: float) -> Any:
            schedule.step(metric)
            return x * 2

        fast = ag.compile(step) if compiled else step
        found = []
        for metric in (1.0, 1.0, 0.5, 1.0, 1.0):
            fast(ag.ones(2), metric)
            found.append(optimizer.param_groups[0]["lr"])
        return found

    assert rates(True) == rates(False) == [1.0, 0.5, 0.5, 0.25, 0.125]
    _, optimizer = parts()
    schedule = S.ReduceLROnPlateau(optimizer)
    with pytest.raises(TraceError, match="return the metric from the compiled function"):
        ag.compile(lambda x: schedule.step(x.sum()))(ag.ones(2))
    assert schedule.last_epoch == 0


@pytest.mark.parametrize("read", ["get_last_lr", "optimizer.step"])
def test_a_rate_read_after_the_step_in_one_function_is_refused(read: str) -> None:
    p, optimizer = parts()
    schedule = S.ExponentialLR(optimizer, 0.5)

    @ag.compile
    def step(x: Any) -> Any:
        (p * x).sum().backward()
        schedule.step()
        if read == "get_last_lr":
            return schedule.get_last_lr()[0] * x
        optimizer.step()
        return x

    with pytest.raises(TraceError, match="read after scheduler"):
        step(ag.ones(2))
    assert schedule.get_last_lr() == [1.0] and p.grad is None
    assert schedule.last_epoch == 0


def test_a_branch_of_cond_cannot_step_a_schedule() -> None:
    _, optimizer = parts()
    schedule = S.ExponentialLR(optimizer, 0.5)

    def branch(x: Any) -> Any:
        schedule.step()
        return x

    with pytest.raises(TraceError, match="outside the cond"):
        ag.compile(lambda x: ag.cond(x.sum() > 0, branch, branch, x))(ag.ones(2))
