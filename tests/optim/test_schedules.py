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
    schedule.step()  # as in PyTorch, one more
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


BUILDS = {
    "multiplicative": lambda s, o: s.MultiplicativeLR(o, lambda t: 0.9 + t / 100),
    "chained": lambda s, o: s.ChainedScheduler(
        [s.LinearLR(o, 0.1, 1.0, 6), s.ExponentialLR(o, 0.9), s.StepLR(o, 7, 0.5)]
    ),
    "chained in a sequence": lambda s, o: s.SequentialLR(
        o,
        [
            s.ChainedScheduler([s.ConstantLR(o, 0.5, 3), s.ExponentialLR(o, 0.9)]),
            s.CosineAnnealingLR(o, 5, 0.05),
            s.PolynomialLR(o, 9, 2.0),
        ],
        [6, 14],
    ),
    "past the end of a cosine": lambda s, o: s.CosineAnnealingLR(o, 5, 0.05),
    "cyclic": lambda s, o: s.CyclicLR(o, 0.1, 0.7, 4, 3),
    "cyclic, lower each time": lambda s, o: s.CyclicLR(o, 0.1, 0.7, 3, mode="triangular2"),
    "cyclic, by steps": lambda s, o: s.CyclicLR(o, 0.1, 0.7, 3, mode="exp_range", gamma=0.9),
    "cyclic, by a function": lambda s, o: s.CyclicLR(
        o, 0.1, 0.7, 3, scale_fn=lambda x: 1 / x, scale_mode="cycle", base_momentum=0.5
    ),
    "one cycle": lambda s, o: s.OneCycleLR(o, 2.0, total_steps=STEPS + 1),
    "three phases": lambda s, o: s.OneCycleLR(o, 2.0, total_steps=STEPS, three_phase=True),
    "plateau": lambda s, o: s.ReduceLROnPlateau(o, factor=0.5, patience=1, cooldown=2),
} | {name: build for name, (build, _) in SCHEDULES.items()}


def advance(scheduler, steps, start=0):
    """The numbers of the group after each step."""
    seen = []
    group = scheduler.optimizer.param_groups[0]
    for t in range(start, start + steps):
        if type(scheduler).__name__ == "ReduceLROnPlateau":
            scheduler.step(max(1.0 - t / 10, 0.4))
        else:
            scheduler.step()
        seen += [group["lr"], group["momentum"], *scheduler.get_last_lr()]
    return seen


@pytest.mark.parametrize("name", BUILDS)
@pytest.mark.filterwarnings("ignore")  # PyTorch warns about the order of steps
def test_checkpoints_go_on_in_the_other_library(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    build = BUILDS[name]
    theirs = {"library": torch.optim, "parameter": torch.nn.Parameter(torch.ones(1))}
    (_, mine), (_, other) = make(build), make(build, **theirs)
    start = advance(mine, 9)
    assert start == pytest.approx(advance(other, 9), rel=1e-12)
    got, expected = mine.state_dict(), other.state_dict()
    assert same_keys(got, expected)
    (ours, taken), (given_to, given) = make(build, lr=0.3), make(build, lr=0.3, **theirs)
    for optimizer, source in ((ours, mine), (given_to, mine)):
        optimizer.param_groups[0].update(
            {k: v for k, v in source.optimizer.param_groups[0].items() if k != "params"}
        )
    taken.load_state_dict(expected)
    given.load_state_dict(got)
    rest = advance(other, STEPS - 9, 9)
    for scheduler in (mine, taken, given):
        assert advance(scheduler, STEPS - 9, 9) == pytest.approx(rest, rel=1e-11, abs=1e-14)


def same_keys(one, other):
    """Whether two states have the same keys, all the way down."""
    if isinstance(one, dict) and isinstance(other, dict):
        return set(one) == set(other) and all(same_keys(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return all(same_keys(a, b) for a, b in zip(one, other, strict=True))
    return True


def test_two_schedules_of_one_optimizer_go_on_from_each_other():
    optimizer, first = make(lambda s, o: s.ExponentialLR(o, 0.5))
    second = S.MultiStepLR(optimizer, [2], 0.1)
    for _ in range(3):
        first.step()
        second.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * 0.5**3 * 0.1)


def test_a_schedule_that_defines_get_lr():
    class WarmUp(S._LRScheduler):
        def get_lr(self):
            return [base * min(1.0, (self.last_epoch + 1) / 4) for base in self.base_lrs]

    _, schedule = make(lambda s, o: WarmUp(o))
    seen = []
    for _ in range(4):
        seen += schedule.get_last_lr()
        schedule.step()
    assert seen == [0.125, 0.25, 0.375, 0.5]


def test_cycles_by_their_formula():
    """A triangle of 4 steps up and 3 down; the momentum moves the other way."""
    optimizer, schedule = make(lambda s, o: s.CyclicLR(o, 0.1, 0.7, 4, 3))
    for t in range(1, 15):
        schedule.step()
        at = t % 7
        part = at / 4 if at <= 4 else (7 - at) / 3
        group = optimizer.param_groups[0]
        assert group["lr"] == pytest.approx(0.1 + 0.6 * part)
        assert group["momentum"] == pytest.approx(0.9 - 0.1 * part)
    plain = optim.Adagrad([nn.Parameter(ag.ones(1))])
    with pytest.raises(ValueError, match="Adagrad has no momentum to cycle"):
        S.CyclicLR(plain, 0.1, 0.2)
    with pytest.raises(ValueError, match="mode must be"):
        S.CyclicLR(optimizer, 0.1, 0.2, mode="square")
    with pytest.raises(ValueError, match="expected 1 values for max_lr"):
        S.CyclicLR(optimizer, 0.1, [0.2, 0.3])


def test_three_phases_by_their_formula():
    optimizer, schedule = make(
        lambda s, o: s.OneCycleLR(
            o, 1.0, 10, three_phase=True, pct_start=0.4, anneal_strategy="linear"
        )
    )
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(9):
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    low, rise = 1 / 25, (1 - 1 / 25) / 3
    down = [low + rise * k for k in range(4)]
    end = low / 1e4
    expected = [*down, *reversed(down[:3]), *(low + (end - low) * k / 3 for k in (1, 2, 3))]
    assert rates == pytest.approx(expected)


def test_combinations_refuse_what_they_cannot_step():
    optimizer, first = make(lambda s, o: s.ConstantLR(o))
    _, other = make(lambda s, o: s.ConstantLR(o))
    with pytest.raises(ValueError, match="belong to the optimizer"):
        S.ChainedScheduler([first, other])
    with pytest.raises(ValueError, match="at least one"):
        S.ChainedScheduler([])
    with pytest.raises(ValueError, match="takes a metric"):
        S.SequentialLR(optimizer, [first, S.ReduceLROnPlateau(optimizer)], [2])
    with pytest.raises(TypeError, match="takes schedulers"):
        S.ChainedScheduler([optimizer])
