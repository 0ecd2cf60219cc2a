"""A row of a batch has the bits that it has alone, however large the batch is, compiled too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag

SHAPES = [(70, 9), (9, 70), (1000, 17), (3, 1000), (513, 33), (5, 5)]
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sum of the first": lambda x: x.sum(1),
    "sum of the last": lambda x: x.sum(2),
    "sum of both": lambda x: x.sum((1, 2), keepdim=True) * 2,
    "product": lambda x: (x * 0.01 + 1).prod(1),
    "variance": lambda x: x.var(1),
    "fused": lambda x: (x.relu().mean(1) + 1).exp(),
    "softmax": lambda x: x.softmax(1),
    "logsumexp": lambda x: x.logsumexp((1, 2)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_reductions_of_a_row(name: str, shape: tuple[int, ...]) -> None:
    ag.manual_seed(0)
    x = ag.randn(6, *shape)
    whole = ag.compile(FUNCTIONS[name], dynamic=False)(x).numpy()
    for size in (1, 2, 5):
        some = ag.compile(FUNCTIONS[name], dynamic=False)(x[:size].clone()).numpy()
        np.testing.assert_array_equal(some, whole[:size])


@pytest.mark.parametrize("length", [70, 5000, 100_003])
def test_long_rows(length: int) -> None:
    ag.manual_seed(0)
    x = ag.randn(3, length)
    norm = ag.compile(lambda x: (x * x).sum(1).sqrt(), dynamic=False)
    alone = ag.compile(lambda x: (x * x).sum(1).sqrt(), dynamic=False)
    np.testing.assert_array_equal(alone(x[:1].clone()).numpy(), norm(x).numpy()[:1])
    np.testing.assert_allclose(norm(x).numpy(), np.linalg.norm(x.numpy(), axis=1), rtol=1e-6)
