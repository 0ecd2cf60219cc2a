"""How results are stored: elementwise ones in the order of their operands, as PyTorch's are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7

# Strides of PyTorch 2.13.
CASES: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "a row-major operand": (lambda x: x * 2, (12, 4, 1)),
    "a transposed one": (lambda x: x.transpose(1, 2) * 2, (12, 1, 4)),
    "all dimensions moved": (lambda x: x.permute(2, 0, 1).exp(), (1, 12, 4)),
    "the first operand decides": (lambda x: x.permute(2, 0, 1) + ag.ones(4, 2, 3), (1, 12, 4)),
    "also where it is the row-major one": (
        lambda x: ag.ones(4, 2, 3) + x.permute(2, 0, 1),
        (6, 3, 1),
    ),
    "a repeated one doesn't": (lambda x: ag.ones(3) * x.permute(2, 0, 1), (1, 12, 4)),
    "gaps are closed": (lambda x: x[:, ::2].transpose(0, 2) - 1, (1, 4, 8)),
    "another dtype": (lambda x: x.transpose(0, 1).double(), (4, 12, 1)),
    "a comparison": (lambda x: x.transpose(0, 1) > 1, (4, 12, 1)),
    "a choice": (lambda x: ag.where(x.mT > 1, x.mT, 0.0), (12, 1, 4)),
    "a size of 1": (lambda x: x.transpose(1, 2)[:, None] * 2, (12, 4, 1, 4)),
    "what is done with matrices": (lambda x: x.mT.softmax(-1), (12, 3, 1)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("times", [1, 300], ids=["once", "by a plan"])
def test_strides(name: str, times: int) -> None:
    f, strides = CASES[name]
    x = ag.tensor(X)
    for _ in range(times):
        found = f(x)
    assert found.stride() == strides
    want = f(x.double().contiguous()).contiguous().numpy()
    assert np.allclose(found.numpy(), want, rtol=1e-6)


def turned_back(x: Any) -> Any:
    return (x.transpose(1, 2) * 2).relu().transpose(1, 2).view(-1)


def test_a_view_of_a_result_turned_back() -> None:
    x = ag.tensor(X, requires_grad=True)
    for _ in range(300):  # by a plan, and at last by its kernels
        assert turned_back(x).tolist() == (2 * X).ravel().tolist()
    turned_back(x).sum().backward()
    assert x.grad.tolist() == np.where(X > 0, 2.0, 0).tolist()


def test_compiled_code_takes_the_same_views() -> None:
    x = ag.tensor(X)
    assert ag.compile(turned_back)(x).tolist() == (2 * X).ravel().tolist()

    @ag.compile
    def written(x: Any) -> Any:
        y = (x.transpose(1, 2) * 2).transpose(1, 2)
        y.reshape(-1)[0] = 5.0  # a view of y, which is stored row-major
        z = x.transpose(1, 2) * 2
        z.reshape(-1)[0] = 5.0  # a copy
        return y[0, 0, 0], z[0, 0, 0], y.stride(), z.is_contiguous()

    y, z, strides, contiguous = written(x)
    assert (y.item(), z.item(), strides, contiguous) == (5, 0, (12, 4, 1), False)
    y, z, *_ = written(x.transpose(0, 1).contiguous().transpose(0, 1))
    assert (y.item(), z.item()) == (0, 0)


def test_dropout_of_a_result_drops_what_pytorch_drops() -> None:
    before = ag.settings.generator
    ag.settings.generator = "mt19937"
    try:
        ag.manual_seed(0)
        kept = ag.nn.functional.dropout(ag.ones(2, 5, 4).transpose(1, 2) + 1, 0.5) != 0
    finally:
        ag.settings.generator = before
    want = "0001100101111100111011010001111001000001"  # PyTorch 2.13, row by row
    assert "".join(map(str, kept.int().flatten().tolist())) == want
