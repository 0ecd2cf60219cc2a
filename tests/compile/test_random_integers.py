"""Random functions of two int arguments: eager and compiled agree for many values of each."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag

X = ag.tensor(np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32))
I = ag.arange(7)  # noqa: E741

BODIES = [
    "x * {0} + {1}",
    "x[:, {0}:{1}].sum(1)",
    "I * {0}",
    "(x + {0}, {1}, {2})",
    "x.roll({0}, 1) * {1}",
    "x / ({0} / {1})",
    "I // {0}",
    "I % {0}",
    "ag.zeros(abs({0}) % 20 + 1) + {1}",
    "x[{0} % 5]",
    "x[{0}]",
    "ag.where(I < {0}, I, {1})",
    "ag.arange({0}, {0} + 10)[:5].sum()",
    "x.repeat(abs({0}) % 4, 1) * {1}",
    "x * min(1.0, {0} / 7)",
]


def expression(rng: random.Random, depth: int) -> str:
    if depth == 0:
        return rng.choice(["n", "m", "n", "x.shape[0]", f"({rng.randint(-4, 9)})"])
    a, b, c, d = (expression(rng, depth - 1) for _ in range(4))
    compare = rng.choice(["<", "<=", ">", "==", "!=", ">="])
    return rng.choice(
        [
            f"({a} + {b})",
            f"({a} - {b})",
            f"({a} * {b})",
            f"({a} // {b})",
            f"({a} % {b})",
            f"min({a}, {b})",
            f"max({a}, {b})",
            f"abs({a})",
            f"(-{a})",
            f"({a} if {b} {compare} {c} else {d})",
        ]
    )


def source(rng: random.Random) -> str:
    return rng.choice(BODIES).format(*(expression(rng, rng.randint(0, 2)) for _ in range(3)))


def outcome(f: Callable[..., Any], *args: Any) -> Any:
    try:
        return f(*args)
    except Exception as error:
        return type(error)


def same(a: Any, b: Any) -> bool:
    if isinstance(b, tuple):
        return isinstance(a, tuple) and all(map(same, a, b))
    if not isinstance(b, ag.Tensor):
        return type(a) is type(b) and bool(a == b)
    if not isinstance(a, ag.Tensor) or a.dtype is not b.dtype or a.shape != b.shape:
        return False
    arrays = (t.double().numpy() for t in (a, b))
    return bool(np.allclose(*arrays, rtol=1e-4, atol=1e-5, equal_nan=True))


def check(seed: int, backend: str) -> None:
    rng = random.Random(seed)
    text = source(rng)
    f = eval(f"lambda x, n, m: {text}", {"ag": ag, "I": I})
    fast = ag.compile(f, backend=backend)
    with ag.settings.using(retrace_limit=100):
        for _ in range(14):
            n, m = rng.randint(-4, 20), rng.randint(-4, 20)
            got, expected = outcome(fast, X, n, m), outcome(f, X, n, m)
            assert same(got, expected), f"seed {seed}: {text} for n = {n}, m = {m}: {got}"


@pytest.mark.parametrize("block", range(4))
def test_random_functions_of_ints(block: int) -> None:
    for seed in range(20 * block, 20 * block + 20):
        check(seed, "cpu" if seed % 4 == 0 else "reference")


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_many_random_functions_of_ints(block: int) -> None:
    for seed in range(1000 + 50 * block, 1050 + 50 * block):
        check(seed, "cpu" if seed % 2 == 0 else "reference")
