"""Views of diagonals, windows and any strides: they are the memory of what they are taken of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import argand as ag
from argand.base.strides import repeats_places


def through_views(x: Any) -> Any:
    """Writes through every kind of view; a result that overlapping windows were read for."""
    y = x * 2
    y.diagonal().mul_(3.0)
    y.diagonal(1)[1:] += 1.0
    y.unfold(1, 2, 2).mul_(0.5)
    y[1:].as_strided((2, 2), (1, 4)).exp_()
    return (y.unfold(0, 3, 1) ** 2).sum()


def reference(x: np.ndarray) -> np.ndarray:
    """What `through_views` leaves in the memory of its tensor."""
    y = x * 2
    y[range(4), range(4)] *= 3
    y[[1, 2], [2, 3]] += 1
    y *= 0.5
    y[1:3, :2] = np.exp(y[1:3, :2])
    return y


def windows(y: np.ndarray) -> float:
    return float(sum((y[i : i + 3] ** 2).sum() for i in range(2)))


@pytest.mark.parametrize("wrap", [lambda f: f, ag.compile], ids=["eager", "compiled"])
def test_writes_through_views_and_their_gradients(wrap: Any) -> None:
    x = np.random.default_rng(0).normal(size=(4, 4))

    def value_and_gradient(t: Any) -> Any:
        value = through_views(t)
        return value, ag.autograd.grad(value, t)[0]

    value, slope = wrap(value_and_gradient)(ag.tensor(x, requires_grad=True))
    np.testing.assert_allclose(value.item(), windows(reference(x)), rtol=1e-12)
    step = 1e-6
    for place in np.ndindex(x.shape):
        high, low = x.copy(), x.copy()
        high[place] += step
        low[place] -= step
        difference = (windows(reference(high)) - windows(reference(low))) / (2 * step)
        np.testing.assert_allclose(slope[place].item(), difference, rtol=1e-5, atol=1e-6)


def test_a_compiled_function_returns_views_of_its_arguments() -> None:
    @ag.compile
    def views(x: Any) -> Any:
        return x.diagonal(), x.unfold(1, 2, 2), x[1:].as_strided((2,), (3,))

    for _ in range(3):
        x = ag.zeros(3, 4)
        for part in views(x):
            part.add_(1.0)
        expected = np.eye(3, 4) + 1
        expected[1, [0, 3]] += 1
        np.testing.assert_array_equal(x.numpy(), expected)


def test_any_strides_are_those_of_the_memory() -> None:
    memory = ag.arange(12.0)
    x = memory.reshape(3, 4).t()[1:]
    np.testing.assert_array_equal(x.as_strided((2, 2), (1, 1)).numpy(), [[1, 2], [2, 3]])
    assert x.as_strided((2,), (1,), 0).tolist() == [0, 1]
    x.as_strided((1,), (1,), 11).fill_(-1.0)
    assert memory[-1].item() == -1
    with pytest.raises(RuntimeError, match="reaches element 12 of 12"):
        x.as_strided((2,), (1,), 11)


def test_a_compiled_function_knows_places_in_memory() -> None:
    def place(x: Any) -> Any:
        return x.as_strided((2, 2), (2, 1), 5), (x * 2)[1:].as_strided((2,), (1,), 3)

    fast, memory, held = ag.compile(place), ag.arange(20.0), ag.arange(16.0)[2:]
    for x in (memory[:12], memory[2:14], memory[5:17], memory[2:14], memory.reshape(4, 5).t()):
        for found, expected in zip(fast(x), place(x), strict=True):
            assert found.tolist() == expected.tolist()
    captured = ag.compile(lambda: held.as_strided((3,), (2,), 4) + 0)
    assert captured().tolist() == held.as_strided((3,), (2,), 4).tolist() == [4, 6, 8]
    with pytest.raises(ag.ArgandError, match="pass the tensor that owns the memory"):
        fast(memory[7:])


def test_overlapping_windows_are_not_written() -> None:
    for view in (ag.zeros(5).unfold(0, 3, 2), ag.zeros(5).as_strided((2, 2), (1, 1))):
        with pytest.raises(RuntimeError, match="read-only"):
            view.add_(1)


def test_strides_that_meet_are_found() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        shape = rng.integers(1, 4, 3)
        strides = rng.integers(0, 8, 3)
        places = [int(np.dot(i, strides)) for i in np.ndindex(*shape)]
        if len(set(places)) < len(places):
            assert repeats_places(shape.tolist(), strides.tolist())
    for order in ((12, 4, 1), (1, 2, 6), (30, 5, 1)):
        assert not repeats_places((2, 3, 4), order)


def test_regions_are_replaced() -> None:
    x, ones = ag.zeros(3, 4), ag.ones
    assert ag.select_scatter(x, ones(3), 1, -1).sum(0).tolist() == [0, 0, 0, 3]
    assert ag.slice_scatter(x, ones(3, 2), 1, 1, None, 2).sum(0).tolist() == [0, 3, 0, 3]
    assert ag.slice_scatter(x, ones(0, 4), 0, 2, 1).sum().item() == 0
    assert ag.diagonal_scatter(x, ones(2), -1).nonzero().tolist() == [[1, 0], [2, 1]]
    assert ag.as_strided_scatter(x, ones(3), (3,), (5,)).nonzero().tolist() == [
        [0, 0],
        [1, 1],
        [2, 2],
    ]
    for call in (
        lambda: ag.select_scatter(x, ones(4), 1, 0),
        lambda: ag.slice_scatter(x, ones(3, 3), 1, 1, None, 2),
        lambda: ag.diagonal_scatter(x, ones(4)),
        lambda: ag.as_strided_scatter(x, ones(2, 2), (2, 2), (1, 1)),
        lambda: ag.as_strided_scatter(x, ones(3), (2,), (1,)),
    ):
        with pytest.raises(RuntimeError):
            call()


def test_copies_of_views_have_memory_of_their_own() -> None:
    x = ag.arange(6.0).reshape(2, 3)
    copies = [
        ag.t_copy(x),
        ag.view_copy(x, (3, 2)),
        ag.squeeze_copy(x),
        ag.diagonal_copy(x),
        *ag.unbind_copy(x),
        *ag.split_with_sizes_copy(x, [1, 1]),
        ag.detach_copy(x),
        ag.alias_copy(x),
        x.narrow_copy(1, 0, 2),
    ]
    before = [c.tolist() for c in copies]
    x.zero_()
    assert [c.tolist() for c in copies] == before
