"""Random functions with views, in-place writes and gradients: compiled and eager do the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag

STEPS = 14


def _views(rng: np.random.Generator, x: Any) -> Any:
    """A view (or for some reshapes a copy) of x."""
    choice = rng.integers(5)
    if choice == 0 and x.ndim:
        d = int(rng.integers(x.ndim))
        start = int(rng.integers(x.shape[d]))
        return x.narrow(d, start, int(rng.integers(1, x.shape[d] - start + 1)))
    if choice == 1 and x.ndim > 1:
        return x.transpose(0, x.ndim - 1)
    if choice == 2:
        return x.reshape(-1)
    if choice == 3 and x.ndim:
        return x[int(rng.integers(x.shape[0]))]
    return x.unsqueeze(0)


def _fresh(rng: np.random.Generator, x: Any, y: Any) -> Any:
    """A new tensor made of x and perhaps a number from y."""
    choice = rng.integers(5)
    if choice == 0:
        return x * 0.5 + 1
    if choice == 1:
        return ag.tanh(x) * 1.5  # its backward needs tanh's own result, which nobody overwrites
    if choice == 2:
        return x + y.mean()
    if choice == 3:
        return x.detach() * 1.5
    return x.clone()


def _write(rng: np.random.Generator, x: Any, y: Any) -> None:
    """Write into the memory of x."""
    choice = rng.integers(4)
    if choice == 0:
        x.mul_(0.5)
    elif choice == 1:
        x.add_(y.sum() * 0.1)
    elif choice == 2 and x.ndim:
        x[-1] = y.mean()
    else:
        x.copy_(ag.sin(x) + 0.25)


def random_function(seed: int, state: Any) -> Callable[[Any], Any]:
    """A function that is a pure choice of `seed`; it writes `state` and results of its own."""

    def f(x: Any) -> Any:
        rng = np.random.default_rng(seed)
        pool = [x * 1.0, state]
        for _ in range(STEPS):
            i, j = rng.integers(len(pool), size=2)
            kind = rng.integers(3)
            if kind == 0:
                pool.append(_views(rng, pool[i]))
            elif kind == 1:
                pool.append(_fresh(rng, pool[i], pool[j]))
            else:
                with ag.no_grad():
                    _write(rng, pool[i], pool[j])
        return [t.sum() for t in pool], pool[-1]

    return f


@pytest.mark.parametrize("seed", range(40))
def test_views_and_writes(seed: int) -> None:
    start = np.random.default_rng(1000 + seed).standard_normal((3, 4)).astype(np.float32)
    x = ag.tensor(start)
    state, twin = ag.tensor(start * 2), ag.tensor(start * 2)
    eager = random_function(seed, state)
    fast = ag.compile(random_function(seed, twin), backend="reference")
    for _ in range(3):
        (sums, last), (got, got_last) = eager(x), fast(x)
        for a, b in zip(got, sums, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(got_last.numpy(), last.numpy(), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(twin.numpy(), state.numpy(), rtol=1e-5, atol=1e-5)
    assert len(fast.programs) == 1


def random_differentiable(seed: int) -> Callable[[Any, Any], Any]:
    """A function of two tensors whose in-place writes are part of its gradient."""

    def f(x: Any, w: Any) -> Any:
        rng = np.random.default_rng(seed)
        pool = [x * 1.0, w * x]
        for _ in range(8):
            i, j = rng.integers(len(pool), size=2)
            kind = rng.integers(4)
            if kind < 2:
                pool.append(_fresh(rng, pool[i], pool[j]))
            elif kind == 2:
                pool[i][0] = pool[j][1] * 2
            else:
                pool[i][1:].mul_(pool[j].sum())
        total = sum((t.square().mean() for t in pool), w.sum())
        return total

    return f


@pytest.mark.parametrize("seed", range(30))
def test_gradients_inside_and_outside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, w = (ag.tensor(rng.standard_normal((3, 2)).astype(np.float32)) for _ in range(2))
    x.requires_grad_()
    w.requires_grad_()
    f = random_differentiable(seed)
    want = ag.autograd.grad(f(x, w), (x, w), allow_unused=True)
    assert all(g.isfinite().all() for g in want)
    inside = ag.compile(
        lambda x, w: ag.autograd.grad(f(x, w), (x, w), allow_unused=True), backend="reference"
    )
    outside = ag.compile(f, backend="reference")
    for _ in range(2):
        found = inside(x, w), ag.autograd.grad(outside(x, w), (x, w), allow_unused=True)
        for got in found:
            for a, b in zip(got, want, strict=True):
                np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-5)
