"""Philox against the reference's known answers, and the scalar form against the vectorised one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import argand.ops  # noqa: F401  # fills the registry
from argand.base.dtype import as_dtype, int64
from argand.ir import scalar
from argand.ir.op import registry
from argand.ops.random import philox_words

KEY, TICKET = 0x1234_5678_9ABC_DEF0, 77


def state(key: int = KEY, ticket: int = TICKET) -> np.ndarray:
    return np.array([key, ticket], np.uint64).view(np.int64)


def test_known_answers() -> None:
    """The vectors of the Random123 distribution for philox4x32-10."""
    zeros = philox_words(state(0, 0), 0, 1)[0]
    assert [hex(w) for w in zeros] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    ones = philox_words(state((1 << 64) - 1, (1 << 64) - 1), (1 << 64) - 1, 1)[0]
    assert [hex(w) for w in ones] == ["0x408f276d", "0x41c83b0e", "0xa20bc7c6", "0x6d5451fd"]
    pi = philox_words(state(0x299F31D0A4093822, 0x0370734413198A2E), 0x85A308D3243F6A88, 1)[0]
    assert [hex(w) for w in pi] == ["0xd16cfe09", "0x94fdcceb", "0x5001e420", "0x24126ea1"]


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("uniform", {"dtype": as_dtype("float32"), "bits": 24}),
        ("uniform", {"dtype": as_dtype("float64"), "bits": 53}),
        ("uniform", {"dtype": as_dtype("float16"), "bits": 11}),
        ("normal", {"dtype": as_dtype("float32"), "bits": 24}),
        ("normal", {"dtype": as_dtype("float64"), "bits": 53}),
        ("randint", {"low": -5, "high": 1000}),
        ("randint", {"low": 0, "high": 1 << 32}),
    ],
)
def test_scalar_form(name: str, params: dict[str, Any]) -> None:
    op: Any = registry.get(name)
    expected = op.run(state(), shape=(7, 3), **params)
    inputs = [scalar.scalar_input(n, int64) for n in range(3)]
    expression = op.element(scalar.BUILDER, *inputs, params)
    key, ticket = state()
    found = scalar.evaluate(expression, [key, ticket, np.arange(21)])
    tolerance = 1e-6 if params.get("bits") == 24 else 1e-12
    np.testing.assert_allclose(found.reshape(7, 3), expected, rtol=tolerance, atol=tolerance)


def test_a_draw_does_not_depend_on_its_shape() -> None:
    op: Any = registry.get("uniform")
    params = {"dtype": as_dtype("float32"), "bits": 24}
    long = op.run(state(), shape=(50,), **params)
    np.testing.assert_array_equal(op.run(state(), shape=(3, 7), **params).reshape(-1), long[:21])


def test_wide_interpretation_draws_the_same_numbers() -> None:
    op: Any = registry.get("uniform")
    narrow = op.run(state(), shape=(9,), dtype=as_dtype("float32"), bits=24)
    wide = op.run(state(), shape=(9,), dtype=as_dtype("float64"), bits=24)
    np.testing.assert_array_equal(narrow, wide)


def test_distributions() -> None:
    count = 200_000
    uniform = registry.get("uniform").run(
        state(), shape=(count,), dtype=as_dtype("float32"), bits=24
    )
    assert uniform.min() >= 0 and uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 4 * math.sqrt(1 / 12 / count)
    normal = registry.get("normal").run(state(), shape=(count,), dtype=as_dtype("float32"), bits=24)
    assert abs(normal.mean()) < 4 / math.sqrt(count)
    assert abs(normal.var() - 1) < 4 * math.sqrt(2 / count)
    dice = registry.get("randint").run(state(), shape=(count,), low=1, high=7)
    counts = np.bincount(dice, minlength=7)[1:]
    assert counts.sum() == count
    assert np.all(np.abs(counts - count / 6) < 5 * math.sqrt(count / 6))
