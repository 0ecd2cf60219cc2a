"""Products in groups against one product for each group."""

import numpy as np
import pytest

import argand as ag
from argand.base.errors import ShapeError

F = ag.nn.functional
ENDS = [2, 2, 5]


def drawn(*shape):
    return ag.tensor(np.random.default_rng(len(shape)).normal(size=shape), requires_grad=True)


def ends(*numbers):
    return ag.tensor(numbers, dtype=ag.int32)


def test_rows_of_groups_meet_their_matrix():
    a, b = drawn(6, 4), drawn(3, 4, 2)
    found = F.grouped_mm(a, b, offs=ends(*ENDS), bias=ag.ones(2, dtype=ag.float64))
    wanted = [a.detach().numpy()[i] @ b.detach().numpy()[g] for i, g in enumerate((0, 0, 2, 2, 2))]
    np.testing.assert_allclose(found.detach().numpy(), [*np.add(wanted, 1), [1, 1]], rtol=1e-12)
    found.sum().backward()
    assert b.grad[1].count_nonzero() == 0 and a.grad[5].count_nonzero() == 0
    np.testing.assert_allclose(b.grad[0, :, 0].numpy(), a.detach()[:2].sum(0).numpy())


def test_columns_and_sums_of_groups():
    a, b = drawn(3, 2, 4), drawn(4, 6)
    found = F.grouped_mm(a, b, offs=ends(*ENDS)).detach().numpy()
    x, y = a.detach().numpy(), b.detach().numpy()
    np.testing.assert_allclose(found[:, 3], x[2] @ y[:, 3])
    assert found.shape == (2, 6) and not found[:, 5].any()
    sums = F.grouped_mm(b, b.T, offs=ends(*ENDS)).detach().numpy()
    np.testing.assert_allclose(sums[2], y[:, 2:5] @ y[:, 2:5].T)
    assert sums.shape == (3, 4, 4) and not sums[1].any()
    pairs = F.grouped_mm(a, drawn(3, 4, 5), out_dtype=ag.float32)
    assert pairs.shape == (3, 2, 5) and pairs.dtype is ag.float32


def test_groups_that_dont_fit_are_refused():
    a, b = ag.ones(6, 4), ag.ones(3, 4, 2)
    with pytest.raises(ValueError, match="without offs"):
        F.grouped_mm(a, b)
    with pytest.raises(ValueError, match="with offs"):
        F.grouped_mm(b, b.mT, offs=ends(1, 2, 3))
    with pytest.raises(ShapeError, match="3 matrices for 2 groups"):
        F.grouped_mm(a, b, offs=ends(1, 2))
    for wrong in ((2, 1, 3), (1, 2, 7)):
        with pytest.raises(ValueError, match="ascend from 0 to no more than 6"):
            F.grouped_mm(a, b, offs=ends(*wrong))
    with pytest.raises(ShapeError, match="sizes 4 and 2"):
        F.grouped_mm(a, b.mT, offs=ends(1, 2, 3))
