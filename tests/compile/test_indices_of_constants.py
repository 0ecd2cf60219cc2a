"""Indices out of range are refused also where no element depends on them."""

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
}


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
