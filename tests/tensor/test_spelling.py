"""Reductions by NumPy's names of their arguments."""

from __future__ import annotations

import operator

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


def test_parts_may_be_given_by_their_ends_or_their_number() -> None:
    x = ag.arange(5)
    assert [p.tolist() for p in x.tensor_split(indices=[1, 3])] == [[0], [1, 2], [3, 4]]
    assert [p.tolist() for p in ag.tensor_split(x, sections=2)] == [[0, 1, 2], [3, 4]]
    for wrong in ({}, {"indices": [1], "sections": 2}):
        with pytest.raises(TypeError, match="takes one of"):
            ag.tensor_split(x, **wrong)


def test_parts_and_sums_of_shapes_are_shapes() -> None:
    shape = ag.ones(2, 3, 4).shape
    for found, wanted in (
        (shape[:-1], (2, 3)),
        (operator.add(shape[1:], (5,)), (3, 4, 5)),
        (operator.add((5,), shape), (5, 2, 3, 4)),
        (shape[:1] * 2, (2, 2)),
        (2 * shape[:1] + ag.Size([7]), (2, 2, 7)),
    ):
        assert type(found) is ag.Size and found == wanted
        assert found.numel() == np.prod(wanted)
    assert shape[-1] == 4 and isinstance(shape[0], int)
    with pytest.raises(TypeError):
        operator.add(shape, [1])
