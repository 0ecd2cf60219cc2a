"""Kernels of reductions, and of what surrounds them, against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from oneprogram import Kernel, check, fused, program_of, run

from argand.ir.op import ops
from argand.runtime.threads import get_num_threads, set_num_threads
from machines import HERE

RNG = np.random.default_rng(11)


def f32(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


SHAPES = [(5, 7), (50, 33), (128, 1024), (3, 4, 5), (1000,), (100_000,), (1, 1), (0, 3), (3, 0)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("keepdim", [False, True])
def test_sums_along_every_axis(shape: tuple[int, ...], keepdim: bool) -> None:
    for dim in [None, *range(len(shape))]:
        check(lambda x, dim=dim: ops.sum(x, dim, keepdim), [f32(*shape)], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dims", [(0,), (1,), (2,), (3,), (0, 2), (1, 3), (0, 2, 3), (0, 1, 2, 3)])
@pytest.mark.parametrize("target", HERE)
def test_sums_over_several_axes_in_both_layouts(dims: tuple[int, ...], target: str) -> None:
    x = f32(3, 16, 5, 9)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for array in (x, last):
        check(lambda x: ops.sum(ops.mul(x, x), dims), [array], target=target, rtol=1e-4)


@pytest.mark.parametrize("name", ["prod", "amax", "amin"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_other_reductions(name: str, dtype: type) -> None:
    x = RNG.permutation(9 * 37).reshape(9, 37)[:, :13].astype(dtype)
    x = x % 3 + 1 if name == "prod" else x - 100
    for dim in (0, 1, None):
        check(lambda x, dim=dim: getattr(ops, name)(x, dim), [x], rtol=1e-4)


@pytest.mark.parametrize("name", ["any", "all"])
def test_truth_of_rows(name: str) -> None:
    x = RNG.random((9, 37)) < 0.9
    for dim in (0, 1, None):
        check(lambda x, dim=dim: getattr(ops, name)(x, dim), [x])


def test_nan_is_the_largest_and_the_smallest() -> None:
    x = f32(6, 40)
    x[2, 17] = np.nan
    x[4, 39] = np.nan
    x[5, 3] = np.inf
    for dim in (0, 1, None):
        check(
            lambda x, dim=dim: (ops.amax(x, dim), ops.amin(x, dim), ops.sum(x, dim)), [x], atol=1e-4
        )


def test_a_long_sum_stays_accurate() -> None:
    x = np.full(1 << 22, 0.1, np.float32)
    (got,) = check(lambda x: ops.sum(x), [x], rtol=1e-6)
    assert abs(float(got) / (float(np.float32(0.1)) * (1 << 22)) - 1) < 1e-6


@pytest.mark.parametrize("target", HERE)
@pytest.mark.parametrize(("dtype", "unit"), [(np.float32, 2.0**-24), (np.float64, 2.0**-53)])
def test_long_sums_are_added_up_in_blocks(dtype: type, unit: float, target: str) -> None:
    x = RNG.uniform(3, 4, (1 << 20, 3)).astype(dtype)
    for array, dims in ((x, 0), (x, None), (x.reshape(1, -1, 3), 1), (x.T, 1), (x[:, :2], (0, 1))):
        (got,) = check(lambda x, dims=dims: ops.sum(x, dims), [array], target=target, rtol=1e-4)
        over = tuple(range(array.ndim)) if dims is None else dims
        want = array.astype(np.longdouble).sum(over)
        assert np.max(np.abs(got - want) / want) < 40 * unit, dims


@pytest.mark.parametrize("target", HERE)
def test_the_order_of_a_row_depends_on_its_length_alone(target: str) -> None:
    """Not on what is computed around the sum, nor on how many lanes that takes at a time."""
    for length in (3, 20, 40, 100, 1000, 5000, 40_000):
        x = RNG.uniform(3, 4, (2, length)).astype(np.float16)
        wide = x.astype(np.float32)

        def total(x):  # type: ignore[no-untyped-def]
            return ops.sum(ops.cast(x, "float32"), 1)

        def with_exponentials(x):  # type: ignore[no-untyped-def]
            dear = ops.sum(ops.exp(ops.neg(ops.cast(x, "float32"))), 1)
            return ops.sum(ops.cast(x, "float32"), 1), dear

        (alone,) = check(total, [wide], target=target, rtol=1e-4)
        for function, array in ((total, x), (with_exponentials, x), (with_exponentials, wide)):
            got, *_ = check(function, [array], kind="rows", target=target, rtol=1e-4)
            np.testing.assert_array_equal(got, alone, str(length))


def softmax(x):  # type: ignore[no-untyped-def]
    e = ops.exp(ops.sub(x, ops.amax(x, 1, True)))
    return ops.div(e, ops.sum(e, 1, True))


@pytest.mark.parametrize("columns", [1, 3, 8, 33, 1000, 1024])
@pytest.mark.parametrize("target", HERE)
def test_softmax_is_one_kernel(columns: int, target: str) -> None:
    check(softmax, [f32(37, columns)], kind="rows", target=target)


@pytest.mark.parametrize(("add", "apart"), [(False, False), (True, True)])
def test_exponentials_are_kept_in_the_result(add: bool, apart: bool) -> None:
    """But not where an operand is read after them that may lie in the same place."""

    def function(x, y):  # type: ignore[no-untyped-def]
        return ops.add(softmax(x), y) if add else softmax(ops.mul(x, y))

    arrays = [f32(9, 77), f32(9, 77)]
    (got,) = check(function, arrays, kind="rows")
    node = fused(program_of(function, arrays), "rows").nodes[0]
    kernel = Kernel(node, dict(zip([*node.values, *node.outputs], [*arrays, got], strict=True)))
    assert ("= scratch" in str(kernel.function)) == apart


def test_softmax_across_rows() -> None:
    def across(x):  # type: ignore[no-untyped-def]
        e = ops.exp(ops.sub(x, ops.amax(x, 1, True)))
        return ops.div(e, ops.sum(e, 1, True))

    check(across, [f32(5, 17, 19)], kind="rows")


def layer_norm(x, w, b):  # type: ignore[no-untyped-def]
    n = float(x.shape[1])
    mean = ops.div(ops.sum(x, 1, True), n)
    centred = ops.sub(x, mean)
    rstd = ops.rsqrt(ops.add(ops.div(ops.sum(ops.square(centred), 1, True), n), 1e-5))
    return ops.add(ops.mul(ops.mul(centred, rstd), w), b), mean, rstd


@pytest.mark.parametrize("columns", [5, 64, 777])
def test_layer_norm_is_one_kernel(columns: int) -> None:
    check(layer_norm, [f32(50, columns), f32(columns), f32(columns)], kind="rows", atol=1e-4)


def layer_norm_gradients(g, x, w, rstd):  # type: ignore[no-untyped-def]
    n = float(x.shape[1])
    normal = ops.mul(x, rstd)
    gy = ops.mul(g, w)
    along = ops.mul(normal, ops.div(ops.sum(ops.mul(gy, normal), 1, True), n))
    gx = ops.mul(rstd, ops.sub(ops.sub(gy, ops.div(ops.sum(gy, 1, True), n)), along))
    return gx, ops.sum(ops.mul(g, normal), 0), ops.sum(g, 0)


@pytest.mark.parametrize("rows", [1, 7, 300, 3000])
def test_column_sums_ride_along(rows: int) -> None:
    arrays = [f32(rows, 65), f32(rows, 65), f32(65), f32(rows, 1)]
    check(layer_norm_gradients, arrays, kind="rows", rtol=1e-4, atol=2e-3)


def test_a_result_of_the_batch_is_used_at_once() -> None:
    def update(g, p):  # type: ignore[no-untyped-def]
        total = ops.sum(g, 0)
        return ops.sub(p, ops.mul(total, 0.1)), ops.mul(ops.sum(ops.square(g)), 0.5)

    check(update, [f32(300, 41), f32(41)], kind="rows", rtol=1e-4, atol=1e-3)


def cross_entropy(x, y):  # type: ignore[no-untyped-def]
    top = ops.amax(x, 1, True)
    centred = ops.sub(x, top)
    lse = ops.log(ops.sum(ops.exp(centred), 1, True))
    picked = ops.gather(centred, 1, ops.reshape(y, (y.shape[0], 1)))
    return ops.div(ops.sum(ops.sub(lse, picked)), float(x.shape[0])), ops.sub(centred, lse)


def test_cross_entropy_is_one_kernel() -> None:
    check(cross_entropy, [f32(130, 10), RNG.integers(0, 10, 130)], kind="rows", rtol=1e-4)


def test_the_bits_do_not_depend_on_threads() -> None:
    arrays = [f32(3000, 65), f32(3000, 65), f32(65), f32(3000, 1)]
    before = get_num_threads()
    results = []
    try:
        for count in (1, 2, 5):
            set_num_threads(count)
            results.append(run(fused(program_of(layer_norm_gradients, arrays), "rows"), arrays))
    finally:
        set_num_threads(before)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(other, results[0], strict=True))


def test_a_row_has_the_same_bits_in_any_batch() -> None:
    x = f32(400, 77)
    (whole,) = run(fused(program_of(softmax, [x]), "rows"), [x])
    for rows in (1, 2, 13):
        part = np.ascontiguousarray(x[:rows])
        (got,) = run(fused(program_of(softmax, [part]), "rows"), [part])
        np.testing.assert_array_equal(got, whole[:rows])
