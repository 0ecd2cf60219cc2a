"""Sequences of random draws beside PyTorch's, by one generator each, bit by bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import random_numbers

import argand as ag

torch = pytest.importorskip("torch", reason="PyTorch isn't installed beside the project")

Draw = Callable[[Any], Any]


@pytest.fixture(autouse=True)
def twister() -> Iterator[None]:
    with ag.settings.using(generator="mt19937"):
        yield


def _shape(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(n) for n in rng.integers(1, 40, rng.integers(1, 4)))


def _stored(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Draw:
    """A tensor to write to, stored in any order and with gaps."""
    order = [int(d) for d in rng.permutation(len(shape))]
    step = int(rng.integers(1, 3))
    base = [shape[d] * step for d in order]
    back = [order.index(d) for d in range(len(shape))]
    gaps = (slice(None, None, step),) * len(shape)
    return lambda m: m.zeros(base, dtype=getattr(m, dtype))[gaps].permute(back)


def _in_place(rng: np.random.Generator) -> Draw:
    name = str(rng.choice(list(random_numbers.IN_PLACE)))
    low, width = float(rng.normal()), float(rng.exponential()) + 0.01
    p = float(rng.uniform(0.05, 0.95))
    given: tuple[Any, ...] = {
        "normal_": (low, width),
        "uniform_": (low, low + width),
        "cauchy_": (low, width),
        "log_normal_": (low, width),
        "exponential_": (width,),
        "random_": (int(low * 100), int(low * 100) + int(2 ** rng.uniform(0, 10)) + 1),
    }.get(name, (p,))
    # 16-bit floats hold whole numbers up to 256 exactly
    dtype = "float32" if name == "random_" else str(rng.choice(random_numbers.FLOATS))
    target = _stored(rng, _shape(rng), dtype)
    return lambda m: getattr(target(m), name)(*given)


def _made(rng: np.random.Generator) -> Draw:
    shape, dtype = _shape(rng), str(rng.choice(random_numbers.FLOATS))
    low, high = sorted(int(n) for n in rng.integers(-(2**40), 2**40, 2))
    few = int(rng.integers(1, 250))
    target = _stored(rng, shape, dtype)
    draws: list[Draw] = [
        lambda m: m.rand(shape, dtype=getattr(m, dtype)),
        lambda m: m.randn(shape, dtype=getattr(m, dtype)),
        lambda m: m.randint(0, few, shape),
        lambda m: m.randint(low, high + 1, shape),
        lambda m: m.randperm(few),
        lambda m: m.rand_like(target(m)),
        lambda m: m.randn_like(target(m)),
        lambda m: m.randint_like(target(m), few),
        lambda m: m.bernoulli(target(m).fill_(0.3)),
        lambda m: m.nn.functional.dropout(target(m).fill_(1), 0.37),
        lambda m: m.multinomial(m.arange(1, few + 1).to(getattr(m, dtype)), 1),
        lambda m: m.multinomial(m.arange(1, 50).to(getattr(m, dtype)), few, True),
    ]
    return draws[rng.integers(len(draws))]


def _layer(rng: np.random.Generator) -> Draw:
    a, b, k = (int(n) for n in rng.integers(1, 12, 3))
    dtype = str(rng.choice(random_numbers.FLOATS))
    layers: list[Draw] = [
        lambda m: m.nn.Linear(a, b, dtype=getattr(m, dtype)),
        lambda m: m.nn.Conv2d(a, b, k % 4 + 1, dtype=getattr(m, dtype)),
        lambda m: m.nn.ConvTranspose1d(a, b, k),
        lambda m: m.nn.Embedding(a, b),
        lambda m: m.nn.LSTM(a, b, k % 3 + 1, bidirectional=k % 2 == 0),
        lambda m: m.nn.GRUCell(a, b),
        lambda m: m.nn.MultiheadAttention(4 * a, 4),
        lambda m: m.nn.TransformerDecoderLayer(4 * a, 2, b),
        lambda m: m.nn.Bilinear(a, b, k),
    ]
    make = layers[rng.integers(len(layers))]
    return lambda m: m.cat([p.reshape(-1) for p in make(m).parameters()])


@pytest.mark.parametrize("seed", range(30))
def test_sequences_of_draws(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = int(rng.integers(-(2**62), 2**62))
    for m in (torch, ag):
        m.manual_seed(start)
    for n in range(30):
        draw = [_in_place, _made, _layer][rng.integers(3)](rng)
        found, expected = (random_numbers.described(m, draw(m)) for m in (ag, torch))
        assert found == expected, f"draw {n} of seed {seed}"
        ours, theirs = (m.get_rng_state().numpy() for m in (ag, torch))
        np.testing.assert_array_equal(ours, theirs)
        if rng.random() < 0.2:  # states are exchanged
            torch.set_rng_state(torch.from_numpy(ours.copy()))
            ag.set_rng_state(ag.from_numpy(theirs.copy()))
