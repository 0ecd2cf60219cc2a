"""`out=`: results written into tensors that are there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import argand as ag

X = ag.tensor([[3.0, 1.0], [2.0, 5.0]])
CALLS: dict[str, Callable[..., Any]] = {
    "add": lambda **o: ag.add(X, 1, **o),
    "mm": lambda **o: ag.mm(X, X, **o),
    "sum": lambda **o: ag.sum(X, 0, **o),
    "amax": lambda **o: ag.amax(X, 1, **o),
    "cat": lambda **o: ag.cat([X, X], **o),
    "where": lambda **o: ag.where(X > 2, X, 0.0, **o),
    "arange": lambda **o: ag.arange(4, dtype=ag.float32, **o),
    "zeros": lambda **o: ag.zeros(2, 2, **o),
    "index_select": lambda **o: ag.index_select(X, 0, ag.tensor([1]), **o),
    "round": lambda **o: ag.round(X, **o),
    "tril": lambda **o: ag.tril(X, **o),
}


@pytest.mark.parametrize("name", sorted(CALLS))
def test_the_result_is_written_and_returned(name: str) -> None:
    wanted = CALLS[name]()
    for _ in range(3):  # the general way, and by a plan
        out = ag.full(tuple(wanted.shape), 9, dtype=wanted.dtype)
        address = out.data_ptr()
        assert CALLS[name](out=out) is out
        assert out.tolist() == wanted.tolist()
        assert out.data_ptr() == address


def test_several_results_are_written_each() -> None:
    values, places = ag.empty(0), ag.empty(0, dtype=ag.int64)
    found = ag.sort(X, 1, out=(values, places))
    assert found.values is values
    assert values.tolist() == [[1.0, 3.0], [2.0, 5.0]]
    assert places.tolist() == [[1, 0], [0, 1]]
    with pytest.raises(TypeError, match="takes 2 tensors"):
        ag.sort(X, 1, out=values)


def test_an_empty_tensor_is_sized_and_another_is_with_a_warning() -> None:
    out = ag.empty(0)
    ag.mm(X, X, out=out)
    assert tuple(out.shape) == (2, 2)
    with pytest.warns(UserWarning, match=r"has the shape \(3,\), the result \(2, 2\)"):
        ag.mm(X, X, out=ag.ones(3))


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(RuntimeError, match="records no gradient"):
        ag.mm(X, X.clone().requires_grad_(), out=ag.empty(0))
    with pytest.raises(TypeError, match="can't be stored in a int64 tensor"):
        ag.mm(X, X, out=ag.empty(0, dtype=ag.int64))
    with pytest.raises(TypeError, match="takes a Tensor, got list"):
        ag.mm(X, X, out=[])
