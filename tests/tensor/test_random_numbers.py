"""The numbers of `settings.generator = "mt19937"` against PyTorch's,
`tests/compatibility/random_numbers.json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
import random_numbers

import argand as ag

EXPECTED = json.loads(random_numbers.NUMBERS.read_text())
CASES = random_numbers.cases()


@pytest.fixture(autouse=True)
def twister() -> Iterator[None]:
    with ag.settings.using(generator="mt19937"):
        yield


def test_every_case_is_recorded() -> None:
    assert {*CASES, "computed"} == set(EXPECTED)
    assert set(random_numbers.COMPUTED) == set(EXPECTED["computed"])


@pytest.mark.parametrize("name", CASES)
def test_numbers(name: str) -> None:
    assert random_numbers.drawn(ag, CASES[name]) == EXPECTED[name]


@pytest.mark.parametrize("name", random_numbers.COMPUTED)
def test_what_is_computed_of_numbers(name: str) -> None:
    found = random_numbers.dropped(ag, random_numbers.COMPUTED[name])
    assert found == pytest.approx(EXPECTED["computed"][name], rel=1e-4, abs=1e-5)


def test_many_numbers_are_those_of_many_draws() -> None:
    ag.manual_seed(5)
    parts = [ag.rand(7_000) for _ in range(20)]
    after = ag.rand(1)
    ag.manual_seed(5)
    assert ag.equal(ag.rand(140_000), ag.cat(parts))
    assert ag.equal(ag.rand(1), after)


def test_states_go_back_and_forth() -> None:
    state = ag.manual_seed(3).get_state()
    first = ag.randn(3)  # leaves the second number of a pair waiting
    between, rest = ag.get_rng_state(), ag.randn(2)
    ag.set_rng_state(between)
    assert ag.equal(ag.randn(2), rest)
    ag.set_rng_state(state)
    assert ag.equal(ag.randn(3), first)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (lambda: ag.zeros(2, dtype=ag.int64), r"uint8 tensor \(5056,\)"),
        (lambda: ag.zeros(5056, dtype=ag.uint8), "no state of a Mersenne Twister"),
    ],
)
def test_no_state(state: Callable[[], ag.Tensor], message: str) -> None:
    before = ag.get_rng_state()
    with pytest.raises(ag.ArgandError, match=message):
        ag.set_rng_state(state())
    assert ag.equal(ag.get_rng_state(), before)


def test_the_setting_decides() -> None:
    own = ag.Generator()
    with ag.settings.using(generator="philox"):
        assert ag.get_rng_state().shape == (2,) and ag.Generator().get_state().shape == (2,)
        assert own.get_state().shape == (5056,)
        ag.manual_seed(0)
        philox = ag.rand(3)
    ag.manual_seed(0)
    assert not ag.equal(ag.rand(3), philox)
    with pytest.raises(ValueError, match="did you mean mt19937"):
        ag.settings.generator = "mt19973"


def test_other_formulas_are_told() -> None:
    with pytest.warns(UserWarning, match="von_mises: .* other formulas than PyTorch"):
        ag.distributions.VonMises(ag.zeros(3), ag.ones(3)).sample()


# -- compiled ------------------------------------------------------------------------------------


def _training() -> tuple[Callable[..., ag.Tensor], list[ag.Tensor]]:
    ag.manual_seed(0)
    model = ag.nn.Sequential(ag.nn.Linear(6, 40), ag.nn.Dropout(0.4), ag.nn.Linear(40, 3))
    optimizer = ag.optim.SGD(model.parameters(), lr=0.1)

    def step(x: ag.Tensor) -> ag.Tensor:
        noise = ag.randn(4, 6) + ag.rand(6)
        loss = model(x + noise).square().mean() + ag.randint(0, 9, (3,)).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step, list(model.parameters())


def test_compiled_code_draws_the_same_numbers() -> None:
    x = ag.arange(24).reshape(4, 6) / 24
    eager, weights = _training()
    losses = [eager(x) for _ in range(4)]
    state = ag.get_rng_state()
    step, compiled_weights = _training()
    compiled = ag.compile(step)
    for expected in losses:
        assert abs(compiled(x).item() - expected.item()) < 1e-5
    assert ag.equal(ag.get_rng_state(), state)
    for w, c in zip(weights, compiled_weights, strict=True):
        assert ag.allclose(w, c, atol=1e-6)


def test_a_compiled_function_follows_the_setting() -> None:
    f = ag.compile(lambda x: x + ag.rand(3))
    x = ag.zeros(3)
    for name in ("mt19937", "philox", "mt19937"):
        with ag.settings.using(generator=name):
            ag.manual_seed(5)
            expected = ag.rand(3)
            for _ in range(3):
                ag.manual_seed(5)
                assert ag.equal(f(x), expected)


def test_compiled_draws_are_listed_as_host_segments() -> None:
    f = ag.compile(lambda x: x * ag.rand(3))
    f(ag.ones(3))
    assert "host: mersenne_uniform" in str(f.explain())
