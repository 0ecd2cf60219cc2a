"""Edges of the composed functions: extremes, NaN, complex and empty operands."""

from __future__ import annotations

import math

import numpy as np

import argand as ag


def test_alpha_multiplies_numbers_too() -> None:
    assert ag.add(ag.tensor([1, 2]), 10, alpha=2).tolist() == [21, 22]
    assert ag.sub(ag.tensor([1, 2]), 10, alpha=2).tolist() == [-19, -18]
    assert ag.rsub(ag.tensor([1, 2]), 10, alpha=2).tolist() == [8, 6]


def test_hypot_neither_overflows_nor_vanishes() -> None:
    x = np.array([3e30, 3e-30, 0, 3, -np.inf, np.nan], np.float32)
    y = np.array([4e30, -4e-30, 0, 1e-30, 1, 1], np.float32)
    found = ag.hypot(ag.tensor(x), ag.tensor(y)).numpy()
    np.testing.assert_allclose(found, np.hypot(x.astype(np.float64), y), rtol=2e-7)


def test_hypot_derivatives() -> None:
    x = ag.tensor([3.0, -5.0], dtype=ag.float64, requires_grad=True)
    y = ag.tensor([[4.0], [12.0]], dtype=ag.float64, requires_grad=True)
    assert ag.autograd.gradcheck(ag.hypot, (x, y))
    assert ag.autograd.gradgradcheck(ag.hypot, (x, y))


def test_isclose_of_complex_numbers() -> None:
    a = ag.tensor([1 + 1j, 1 + 1j, complex(math.nan), complex(math.inf)])
    b = ag.tensor([1 + 1.000001j, 1.1 + 1j, complex(math.nan), complex(math.inf)])
    assert ag.isclose(a, b).tolist() == [True, False, False, True]
    assert ag.isclose(a, b, equal_nan=True).tolist() == [True, False, True, True]


def test_isreal_looks_at_the_imaginary_part_only() -> None:
    assert ag.isreal(ag.tensor([1.0, math.nan])).tolist() == [True, True]
    assert ag.isreal(ag.tensor([1 + 0j, 1j])).tolist() == [True, False]
