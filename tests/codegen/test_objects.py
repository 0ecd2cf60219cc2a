"""The object cache: hits, damage, folders that can't be written to."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from argand.codegen.llvm import objects
from argand.codegen.llvm.fastcall import slow_entry
from argand.codegen.llvm.target import host_target, named_target
from argand.nest.builder import F32, PTR, NestBuilder, NestModule


def module(value: float = 5.0) -> NestModule:
    b = NestBuilder("put", [("x", PTR)])
    b.store(b.params[0], 0, b.const(F32, value))
    return NestModule((b.finish(),))


def works(data: bytes) -> bool:
    loaded = objects.load_object(data, ["put"], {})
    x = np.zeros(1, np.float32)
    slow_entry(loaded.address("put"), "p")(x)
    return bool(x[0] == 5)


def entries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.o"))


def test_second_build_reads_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = objects.emit_object(module(), cache=tmp_path)
    assert len(entries(tmp_path)) == 1
    monkeypatch.setattr(objects, "text_to_object", None)
    assert objects.emit_object(module(), cache=tmp_path) == first
    assert works(first)


def test_keys_differ_with_code_and_target() -> None:
    texts = [str(module(v)) for v in (5.0, 6.0)]
    targets = [host_target(), named_target("sse2")]
    assert len({objects.cache_key(text, target) for text in texts for target in targets}) == 4


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_damaged_entry_is_rebuilt(tmp_path: Path, damage: str) -> None:
    first = objects.emit_object(module(), cache=tmp_path)
    (path,) = entries(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    broken = {"cut": content[:-9], "flip": content, "empty": b"", "text": b"hello"}
    path.write_bytes(broken[damage])
    again = objects.emit_object(module(), cache=tmp_path)
    assert again == first
    assert objects.cached_object(tmp_path, objects.cache_key(str(module()), host_target())) == first


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where the folder should be")
    assert works(objects.emit_object(module(), cache=blocked))
    assert not objects.keep_object(blocked, "ab" * 32, b"data")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert works(objects.emit_object(module(), cache=tmp_path))
        assert not entries(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    assert not objects.keep_object(tmp_path, "ab" * 32, b"data")
    assert not list(tmp_path.rglob("*.tmp"))
