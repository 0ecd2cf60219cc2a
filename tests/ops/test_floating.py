"""Signs, exponents and neighbours of floats, on every kind of number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import argand as ag
from argand.ir.op import ops

BITS = {np.float16: np.uint16, np.float32: np.uint32, np.float64: np.uint64}


def numbers(dtype: Any, seed: int) -> Any:
    """All exponents, infinities, NaN and denormals; powers of two first."""
    bits = BITS[dtype]
    drawn = np.random.default_rng(seed).integers(0, np.iinfo(bits).max, 4000, bits, True)
    found = drawn.view(dtype)
    limits = np.finfo(dtype)
    found[:600] = np.ldexp(dtype(1), np.arange(600) % 30 - 15)
    edges = [0.0, -0.0, np.inf, -np.inf, np.nan, limits.max, -limits.max]
    edges += [limits.tiny, -limits.tiny, limits.smallest_subnormal]
    found[-len(edges) :] = edges
    return found


@pytest.mark.parametrize("dtype", BITS)
@pytest.mark.parametrize("compiled", [False, True])
def test_nextafter_is_the_next_number(dtype: Any, compiled: bool) -> None:
    x, goal = numbers(dtype, 0), numbers(dtype, 1)
    goal[:300] = -goal[300:600]
    function = ag.compile(lambda a, b: ag.nextafter(a, b)) if compiled else ag.nextafter
    found = function(ag.from_numpy(x), ag.from_numpy(goal)).numpy()
    with np.errstate(all="ignore"):
        expected = np.nextafter(x, goal)
    np.testing.assert_array_equal(found, expected)
    some = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[some]), np.signbit(expected[some]))


def test_nextafter_of_bfloat16() -> None:
    x = ag.tensor([1.0, 2.0, -1.0], dtype=ag.bfloat16)
    assert ag.nextafter(x, ag.tensor(0.0, dtype=ag.bfloat16)).tolist() == [
        1 - 2**-8,
        2 - 2**-7,
        -1 + 2**-8,
    ]


@pytest.mark.parametrize("dtype", BITS)
def test_frexp_takes_numbers_apart(dtype: Any) -> None:
    x = numbers(dtype, 2)
    mantissa, exponent = ag.frexp(ag.from_numpy(x))
    finite = np.isfinite(x)
    with np.errstate(all="ignore"):
        expected, power = np.frexp(x)
    np.testing.assert_array_equal(mantissa.numpy()[finite], expected[finite])
    np.testing.assert_array_equal(exponent.numpy()[finite], power[finite])
    np.testing.assert_array_equal(mantissa.numpy()[~finite], x[~finite])


@pytest.mark.parametrize("dtype", BITS)
def test_signs_of_zeros_and_nan(dtype: Any) -> None:
    x = numbers(dtype, 3)
    np.testing.assert_array_equal(ag.signbit(ag.from_numpy(x)).numpy(), np.signbit(x))
    signs = np.signbit(ag.copysign(ag.tensor(2.0), ag.from_numpy(x)).numpy())
    np.testing.assert_array_equal(signs, np.signbit(x))


def test_parts_and_pairs_share_memory() -> None:
    z = ag.tensor([1 + 2j, 3 - 1j])
    pairs = ag.view_as_real(z)
    pairs[0, 1] = 5
    assert z.tolist() == [1 + 5j, 3 - 1j]
    again = ag.view_as_complex(pairs)
    again[1] = 7j
    assert z.tolist() == [1 + 5j, 7j]
    with pytest.raises(RuntimeError, match="must be contiguous"):
        ag.view_as_complex(ag.ones(2, 3).t())


def test_the_host_computes_what_has_no_machine_code() -> None:
    compiled = ag.compile(lambda x, y: ops.gcd(x, y) * 2 + 1)
    x, y = ag.tensor([12, 18, 7]), ag.tensor([8, 27, 0])
    assert compiled(x, y).tolist() == [9, 19, 15]
    text = str(compiled.explain())  # and nothing beside it
    assert "host: gcd" in text and "native: 1 nodes" in text


@pytest.mark.parametrize(
    "name",
    ["maximum", "fmin", "atan2", "logical_and", "heaviside", "logaddexp", "hypot", "lcm", "ldexp"],
)
def test_functions_of_tensors_refuse_numbers(name: str) -> None:
    x = ag.tensor([1, 2, 3])
    for operands in ((x, 2), (2, x)):
        with pytest.raises(TypeError, match=f"{name}.*must be a Tensor, got a int"):
            getattr(ag, name)(*operands)


@pytest.mark.parametrize("name", ["eq", "lt", "fmod", "copysign", "rsub"])
def test_the_first_operand_is_a_tensor(name: str) -> None:
    x = ag.tensor([1, 2, 3])
    getattr(ag, name)(x, 2)
    with pytest.raises(TypeError, match="operand 1 must be a Tensor"):
        getattr(ag, name)(2, x)


def test_a_compiled_function_refuses_them_too() -> None:
    with pytest.raises(TypeError, match="must be a Tensor"):
        ag.compile(lambda x, n: ag.maximum(x, n))(ag.ones(2), 0.5)


@pytest.mark.parametrize("name", ["addcmul", "addcdiv"])
def test_sums_with_products_of_halves_are_rounded_once(name: str) -> None:
    rng = np.random.default_rng(4)
    x, y, z = (rng.uniform(0.5, 2, 2000).astype(np.float16) for _ in range(3))
    found = getattr(ag, name)(*map(ag.from_numpy, (x, y, z)), value=0.3)
    a, b, c = (v.astype(np.float64) for v in (x, y, z))
    exact = a + 0.3 * (b * c if name == "addcmul" else b / c)
    assert found.dtype is ag.float16
    np.testing.assert_array_less(
        np.abs(found.numpy() - exact), np.spacing(exact.astype(np.float16)) * 0.501
    )
