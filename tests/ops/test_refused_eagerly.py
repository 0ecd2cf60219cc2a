"""Look-ups that NumPy would do in another way than the op says are refused by eager code."""

from __future__ import annotations

import pytest

import argand as ag


def test_an_index_of_another_rank_is_refused() -> None:
    with pytest.raises(RuntimeError, match="as many dimensions as the tensor"):
        ag.gather(ag.ones(4, 2), 0, ag.tensor([0]))


def test_a_table_of_one_dimension_is_refused() -> None:
    with pytest.raises(RuntimeError, match="embedding"):
        ag.nn.functional.embedding(ag.tensor([0]), ag.ones(4))


@pytest.mark.parametrize("dtype", [ag.int64, ag.int32, ag.uint8])
def test_an_index_outside_the_range_is_refused_in_every_dtype(dtype: ag.dtype) -> None:
    with pytest.raises(IndexError, match="index 4 is out of range"):
        ag.gather(ag.ones(4), 0, ag.tensor([0, 4], dtype=dtype))


@pytest.mark.parametrize("index", [-1, -(2**63), 2**63 - 1])
def test_an_index_far_outside_the_range_is_refused(index: int) -> None:
    with pytest.raises(IndexError, match=f"index {index} is out of range"):
        ag.gather(ag.ones(4), 0, ag.tensor([0, index]))
    if index != -1:
        with pytest.raises(IndexError, match="out of range"):
            ag.ones(4)[ag.tensor([0, index])]
