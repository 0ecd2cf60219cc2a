"""The kernel that sorts short rows by counting, against Python's stable sort."""

from __future__ import annotations

import math

import numpy as np
import pytest
from oneprogram import Kernel, program_of, run

import argand as ag
from argand.base.dtype import as_dtype
from argand.ir.op import ops
from argand.kernels.match import plan_of
from argand.kernels.ranking import MOST_BYTES
from argand.runtime.threads import get_num_threads, set_num_threads
from machines import HERE

DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8")
LENGTHS = (1, 3, 8, 17, 64)


def drawn(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Numbers with many ties; of floats with NaN, both zeros and infinities; the limits of ints."""
    rng = np.random.default_rng(math.prod(shape))
    kind = as_dtype(dtype).numpy
    low = 0 if dtype in ("uint8", "bool") else -4
    x = rng.integers(low, 5, shape).astype(kind)
    if dtype in ("float32", "float64", "float16", "bfloat16"):
        special = np.array([np.nan, -np.nan, -0.0, 0.0, np.inf, -np.inf, 1e-7, -1e-7], kind)
    elif dtype == "bool":
        return x
    else:
        special = np.array([np.iinfo(kind).min, np.iinfo(kind).max], kind)
    places = rng.random(shape) < 0.4
    x[places] = rng.choice(special, int(places.sum()))
    return x


def order_of(row: np.ndarray, falls: bool) -> list[int]:
    """The stable order by Python; NaN is larger than any number."""
    numbers = [x.item() for x in (row.astype(np.float64) if row.dtype.kind == "V" else row)]

    def key(i: int) -> tuple[bool, float]:
        spoiled = numbers[i] != numbers[i]
        value = 0 if spoiled else numbers[i]
        return (not spoiled, -value) if falls else (spoiled, value)

    return sorted(range(len(numbers)), key=key)


def check_order(found: list[np.ndarray], x: np.ndarray, dim: int, falls: bool) -> None:
    """Values bit by bit and indices, of all places or the first ones."""
    values, indices = (np.moveaxis(a, dim, -1).reshape(-1, a.shape[dim]) for a in found)
    rows = np.moveaxis(x, dim, -1).reshape(-1, x.shape[dim])
    for row, value, index in zip(rows, values, indices, strict=True):
        expected = order_of(row, falls)[: len(index)]
        assert index.tolist() == expected
        assert value.tobytes() == row[expected].tobytes()


@pytest.mark.parametrize("target", HERE)
@pytest.mark.parametrize("dtype", [*DTYPES, "bool"])
def test_every_length_in_every_dtype(dtype: str, target: str) -> None:
    for n in LENGTHS:
        check_length(drawn((3, n), dtype), n % 2 == 0, target)


def check_length(x: np.ndarray, falls: bool, target: str) -> None:
    k = (x.shape[1] + 1) // 2
    found = run(program_of(lambda t: ops.sort(t, 1, falls), [x]), [x], target)
    check_order(found, x, 1, falls)
    found = run(program_of(lambda t: ops.topk(t, k, 1, not falls), [x]), [x], target)
    check_order(found, x, 1, not falls)


@pytest.mark.parametrize("target", HERE)
def test_one_element(target: str) -> None:
    for shape in ((), (1,), (4, 1)):
        x = drawn(shape, "float32")
        program = program_of(lambda t: ops.sort(t), [x])
        arrays = {program.inputs[0]: x}
        for out in program.nodes[0].outputs:  # with room behind it that must stay as it is
            room = np.full(x.size + 64, 77, out.dtype.numpy)
            arrays[out] = room[: x.size].reshape(shape)
        assert Kernel(program.nodes[0], arrays, target)(arrays) == 0
        values, indices = (arrays[o] for o in program.outputs)
        assert values.tobytes() == x.tobytes() and not indices.any()
        assert all((arrays[o].base.reshape(-1)[x.size :] == 77).all() for o in program.outputs)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_other_dimensions_and_strides(dim: int) -> None:
    x = drawn((5, 9, 4), "float32")
    for stored in (x, np.asfortranarray(x), np.repeat(x, 2, 1)[:, ::2]):
        program = program_of(lambda t: ops.sort(t, dim, True), [x])
        arrays = {program.inputs[0]: stored}
        for out in program.nodes[0].outputs:
            arrays[out] = np.full(x.shape, -1, out.dtype.numpy)
        assert Kernel(program.nodes[0], arrays)(arrays) == 0
        check_order([arrays[o] for o in program.outputs], x, dim, True)


def test_rows_in_threads() -> None:
    x = drawn((5_000, 19), "float32")
    before = get_num_threads()
    try:
        for count in (1, 2, 5):
            set_num_threads(count)
            check_order(run(program_of(lambda t: ops.sort(t), [x]), [x]), x, 1, False)
    finally:
        set_num_threads(before)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_the_first_of_each_row(dim: int) -> None:
    x = drawn((5, 3, 7), "int32")
    check_order(run(program_of(lambda t: ops.topk(t, 1, dim), [x]), [x]), x, dim, True)


def test_none_of_a_row() -> None:
    x = drawn((4, 6), "float32")
    values, indices = run(program_of(lambda t: ops.topk(t, 0), [x]), [x])
    assert values.shape == indices.shape == (4, 0)


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("float64", 8), ("int8", 4)])
def test_the_longest_row(dtype: str, size: int) -> None:
    longest = MOST_BYTES // size
    x = drawn((2, longest), dtype)
    check_order(run(program_of(lambda t: ops.sort(t), [x]), [x]), x, 1, False)
    longer = program_of(lambda t: ops.sort(t), [drawn((2, longest + 1), dtype)])
    assert plan_of(longer.nodes[0]) is None


def test_a_plan_says_what_it_gives() -> None:
    x = drawn((4, 6), "float32")
    (node,) = program_of(lambda t: ops.topk(t, 2), [x]).nodes
    assert str(plan_of(node)) == "ranking: topk of rows of 6, falling, the first 2"
    (node,) = program_of(lambda t: ops.sort(t), [x]).nodes
    assert str(plan_of(node)) == "ranking: sort of rows of 6, rising"


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_rows_of_any_length(dynamic: bool) -> None:
    best = ag.compile(lambda t: t.topk(2, 1), dynamic=dynamic)
    for n in (5, 9, 300, 12, 400):
        x = drawn((3, n), "float32")
        values, indices = best(ag.from_numpy(x))
        check_order([values.numpy(), indices.numpy()], x, 1, True)
