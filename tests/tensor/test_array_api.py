"""`argand.array_api` against NumPy, whose namespace has the same names.

`tests/compatibility/standard.py` runs the standard's own tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import array_api as xp

rng = np.random.default_rng(0)
MATRIX = rng.standard_normal((3, 4))


def close(found: Any, wanted: Any) -> None:
    if isinstance(wanted, tuple):
        for f, w in zip(found, wanted, strict=True):
            close(f, w)
        return
    assert str(found.dtype).rpartition(".")[2] == np.asarray(wanted).dtype.name
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12)


CALLS = {
    "concat": lambda m, x: m.concat([x, x], axis=None),
    "cumulative_sum": lambda m, x: m.cumulative_sum(x, axis=1, include_initial=True),
    "expand_dims": lambda m, x: m.expand_dims(x, axis=1),
    "linspace": lambda m, x: m.linspace(0.0, 1.0, 5, endpoint=False, dtype=m.float64),
    "mean": lambda m, x: m.mean(x, axis=(0, 1), keepdims=True),
    "repeat": lambda m, x: m.repeat(x, 2, axis=0),
    "roll": lambda m, x: m.roll(x, 1, axis=(0, 1)),
    "sort": lambda m, x: m.sort(x, axis=0),
    "std": lambda m, x: m.std(x, axis=1, correction=1.0),
    "take": lambda m, x: m.take(x, m.asarray([2, 0]), axis=1),
    "take_along_axis": lambda m, x: m.take_along_axis(x, m.argsort(x), axis=-1),
    "unique_all": lambda m, x: tuple(m.unique_all(m.round(x))),
    "vecdot": lambda m, x: m.vecdot(x, x),
    "where": lambda m, x: m.where(x > 0, x, 0.0),
}


@pytest.mark.parametrize("name", sorted(CALLS))
def test_as_numpy(name: str) -> None:
    close(CALLS[name](xp, ag.from_numpy(MATRIX.copy())), CALLS[name](np, MATRIX))


def test_tensors_without_axes_are_promoted_like_others() -> None:
    assert xp.add(ag.ones(2), ag.tensor(1.0, dtype=ag.float64)).dtype is ag.float64
    assert ag.add(ag.ones(2), ag.tensor(1.0, dtype=ag.float64)).dtype is ag.float32


def test_the_namespace_of_a_tensor() -> None:
    assert ag.ones(2).__array_namespace__(api_version="2024.12") is xp
    with pytest.raises(ValueError, match="no version '1999'"):
        ag.ones(2).__array_namespace__(api_version="1999")


def test_quotients_of_infinities() -> None:
    found = xp.floor_divide(ag.tensor([ag.inf, -ag.inf, 5.0]), ag.tensor([2.0, 2.0, -ag.inf]))
    assert found.tolist() == [ag.inf, -ag.inf, 0.0]
    assert bool(ag.signbit(found[2]))


def test_a_mask_without_dimensions_indexes() -> None:
    x = ag.tensor([1.0, 2.0])
    assert x[ag.tensor(True)].tolist() == [[1.0, 2.0]]
    assert tuple(x[ag.tensor(False)].shape) == (0, 2)
    assert ag.tensor(3.0)[ag.tensor(True)].tolist() == [3.0]
