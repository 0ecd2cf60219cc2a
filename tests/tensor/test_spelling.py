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


def test_sizes_may_be_given_by_name():
    x = ag.arange(6).view(size=(2, 3))
    assert x.reshape(shape=(3, 2)).tolist() == ag.reshape(input=x, shape=(3, 2)).tolist()
    assert x.permute(dims=(1, 0)).tolist() == ag.permute(x, dims=[1, 0]).tolist() == x.T.tolist()
    assert (
        ag.tile(x, dims=(2, 1)).tolist() == x.repeat(repeats=(2, 1)).tolist() == [*x.tolist()] * 2
    )
    assert x.expand(size=(2, -1, 3)).shape == (2, 2, 3)
    assert x.sum_to_size(size=(1, 3)).tolist() == [[3, 5, 7]]
    assert x.resize_(size=(3, 2)).shape == (3, 2)
    with pytest.raises(TypeError, match="once"):
        x.permute(1, 0, dims=(0, 1))
