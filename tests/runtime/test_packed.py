"""Arrays on disk: what is read is what was kept, or a miss; the folder stays within its bound."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import argand as ag
from argand.runtime.packed import Shelf, keep_packed, packed, sharing

KEY, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    with ag.settings.using(cache_dir=tmp_path, cache=True, packed_bytes=1 << 30):
        yield tmp_path / "packed"


def arrays() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [
        rng.standard_normal((300, 70)).astype(np.float32),
        np.array(2.5),
        np.zeros((0, 3), np.int8),
        rng.integers(0, 2, 1001).astype(bool),
        rng.standard_normal((5, 7)).astype(ml_dtypes.bfloat16),
    ]


def test_what_was_kept_is_read() -> None:
    assert packed(KEY) is None
    assert keep_packed(KEY, arrays())
    found = packed(KEY)
    assert found is not None
    for a, b in zip(arrays(), found, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes()
        assert b.ctypes.data % 64 == 0 or b.size == 0
    assert packed(OTHER) is None


def test_what_is_read_cannot_be_written() -> None:
    keep_packed(KEY, arrays())
    found = packed(KEY)
    assert found is not None
    with pytest.raises(ValueError, match="read-only"):
        found[0][0] = 1


@pytest.mark.parametrize("at", [3, 20, 60, 4096 + 17, 40_000, -4000])
def test_a_changed_byte_is_a_miss(folder: Path, at: int) -> None:
    assert keep_packed(KEY, arrays())
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)
    assert packed(KEY) is None
    assert keep_packed(KEY, arrays())
    assert packed(KEY) is not None


@pytest.mark.parametrize("damage", ["cut", "longer", "empty", "lost page", "swapped pages"])
def test_a_damaged_file_is_a_miss(folder: Path, damage: str) -> None:
    assert keep_packed(KEY, arrays())
    (path,) = folder.iterdir()
    content = path.read_bytes()
    pages = [content[i : i + 4096] for i in range(0, len(content), 4096)]
    swapped = [pages[0], pages[2], pages[1], *pages[3:]]
    broken = {
        "cut": b"".join(pages[:-1]),
        "longer": content + bytes(4096),
        "empty": b"",
        "lost page": b"".join([*pages[:3], bytes(4096), *pages[4:]]),
        "swapped pages": b"".join(swapped),
    }
    path.write_bytes(broken[damage])
    assert packed(KEY) is None


def test_a_file_under_the_name_of_another_is_a_miss(folder: Path) -> None:
    keep_packed(KEY, arrays())
    (path,) = folder.iterdir()
    path.rename(folder / f"{OTHER}.bin")
    assert packed(OTHER) is None


def test_the_files_unused_for_longest_make_room(folder: Path) -> None:
    megabyte = [np.ones(1 << 20, np.uint8)]
    with ag.settings.using(packed_bytes=(7 << 20) // 2):
        for i in range(3):
            assert keep_packed(f"{i}", megabyte)
            os.utime(folder / f"{i}.bin", (i, i))
        assert packed("0") is not None  # used now
        assert keep_packed("3", megabyte)
        assert sorted(p.name for p in folder.iterdir()) == ["0.bin", "2.bin", "3.bin"]
        assert not keep_packed("large", [np.ones(4 << 20, np.uint8)])
        assert len(list(folder.iterdir())) == 3


def test_small_files_are_bounded_too(folder: Path) -> None:
    with ag.settings.using(packed_bytes=1 << 20):
        for i in range(40):
            assert keep_packed(f"{i}", [np.ones(3)])
        assert len(list(folder.iterdir())) == 16


def test_nothing_is_kept_where_that_is_not_wanted(folder: Path) -> None:
    with ag.settings.using(packed_bytes=0):
        assert not keep_packed(KEY, arrays())
    with ag.settings.using(cache=False):
        assert not keep_packed(KEY, arrays())
    assert not folder.exists()
    assert not keep_packed(KEY, [np.ones((3, 4)).T])


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "packed").write_text("a file where the folder should be")
    assert not keep_packed(KEY, arrays())
    assert packed(KEY) is None


def test_without_a_folder_arrays_are_shared_on_a_shelf(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for switches in ({"cache": False}, {"packed_bytes": 0}, {"cache_dir": tmp_path / "file"}):
        with ag.settings.using(**switches):
            assert not keep_packed(KEY, arrays())
            ours, theirs = Shelf(), Shelf()
            with sharing(ours):
                assert keep_packed(KEY, arrays())
            assert ours.made == [KEY]
            assert packed(KEY) is None
            theirs.files[KEY] = os.dup(ours.files[KEY])  # as if it came over a socket
            ours.close()
            with sharing(theirs):
                found = packed(KEY)
                assert packed(OTHER) is None
            theirs.close()
            assert found is not None
            assert [a.tobytes() for a in found] == [a.tobytes() for a in arrays()]


def test_a_shelf_stays_empty_where_the_folder_keeps_arrays(folder: Path) -> None:
    shelf = Shelf()
    with sharing(shelf):
        assert keep_packed(KEY, arrays())
        assert packed(KEY) is not None
    assert shelf.files == {}
    assert len(list(folder.iterdir())) == 1
