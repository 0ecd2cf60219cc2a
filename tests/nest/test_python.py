"""Nests as Python functions: the accesses of the nest, in its order, and nothing computed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from argand.nest.builder import BOOL, F32, I64, PTR, NestBuilder, NestError, Ty
from argand.nest.python import StatusError, _Writer, python_function

F32X4 = Ty("float32", 4)


class Recorder:
    """A Memory that writes down what it is asked; integers that decide come from `held`."""

    def __init__(self, held: dict[int, int] | None = None) -> None:
        self.held = dict(held or {})
        self.seen: list[tuple[Any, ...]] = []
        self.taken = 1000

    def load(self, address: int, nbytes: int) -> None:
        self.seen.append(("load", address, nbytes))

    def store(self, address: int, nbytes: int) -> None:
        self.seen.append(("store", address, nbytes))

    def load_lanes(self, address: int, each: int, mask: Any) -> None:
        self.seen.append(("load", address, each, [bool(m) for m in mask]))

    def store_lanes(self, address: int, each: int, mask: Any) -> None:
        self.seen.append(("store", address, each, [bool(m) for m in mask]))

    def gather(self, address: int, each: int, offsets: Any, mask: Any) -> None:
        self.seen.append(("gather", address, each, list(offsets)))

    def scatter(self, address: int, each: int, offsets: Any, mask: Any) -> None:
        self.seen.append(("scatter", address, each, list(offsets)))

    def value(self, address: int, elem: str) -> Any:
        self.seen.append(("value", address, elem))
        return self.held[address]

    def values(self, address: int, elem: str, offsets: Any, mask: Any) -> Any:
        each = np.dtype(elem).itemsize
        return np.array([self.held[address + int(o) * each] for o in offsets])

    def store_value(self, address: int, each: int, offsets: Any, mask: Any, value: Any) -> None:
        self.seen.append(("store_value", address))
        self.held[address] = value

    def take(self, nbytes: int) -> int:
        self.taken += 100
        return self.taken

    def chunks(self, count: int) -> Iterator[int]:
        yield from range(count)

    def call(self, name: str, *args: int) -> None:
        self.seen.append(("call", name, *args))


def run(b: NestBuilder, *args: int, held: dict[int, int] | None = None) -> list[tuple[Any, ...]]:
    memory = Recorder(held)
    python_function(b.finish())(memory, *args)
    return memory.seen


def test_a_loop_with_a_masked_tail() -> None:
    b = NestBuilder("f", [("x", PTR), ("y", PTR), ("n", I64)])
    x, y, n = b.params
    with b.loop(0, n, 4) as loop:
        mask = b.tail_mask(loop.index, n, 4)
        b.store(y, loop.index, b.apply("exp", b.load(x, loop.index, F32X4, mask)), mask)
    every, tail = [True] * 4, [True, True, False, False]
    assert run(b, 100, 200, 6) == [
        ("load", 100, 4, every),
        ("store", 200, 4, every),
        ("load", 116, 4, tail),
        ("store", 216, 4, tail),
    ]


def test_arithmetic_on_data_is_left_out() -> None:
    b = NestBuilder("f", [("x", PTR)])
    (x,) = b.params
    b.store(x, 1, b.apply("mul", b.apply("sin", b.load(x, 0, F32)), 2.0))
    assert "*" not in _Writer(b.finish()).text()[0].replace(" * 4", "")
    assert run(b, 40) == [("load", 40, 4), ("store", 44, 4)]


def test_what_is_looked_up_decides() -> None:
    b = NestBuilder("f", [("index", PTR), ("x", PTR), ("y", PTR)])
    index, x, y = b.params
    with b.loop(0, 2) as loop:
        b.store(y, loop.index, b.load(x, b.load(index, loop.index, I64), F32))
    seen = run(b, 0, 100, 200, held={0: 7, 8: 3})
    assert [s for s in seen if s[0] != "value"] == [
        ("load", 128, 4),
        ("store", 200, 4),
        ("load", 112, 4),
        ("store", 204, 4),
    ]


def test_a_gather_at_computed_lanes() -> None:
    b = NestBuilder("f", [("index", PTR), ("x", PTR)])
    index, x = b.params
    places = b.load(index, 0, Ty("int64", 2))
    doubled = b.apply("mul", places, b.const(Ty("int64", 2), 2))
    value = b.gather(x, doubled, Ty("float32", 2))
    b.scatter(x, places, value)
    seen = run(b, 0, 100, held={0: 5, 8: 1})
    assert [s for s in seen if s[0] != "value"] == [
        ("gather", 100, 4, [10, 2]),
        ("scatter", 100, 4, [5, 1]),
    ]


def test_a_size_of_0_divides_an_index_as_1_does() -> None:
    b = NestBuilder("f", [("x", PTR), ("i", I64), ("n", I64)])
    x, i, n = b.params
    for place in (b.div(i, n), b.rem(i, n), b.div(i, 0), b.rem(i, 0)):
        b.load(x, place, F32)
    assert [s[1] for s in run(b, 100, 5, 0)] == [120, 100, 120, 100]
    assert [s[1] for s in run(b, 100, 5, 3)] == [104, 108, 120, 100]


@pytest.mark.parametrize("lanes", [1, 2])
def test_what_is_looked_up_and_divided_by_0_is_0(lanes: int) -> None:
    """As NumPy and machine code have it."""
    b = NestBuilder("f", [("index", PTR), ("x", PTR)])
    index, x = b.params
    ty = Ty("int64", lanes)
    above, below = b.load(index, 0, ty), b.load(index, lanes, ty)
    for prim in ("floordiv", "mod"):
        places = b.apply(prim, above, below)
        b.gather(x, places, F32.with_lanes(lanes)) if lanes > 1 else b.load(x, places, F32)
    held = {0: 7, 8: 0} if lanes == 1 else {0: 7, 8: 7, 16: 0, 24: 4}
    seen = [s for s in run(b, 0, 100, held=held) if s[0] != "value"]
    wanted = [0, 0] if lanes == 1 else [[0, 1], [0, 3]]
    assert [s[3] if lanes > 1 else (s[1] - 100) // 4 for s in seen] == wanted


def test_tables_in_scratch_memory_are_kept_and_data_there_is_not() -> None:
    b = NestBuilder("f", [("x", PTR)])
    (x,) = b.params
    table, data = b.scratch(16), b.scratch(16)
    b.store(table, 1, b.i64(6))
    b.store(data, 0, b.load(x, 0, F32))
    b.load(x, b.load(table, 1, I64), F32)
    assert run(b, 0) == [
        ("store_value", 1108),
        ("load", 0, 4),
        ("store", 1200, 4),
        ("value", 1108, "int64"),
        ("load", 24, 4),
    ]


def test_carried_registers_and_branches() -> None:
    b = NestBuilder("f", [("x", PTR), ("n", I64), ("flag", BOOL)])
    x, n, flag = b.params
    with b.loop(0, n, 1, [b.i64(1), b.load(x, 0, F32)]) as loop:
        place, total = loop.carry
        with b.if_(flag) as branch:
            b.yield_(b.mul(place, 2))
        with branch.else_():
            b.yield_(b.add(place, 1))
        b.load(x, branch.results[0], F32)
        b.yield_(branch.results[0], b.apply("add", total, total))
    b.store(x, loop.results[0], loop.results[1])
    places = {True: [0, 8, 16, 32], False: [0, 8, 12, 16]}
    for choice, wanted in places.items():
        seen = run(b, 0, 3, choice)
        assert [s[1] for s in seen] == [*wanted, wanted[-1]]


def test_chunks_calls_and_failures() -> None:
    callee = NestBuilder("g", [("x", PTR)])
    b = NestBuilder("f", [("x", PTR), ("n", I64)])
    x, n = b.params
    with b.parallel(n) as chunk:
        b.store(x, chunk, b.const(F32, 0))
    b.call(callee.finish(), b.offset(x, 3, "float32"))
    with b.if_(b.lt(n, 2)):
        b.fail(9)
    assert run(b, 0, 2) == [("store", 0, 4), ("store", 4, 4), ("call", "g", 12)]
    with pytest.raises(StatusError, match="9"):
        run(b, 0, 1)


def test_data_must_not_decide() -> None:
    b = NestBuilder("f", [("x", PTR)])
    (x,) = b.params
    b.load(x, b.cast(b.load(x, 0, F32), "int64"), F32)
    with pytest.raises(NestError, match="data decides an access"):
        python_function(b.finish())
