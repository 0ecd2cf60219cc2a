"""Sums and products of sparse tensors, element by element."""

import numpy as np
import pytest

import argand as ag

HELD = ag.sparse_coo_tensor([[0, 1, 1], [2, 0, 0]], [3.0, 4.0, 5.0], (2, 3))
WHOLE = np.array([[0, 0, 3], [9, 0, 0]], np.float32)
PLAIN = ag.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    "f",
    [
        lambda x, d: d + x,
        lambda x, d: x + d,
        lambda x, d: d - x,
        lambda x, d: x - d,
        lambda x, d: d * x,
        lambda x, d: x * d,
        lambda x, d: x * 2 + x / 4,
        lambda x, d: -x - 3 * x,
        lambda x, d: x * x,
        lambda x, d: d + abs(x) * 2,
    ],
)
def test_what_dense_arrays_give(f) -> None:
    np.testing.assert_array_equal(f(HELD, PLAIN).to_dense().numpy(), f(WHOLE, PLAIN.numpy()))


def test_places_that_come_again_are_added_before_a_function() -> None:
    found = HELD.sqrt()
    assert found.is_coalesced() and found.values().tolist() == [np.sqrt(np.float32(3)), 3]
    assert (HELD + HELD).values().tolist() == [6, 18]


def test_sums_dtypes_and_gradients() -> None:
    assert HELD.sum().item() == 12 and ag.sparse.sum(HELD, 1).to_dense().tolist() == [3, 9]
    assert (PLAIN.double() + HELD).dtype is ag.float64
    assert (ag.eye(3) + ag.eye(3, dtype=ag.int64).to_sparse()).dtype is ag.float32
    values, plain = ag.ones(3, requires_grad=True), ag.ones(2, 3, requires_grad=True)
    x = ag.sparse_coo_tensor(HELD._indices(), values, (2, 3))
    ((plain + x) * PLAIN).sum().backward()
    assert values.grad.tolist() == [2, 3, 3] and plain.grad.tolist() == PLAIN.tolist()


def test_refusals() -> None:
    with pytest.raises(RuntimeError, match="to_dense"):
        HELD + 1
    with pytest.raises(RuntimeError, match="to_dense"):
        HELD / PLAIN
    with pytest.raises(ValueError, match="one shape"):
        HELD + ag.ones(3)
