"""Packed weights of programs from files: kept on disk by the contents of the file, and used only
while the weights are those of the file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.backends.cpu import values


@pytest.fixture(autouse=True)
def cache(tmp_path: Path) -> Iterator[Path]:
    with ag.settings.using(cache_dir=tmp_path / "cache", cache=True):
        yield tmp_path / "cache" / "packed"


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each program looked for was found."""
    found: list[bool] = []
    before = values.kept

    def kept(*args: Any) -> Any:
        result = before(*args)
        found.append(result is not None)
        return result

    monkeypatch.setattr(values, "kept", kept)
    return found


def saved(path: Path, seed: int = 0) -> tuple[Path, Any]:
    ag.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)
    ).eval()
    x = ag.rand(2, 3, 8, 8)
    ag.export.export(model, (x,)).save(path / f"{seed}.argand")
    return path / f"{seed}.argand", x.numpy()


def test_the_second_load_finds_them(tmp_path: Path, cache: Path, used: list[bool]) -> None:
    path, x = saved(tmp_path)
    first = ag.export.load(path)(x)
    assert len(list(cache.iterdir())) == 1
    second = ag.export.load(path)(x)
    assert used == [False, True]
    assert np.array_equal(first.numpy(), second.numpy())


def test_files_of_other_weights_have_their_own(tmp_path: Path, used: list[bool]) -> None:
    (path, x), (other, _) = saved(tmp_path), saved(tmp_path, 1)
    first, second = ag.export.load(path)(x), ag.export.load(other)(x)
    assert used == [False, False]
    assert not np.array_equal(first.numpy(), second.numpy())
    assert np.array_equal(ag.export.load(other)(x).numpy(), second.numpy())


def test_weights_written_before_the_first_call_are_packed_anew(
    tmp_path: Path, used: list[bool]
) -> None:
    path, x = saved(tmp_path)
    ag.export.load(path)(x)
    program = ag.export.load(path)
    with ag.no_grad():
        for p in program.parameters():
            p.mul_(0)
    assert np.array_equal(program(x).detach().numpy(), np.zeros((2, 5), np.float32))
    assert used == [False]


def test_weights_written_after_a_call_are_packed_anew(tmp_path: Path, used: list[bool]) -> None:
    path, x = saved(tmp_path)
    expected = ag.export.load(path)(x)
    program = ag.export.load(path)
    assert np.array_equal(program(x).numpy(), expected.numpy())
    with ag.no_grad():
        for p in program.parameters():
            p.mul_(0)
    assert np.array_equal(program(x).detach().numpy(), np.zeros((2, 5), np.float32))
    assert used == [False, True]


def test_a_damaged_file_is_made_again(tmp_path: Path, cache: Path, used: list[bool]) -> None:
    path, x = saved(tmp_path)
    expected = ag.export.load(path)(x)
    (file,) = cache.iterdir()
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    for _ in range(2):
        assert np.array_equal(ag.export.load(path)(x).numpy(), expected.numpy())
    assert used == [False, False, True]


# -- a program has native code for one row and for more: their weights are the same arrays --------


@pytest.fixture
def program() -> Any:
    ag.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 256), nn.ReLU(), nn.Linear(256, 128)).eval()
    rows = ag.Dim("rows")
    return ag.export.export(model, (ag.rand(3, 16),), dynamic_shapes=({0: rows},))


def packed(program: Any) -> list[list[Any]]:
    """Where the packed weights of each code are."""
    made = program.default.runner._executables.values()
    return [[t._array for t in e.parts.constants._tensors] for e in made]


def expected(program: Any, x: Any) -> Any:
    w, b, v, c = (np.array(p.tolist()) for p in program.parameters())
    return np.maximum(x.numpy().astype(np.float64) @ w.T + b, 0) @ v.T + c


def check(program: Any, *counts: int) -> None:
    for n in counts:
        x = ag.rand(n, 16)
        with ag.no_grad():
            y = program(x).numpy()
        np.testing.assert_allclose(y, expected(program, x), rtol=1e-4, atol=1e-5)


def test_they_are_packed_once(program: Any) -> None:
    check(program, 1, 5, 2)
    one, more = packed(program)  # one row has its expanded biases besides
    assert len(more) == 2 and {id(a) for a in more} < {id(a) for a in one}


@pytest.mark.parametrize("order", [(1, 5), (5, 1)])
def test_a_write_is_seen_by_all(program: Any, order: tuple[int, ...]) -> None:
    check(program, 1, 5)
    for n in range(3):
        with ag.no_grad():
            for p in program.parameters():
                p.mul_(1.5 + n)
        check(program, *order, *order)


def test_a_first_call_waits_for_a_trace_that_writes_the_weights(program: Any) -> None:
    """Until a trace ends, the weights that it writes have versions that don't count."""
    weight = next(program.parameters())
    traced, called = threading.Event(), threading.Event()

    @ag.compile
    def double() -> Any:
        with ag.no_grad():
            weight.mul_(2)
        traced.set()
        called.wait(0.5)
        return weight.sum()

    def call() -> None:
        traced.wait()
        with ag.no_grad():
            program(ag.rand(3, 16))
        called.set()

    threads = [threading.Thread(target=double), threading.Thread(target=call)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(program, 3)
    with ag.no_grad():
        weight.mul_(1.5)
    check(program, 3, 1)


def test_it_is_told_whose_values_they_are(program: Any) -> None:
    def told() -> list[str]:
        made = program.default.runner._executables.values()
        return [line for e in made for line in e.parts.constants.explain()]

    check(program, 1, 5)
    assert "  2 of 2 values are those of other sizes" in told()
    with ag.no_grad():
        next(program.parameters()).mul_(2)
    check(program, 1, 5)
    assert not any("of other sizes" in line for line in told())


def test_a_write_between_is_seen(program: Any) -> None:
    check(program, 5)
    with ag.no_grad():
        for p in program.parameters():
            p.add_(0.25)
    check(program, 1, 5, 1)
    more, one = packed(program)
    assert all(any(np.array_equal(a, b) for b in one) for a in more)


def given_other_memory(program: Any) -> None:
    with ag.no_grad():
        for p in program.parameters():
            p.set_(ag.rand(2, *p.shape)[1])


def exchanged(program: Any) -> None:
    for p in program.parameters():
        ag.utils.swap_tensors(p, nn.Parameter(ag.rand(*p.shape)))


@pytest.mark.parametrize("replace", [given_other_memory, exchanged])
@pytest.mark.parametrize("order", [(1, 5), (5, 1)])
def test_weights_that_are_replaced_between_are_packed_anew(
    program: Any, order: tuple[int, ...], replace: Any
) -> None:
    check(program, order[0])
    replace(program)
    check(program, *order[::-1])


def test_the_file_is_not_asked_for_weights_that_are_replaced(program: Any, tmp_path: Path) -> None:
    program.save(tmp_path / "m.argand")
    check(ag.export.load(tmp_path / "m.argand"), 5)  # they are on disk now
    loaded = ag.export.load(tmp_path / "m.argand")
    given_other_memory(loaded)
    check(loaded, 5, 1)


def test_what_differs_is_packed_apart() -> None:
    ag.manual_seed(1)
    w = nn.Parameter(ag.rand(64, 32))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = w

        def forward(self, x: Any, y: Any) -> Any:
            return x @ self.w.t() + (y @ self.w.t().exp()).sum() * (self.w.t() * 2).sum()

    rows = ag.Dim("rows")
    args = (ag.rand(3, 32), ag.rand(2, 32))
    program = ag.export.export(Model().eval(), args, dynamic_shapes=({0: rows}, None))
    for n in (1, 4):
        x = ag.rand(n, 32)
        a, b, m = (np.array(t.tolist()) for t in (x, args[1], w))
        expected = a @ m.T + (b @ np.exp(m.T)).sum() * (m.T * 2).sum()
        with ag.no_grad():
            np.testing.assert_allclose(program(x, args[1]).numpy(), expected, rtol=1e-4)
