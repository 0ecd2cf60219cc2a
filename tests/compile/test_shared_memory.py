"""Values of one kernel that could share memory: compiled code gives what eager code gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag
import argand.nn.functional as F  # PyTorch's name
from argand import nn
from argand.base.tree import flatten


def normalised_columns(a: Any, b: Any) -> Any:
    return a @ b.relu(), (s := b.softmax(1)) / s.sum(0)


def centred_layer_norm(a: Any, b: Any) -> Any:
    y = F.layer_norm(b, (b.shape[1],))
    return a @ b.relu(), y - y.mean(0)


def sinkhorn(a: Any, b: Any) -> Any:
    product, p = a @ b.relu(), b.exp()
    for _ in range(2):
        p = p / p.sum(1, keepdim=True)
        p = p / p.sum(0)
    return product, p


def sorted_cumulative_sum(a: Any, b: Any) -> Any:
    s = b.softmax(1)
    ordered = s.cumsum(1).sort(1).values
    chain = (a @ b.relu()) @ b.tanh()
    return chain, s / s.sum(0), ordered - s


def two_readers_of_a_dying_value(a: Any, b: Any) -> Any:
    s = b.softmax(1)
    scaled, shifted = s / s.sum(0), s - s.mean(0)
    return (scaled @ b.relu()) @ (shifted @ b.sigmoid()), a @ b.relu()


def row_and_column_of_a_square(a: Any, b: Any) -> Any:
    """One result of the rows' kernel has a value a row, the other one a column."""
    x = (a @ b)[0].exp()
    e = b.sin().exp()
    return e.sum(1) + x, e.sum(0) * x


FUNCTIONS: list[Callable[[Any, Any], Any]] = [
    normalised_columns,
    centred_layer_norm,
    sinkhorn,
    sorted_cumulative_sum,
    two_readers_of_a_dying_value,
    row_and_column_of_a_square,
]


def assert_as_eager(function: Callable[..., Any], *args: Any) -> None:
    wanted, _ = flatten(function(*args))
    got, _ = flatten(ag.compile(function)(*args))
    for g, w in zip(got, wanted, strict=True):
        np.testing.assert_allclose(g.numpy(), w.numpy(), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("n", [2, 5, 16, 33])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_results_of_one_kernel(function: Callable[..., Any], n: int) -> None:
    ag.manual_seed(n)
    assert_as_eager(function, ag.rand(1, n), ag.rand(n, n))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_results_of_one_kernel_of_symbolic_sizes(function: Callable[..., Any]) -> None:
    compiled = ag.compile(function, dynamic=True)
    for n in (3, 7, 20):
        ag.manual_seed(n)
        a, b = ag.rand(1, n), ag.rand(n, n)
        for g, w in zip(compiled(a, b), function(a, b), strict=True):
            np.testing.assert_allclose(g.numpy(), w.numpy(), rtol=2e-5, atol=1e-6)


class Kept(nn.Module):
    """A buffer that a kernel overwrites while another result of the kernel reads the old values."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.register_buffer("load", ag.arange(n).float() + 1)

    def forward(self, x: Any) -> Any:
        return self.step(x)


class NewBesideOld(Kept):
    """The new values don't depend on the old ones, which are read for another result."""

    def step(self, x: Any) -> Any:
        new, old = x.exp(), self.load.sin()
        self.load.copy_(new)
        return old


class RowsAndColumns(Kept):
    """The new values come row by row, and at the end the old ones are read column by column."""

    def step(self, x: Any) -> Any:
        e = x.sin().exp()
        old = e.sum(0) * self.load
        self.load.copy_(self.load + e.sum(1))
        return old


class Doubled(Kept):
    """The old values are read for two results, one of another index."""

    def step(self, x: Any) -> Any:
        old = self.load * x + self.load[:, None]
        self.load.mul_(0.5)
        return old


@pytest.mark.parametrize("n", [2, 5, 16, 33])
@pytest.mark.parametrize("module", [NewBesideOld, RowsAndColumns, Doubled])
def test_state_is_overwritten_after_its_last_reader(module: type[Kept], n: int) -> None:
    ag.manual_seed(n)
    x = ag.rand(n) if module is NewBesideOld else ag.rand(n, n)
    eager, compiled = module(n), module(n)
    run = ag.compile(compiled)
    for _ in range(3):
        np.testing.assert_allclose(run(x).numpy(), eager(x).numpy(), rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(compiled.load.numpy(), eager.load.numpy(), rtol=2e-5)
