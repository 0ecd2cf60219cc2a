"""Calling entries from Python."""

from __future__ import annotations

import gc
import sys
import threading

import numpy as np
import pytest

from argand.codegen.llvm.fastcall import Entry, fast_entry, slow_entry
from argand.codegen.llvm.objects import load
from argand.nest.builder import F64, I64, PTR, NestBuilder, NestModule


def loaded() -> tuple[int, object]:
    """out[0] = n * s + x[0]; the status is n."""
    b = NestBuilder("mix", [("x", PTR), ("out", PTR), ("n", I64), ("s", F64)])
    x, out, n, s = b.params
    b.store(out, 0, b.fma(b.cast(n, "float64"), s, b.load(x, 0, F64)))
    b.fail(n)
    code = load(NestModule((b.finish(),)))
    return code.address("mix"), code


def both(release: bool = False) -> list[Entry]:
    address, owner = loaded()
    return [
        fast_entry(address, "ppif", owner=owner, release=release),
        slow_entry(address, "ppif", owner=owner),
    ]


@pytest.mark.parametrize("release", [False, True])
def test_arguments_and_status(release: bool) -> None:
    x, out = np.array([0.5]), np.zeros(1)
    for call in both(release):
        assert call(x, out, 3, 2.0) == 3
        assert out[0] == 6.5
        assert call(x.ctypes.data, out.ctypes.data, -1, -1.0) == -1
        assert out[0] == 1.5


def test_wrong_arguments_raise() -> None:
    x = np.zeros(1)
    for call in both():
        with pytest.raises(TypeError):
            call(x, x)
        with pytest.raises(TypeError):
            call(x, x, 1, "two")
    with pytest.raises(TypeError):
        both()[0]("x", x, 1, 2.0)
    with pytest.raises(ValueError, match="kinds"):
        fast_entry(1, "px?")


def test_a_failed_call_writes_nothing() -> None:
    x, out = np.zeros(1), np.zeros(1)
    for call in both():
        with pytest.raises(TypeError):
            call(x, out, 1, None)
        assert out[0] == 0


def test_the_code_lives_as_long_as_the_callable() -> None:
    call = both()[0]
    gc.collect()
    x, out = np.zeros(1), np.zeros(1)
    assert call(x, out, 2, 1.0) == 2


def test_references_are_left_alone() -> None:
    x, out = np.zeros(1), np.zeros(1)
    call = both()[0]
    before = sys.getrefcount(x)
    for _ in range(100):
        call(x, out, 1000, 1.0)
    assert sys.getrefcount(x) == before


def test_no_arguments() -> None:
    b = NestBuilder("seven", [])
    b.fail(7)
    code = load(NestModule((b.finish(),)))
    assert fast_entry(code.address("seven"), "", owner=code)() == 7
    assert slow_entry(code.address("seven"), "", owner=code)() == 7


def test_from_several_threads() -> None:
    call = both(release=True)[0]
    wrong: list[float] = []

    def work(value: float) -> None:
        x, out = np.array([value]), np.zeros(1)
        for _ in range(2000):
            call(x, out, 1, 1.0)
            if out[0] != value + 1:
                wrong.append(value)

    workers = [threading.Thread(target=work, args=(float(k),)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
