"""The CPU backend: calls, state, symbolic sizes, strides, errors, threads, the cache."""

from __future__ import annotations

import gc
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand.ops
from argand.backends.cpu import compile_program, native
from argand.backends.cpu.compiler import Final, assemble
from argand.backends.cpu.program import NativeProgram
from argand.backends.reference import compile_program as reference
from argand.base.errors import IndexRangeError
from argand.base.events import listen
from argand.base.settings import settings
from argand.base.userstack import Location
from argand.codegen.llvm.target import host_target
from argand.ir.text import parse_program
from argand.runtime.kernels import Library

assert argand.ops  # fills the registry


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path) -> Iterator[None]:
    with settings.using(cache_dir=tmp_path, verify=True):
        yield


def compiled(text: str) -> NativeProgram:
    return compile_program(parse_program(textwrap.dedent(text)))


ADD = """
    program f(a: f32[5], b: f32[5]) {
      %0: f32[5] = add(a, b)
      return %0
    }"""

STEP = """
    program step(x: f32[N, 4]; state w: f32[4], t: f32[4]) {
      %0: f32[N, 4] = expand(w) {shape=(N, 4)}
      %1: f32[N, 4] = mul(x, %0)
      %2: f32[4] = sum(%1) {dim=(0,), keepdim=False}
      %3: f32[4] = add(w, %2)
      %4: f32[4] = mul(t, 2.0)
      return %1; w <- %3, t <- %4
    }"""


def test_a_call_returns_new_arrays() -> None:
    f = compiled(ADD)
    a, b = np.arange(5, dtype=np.float32), np.ones(5, np.float32)
    (y,) = f.run([a, b], ())
    (z,) = f.run([b, b], ())
    np.testing.assert_array_equal(y, [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(z, [2, 2, 2, 2, 2])


def test_strided_arrays_are_read_right() -> None:
    f = compiled(ADD)
    a = np.arange(10, dtype=np.float32)
    (y,) = f.run([a[::2], a[::-2]], ())
    np.testing.assert_array_equal(y, a[::2] + a[::-2])


def test_written_state_is_updated_where_it_lies() -> None:
    f, g = compiled(STEP), reference(parse_program(textwrap.dedent(STEP)))
    rng = np.random.default_rng(0)
    state = [rng.standard_normal(4).astype(np.float32) for _ in range(2)]
    other = [s.copy() for s in state]
    for n in (3, 7, 2, 3):
        x = rng.standard_normal((n, 4)).astype(np.float32)
        (y,), (z,) = f.run([x], state), g.run([x], other)
        np.testing.assert_allclose(y, z, rtol=1e-6)
        for s, o in zip(state, other, strict=True):
            np.testing.assert_allclose(s, o, rtol=1e-5)


def test_strided_state_is_written_back() -> None:
    f = compiled(STEP)
    memory = np.ones(8, np.float32)
    state = [memory[::2], np.ones(4, np.float32)]
    f.run([np.ones((3, 4), np.float32)], state)
    np.testing.assert_array_equal(memory, [4, 1] * 4)
    np.testing.assert_array_equal(state[1], [2] * 4)


def test_the_same_array_as_input_and_result_source() -> None:
    f = compiled(
        """
        program f(x: f32[3]) {
          %0: f32[3] = exp(x)
          return x, %0, %0, 1.5:f32
        }"""
    )
    x = np.zeros(3, np.float32)
    same, y, z, one = f.run([x], ())
    same[...] = 9
    y[...] = 5
    np.testing.assert_array_equal(x, [0, 0, 0])
    np.testing.assert_array_equal(z, [1, 1, 1])
    assert one == np.float32(1.5)


def test_host_segments_are_listed_and_right() -> None:
    text = """
        program f(x: f32[3, 3]) {
          %0: f32[3, 3] = add(x, 3.0)
          %1: f32[3, 3] = linalg_inv(%0)
          %2: f32[3, 3] = permute(%1) {dims=(1, 0)}
          %3: f32[3, 3] = mul(%2, 2.0)
          return %3
        }"""
    f = compiled(text)
    x = np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32)
    np.testing.assert_allclose(f.run([x], ())[0], 2 * np.linalg.inv(x + 3).T, rtol=1e-4)
    assert "host: linalg_inv" in f.explain()[1]


PICK = """
    program pick(i: i64[4], t: f32[5, 2]; state w: f32[2]) {
      %0: f32[2] = add(w, 1.0)
      %1: f32[4, 2] = embedding(t, i)
      return %1; w <- %0
    }"""


def test_a_failed_call_changes_nothing_and_names_the_line() -> None:
    program = parse_program(textwrap.dedent(PICK))
    program.nodes[1].location = Location("train.py", 7)
    program.nodes[1].module = "encoder.tokens"
    table, w = np.ones((5, 2), np.float32), np.zeros(2, np.float32)
    for _ in range(2):  # the second time from the cache
        f = compile_program(program)
        with pytest.raises(IndexRangeError, match="5") as caught:
            f.run([np.array([0, 1, 5, 2]), table], [w])
        assert "[in train.py:7, module encoder.tokens]" in str(caught.value)
        np.testing.assert_array_equal(w, [0, 0])
    f.run([np.array([0, 1, 4, 2]), table], [w])
    np.testing.assert_array_equal(w, [1, 1])


def test_kernels_of_other_strides_are_others() -> None:
    """The same op on a matrix and on its transpose: equal but for how the operand lies."""
    program = parse_program(
        textwrap.dedent(
            """
            program f(x: f32[3, 3]) {
              %0: f32[3, 3] = permute(x) {dims=(1, 0)}
              %1: f32[3, 3] = exp(x)
              %2: f32[3, 3] = exp(%0)
              return %1, %2
            }"""
        )
    )
    f = assemble(Final(program, [True] * 3), host_target(), "other strides")
    x = np.arange(9, dtype=np.float32).reshape(3, 3) / 9
    for got, want in zip(f.run([x], ()), (np.exp(x), np.exp(x.T)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_an_index_out_of_range_is_an_error() -> None:
    f = compiled(
        """
        program f(t: f32[5, 2], i: i64[3]) {
          %0: f32[3, 2] = embedding(t, i) {padding_idx=None}
          return %0
        }"""
    )
    table = np.ones((5, 2), np.float32)
    np.testing.assert_array_equal(f.run([table, np.array([0, 4, 1])], ())[0], np.ones((3, 2)))
    for wrong in (5, -1):
        with pytest.raises(IndexRangeError):
            f.run([table, np.array([0, wrong, 1])], ())


def test_an_index_that_an_empty_one_is_a_part_of_is_checked() -> None:
    f = compiled(
        """
        program f(t: f32[5], e: i64[0], i: i64[3]) {
          %0: i64[3] = cat(e, i) {dim=0}
          %1: f32[3] = gather(t, %0) {dim=0}
          return %1
        }"""
    )
    table, none = np.arange(5, dtype=np.float32), np.zeros(0, np.int64)
    np.testing.assert_array_equal(f.run([table, none, np.array([0, 4, 1])], ())[0], [0, 4, 1])
    with pytest.raises(IndexRangeError):
        f.run([table, none, np.array([0, 4, 1000])], ())


@pytest.mark.parametrize(
    "line",
    [
        "%1: f32[0] = gather(t, %0) {dim=0}",
        "%1: f32[0] = scatter_add(t, %0, t) {dim=0}",
        "%1: f32[0] = index_put(t, t, %0) {dims=(0,), accumulate=False}",
    ],
)
def test_no_place_is_looked_up_in_an_empty_index(line: str) -> None:
    f = compiled(
        f"""
        program f(t: f32[0]) {{
          %0: i64[0] = full() {{shape=(0,), value=7, dtype=i64}}
          {line}
          return %1
        }}"""
    )
    assert f.run([np.zeros(0, np.float32)], ())[0].shape == (0,)


def test_calls_from_several_threads() -> None:
    f = compiled(
        """
        program f(x: f32[N, 64]) {
          %0: f32[N, 64] = mul(x, 2.0)
          %1: f32[64, N] = permute(%0) {dims=(1, 0)}
          %2: f32[64, N] = flip(%1) {dims=(0,)}
          %3: f32[64, N] = add(%2, %1)
          return %3
        }"""
    )
    failures: list[Any] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(50):
            x = rng.standard_normal((rng.choice((2, 33, 250)), 64)).astype(np.float32)
            t = 2 * x.T
            if not np.array_equal(f.run([x], ())[0], t[::-1] + t):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_writes_from_several_threads_are_serialised() -> None:
    f = compiled(
        """
        program f(x: f32[50000]; state w: f32[50000]) {
          %0: f32[50000] = add(w, x)
          return ; w <- %0
        }"""
    )
    w, one = np.zeros(50000, np.float32), np.ones(50000, np.float32)

    def work() -> None:
        for _ in range(40):
            f.run([one], [w])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert np.all(w == 160)


# -- the cache -------------------------------------------------------------------------------------


def hits(program: Any, times: int = 1) -> list[bool]:
    """Whether each of some compilations came from the cache."""
    found: list[bool] = []
    stop = listen("compiled", lambda **info: found.append(info["cached"]))
    for _ in range(times):
        compile_program(program)
    stop()
    return found


def test_the_second_compilation_is_a_hit() -> None:
    assert hits(parse_program(textwrap.dedent(STEP)), 2) == [False, True]


def test_a_cached_program_computes_the_same() -> None:
    x = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    results = []
    for _ in range(2):
        state = [np.ones(4, np.float32), np.ones(4, np.float32)]
        results.append([*compiled(STEP).run([x], state), *state])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"entry": {}, "sum": "0"}', b"\xff\x00"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: bytes) -> None:
    program = parse_program(textwrap.dedent(STEP))
    hits(program)
    for file in (tmp_path / "programs").iterdir():
        file.write_bytes(damage)
    assert hits(program, 2) == [False, True]


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Go on as a process that has loaded no kernel yet."""
    monkeypatch.setattr(native, "LIBRARY", Library())


def test_entries_under_each_others_names_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, w = np.ones((3, 4), np.float32), [np.ones(4, np.float32), np.ones(4, np.float32)]
    forget(monkeypatch)
    compiled(ADD), compiled(STEP)
    for folder in ("programs", "objects"):
        first, second = sorted(f for f in (tmp_path / folder).rglob("*") if f.is_file())
        contents = first.read_bytes(), second.read_bytes()
        second.write_bytes(contents[0]), first.write_bytes(contents[1])
    forget(monkeypatch)
    np.testing.assert_array_equal(compiled(ADD).run([x[0, :1].repeat(5)] * 2, ())[0], [2] * 5)
    np.testing.assert_array_equal(compiled(STEP).run([x], w)[0], x)


@pytest.mark.parametrize("how", ["half", "zeros", "one bit", "nothing"])
def test_damaged_objects_are_made_again(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(monkeypatch)
    compiled(ADD)
    files = [f for f in (tmp_path / "objects").rglob("*") if f.is_file()]
    assert files
    for file in files:
        data = bytearray(file.read_bytes())
        if how == "one bit":
            data[len(data) // 2] ^= 1
        kept = {"half": data[: len(data) // 2], "zeros": bytes(len(data)), "one bit": data}
        file.write_bytes(kept.get(how, b""))
    forget(monkeypatch)
    np.testing.assert_array_equal(compiled(ADD).run([np.ones(5, np.float32)] * 2, ())[0], [2] * 5)


def test_a_cache_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with settings.using(cache_dir=tmp_path / "x"):
        assert hits(parse_program(textwrap.dedent(ADD)), 2) == [False, False]


def test_without_a_cache() -> None:
    with settings.using(cache=False):
        f = compiled(ADD)
    gc.collect()
    np.testing.assert_array_equal(f.run([np.ones(5, np.float32)] * 2, ())[0], [2] * 5)


class Shared(list[Any]):
    """Arenas of which another thread takes the last one after they were counted."""

    def __len__(self) -> int:
        return 1


def test_a_call_whose_arena_another_thread_takes_makes_its_own() -> None:
    text = """
program f(x: f32[64, 64]) {
  %0: f32[64, 64] = matmul(x, x)
  %1: f32[64, 64] = matmul(%0, x)
  return %1
}"""
    f = compiled(text)
    f._arenas = Shared()
    f._sized.clear()
    x = np.eye(64, dtype=np.float32) * 2
    (found,) = f._choose_run()([x], ())
    assert f.arena_bytes
    np.testing.assert_array_equal(found, x * 4)
    assert list.__len__(f._arenas) == 1


def test_calls_of_all_sizes_share_an_arena() -> None:
    """An arena of its own for each size would be new memory for each, and stay for ever."""
    text = """
program f(x: f32[n, 4]) {
  %0: f32[4, n] = permute(x) {dims=(1, 0)}
  %1: f32[4, n] = contiguous(%0)
  %2: f32[4, 4] = matmul(%1, x)
  %3: f32[n, 4] = matmul(x, %2)
  %4: f32[n] = sum(%3) {dim=(1,), keepdim=False}
  return %4
}
"""
    compiled = compile_program(parse_program(text))
    for rows in (3000, 7, 20_000, 500):
        x = np.random.default_rng(rows).standard_normal((rows, 4)).astype(np.float32)
        (found,) = compiled.run([x], [])
        exact = x.astype(np.float64)
        right = (exact @ (exact.T @ exact)).sum(1)
        np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-4 * abs(right).max())
    assert len(compiled._arenas) == 1
