"""`ag.masked` against NumPy's masked arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import argand as ag

X = np.random.default_rng(2).normal(size=(4, 6))
MASK = np.random.default_rng(3).random((4, 6)) < 0.6
MASK[:, 0] = True
CALLS = ("sum", "prod", "mean", "amax", "amin", "argmax", "argmin", "median", "cumsum", "cumprod")


def reference(name: str, row: np.ndarray, taken: np.ndarray) -> Any:
    """The function of one row, of the elements taken."""
    if name in ("cumsum", "cumprod"):
        return getattr(np, name)(np.where(taken, row, name == "cumprod"))
    if name.startswith("arg"):
        return np.flatnonzero(taken)[getattr(np, name)(row[taken])]
    if name == "median":
        return np.sort(row[taken])[(taken.sum() - 1) // 2]
    return getattr(np, name)(row[taken])


@pytest.mark.parametrize("name", CALLS)
def test_only_what_the_mask_names_takes_part(name: str) -> None:
    found = getattr(ag.masked, name)(ag.tensor(X), 1, mask=ag.tensor(MASK)).numpy()
    expected = [reference(name, row, taken) for row, taken in zip(X, MASK, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_spreads_norms_and_shares() -> None:
    x, mask = ag.tensor(X), ag.tensor(MASK)
    rows = [row[taken] for row, taken in zip(X, MASK, strict=True)]
    for found, expected in (
        (ag.masked.var(x, 1, mask=mask), [np.var(r, ddof=1) for r in rows]),
        (ag.masked.std(x, 1, correction=0, mask=mask), [np.std(r) for r in rows]),
        (ag.masked.norm(x, 3, 1, mask=mask), [np.sum(abs(r) ** 3) ** (1 / 3) for r in rows]),
        (ag.masked.logsumexp(x, 1, mask=mask), [np.log(np.exp(r).sum()) for r in rows]),
    ):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    shares = ag.masked.softmax(x, 1, mask=mask).numpy()
    weights = np.where(MASK, np.exp(X), 0)
    np.testing.assert_allclose(shares, weights / weights.sum(1, keepdims=True), rtol=1e-12)
    with pytest.raises(TypeError, match="must be boolean"):
        ag.masked.sum(x, mask=x)
