"""`ag.segment_reduce` against NumPy's reductions of each segment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import argand as ag

REDUCTIONS = {"sum": np.sum, "mean": np.mean, "prod": np.prod, "max": np.max, "min": np.min}
X = np.random.default_rng(1).normal(size=(2, 6, 3))
LENGTHS = np.array([[2, 0, 4], [1, 5, 0]])
NOTHING = {"sum": 0, "mean": np.nan, "prod": 1, "max": -np.inf, "min": np.inf}


def expected(reduce: str, initial: float | None) -> Any:
    found = np.empty((2, 3, 3))
    for row, lengths in enumerate(LENGTHS):
        for n, part in enumerate(np.split(X[row], np.cumsum(lengths)[:-1])):
            if initial is not None and reduce == "mean":
                found[row, n] = (part.sum(0) + initial) / max(len(part), 1)
                continue
            if initial is not None:
                part = np.concatenate([part, np.full((1, 3), initial)])
            found[row, n] = REDUCTIONS[reduce](part, 0) if len(part) else NOTHING[reduce]
    return found


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("initial", [None, 0.5])
def test_segments(reduce: str, initial: float | None) -> None:
    x, lengths = ag.tensor(X, requires_grad=True), ag.tensor(LENGTHS)
    offsets = ag.tensor(np.pad(np.cumsum(LENGTHS, 1), ((0, 0), (1, 0))))
    given: dict[str, Any] = {"axis": 1, "initial": initial}
    found = ag.segment_reduce(x, reduce, lengths=lengths, **given)
    np.testing.assert_allclose(found.detach().numpy(), expected(reduce, initial), rtol=1e-12)
    same = ag.segment_reduce(x, reduce, offsets=offsets, **given)
    np.testing.assert_array_equal(same.detach().numpy(), found.detach().numpy())
    if reduce in ("sum", "prod") or initial is not None:
        assert ag.autograd.gradcheck(
            lambda x: ag.segment_reduce(x, reduce, lengths=lengths, **given), (x,)
        )
    compiled = ag.compile(lambda x, n: ag.segment_reduce(x, reduce, lengths=n, **given))
    np.testing.assert_array_equal(compiled(x, lengths).detach().numpy(), found.detach().numpy())


def test_elements_of_no_segment_are_left_out() -> None:
    x = ag.arange(5.0)
    assert ag.segment_reduce(x, "sum", offsets=ag.tensor([1, 2, 4])).tolist() == [1, 5]
    assert ag.segment_reduce(x, "sum", lengths=ag.tensor([1, 2]), unsafe=True).tolist() == [0, 3]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"reduce": "amax", "lengths": ag.tensor([5])}, "reduce must be one of"),
        ({"reduce": "sum"}, "either lengths or offsets"),
        ({"reduce": "sum", "lengths": ag.tensor([2, 2])}, "add up to the size 5"),
        ({"reduce": "sum", "lengths": ag.tensor([6, -1])}, "at least 0"),
        ({"reduce": "sum", "lengths": ag.tensor([[5]])}, "a number for each segment"),
    ],
)
def test_refusals(given: Any, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        ag.segment_reduce(ag.arange(5.0), **given)
    with pytest.raises(TypeError, match="expected floats"):
        ag.segment_reduce(ag.arange(5), "sum", lengths=ag.tensor([5]))


def test_native_norms_give_their_statistics() -> None:
    x, eps = ag.tensor(X), 1e-3
    y, mean, rstd = ag.native_layer_norm(x, (6, 3), None, None, eps)
    np.testing.assert_allclose(mean.numpy()[:, 0, 0], X.mean((1, 2)))
    np.testing.assert_allclose(rstd.numpy()[:, 0, 0], (X.var((1, 2)) + eps) ** -0.5)
    np.testing.assert_allclose(y.numpy(), ((x - mean) * rstd).numpy(), atol=1e-12)
    y, mean, rstd = ag.native_group_norm(x, None, None, 2, 6, 3, 3, eps)
    grouped = X.reshape(2, 3, 6)
    np.testing.assert_allclose(mean.numpy(), grouped.mean(2))
    np.testing.assert_allclose(rstd.numpy(), (grouped.var(2) + eps) ** -0.5)
    running = ag.zeros(6, dtype=ag.float64), ag.ones(6, dtype=ag.float64)
    y, mean, rstd = ag.native_batch_norm(x, None, None, *running, True, 0.1, eps)
    np.testing.assert_allclose(mean.numpy(), X.mean((0, 2)))
    np.testing.assert_allclose(rstd.numpy(), (X.var((0, 2)) + eps) ** -0.5)
    np.testing.assert_allclose(running[0].numpy(), 0.1 * X.mean((0, 2)))
    with pytest.raises(RuntimeError, match="it doesn't have N = 3"):
        ag.native_group_norm(x, None, None, 3, 6, 3, 3, eps)
