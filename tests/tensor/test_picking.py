"""Functions that pick, place, order and count elements, against NumPy in float64 and loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import argand as ag

RNG = np.random.default_rng(5)
X = RNG.normal(size=(4, 6))
PLACES = RNG.integers(0, 4, (5, 6))
SOURCE = RNG.normal(size=(5, 6))

each_way = pytest.mark.parametrize("wrap", [lambda f: f, ag.compile], ids=["eager", "compiled"])


@each_way
@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["sum", "mean", "prod", "amax", "amin"])
def test_what_comes_to_one_place_is_combined(reduce: str, include_self: bool, wrap: Any) -> None:
    combine = {"sum": sum, "mean": np.mean, "prod": np.prod, "amax": max, "amin": min}[reduce]
    expected = X.copy()
    for i, j in np.ndindex(*X.shape):
        came = [SOURCE[k, j] for k in range(5) if PLACES[k, j] == i]
        if came:
            expected[i, j] = combine([X[i, j], *came] if include_self else came)

    def combined(x: Any, places: Any, source: Any) -> Any:
        return x.scatter_reduce(0, places, source, reduce, include_self=include_self)

    operands = [ag.tensor(v) for v in (X, PLACES, SOURCE)]
    np.testing.assert_allclose(wrap(combined)(*operands).numpy(), expected, rtol=1e-12)
    if reduce != "sum":
        rows = ag.index_reduce(
            operands[0], 0, operands[1][:, 0], operands[2], reduce, include_self=include_self
        )
        whole = np.broadcast_to(PLACES[:, :1], SOURCE.shape).copy()
        wide = combined(operands[0], ag.tensor(whole), operands[2])
        np.testing.assert_array_equal(rows.numpy(), wide.numpy())


@pytest.mark.parametrize("reduce", ["mean", "prod", "amax", "amin"])
def test_gradients_of_what_is_combined(reduce: str) -> None:
    places = ag.tensor(PLACES)
    operands = [ag.tensor(v, requires_grad=True) for v in (X, SOURCE)]
    for include_self in (True, False):
        assert ag.autograd.gradcheck(
            lambda x, s, k=include_self: x.scatter_reduce(0, places, s, reduce, include_self=k),
            operands,
        )


def test_a_product_with_zeros_has_the_gradient_of_the_others() -> None:
    x = ag.tensor([2.0, 0.0, 3.0], requires_grad=True)
    s = ag.tensor([0.0, 5.0, 4.0, 7.0], requires_grad=True)
    x.scatter_reduce(0, ag.tensor([0, 0, 1, 2]), s, "prod").sum().backward()
    assert x.grad.tolist() == [0, 4, 7]
    assert s.grad.tolist() == [10, 0, 0, 3]


@each_way
def test_running_extremes_name_the_last_of_equal_elements(wrap: Any) -> None:
    x = np.array([[1.0, 3.0, 3.0, 2.0, np.nan, 5.0], [2.0, 2.0, 1.0, 4.0, 4.0, 0.0]])
    values, index = wrap(lambda t: tuple(ag.cummax(t, 1)))(ag.tensor(x))
    np.testing.assert_array_equal(values.numpy(), np.maximum.accumulate(x, 1))
    assert index.tolist() == [[0, 1, 2, 2, 4, 4], [0, 1, 1, 3, 4, 4]]
    values, index = wrap(lambda t: tuple(ag.cummin(t, 1)))(ag.tensor(x))
    np.testing.assert_array_equal(values.numpy(), np.minimum.accumulate(x, 1))
    assert index.tolist() == [[0, 0, 0, 0, 4, 4], [0, 1, 2, 2, 2, 5]]
    t = ag.tensor(X, requires_grad=True)
    assert ag.autograd.gradgradcheck(lambda v: ag.cummax(v, 0).values, [t])


@each_way
def test_logarithms_of_running_sums(wrap: Any) -> None:
    x = X * 100
    with np.errstate(over="ignore"):
        expected = np.logaddexp.accumulate(x, 1)
    found = wrap(lambda t: ag.logcumsumexp(t, 1))(ag.tensor(x))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-13)
    t = ag.tensor([-ag.inf, -ag.inf, 1.0], dtype=ag.float64, requires_grad=True)
    y = ag.logcumsumexp(t, 0)
    y[2].backward()
    assert y.tolist() == [-np.inf, -np.inf, 1.0]
    assert t.grad.tolist() == [0, 0, 1]


def test_medians_and_quantiles_without_nan() -> None:
    x = np.where(RNG.random((5, 7)) < 0.3, np.nan, RNG.normal(size=(5, 7)))
    x[0] = np.nan
    x[0, 3] = 1.5
    t = ag.tensor(x)
    for how in ("linear", "lower", "higher", "nearest", "midpoint"):
        found = ag.nanquantile(
            t, ag.tensor([0.1, 0.5, 0.9], dtype=ag.float64), 1, interpolation=how
        )
        expected = np.nanquantile(x, [0.1, 0.5, 0.9], 1, method=how)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, err_msg=how)
    odd = np.nanquantile(x, 0.5, 1, method="lower")
    np.testing.assert_array_equal(ag.nanmedian(t, 1).values.numpy(), odd)
    assert ag.nanmedian(ag.tensor([ag.nan])).isnan().item()


def test_counts_in_intervals() -> None:
    x, weights = RNG.normal(size=300), RNG.random(300)
    for density in (False, True):
        found = ag.histogram(
            ag.tensor(x), 7, range=(-1.0, 2.0), weight=ag.tensor(weights), density=density
        )
        hist, edges = np.histogram(x, 7, (-1, 2), density=density, weights=weights)
        np.testing.assert_allclose(found.hist.numpy(), hist, rtol=1e-12)
        np.testing.assert_allclose(found.bin_edges.numpy(), edges, rtol=1e-12)
    points = x.reshape(100, 3)
    assert ag.histogram(ag.tensor(x)).hist.shape == (100,)  # PyTorch's default
    hist, edges = np.histogramdd(points, (2, 3, 4), density=True)
    found = ag.histogramdd(ag.tensor(points), (2, 3, 4), density=True)
    np.testing.assert_allclose(found.hist.numpy(), hist, rtol=1e-12)
    for mine, theirs in zip(found.bin_edges, edges, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=1e-12)
    assert ag.histc(ag.ones(0)).sum().item() == 0


@pytest.mark.parametrize("order", [1, 2])
def test_slopes(order: int) -> None:
    rows = np.cumsum(RNG.random(4) + 0.1)
    for ours, theirs in (
        (ag.gradient(ag.tensor(X), edge_order=order), np.gradient(X, edge_order=order)),
        (
            ag.gradient(ag.tensor(X), spacing=[ag.tensor(rows), 0.5], edge_order=order),
            np.gradient(X, rows, 0.5, edge_order=order),
        ),
    ):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.numpy(), b, rtol=1e-10)


@each_way
def test_places_of_what_is_not_zero(wrap: Any) -> None:
    x = np.array([[0, 1, 2], [3, 0, 4]])
    rows = np.argwhere(x)
    for size in (0, 2, 4, 6):
        found = wrap(lambda t, n=size: ag.nonzero_static(t, size=n, fill_value=-7))(ag.tensor(x))
        expected = np.full((size, 2), -7)
        expected[: min(size, 4)] = rows[:size]
        np.testing.assert_array_equal(found.numpy(), expected)
    numbers = np.array([[0, 5], [3, 2]])
    for mine, theirs in zip(
        wrap(lambda t: ag.unravel_index(t, (2, 3)))(ag.tensor(numbers)),
        np.unravel_index(numbers, (2, 3)),
        strict=True,
    ):
        np.testing.assert_array_equal(mine.numpy(), theirs)


def test_turned_split_and_widened() -> None:
    t = ag.tensor(X)
    for k in range(-2, 5):
        np.testing.assert_array_equal(ag.rot90(t, k, (1, 0)).numpy(), np.rot90(X, k, (1, 0)))
    for ours, theirs in ((ag.hsplit, np.hsplit), (ag.vsplit, np.vsplit)):
        for a, b in zip(ours(t, 2), theirs(X, 2), strict=True):
            np.testing.assert_array_equal(a.numpy(), b)
    assert [x.ndim for x in ag.atleast_3d(ag.ones(()), ag.ones(2), t)] == [3, 3, 3]
    np.testing.assert_array_equal(t.sum_to_size(1, 6).numpy(), X.sum(0, keepdims=True))
    assert ag.broadcast_shapes((2, 1), 3, ()) == (2, 3)
    np.testing.assert_array_equal(ag.tril_indices(3, 4, -1).numpy(), np.tril_indices(3, -1, 4))
    scaled = ag.renorm(t, 2, 1, 1.0).numpy()
    lengths = np.linalg.norm(X, axis=0)
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=0), np.minimum(lengths, 1), rtol=1e-6)


def test_integer_sequences_round_their_ends_first() -> None:
    assert ag.linspace(4.3, -3, 5, dtype=ag.int64).tolist() == [4, 2, 0, -1, -3]
    assert ag.logspace(0, 1.2, 2, dtype=ag.int64).tolist() == [1, 10]
    assert ag.arange(0.0, -8.000001, -4.0, dtype=ag.int64).tolist() == [0, -4]
    assert ag.empty_strided((2, 3), (1, 2)).stride() == (1, 2)
    assert ag.empty_permuted((2, 3, 4), (2, 0, 1)).stride() == (3, 1, 6)


def test_trials_until_success() -> None:
    ag.manual_seed(3)
    draws = ag.zeros(20000).geometric_(0.25).numpy()
    for n in range(1, 6):
        share, wanted = (draws == n).mean(), 0.25 * 0.75 ** (n - 1)
        assert abs(share - wanted) < 5 * np.sqrt(wanted / 20000)
    assert ag.zeros(5, dtype=ag.int64).geometric_(0.5).min().item() >= 1
    with pytest.raises(RuntimeError, match="0 < p < 1"):
        ag.zeros(2).geometric_(1.0)


REFUSED = {
    "an order of another shape": lambda x: ag.searchsorted(x[0], x[0], sorter=ag.tensor([0])),
    "both sides": lambda x: ag.searchsorted(x[0], x[0], side="left", right=True),
    "boundaries of rows": lambda x: ag.bucketize(x, x),
    "a mask of numbers": lambda x: ag.masked_fill(x, x, 0.0),
    "several values": lambda x: ag.masked_fill(x, x > 0, ag.ones(1)),
    "a source of another dtype": lambda x: ag.masked_scatter(x, x > 0, x.float()),
    "an unknown reduction": lambda x: x.scatter_reduce(0, ag.tensor(PLACES), x, "max"),
    "an uneven split": lambda x: ag.hsplit(x, 4),
    "one plane": lambda x: ag.rot90(x, 1, (0, 0)),
    "a number outside": lambda x: ag.unravel_index(ag.tensor([24]), (4, 6)),
    "a norm below 0": lambda x: ag.renorm(x, 2, 0, -1.0),
    "too few for the edge": lambda x: ag.gradient(x[:2], dim=0, edge_order=2),
    "a start of booleans": lambda x: ag.narrow(x, 0, ag.tensor(True), 1),
    "a step away from the end": lambda x: ag.arange(10, 9, 5),
    "rows of a number": lambda x: ag.flipud(x[0, 0]),
    "a shape that is larger": lambda x: x.sum_to_size(8, 6),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_refused(call: Any) -> None:
    with pytest.raises((RuntimeError, IndexError, TypeError)):
        call(ag.tensor(X))
