"""Random functions with views, in-place writes, aliases and gradients: compiled as eager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from random_functions import LAYERS, fresh, layer, number, random_function

import argand as ag
from argand.base.errors import TraceError
from suites import first

SEEDS = first(12, range(30))


def aliased(kind: int, start: np.ndarray) -> tuple[list[Any], list[Any]]:
    """Two arguments and two states: apart, the same, views of one another, overlapping."""
    x = ag.tensor(start)
    state = ag.tensor(start * 2)
    if kind == 0:
        return [x, ag.tensor(start + 1)], [state, ag.tensor(start[0])]
    if kind == 1:
        return [x, x], [state, state]
    if kind == 2:
        return [x, x.T], [state, state[1:]]
    if kind == 3:
        return [x[:2], x[1:]], [state.reshape(-1), state]
    return [x, state[0]], [state, x[1]]


# How many of the arguments and the state are only read: compiled functions refuse to write what
# another argument shares.
LOCKED = (0, 2, 2, 2, 4)


def condition(seed: int, kind: int, start: np.ndarray) -> float:
    """How far roundings of the operands move the sums."""
    runs = []
    for n in range(4):
        shake = np.random.default_rng(n).uniform(-1, 1, start.shape) * (n > 0)
        args, state = aliased(kind, (start * (1 + 3e-7 * shake)).astype(np.float32))
        ag.manual_seed(seed)
        sums, _ = random_function(seed, state, LOCKED[kind])(*args, 0.25)
        runs.append([float(s) for s in sums])
    return float(np.ptp(np.array(runs, np.float64), axis=0).max())


def flat(results: Any, *more: Any) -> list[np.ndarray]:
    sums, chosen = results
    return [np.array(t.detach().numpy()) for t in (*sums, *chosen, *more)]


def started(seed: int) -> np.ndarray:
    return np.random.default_rng(1000 + seed).standard_normal((3, 4)).astype(np.float32)


@pytest.mark.parametrize("seed", SEEDS)
def test_views_writes_and_aliases(seed: int, compiled: Callable[..., Any]) -> None:
    start, kind = started(seed), seed % 5
    args, state = aliased(kind, start)
    twins, twin_state = aliased(kind, start)
    slow = random_function(seed, state, LOCKED[kind])
    fast = compiled(random_function(seed, twin_state, LOCKED[kind]))
    moved = condition(seed, kind, start)
    for call in range(3):
        ag.manual_seed(seed)
        want = slow(*args, 0.25)
        ag.manual_seed(seed)
        got = fast(*twins, 0.25)
        with ag.no_grad():  # who shares memory with whom shows when it is written
            for n, (a, b) in enumerate(zip(got[1], want[1], strict=True)):
                if all(b.stride()):  # not expanded
                    a.mul_(0.5 + 0.125 * n)
                    b.mul_(0.5 + 0.125 * n)
        pairs = zip(flat(got, *twins, *twin_state), flat(want, *args, *state), strict=True)
        for a, b in pairs:
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            bound = (call + 1) * (8 * moved + 2e-6 * max(1.0, np.abs(b).max(initial=0)))
            np.testing.assert_allclose(a, b, rtol=0, atol=bound)
    assert len(fast.programs) == 1


def test_writes_of_shared_arguments_are_refused(compiled: Callable[..., Any]) -> None:
    """Not silently wrong: an error that says who shares what, and nothing has changed."""
    refused = 0
    for seed in range(20):
        kind = seed % 5
        args, state = aliased(kind, started(seed))
        before = flat(([], []), *args, *state)
        try:
            compiled(random_function(seed, state))(*args, 0.25)
        except TraceError as error:
            assert "shares its memory" in str(error)
            assert kind != 0
            refused += 1
            for a, b in zip(flat(([], []), *args, *state), before, strict=True):
                np.testing.assert_array_equal(a, b)
    assert refused >= 5


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_shared_values(name: str, compiled: Callable[..., Any]) -> None:
    """Every layer that the functions draw, beside other readers of its operand and its result."""

    def f(x: Any) -> Any:
        rng = np.random.default_rng(3)
        y = layer(rng, x, name)
        z = ag.tanh(y) * 0.5
        return y, z + number(y), ag.tanh(x).sum() * z, y.sum(0) if y.ndim else y

    start = np.random.default_rng(5).standard_normal((4, 5)).astype(np.float32)
    fast = compiled(f)
    for _ in range(2):
        ag.manual_seed(1)
        want = f(ag.tensor(start))
        ag.manual_seed(1)
        for a, b in zip(fast(ag.tensor(start)), want, strict=True):
            size = max(1.0, float(b.abs().max()))
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=4e-6 * size)


def random_differentiable(seed: int) -> Callable[[Any, Any], Any]:
    """A function of two tensors whose in-place writes are part of its gradient."""

    def f(x: Any, w: Any) -> Any:
        rng = np.random.default_rng(seed)
        pool = [x * 1.0, w * x]
        for _ in range(8):
            i, j = rng.integers(len(pool), size=2)
            kind = rng.integers(4)
            if kind < 2:
                pool.append(fresh(rng, pool[i], pool[j], 0.25))
            elif kind == 2 and pool[i].ndim == 2:
                pool[i][0] = number(pool[j]) * 2
            elif pool[i].ndim == 2:
                pool[i][1:].mul_(number(pool[j]))
        return sum((t.square().mean() for t in pool), w.sum())

    return f


@pytest.mark.parametrize("seed", first(8, range(20)))
def test_gradients_inside_and_outside(seed: int, compiled: Callable[..., Any]) -> None:
    rng = np.random.default_rng(seed)
    x, w = (ag.tensor(rng.standard_normal((3, 2)).astype(np.float32)) for _ in range(2))
    x.requires_grad_()
    w.requires_grad_()
    f = random_differentiable(seed)

    def seeded(f: Callable[[Any, Any], Any]) -> Any:
        ag.manual_seed(seed)
        return f(x, w)

    want = ag.autograd.grad(seeded(f), (x, w), allow_unused=True)
    assert all(g.isfinite().all() for g in want)
    inside = compiled(lambda x, w: ag.autograd.grad(f(x, w), (x, w), allow_unused=True))
    outside = compiled(f)
    for _ in range(2):
        found = seeded(inside), ag.autograd.grad(seeded(outside), (x, w), allow_unused=True)
        for got in found:
            for a, b in zip(got, want, strict=True):
                np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-5)
