"""Large tensors: what in-place operations need beside them, and more than 2^31 elements."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import argand as ag
from argand.tensor import inplace

MEMORY = """
import resource
import argand as ag

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

ag.zeros(8).add_(1.0)  # what is loaded once
x = ag.empty(1 << 26)
x.fill_(0.5)
before = peak()
for _ in range(3):
    x.add_(1.0)
    x.mul_(x)
x += 1
print((peak() - before) / (1 << 28), x.sum().item() > 0)
"""


def test_in_place_operations_need_no_second_tensor() -> None:
    found = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    share, right = found.stdout.split()
    assert right == "True"
    assert float(share) < 0.75  # a whole one would be 1


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_pieces_give_what_the_whole_gives(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inplace, "PIECE", 64)
    rng = np.random.default_rng(0)
    a, b = ((rng.standard_normal((9, 11)) * 9).astype(dtype) for _ in range(2))
    x, y = ag.tensor(a), ag.tensor(b)
    number = dtype(3).item()
    assert np.array_equal(x.clone().add_(y, alpha=2).numpy(), (a + dtype(2) * b))
    assert np.array_equal(x.clone().mul_(number).numpy(), a * dtype(3))
    assert np.array_equal(x.clone().sub_(y.t().contiguous().t()).numpy(), a - b)
    z = x.clone()
    assert np.array_equal(z.mul_(z).numpy(), a * a)
    row = ag.tensor(b[0])
    assert np.array_equal(x.clone().add_(row).numpy(), a + b[0])  # broadcasts: as a whole


def test_operands_that_overlap_are_read_before_they_are_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inplace, "PIECE", 64)
    a = np.arange(100, dtype=np.float32)
    x = ag.tensor(a)
    x[1:].add_(x[:-1])
    assert np.array_equal(x.numpy(), np.r_[a[:1], a[1:] + a[:-1]])


def test_a_division_by_zero_leaves_the_tensor_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inplace, "PIECE", 64)
    x, y = ag.arange(100), ag.ones(100, dtype=ag.int64)
    y[99] = 0
    with pytest.raises(ZeroDivisionError):
        x.floor_divide_(y)
    assert x.tolist() == list(range(100))


def test_versions_and_gradients_of_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inplace, "PIECE", 64)
    x = ag.ones(100)
    before = x._version
    x.add_(1.0)
    assert x._version == before + 1
    w = ag.ones(100, requires_grad=True)
    x.mul_(w)
    x.sum().backward()
    assert w.grad.tolist() == [2.0] * 100
