"""Indices out of range are refused also where no element depends on them, or none of those that
are wanted, and before anything is read by them."""

from collections.abc import Callable
from typing import Any

import pytest

import argand as ag
from argand.nn import functional as F

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "zeros": lambda i: ag.zeros(3, 5)[i],
    "full": lambda i: ag.full((3,), 2.0)[i] + 1,
    "expanded": lambda i: ag.ones(1).expand(3)[i],
    "gather": lambda i: ag.zeros(3, 5).gather(0, i[:, None].long()),
    "index_select": lambda i: ag.zeros(3, 5).index_select(0, i.long()),
    "embedding": lambda i: F.embedding(i.long(), ag.zeros(3, 2)),
    "of no elements": lambda i: ag.zeros(0, 5)[i],
    "two": lambda i: ag.zeros(3, 5)[i, i * 2],
    "padded": lambda i: F.pad(ag.zeros(3)[i], (1, 1)),
    "of a size": lambda i: ag.zeros(i.shape[0] + 2)[i],
    "one that is read": lambda i: ag.arange(3)[i],
    "of an index": lambda i: ag.zeros(3, 5)[TABLE[i]],
    "of an index of a constant": lambda i: ag.zeros(3, 5)[ag.zeros(3, dtype=ag.int64)[i]],
    "of one that is read": lambda i: ag.arange(3)[TABLE[i]],
    "in parts": lambda i: TABLE.expand(2, 3).T[i].reshape(-1, 2).sum(1),
    "sliced": lambda i: ag.arange(3)[i][:1],
    "sliced otherwise": lambda i: (ag.arange(3)[i] * 2).flip(0)[:1].sum(),
    "one column": lambda i: F.embedding(i.long(), ag.ones(3, 4))[:, 1:2].softmax(0),
    "the last": lambda i: ag.arange(3).cumsum(0)[i][-1:] + ag.arange(3)[0],
    "written": lambda i: ag.zeros(3).index_put((TABLE[i],), ag.ones(1), accumulate=True),
}
TABLE = ag.tensor([2, -3, 1])
FAR = 10**12
"""No memory is there for an element of this number."""


def outcome(function: Callable[[Any], Any], x: Any) -> Any:
    try:
        return function(x).tolist()
    except IndexError:
        return IndexError


@pytest.mark.parametrize("dtype", [ag.int64, ag.int32])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_as_eager(name: str, dtype: Any) -> None:
    compiled = ag.compile(FUNCTIONS[name], dynamic=True)
    refused = 0
    for indices in ([2], [7], [-3], [-4], [0, 1], [0, 3], [1, -1, 0], [1, -9, 0], []):
        x = ag.tensor(indices, dtype=dtype)
        wanted = outcome(FUNCTIONS[name], x)
        assert outcome(compiled, x) == wanted, indices
        refused += wanted is IndexError
    assert refused


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name.startswith("of ")])
def test_an_index_by_which_another_is_read_is_looked_at_first(name: str) -> None:
    compiled = ag.compile(FUNCTIONS[name])
    for indices in ([FAR], [1, FAR], [-FAR, 1]):
        assert outcome(compiled, ag.tensor(indices)) is IndexError


def test_a_quotient_is_refused_before_it_is_an_index() -> None:
    compiled = ag.compile(lambda i: ag.zeros(3)[TABLE // i])
    assert compiled(ag.tensor([1])).tolist() == [0, 0, 0]
    with pytest.raises(ZeroDivisionError):
        compiled(ag.tensor([0]))


PADDED: dict[str, Callable[[Any, Any], Any]] = {
    "padded": lambda x, i: F.pad(x[i - 5], (1, 1)),
    "a constant": lambda x, i: F.pad(ag.zeros(3)[i - 5], (1, 1)) + x[0],
    "columns": lambda x, i: F.pad(x[i - 5, None].expand(3, 9), (2, 1)),
    "joined": lambda x, i: ag.cat([x[i - 5], x]),
    "summed": lambda x, i: F.pad(x[i - 5], (1, 1)).sum(),
    "a number": lambda x, i: F.pad(x[ag.arange(3) + i[0] - 5], (7, 1)),
    "looked up twice": lambda x, i: F.pad(x[TABLE[i - 5]], (1, 1)),
}


@pytest.mark.parametrize("name", PADDED)
def test_where_nothing_is_read_any_index_is_computed(name: str) -> None:
    x, i = ag.tensor([3.0, 4.0, 5.0]), ag.tensor([5, 7, 6])
    compiled = ag.compile(PADDED[name])
    assert compiled(x, i).tolist() == PADDED[name](x, i).tolist()
    with pytest.raises(IndexError):
        compiled(x, i + 1)
