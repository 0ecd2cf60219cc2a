"""Kernels of elementwise ops, moves, gathers and draws against NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from oneprogram import Kernel, check, fused, garbage, program_of, run

from argand.ir.op import ops
from argand.runtime.threads import get_num_threads, set_num_threads
from machines import HERE

RNG = np.random.default_rng(7)


def f32(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


SHAPES = [(), (1,), (7,), (64,), (3, 37), (1, 5, 1), (0, 4), (2, 3, 4, 5), (1000, 33)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("target", HERE)
def test_a_chain_on_odd_shapes(shape: tuple[int, ...], target: str) -> None:
    check(
        lambda x, y: ops.mul(ops.add(ops.exp(x), y), 0.5), [f32(*shape), f32(*shape)], target=target
    )


def test_strided_operands() -> None:
    x, y = f32(20, 30)[::2, ::3], f32(10, 10).T
    check(lambda x, y: ops.sub(x, y), [x, y])


def test_broadcast_operands() -> None:
    row, column, one = f32(33), f32(20, 1), f32(1, 1)
    check(lambda a, b, c: ops.add(ops.add(a, b), c), [row, column, one])


def test_nan_and_infinity_pass_through() -> None:
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-40, 3e18], np.float32)
    check(lambda x: (ops.relu(x), ops.maximum(x, 1.0), ops.exp(x), ops.mul(x, x)), [x], rtol=1e-6)


@pytest.mark.parametrize(
    "dtype",
    ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8"],
)
def test_dtypes(dtype: str) -> None:
    import ml_dtypes

    numpy = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    x = RNG.integers(0, 9, (5, 19)).astype(numpy)
    check(lambda x: ops.add(ops.mul(x, x), 3), [x], rtol=0)  # whole numbers below 84 are exact


def test_a_comparison_and_a_choice() -> None:
    check(lambda x, y: ops.where(ops.lt(x, y), x, ops.neg(y)), [f32(9, 11), f32(9, 11)])
    check(lambda x: ops.gt(x, 0.0), [f32(77)])


MOVES: list[tuple[Callable, tuple[int, ...]]] = [
    (lambda x: ops.permute(x, (1, 0)), (50, 7)),
    (lambda x: ops.permute(x, (2, 0, 1)), (5, 6, 7)),
    (lambda x: ops.permute(x, (1, 0)), (128, 192)),
    (lambda x: ops.reshape(x, (10, 5, 7)), (50, 7)),
    (lambda x: ops.reshape(x, (7, 50)), (50, 7)),
    (lambda x: ops.reshape(ops.permute(x, (0, 2, 1)), (6, 20)), (6, 4, 5)),
    (lambda x: ops.reshape(ops.permute(x, (1, 0)), (5, 14)), (7, 10)),
    (lambda x: ops.slice(x, (1, 2), (9, 7), (2, 3)), (9, 8)),
    (lambda x: ops.flip(x, (0, 1)), (5, 19)),
    (lambda x: ops.pad(x, ((1, 2), (0, 3)), 1.5), (6, 7)),
    (lambda x: ops.cat(x, x, ops.neg(x), dim=1), (5, 7)),
    (lambda x: ops.cat(x, ops.mul(x, 2.0), dim=0), (5, 7)),
    (
        lambda x: ops.slice_scatter(x, ops.full((2, 3), 9.0, "float32"), (1, 2), (5, 8), (2, 2)),
        (6, 9),
    ),
]


@pytest.mark.parametrize("number", range(len(MOVES)))
@pytest.mark.parametrize("target", HERE)
def test_moves_alone_and_within_a_chain(number: int, target: str) -> None:
    move, shape = MOVES[number]
    check(move, [f32(*shape)], target=target)
    check(lambda x: ops.mul(move(ops.add(x, 1.0)), 2.0), [f32(*shape)], target=target)


def test_results_in_channels_last_layout() -> None:
    x = f32(2, 6, 4, 5)
    program = fused(program_of(lambda x: ops.mul(x, 2.0), [x]))
    node = program.nodes[0]
    node.outputs[0].layout = (0, 2, 3, 1)
    (got,) = run(program, [x])
    np.testing.assert_array_equal(got, x * 2)
    assert got.transpose(0, 2, 3, 1).flags.c_contiguous


def test_several_spaces_in_one_kernel() -> None:
    check(
        lambda x, y, z: (ops.add(x, 1.0), ops.mul(y, 2.0), ops.neg(z)), [f32(5, 7), f32(9), f32()]
    )


def test_gathers() -> None:
    table, rows = f32(11, 13), RNG.integers(0, 11, (4, 5))
    check(lambda t, i: ops.embedding(t, i), [table, rows])
    check(lambda t, i: ops.mul(ops.gather(t, 1, i), 2.0), [table, RNG.integers(0, 13, (11, 3))])
    check(lambda t, i: ops.gather(t, 0, i), [table, RNG.integers(0, 11, (6, 13))])
    negative = RNG.integers(-11, 11, (6,))
    check(lambda t, i: ops.index(t, i), [table, negative])
    check(
        lambda t, i, j: ops.index(t, i, j, dims=(0, 2)),
        [f32(4, 5, 6), RNG.integers(0, 4, (3,)), RNG.integers(0, 6, (3,))],
    )


@pytest.mark.parametrize("bad", [5, -1, 1 << 40])
def test_an_index_out_of_range_is_a_status_and_nothing_is_written(bad: int) -> None:
    table, rows = f32(5, 3), np.array([0, 1, 2, 3, 4, 0, 1, 2, 4])
    rows[7] = bad
    program = fused(program_of(lambda t, i: ops.embedding(t, i), [table, rows]))
    node = program.nodes[0]
    arrays = dict(zip(program.inputs, [table, rows], strict=True))
    arrays[node.outputs[0]] = garbage(node.outputs[0])
    before = arrays[node.outputs[0]].copy()
    assert Kernel(node, arrays)(arrays) == 7
    np.testing.assert_array_equal(arrays[node.outputs[0]].view(np.uint8), before.view(np.uint8))


@pytest.mark.parametrize("draw", [ops.uniform, ops.normal])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_are_those_of_numpy(draw: Callable, dtype: str) -> None:
    state = np.array([1234567890123, 42])
    check(lambda s: draw(s, (5, 13), dtype), [state], rtol=1e-5, atol=1e-6)


def test_whole_draws() -> None:
    check(lambda s: ops.randint(s, (7, 11), -5, 17), [np.array([9, 3])])


def test_created_values() -> None:
    check(lambda x: ops.add(x, ops.arange(1.5, 0.25, 19, "float32")), [f32(4, 19)])


def test_the_bits_do_not_depend_on_threads() -> None:
    x, before = f32(700, 1000), get_num_threads()
    results = []
    try:
        for count in (1, 2, 5):
            set_num_threads(count)
            (got,) = check(lambda x: ops.tanh(ops.mul(x, 1.5)), [x])
            results.append(got)
    finally:
        set_num_threads(before)
    assert all(np.array_equal(r, results[0]) for r in results)


@pytest.mark.parametrize("target", HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int16", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(64, 128), (131, 77), (16, 3), (3, 70, 33)])
def test_transposes_in_squares(shape: tuple[int, ...], dtype: str, target: str) -> None:
    """Whole squares, what is left of them on both sides, and more than one block."""
    x = RNG.integers(0, 100, shape).astype(dtype)
    dims = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
    (got,) = check(lambda x: ops.contiguous(ops.permute(x, dims)), [x], target=target)
    np.testing.assert_array_equal(got, x.transpose(dims))


def test_operands_that_lie_across_each_other() -> None:
    """One is turned, one is read where the result is stored, and one has a value a row."""
    x, y, z = f32(90, 70), f32(70, 90), f32(70, 1)

    def function(x, y, z):  # type: ignore[no-untyped-def]
        return ops.mul(ops.add(ops.permute(x, (1, 0)), y), z), ops.exp(y)

    check(function, [x, y, z])
