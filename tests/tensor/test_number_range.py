"""Whole numbers beside tensors of narrower integers: eagerly and compiled alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import argand as ag

BYTES = [0, 3, 255]
both_ways = pytest.mark.parametrize("run", [lambda f: f, ag.compile], ids=["eager", "compiled"])


@both_ways
@pytest.mark.parametrize(
    ("compare", "expected"),
    [
        (lambda x: x == -1, [False, False, False]),
        (lambda x: x != 256, [True, True, True]),
        (lambda x: x < 300, [True, True, True]),
        (lambda x: x >= -1, [True, True, True]),
        (lambda x: x == 255, [False, False, True]),
        (lambda x: ag.clamp(x, -1, 5), [0, 3, 5]),
        (lambda x: ag.clamp(x, 2, 300), [2, 3, 255]),
    ],
)
def test_a_number_beyond_the_dtype_is_compared(
    run: Callable[..., Any], compare: Callable[..., Any], expected: list[Any]
) -> None:
    assert run(compare)(ag.tensor(BYTES, dtype=ag.uint8)).tolist() == expected


@both_ways
@pytest.mark.parametrize(
    "compute",
    [
        lambda x: x + 256,
        lambda x: x * -1,
        lambda x: ag.where(x > 3, x, -1),
        lambda x: ag.clamp(x, min=300),
        lambda x: ag.full((2,), 300, dtype=ag.uint8),
        lambda x: ag.nn.functional.pad(x, (1, 1), value=-1),
    ],
)
def test_a_number_beyond_the_dtype_is_no_operand(
    run: Callable[..., Any], compute: Callable[..., Any]
) -> None:
    with pytest.raises(RuntimeError, match=r"doesn't fit into uint8, which holds 0 to 255"):
        run(compute)(ag.tensor(BYTES, dtype=ag.uint8))
