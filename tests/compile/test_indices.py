"""Indices with numbers that are known only when the program runs."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn

SHAPE = (3, 4, 5, 2)


def _index(draw: random.Random) -> tuple[Any, ...]:
    """An index of SHAPE; ("number", i) stands for a tensor without dimensions that is an
    argument."""
    found: list[Any] = []
    for size in SHAPE:
        if draw.random() < 0.1:
            found.append(None)
        kind = draw.choice(["all", "slice", "number", "number", "int", "list", "end"])
        if kind == "end":
            break
        found.append(
            {
                "all": slice(None),
                "slice": slice(1, None),
                "number": ("number", draw.randrange(-size, size)),
                "int": draw.randrange(size),
                "list": draw.sample(range(size), 2),
            }[kind]
        )
    if draw.random() < 0.2:
        found.append(Ellipsis)
    return tuple(found)


@pytest.mark.parametrize("seed", range(40))
def test_numbers_index_as_ints_do(seed: int) -> None:
    index = _index(random.Random(seed))
    x = ag.arange(120.0).reshape(SHAPE)
    numbers = [ag.tensor(i[1]) for i in index if isinstance(i, tuple)]
    plain = tuple([i[1] if isinstance(i, tuple) else i for i in index])

    def with_numbers(numbers: Any) -> tuple[Any, ...]:
        left = iter(numbers)
        return tuple([next(left) if isinstance(i, tuple) else i for i in index])

    def read(x: Any, numbers: Any) -> Any:
        return x[with_numbers(numbers)]

    def write(x: Any, value: Any, numbers: Any) -> Any:
        y = x * 1
        y[with_numbers(numbers)] = value
        return y

    expected = x[plain].numpy()
    np.testing.assert_array_equal(ag.compile(read)(x, numbers).numpy(), expected, strict=True)
    value = ag.rand(*expected.shape)
    wanted = x.clone()
    wanted[plain] = value
    assert ag.equal(ag.compile(write)(x, value, numbers), wanted)


class _Cache(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", ag.zeros(2, 4))
        self.register_buffer("place", ag.zeros((), dtype=ag.int64))

    def forward(self, x: Any) -> Any:
        self.kept[:, self.place] = x
        self.place += 1
        return self.kept[:, self.place - 1] + self.kept.sum()


def test_a_buffer_counts_where_a_cache_is_written() -> None:
    eager, compiled = _Cache(), ag.compile(_Cache())
    for i in range(4):
        x = ag.tensor([1.0 + i, 2.0])
        assert ag.equal(compiled(x), eager(x))
    with pytest.raises(IndexError, match="out of range"):
        compiled(ag.ones(2))
    exported = ag.export.export(_Cache(), (ag.ones(2),))
    assert [exported(ag.ones(2)).tolist() for _ in range(2)] == [[3.0, 3.0], [5.0, 5.0]]
