"""Learning-rate schedules against their formulas, and against PyTorch where installed."""

import math

import pytest

import argand as ag
from argand import nn, optim
from argand.optim import lr_scheduler as S

STEPS = 24


def make(build, library=optim, lr=0.5, parameter=None):
    p = nn.Parameter(ag.ones(1)) if parameter is None else parameter
    optimizer = library.SGD([p], lr=lr, momentum=0.9)
    return optimizer, build(library.lr_scheduler, optimizer)


def rates(build, **kwargs):
    optimizer, scheduler = make(build, **kwargs)
    found = [optimizer.param_groups[0]["lr"]]
    for _ in range(STEPS):
        scheduler.step()
        found.append(optimizer.param_groups[0]["lr"])
    return found


SCHEDULES = {
    "step": (lambda s, o: s.StepLR(o, 5, 0.3), lambda t: 0.5 * 0.3 ** (t // 5)),
    "multi step": (
        lambda s, o: s.MultiStepLR(o, [3, 3, 9], 0.5),
        lambda t: 0.5 * 0.5 ** ((t >= 3) * 2 + (t >= 9)),
    ),
    "exponential": (lambda s, o: s.ExponentialLR(o, 0.9), lambda t: 0.5 * 0.9**t),
    "cosine": (
        lambda s, o: s.CosineAnnealingLR(o, STEPS, 0.1),
        lambda t: 0.1 + 0.4 * (1 + math.cos(math.pi * t / STEPS)) / 2,
    ),
    "lambda": (lambda s, o: s.LambdaLR(o, lambda t: 1 / (t + 1)), lambda t: 0.5 / (t + 1)),
    "constant": (
        lambda s, o: s.ConstantLR(o, 0.25, 4),
        lambda t: 0.5 * (0.25 if t < 4 else 1),
    ),
    "linear": (
        lambda s, o: s.LinearLR(o, 0.2, 0.8, 10),
        lambda t: 0.5 * (0.2 + 0.6 * min(t, 10) / 10),
    ),
    "polynomial": (
        lambda s, o: s.PolynomialLR(o, 10, 2.0),
        lambda t: 0.5 * (1 - min(t, 10) / 10) ** 2,
    ),
    "restarts": (
        lambda s, o: s.CosineAnnealingWarmRestarts(o, 4, 2),
        lambda t: (
            0.25
            * (
                1
                + math.cos(
                    math.pi
                    * (t if t < 4 else t - 4 if t < 12 else t - 12)
                    / (4 if t < 4 else 8 if t < 12 else 16)
                )
            )
        ),
    ),
    "sequential": (
        lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 5), s.ExponentialLR(o, 0.9)], [5]),
        lambda t: 0.5 * (0.1 + 0.9 * t / 5) if t < 5 else 0.5 * 0.9 ** (t - 5),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_formula(name):
    build, formula = SCHEDULES[name]
    expected = [formula(t) for t in range(STEPS + 1)]
    assert rates(build) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", [*SCHEDULES, "one cycle", "one cycle linear"])
@pytest.mark.filterwarnings("ignore")  # PyTorch warns about the order of steps
def test_equals_torch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    cycles = {
        "one cycle": lambda s, o: s.OneCycleLR(o, 2.0, total_steps=STEPS + 1),
        "one cycle linear": lambda s, o: s.OneCycleLR(
            o, 2.0, epochs=5, steps_per_epoch=5, anneal_strategy="linear", div_factor=10.0
        ),
    }
    build = cycles[name] if name in cycles else SCHEDULES[name][0]
    theirs = rates(build, library=torch.optim, parameter=torch.nn.Parameter(torch.ones(1)))
    assert rates(build) == pytest.approx(theirs, rel=1e-6, abs=1e-9)


def test_one_cycle_moves_the_momentum_the_other_way():
    optimizer, schedule = make(lambda s, o: s.OneCycleLR(o, 1.0, total_steps=10))
    momenta = [optimizer.param_groups[0]["momentum"]]
    for _ in range(9):
        schedule.step()
        momenta.append(optimizer.param_groups[0]["momentum"])
    assert momenta[0] == pytest.approx(0.95) and min(momenta) == pytest.approx(0.85)
    with pytest.raises(ValueError, match="made for 10 steps"):
        schedule.step()


def test_plateau():
    optimizer = optim.SGD([nn.Parameter(ag.ones(1))], lr=1.0)
    schedule = S.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, cooldown=1, min_lr=0.2)
    seen = []
    for value in [1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4]:
        schedule.step(ag.tensor(value))
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2]
    with pytest.raises(TypeError, match="takes the metric"):
        schedule.step()
    with pytest.raises(ValueError, match="unknown mode"):
        S.ReduceLROnPlateau(optimizer, "lower")


def test_saving_and_resuming():
    build = SCHEDULES["sequential"][0]
    whole = rates(build)
    optimizer, schedule = make(build)
    for _ in range(7):
        schedule.step()
    saved, state = schedule.state_dict(), optimizer.state_dict()
    fresh, again = make(build)
    fresh.load_state_dict(state)
    again.load_state_dict(saved)
    assert fresh.param_groups[0]["lr"] == whole[7] == again.get_last_lr()[0]
    again.step()
    assert fresh.param_groups[0]["lr"] == whole[8]
    assert again.last_epoch == 8


def test_initial_rates_and_groups():
    p, q = nn.Parameter(ag.ones(1)), nn.Parameter(ag.ones(1))
    optimizer = optim.SGD([{"params": [p]}, {"params": [q], "lr": 0.01}], lr=0.1)
    schedule = S.LambdaLR(optimizer, [lambda t: 2.0**t, lambda t: 1.0])
    schedule.step()
    assert schedule.get_last_lr() == [0.2, 0.01]
    assert schedule.base_lrs == [0.1, 0.01]
    with pytest.raises(ValueError, match="expected 2 functions"):
        S.LambdaLR(optimizer, [lambda t: 1.0])
    with pytest.raises(KeyError, match="initial_lr"):
        S.StepLR(optim.SGD([p], lr=0.1), 3, last_epoch=5)
