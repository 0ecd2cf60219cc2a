"""Calling entries with arrays and sizes, through the generated function and through ctypes."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable

import numpy as np
import pytest

from argand.codegen.llvm import arraycall
from argand.codegen.llvm.arraycall import NOT_CONTIGUOUS, Entry, array_entry
from argand.codegen.llvm.cpython import layout_known
from argand.codegen.llvm.objects import LoadedObject
from argand.nest.builder import F64, I64, PTR, NestBuilder, NestModule
from nestrun import load


@pytest.fixture(scope="module")
def code() -> LoadedObject:
    """out[0] = n + x[0]; the status is n."""
    b = NestBuilder("mix", [("x", PTR), ("out", PTR), ("n", I64)])
    x, out, n = b.params
    b.store(out, 0, b.apply("add", b.cast(n, "float64"), b.load(x, 0, F64)))
    b.fail(n)
    return load(NestModule((b.finish(),)))


@pytest.fixture(params=["generated", "generated, released", "ctypes"])
def call(
    request: pytest.FixtureRequest, code: LoadedObject, monkeypatch: pytest.MonkeyPatch
) -> Entry:
    """The entry; its first array is checked, its second one is not."""
    if request.param == "ctypes":
        monkeypatch.setattr(arraycall, "layout_known", lambda: False)
    else:
        assert layout_known()
    release = request.param.endswith("released")
    return array_entry(code.address("mix"), 1, 2, 1, release=release)


def test_arguments_and_status(call: Entry) -> None:
    x, out = np.array([0.5]), np.zeros(1)
    assert call(x, out, 3) == 3
    assert out[0] == 3.5
    assert call(x, out, -1) == -1
    assert out[0] == -0.5


@pytest.mark.parametrize(
    "wrong", [lambda x: x[::2], lambda x: x.tolist(), lambda x: x.view(np.recarray), lambda x: None]
)
def test_a_call_that_is_refused_runs_nothing(call: Entry, wrong: Callable[..., object]) -> None:
    x, out = np.zeros((4, 4)), np.zeros(1)
    assert call(wrong(x), out, 1) == NOT_CONTIGUOUS
    assert out[0] == 0


def test_arrays_behind_the_checked_ones_may_be_strided(call: Entry) -> None:
    x, out = np.zeros(1), np.zeros(4)
    assert call(x, out[::2], 1) == 1
    assert out[0] == 1


def test_wrong_arguments_raise(call: Entry) -> None:
    x, out = np.zeros(1), np.zeros(1)
    for arguments in ((x,), (x, out), (x, out, 1, 2), (x, out, None)):
        with pytest.raises(TypeError):
            call(*arguments)
    assert out[0] == 0


def test_references_are_left_alone(call: Entry) -> None:
    x, out = np.zeros(1), np.zeros(1)
    before = sys.getrefcount(x)
    for _ in range(100):
        call(x, out, 1000)
    gc.collect()
    assert sys.getrefcount(x) == before


def test_from_several_threads(call: Entry) -> None:
    wrong: list[float] = []

    def work(value: float) -> None:
        x, out = np.array([value]), np.zeros(1)
        for _ in range(2000):
            call(x, out, 1)
            if out[0] != value + 1:
                wrong.append(value)

    workers = [threading.Thread(target=work, args=(float(k),)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_an_entry_of_no_arguments() -> None:
    b = NestBuilder("seven", [])
    b.fail(7)
    code = load(NestModule((b.finish(),)))
    assert array_entry(code.address("seven"), 0, 0, 0)() == 7
