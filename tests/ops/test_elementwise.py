"""Elementwise semantics that samples can't show: promotion, integers, kinks, NaN, 16-bit floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ml_dtypes import bfloat16

from argand.base.dtype import as_dtype, float32
from argand.ir.elementwise import Elementwise
from argand.ir.op import TensorType, ops, registry
from argand.ir.record import record
from argand.ir.samples import Uniform

F = np.float64


def dtype_of(f: Any, *dtypes: str) -> str:
    """The dtype of f on 1-d tensors of the given dtypes."""
    program = record(f, [TensorType(as_dtype(d), (2,)) for d in dtypes])
    return program.outputs[0].dtype.name


@pytest.mark.parametrize(
    ("f", "dtypes", "expected"),
    [
        (lambda x: x + 1, ("int64",), "int64"),
        (lambda x: x + 1.5, ("int64",), "float32"),
        (lambda x: x + 1.5, ("float64",), "float64"),
        (lambda x: x / 2, ("int64",), "float32"),
        (lambda x: x // 2, ("int64",), "int64"),
        (lambda x: x + True, ("uint8",), "uint8"),
        (lambda x, y: x + y, ("uint8", "int8"), "int16"),
        (lambda x, y: x * y, ("float16", "bfloat16"), "float32"),
        (lambda x, y: x * y, ("int64", "float16"), "float16"),
        (lambda x: ops.exp(x), ("int32",), "float32"),
        (lambda x: ops.sqrt(x), ("bool",), "float32"),
        (lambda x: ops.relu(x), ("int32",), "int32"),
        (lambda x: ops.abs(x), ("int8",), "int8"),
        (lambda x: ops.round(x), ("int64",), "int64"),
        (lambda x, y: x < y, ("int64", "float32"), "bool"),
        (lambda x: ops.where(x, 1.0, 0.0), ("bool",), "float32"),
        (lambda x, y: ops.where(x, y, 0), ("bool", "float64"), "float64"),
        (lambda x: ops.clamp(x, 0), ("int64",), "int64"),
        (lambda x: ops.clamp(x, 0.5), ("int64",), "float32"),
        (lambda x: x**2, ("int32",), "int32"),
        (lambda x: ops.sum(x), ("bool",), "int64"),
        (lambda x: ops.sum(x), ("float16",), "float16"),
    ],
)
def test_promotion(f: Any, dtypes: tuple[str, ...], expected: str) -> None:
    assert dtype_of(f, *dtypes) == expected


def test_zero_dim_tensors_are_lighter(run: Any) -> None:
    y = run(lambda x, s: x + s, np.ones(2, np.float32), np.float64(2.0))
    assert y.dtype == np.float32
    y = run(lambda x, s: x + s, np.ones(2, np.int64), np.float32(2.0))
    assert y.dtype == np.float32


def test_integer_division(run: Any) -> None:
    x, y = np.array([7, -7, 7, -7]), np.array([2, 2, -2, -2])
    assert run(ops.floor_divide, x, y).tolist() == [3, -4, -4, 3]
    assert run(ops.remainder, x, y).tolist() == [1, 1, -1, -1]
    assert run(ops.fmod, x, y).tolist() == [1, -1, 1, -1]
    trunc = run(lambda a, b: ops.div(a, b, rounding_mode="trunc"), x, y)
    assert trunc.tolist() == [3, -3, -3, 3]
    for divide in (ops.floor_divide, ops.remainder, ops.fmod):
        with pytest.raises(ZeroDivisionError, match="divided by 0"):
            run(divide, x, np.array([1, 0, 2, 3]))


def test_integers_wrap(run: Any) -> None:
    assert run(lambda x: x + 1, np.array([127], np.int8)).tolist() == [-128]
    assert run(lambda x: -x, np.array([1], np.uint8)).tolist() == [255]
    assert run(lambda x: x * x, np.array([2**40])).tolist() == [0]


def test_round_half_to_even(run: Any) -> None:
    x = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
    assert run(ops.round, x).tolist() == [-2, -2, 0, 0, 2, 2]


def test_powers(run: Any) -> None:
    x = np.array([4.0, 9.0])
    for n in (2, 0.5, -0.5, -1, 3, 0):
        np.testing.assert_allclose(run(lambda v, n=n: v**n, x), x**n, rtol=1e-15)
    assert run(lambda v: v**0, np.array([0.0, np.nan])).tolist() == [1.0, 1.0]


def test_infinities_and_nan(run: Any) -> None:
    x = np.array([np.inf, -np.inf, np.nan, 0.0])
    np.testing.assert_array_equal(run(ops.relu, x), [np.inf, 0, np.nan, 0])
    np.testing.assert_array_equal(run(ops.sigmoid, x), [1, 0, np.nan, 0.5])
    np.testing.assert_array_equal(run(lambda v: ops.clamp(v, -1, 1), x), [1, -1, np.nan, 0])
    np.testing.assert_array_equal(run(lambda v: 1 / v, x), [0, -0.0, np.nan, np.inf])
    np.testing.assert_array_equal(run(ops.sign, x), [1, -1, np.nan, 0])
    np.testing.assert_array_equal(run(ops.tanh, x), [1, -1, np.nan, 0])


def test_activations_far_from_zero(run: Any, grad: Any) -> None:
    x = np.array([-1000.0, -100.0, 100.0, 1000.0])
    for name in ("softplus", "silu", "elu", "sigmoid", "gelu", "gelu_tanh"):
        op = getattr(ops, name)
        assert np.isfinite(run(op, x)).all(), name
        assert np.isfinite(grad(op, x)).all(), name
    np.testing.assert_array_equal(run(ops.softplus, x)[2:], x[2:])
    np.testing.assert_array_equal(grad(ops.elu, x)[2:], [1, 1])


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        (ops.relu, 0.0, 0.0),
        (ops.relu6, 0.0, 0.0),
        (ops.relu6, 6.0, 0.0),
        (ops.abs, 0.0, 0.0),
        (ops.leaky_relu, 0.0, 0.01),
        (ops.elu, 0.0, 1.0),
        (ops.hardtanh, 1.0, 0.0),
        (lambda v: ops.clamp(v, 0.0, 1.0), 0.0, 1.0),
        (lambda v: ops.clamp(v, 0.0, 1.0), 2.0, 0.0),
        (lambda v: ops.maximum(v, 0.0), 0.0, 0.5),
        (lambda v: ops.minimum(v, 0.0), 0.0, 0.5),
        (lambda v: v**2, 0.0, 0.0),
        (lambda v: v**1.0, 0.0, 1.0),
        (lambda v: v**0, 0.0, 0.0),
        (ops.sign, 0.0, 0.0),
        (ops.floor, 0.5, 0.0),
    ],
)
def test_gradients_at_kinks(grad: Any, f: Any, x: float, expected: float) -> None:
    assert float(grad(f, F(x))) == expected


def test_gradient_of_both_operands(grad: Any) -> None:
    x, y = np.array([1.0, 2.0, np.nan]), np.array([1.0, 3.0, 0.0])
    gx, gy = grad(ops.maximum, x, y)
    assert gx.tolist() == [0.5, 0.0, 1.0]
    assert gy.tolist() == [0.5, 1.0, 1.0]
    gx, gn = grad(ops.pow, np.array([0.0, 2.0]), np.array([2.0, 3.0]))
    np.testing.assert_allclose(gx, [0.0, 12.0])
    np.testing.assert_allclose(gn, [0.0, 8 * np.log(2)])


def test_broadcast_gradients_are_summed(grad: Any) -> None:
    gx, gy = grad(ops.mul, np.ones((2, 1, 3)), np.full((4, 1), 2.0))
    assert gx.shape == (2, 1, 3) and gy.shape == (4, 1)
    np.testing.assert_array_equal(gx, np.full((2, 1, 3), 8.0))
    np.testing.assert_array_equal(gy, np.full((4, 1), 6.0))


_FLOAT_OPS = [
    registry.get(n)
    for n in registry
    if isinstance(registry.get(n), Elementwise)
    and isinstance(registry.get(n).samples, Uniform)
    and "float32" in registry.get(n).dtypes
]


@pytest.mark.parametrize("op", _FLOAT_OPS, ids=lambda op: op.name)
@pytest.mark.parametrize("dtype", [np.float16, bfloat16], ids=["float16", "bfloat16"])
def test_16_bit_floats_are_computed_in_float32(run: Any, op: Any, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    count = len(op.operands) - len(op.defaults)
    low, high = op.samples.low, op.samples.high
    arrays = [rng.uniform(low, high, (17,)).astype(dtype) for _ in range(count)]
    narrow = run(op, *arrays)
    wide = run(op, *[a.astype(np.float32) for a in arrays])
    assert narrow.dtype == (np.bool_ if wide.dtype == np.bool_ else dtype)
    np.testing.assert_array_equal(narrow, wide.astype(narrow.dtype))


def test_complex_gradient_is_the_conjugate_convention() -> None:
    from argand.base.dtype import complex64
    from argand.ir.interpret import interpret
    from argand.transform.graph import vjp

    kind = TensorType(complex64, (3,))
    program = record(lambda x, y: ops.exp(x) * y, [kind, kind])
    rng = np.random.default_rng(0)
    x, y, g = (
        (rng.normal(size=3) + 1j * rng.normal(size=3)).astype(np.complex64) for _ in range(3)
    )
    gx, gy = interpret(vjp(program, [0, 1], [0]), [x, y, g])
    np.testing.assert_allclose(gx, g * np.conj(np.exp(x) * y), rtol=1e-5)
    np.testing.assert_allclose(gy, g * np.conj(np.exp(x)), rtol=1e-5)


def test_unknown_arguments_are_named() -> None:
    x = TensorType(float32, (2,))
    with pytest.raises(TypeError, match="unexpected argument 'gamma'"):
        record(lambda v: ops.elu(v, gamma=1.0), [x])
    with pytest.raises(TypeError, match="missing operand 'y'"):
        record(lambda v: ops.maximum(v), [x])
