"""Packed weights of programs from files: kept on disk by the contents of the file, and used only
while the weights are those of the file."""

from __future__ import annotations

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
