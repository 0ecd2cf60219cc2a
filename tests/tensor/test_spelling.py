"""Reductions by NumPy's names of their arguments."""

from __future__ import annotations

import numpy as np
import pytest

import argand as ag

REDUCTIONS = ["sum", "mean", "prod", "var", "std", "max", "min", "argmax", "argmin", "any", "all"]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_axis_keepdims_and_out(name: str) -> None:
    x = ag.tensor(np.random.default_rng(0).standard_normal((3, 4)))
    reduce = getattr(ag, name)
    wanted, found = reduce(x, 1, keepdim=True), reduce(x, axis=1, keepdims=True)
    if name in ("max", "min"):
        wanted, found = wanted.values, found.values
    else:
        out = ag.zeros(3, 1, dtype=wanted.dtype)
        assert reduce(x, 1, keepdim=True, out=out) is out
        np.testing.assert_array_equal(out.numpy(), wanted.numpy())
    assert found.shape == (3, 1)
    np.testing.assert_array_equal(found.numpy(), wanted.numpy())
    with pytest.raises(TypeError, match="unexpected argument 'axes'"):
        reduce(x, axes=1)
