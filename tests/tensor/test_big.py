"""Large tensors: what in-place operations need beside them, and more than 2^31 elements."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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
    for divide in (x.floor_divide_, x.remainder_, x.fmod_):
        with pytest.raises(ZeroDivisionError):
            divide(y)
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


# -- more than 2^31 elements -----------------------------------------------------------------------

COUNT = 2**31 + 7
Family = Callable[[ag.Tensor], object]


def _free_memory() -> int:
    """The bytes that may be taken, on Linux; 0 elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    return next(int(s.split()[1]) << 10 for s in lines if s.startswith("MemAvailable"))


@pytest.fixture(scope="module")
def long_row() -> ag.Tensor:
    """Zeros but for three elements behind the 2^31st."""
    if _free_memory() < 20 << 30:
        pytest.skip("needs 20 GiB of free memory")
    x = ag.zeros(COUNT, dtype=ag.int8)
    x[2**31], x[-3], x[-1] = 3, -2, 5
    return x


FAMILIES: dict[str, tuple[Family, object]] = {
    "views": (lambda x: (x[-1].item(), x[2**31].item(), x[::2][-1].item()), (5, 3, 5)),
    "elementwise": (lambda x: (x + 1)[-3:].tolist(), [-1, 1, 6]),
    "comparison": (lambda x: (x == 0).sum().item(), COUNT - 3),
    "choice": (lambda x: ag.where(x > 0, x, ag.zeros((), dtype=ag.int8))[-3:].tolist(), [0, 0, 5]),
    "conversion": (lambda x: x.to(ag.bool).sum().item(), 3),
    "sum": (lambda x: x.sum().item(), 6),
    "largest": (lambda x: (x.amax().item(), x.argmax().item()), (5, COUNT - 1)),
    "rows": (lambda x: x[7:].reshape(2, 2**30).sum(1).tolist(), [0, 6]),
    "columns": (lambda x: x[7:].reshape(2**30, 2).sum(0).tolist(), [0, 6]),
    "movement": (lambda x: (x.flip(0)[0].item(), x.roll(1)[0].item()), (5, 5)),
    "joining": (lambda x: ag.cat([x[:10], x])[-1].item(), 5),
    "reads": (lambda x: x[ag.tensor([COUNT - 1, 2**31])].tolist(), [5, 3]),
    "gather": (lambda x: x.gather(0, ag.tensor([COUNT - 3])).tolist(), [-2]),
    "writes": (
        lambda x: x.scatter(0, ag.tensor([COUNT - 2]), ag.tensor([9], dtype=ag.int8))[-2].item(),
        9,
    ),
    "places": (lambda x: x.nonzero().flatten().tolist(), [2**31, COUNT - 3, COUNT - 1]),
    "in place": (lambda x: x.clone().add_(x)[-1].item(), 10),
    "compiled": (lambda x: ag.compile(lambda t: (t * 2 + 1)[-3:])(x).tolist(), [-3, 1, 11]),
    "compiled sum": (lambda x: ag.compile(lambda t: (t * 2).sum())(x).item(), 12),
}


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_more_elements_than_32_bits_count(family: str, long_row: ag.Tensor) -> None:
    compute, wanted = FAMILIES[family]
    assert compute(long_row) == wanted
