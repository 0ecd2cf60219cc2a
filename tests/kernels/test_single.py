"""Kernels of contractions with their epilogue, pooling, scatters, positions and running sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from oneprogram import Kernel, check, fused, garbage, program_of

from argand.ir.op import ops
from argand.runtime.threads import get_num_threads, set_num_threads
from machines import HERE

RNG = np.random.default_rng(5)


def f32(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def ints(high: int, *shape: int, low: int = 0) -> np.ndarray:
    return RNG.integers(low, high, shape)


# contractions -------------------------------------------------------------------------------------


def linear(x: Any, w: Any, b: Any) -> Any:
    return ops.relu(ops.add(ops.matmul(x, ops.permute(w, (1, 0))), b))


@pytest.mark.parametrize("m", [1, 5, 33])
def test_linear_with_bias_and_activation(m: int) -> None:
    check(linear, [f32(m, 20), f32(50, 20), f32(50)], kind="contract", rtol=1e-4, atol=1e-4)


def adam(x: Any, g: Any, m: Any, v: Any, p: Any, lr: Any) -> Any:
    """The gradient of a weight, and Adam's update of it."""
    dw = ops.permute(ops.matmul(ops.permute(x, (1, 0)), g), (1, 0))
    m = ops.add(ops.mul(m, 0.9), ops.mul(dw, 0.1))
    v = ops.add(ops.mul(v, 0.999), ops.mul(ops.mul(dw, dw), 0.001))
    step = ops.div(ops.mul(m, lr), ops.add(ops.sqrt(v), 1e-8))
    return m, v, ops.sub(p, step)


def adam_arrays() -> list[np.ndarray]:
    lr = np.array(0.01, np.float32)
    return [f32(40, 33), f32(40, 21), f32(21, 33), f32(21, 33) ** 2, f32(21, 33), lr]


def test_the_optimizer_updates_the_tile_of_the_weight_gradient() -> None:
    check(adam, adam_arrays(), kind="contract", rtol=1e-3, atol=1e-4)


def test_state_is_updated_where_it_lies() -> None:
    arrays = adam_arrays()
    program = fused(program_of(adam, arrays), "contract")
    node = program.nodes[0]
    apart = dict(zip(program.inputs, arrays, strict=True))
    apart.update((o, garbage(o)) for o in node.outputs)
    assert Kernel(node, apart)(apart) == 0
    there = dict(zip(program.inputs, [a.copy() for a in arrays], strict=True))
    states = [program.inputs[i] for i in (2, 3, 4)]
    there.update((o, there[s]) for o, s in zip(node.outputs, states, strict=True))
    assert Kernel(node, there)(there) == 0
    for o in node.outputs:
        np.testing.assert_array_equal(there[o], apart[o])


def test_batched_products_of_reshaped_operands() -> None:
    def heads(q: Any, k: Any) -> Any:
        q, k = (
            ops.reshape(ops.permute(ops.reshape(z, (2, 10, 3, 8)), (0, 2, 1, 3)), (6, 10, 8))
            for z in (q, k)
        )
        return ops.mul(ops.matmul(q, ops.permute(k, (0, 2, 1))), 0.5)

    check(heads, [f32(2, 10, 24), f32(2, 10, 24)], kind="contract", rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("equation", ["ij,kj->ki", "bhid,bhjd->bhij", "ij,ij->"])
def test_einsum(equation: str) -> None:
    left, right = equation.split("->")[0].split(",")
    size = dict(zip("abhijkd", (2, 2, 3, 5, 7, 4, 6), strict=True))
    arrays = [f32(*(size[c] for c in term)) for term in (left, right)]
    check(lambda a, b: ops.einsum(equation, a, b), arrays, kind="contract", rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_with_bias_and_activation(stride: int) -> None:
    def conv(x: Any, w: Any, b: Any) -> Any:
        y = ops.conv2d(x, w, stride=stride, padding=1)
        return ops.relu(ops.add(y, ops.reshape(b, (1, 4, 1, 1))))

    x = np.ascontiguousarray(f32(2, 9, 9, 3)).transpose(0, 3, 1, 2)
    for image in (x, np.ascontiguousarray(x)):
        arrays = [image, f32(4, 3, 3, 3), f32(4)]
        check(conv, arrays, kind="contract", rtol=1e-4, atol=1e-4)


def test_gradients_of_a_convolution() -> None:
    g, x, w = f32(2, 4, 8, 8), f32(2, 3, 8, 8), f32(4, 3, 3, 3)

    def step(g: Any, x: Any, w: Any) -> Any:
        return ops.sub(w, ops.conv2d_weight_grad(g, x, kernel=(3, 3), padding=1))

    check(step, [g, x, w], kind="contract", rtol=1e-4, atol=1e-3)
    check(
        lambda g, w, x: ops.mul(ops.conv2d_input_grad(g, w, size=(8, 8), padding=1), x),
        [g, w, x],
        kind="contract",
        rtol=1e-4,
        atol=1e-4,
    )


# pooling ------------------------------------------------------------------------------------------

POOLS = [(2, None, 0), (3, 2, 1), ((2, 3), (1, 2), 0), (3, 1, 1), (2, 3, 1)]


def images(*shape: int) -> list[np.ndarray]:
    x = (RNG.permutation(int(np.prod(shape))).reshape(shape) * 0.1).astype(np.float32)
    return [x, np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)]


@pytest.mark.parametrize("kernel,stride,padding", POOLS)
@pytest.mark.parametrize("target", HERE)
def test_pooling_and_its_gradients(kernel: Any, stride: Any, padding: int, target: str) -> None:
    def largest(x: Any, g: Any) -> Any:
        y = ops.max_pool2d(x, kernel, stride, padding)
        index = y.node.outputs[1]
        size = {"size": x.shape[2:], "kernel_size": kernel, "stride": stride, "padding": padding}
        return y, index, ops.max_pool2d_grad(ops.slice(g, (0,) * 4, y.shape), index, **size)

    def mean(x: Any, g: Any) -> Any:
        y = ops.avg_pool2d(x, kernel, stride, padding)
        size = {"size": x.shape[2:], "kernel_size": kernel, "stride": stride, "padding": padding}
        return y, ops.avg_pool2d_grad(ops.slice(g, (0,) * 4, y.shape), **size)

    for x in images(2, 5, 8, 9):
        for function in (largest, mean):
            check(function, [x, f32(2, 5, 10, 11)], target=target, whole=False)


def test_a_window_takes_the_first_of_equals_and_any_nan() -> None:
    x = np.zeros((1, 1, 4, 4), np.float32)
    x[0, 0, 0, 1] = x[0, 0, 1, 0] = 1
    x[0, 0, 3, 2] = np.nan
    x[0, 0, 2:, :2] = -np.inf

    def both(x: Any) -> Any:
        y = ops.max_pool2d(x, 2)
        return y, y.node.outputs[1]

    check(both, [x], whole=False)


def test_pooling_of_a_computed_image() -> None:
    check(lambda x: ops.mul(ops.max_pool2d(ops.relu(x), 2), 2.0), [f32(2, 3, 8, 8)])


# scatters, positions, running sums ----------------------------------------------------------------


def test_equal_places_add_up_in_order() -> None:
    rows = ints(5, 40)
    check(
        lambda w, g, i: ops.index_put(w, g, i, dims=(0,), accumulate=True),
        [f32(5, 33), f32(40, 33), rows],
        rtol=1e-4,
        atol=1e-5,
    )
    check(
        lambda x, i, s: ops.scatter_add(x, 0, i, s),
        [f32(5, 9), ints(5, 30, 9), f32(30, 9)],
        atol=1e-5,
    )
    check(
        lambda x, i, s: ops.scatter_add(x, 1, i, s),
        [f32(9, 5), ints(5, 9, 30), f32(9, 30)],
        atol=1e-5,
    )


def test_of_equal_places_the_last_is_kept() -> None:
    x, i, s = f32(4, 6), ints(6, 4, 20), f32(4, 20)
    want = x.copy()
    for row in range(4):
        for column in range(20):
            want[row, i[row, column]] = s[row, column]
    (got,) = check(lambda x, i, s: ops.scatter(x, 1, i, s), [x, i, s])
    np.testing.assert_array_equal(got, want)


def test_an_embedding_gradient_has_the_same_bits_on_any_threads() -> None:
    arrays = [f32(3000, 96), ints(65, 3000)]
    before = get_num_threads()
    results = []
    try:
        for count in (1, 2, 5):
            set_num_threads(count)
            (got,) = check(
                lambda g, i: ops.index_put(
                    ops.full((65, 96), 0.0, "float32"), g, i, dims=(0,), accumulate=True
                ),
                arrays,
                rtol=1e-5,  # some 50 additions of normal numbers each
                atol=1e-5,
            )
            results.append(got)
    finally:
        set_num_threads(before)
    assert all(np.array_equal(r, results[0]) for r in results)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_positions(name: str) -> None:
    x = (RNG.integers(0, 5, (9, 33)) * 1.0).astype(np.float32)
    x[3, 7] = x[3, 20] = np.nan
    x[4] = -np.inf
    for dim in (None, 0, 1):
        check(lambda x, dim=dim: getattr(ops, name)(x, dim), [x])
        check(lambda x, dim=dim: getattr(ops, name)(ops.neg(x), dim, True), [x])


def test_running_sums() -> None:
    for dim in (0, 1, 2):
        check(lambda x, dim=dim: ops.cumsum(x, dim), [f32(4, 33, 7)], rtol=1e-5, atol=1e-5)
