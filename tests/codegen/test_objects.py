"""The object cache: hits, damage, folders that can't be written to."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from argand.codegen.llvm.objectfile import cached_object, keep_object
from argand.codegen.llvm.objects import load_object
from argand.nest.builder import F32, PTR, NestBuilder, NestModule
from nestrun import call_of, object_of

KEY, OTHER = "ab" * 32, "cd" * 32


def module() -> NestModule:
    b = NestBuilder("put", [("x", PTR)])
    b.store(b.params[0], 0, b.const(F32, 5.0))
    return NestModule((b.finish(),))


def entries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.o"))


def test_an_object_that_was_kept_works(tmp_path: Path) -> None:
    assert cached_object(tmp_path, KEY) is None
    assert keep_object(tmp_path, KEY, object_of(module()))
    data = cached_object(tmp_path, KEY)
    assert data is not None
    x = np.zeros(1, np.float32)
    call_of(load_object(data, ["put"], {}), module().entry)(x)
    assert x[0] == 5


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_a_damaged_entry_is_a_miss_until_it_is_kept_again(tmp_path: Path, damage: str) -> None:
    data = object_of(module())
    assert keep_object(tmp_path, KEY, data)
    (path,) = entries(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    broken = {"cut": content[:-9], "flip": content, "empty": b"", "text": b"hello"}
    path.write_bytes(broken[damage])
    assert cached_object(tmp_path, KEY) is None
    assert keep_object(tmp_path, KEY, data)
    assert cached_object(tmp_path, KEY) == data


def test_an_entry_under_the_name_of_another_is_a_miss(tmp_path: Path) -> None:
    for key in (KEY, OTHER):
        assert keep_object(tmp_path, key, key.encode())
    first, second = entries(tmp_path)
    second.write_bytes(first.read_bytes())
    assert cached_object(tmp_path, KEY) == KEY.encode()
    assert cached_object(tmp_path, OTHER) is None


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where the folder should be")
    assert not keep_object(blocked, KEY, b"data")
    assert cached_object(blocked, KEY) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert not keep_object(tmp_path, KEY, b"data")
        assert not entries(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    assert not keep_object(tmp_path, KEY, b"data")
    assert not list(tmp_path.rglob("*.tmp"))
