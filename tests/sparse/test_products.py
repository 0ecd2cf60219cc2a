"""Products of sparse tensors against NumPy: values, duplicates, gradients."""

from __future__ import annotations

import numpy as np
import pytest

import argand as ag


def drawn(shape, count, seed, dtype=np.float64):
    """Places, values and the dense array of a random pattern, in which places repeat."""
    rng = np.random.default_rng(seed)
    places = np.stack([rng.integers(0, n, count) for n in shape])
    values = rng.standard_normal(count).astype(dtype)
    dense = np.zeros(shape, dtype)
    np.add.at(dense, tuple(places), values)
    return ag.tensor(places), ag.tensor(values), dense


@pytest.mark.parametrize("count", [0, 1, 7, 40])
@pytest.mark.parametrize("multiply", [ag.mm, ag.matmul, ag.spmm, ag.sparse.mm])
def test_times_a_plain_matrix(count, multiply):
    places, values, dense = drawn((4, 5), count, count)
    x = ag.sparse_coo_tensor(places, values, (4, 5))
    right, left = (
        np.random.default_rng(i).standard_normal(s) for i, s in enumerate([(5, 3), (2, 4)])
    )
    np.testing.assert_allclose(multiply(x, ag.tensor(right)).numpy(), dense @ right, atol=1e-14)
    np.testing.assert_allclose(multiply(ag.tensor(left), x).numpy(), left @ dense, atol=1e-14)
    both = multiply(x, x.t())
    np.testing.assert_allclose(both.to_dense().numpy(), dense @ dense.T, atol=1e-14)


def test_gradients_of_a_product():
    """d(A X)/dX = A^T g, and d(A X)/dA at the places of A is g X^T."""
    places, values, dense = drawn((4, 5), 9, 3)
    values.requires_grad_()
    right = ag.tensor(np.random.default_rng(1).standard_normal((5, 3)), requires_grad=True)
    g = np.random.default_rng(2).standard_normal((4, 3))
    (ag.sparse_coo_tensor(places, values, (4, 5)) @ right).backward(ag.tensor(g))
    np.testing.assert_allclose(right.grad.numpy(), dense.T @ g, atol=1e-14)
    of_dense = g @ right.detach().numpy().T
    np.testing.assert_allclose(values.grad.numpy(), of_dense[tuple(places.numpy())], atol=1e-14)
