"""Special functions against SciPy over their whole range, at their edges, and their gradients."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special as sp

import argand as ag
from argand.base.errors import AutogradError, MissingExtraError

EPS = 2.0**-52
# function, SciPy's, where, how many roundings of the larger of the result and 1
RANGES: list[tuple[Callable[..., Any], Any, float, float, int]] = [
    (ag.erfc, sp.erfc, -7, 7, 2),
    (ag.special.erfcx, sp.erfcx, -5, 60, 12),
    (ag.erfinv, sp.erfinv, -1, 1, 6),
    (ag.special.ndtr, sp.ndtr, -9, 9, 2),
    (ag.special.ndtri, sp.ndtri, 0, 1, 8),
    (ag.special.log_ndtr, sp.log_ndtr, -60, 9, 4),
    (ag.lgamma, sp.gammaln, 0.01, 300, 6),
    (ag.digamma, sp.digamma, 0.01, 300, 6),
    (ag.i0, sp.i0, -60, 60, 8),
    (ag.special.i0e, sp.i0e, -60, 60, 4),
    (ag.special.i1, sp.i1, -60, 60, 8),
    (ag.special.i1e, sp.i1e, -60, 60, 4),
]
EVERY = pytest.mark.parametrize(
    ("function", "theirs", "low", "high", "roundings"), RANGES, ids=[r[1].__name__ for r in RANGES]
)


def points(low: float, high: float) -> Any:
    """All over a range, and close to its ends, to 0 and to 1."""
    rng = np.random.default_rng(0)
    near = 10.0 ** rng.uniform(-12, 0, 500)
    drawn = [rng.uniform(low, high, 4000), low + near, high - near, near, -near, 1 - near]
    found = np.concatenate(drawn)
    return found[(found > low) & (found < high)]


@EVERY
def test_within_roundings_of_scipy(
    function: Any, theirs: Any, low: float, high: float, roundings: int
) -> None:
    x = points(low, high)
    found, expected = function(ag.from_numpy(x)).numpy(), theirs(x)
    error = np.abs(found - expected) / np.maximum(1, np.abs(expected))
    worst = int(np.argmax(error))
    assert error[worst] <= roundings * EPS, (x[worst], found[worst], expected[worst])


@EVERY
def test_float32_is_float64_rounded(
    function: Any, theirs: Any, low: float, high: float, roundings: int
) -> None:
    x = points(low, high).astype(np.float32)
    wide = function(ag.from_numpy(x.astype(np.float64))).numpy()
    np.testing.assert_array_equal(function(ag.from_numpy(x)).numpy(), wide.astype(np.float32))


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (ag.erfc, [-math.inf, 0, 27.5, math.inf], [2, 1, 0, 0]),
        (ag.special.erfcx, [-27, math.inf], [math.inf, 0]),
        (ag.erfinv, [-1, 0, 1, 1.5], [-math.inf, 0, math.inf, math.nan]),
        (ag.special.ndtri, [0, 0.5, 1, -0.5, 2], [-math.inf, 0, math.inf, math.nan, math.nan]),
        (ag.special.log_ndtr, [-math.inf, math.inf], [-math.inf, 0]),
        (ag.lgamma, [0, -1, -math.inf, math.inf, 1, 2], [math.inf] * 4 + [0, 0]),
        (ag.digamma, [0.0, -0.0, -1, math.inf], [-math.inf, math.inf, math.nan, math.inf]),
        (ag.i0, [0, math.inf, 714], [1, math.inf, math.inf]),
        (ag.special.i1e, [0, math.inf, -math.inf], [0, 0, 0]),
        (ag.special.entr, [0, 1, -1], [0, 0, -math.inf]),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_edges(function: Any, x: list[float], expected: list[float]) -> None:
    found = function(ag.tensor([*x, math.nan], dtype=ag.float64))
    np.testing.assert_array_equal(found.numpy(), [*expected, math.nan])


def test_lgamma_below_0_and_close_to_0() -> None:
    x = np.array([-0.5, -2.5, -7.3, -1e-20, 1e-20, -1e-300, -20.75])
    np.testing.assert_allclose(ag.lgamma(ag.from_numpy(x)).numpy(), sp.gammaln(x), 4e-15)


@pytest.mark.parametrize(
    "function",
    [r[0] for r in RANGES] + [ag.special.entr, ag.asinh, ag.atanh, lambda x: ag.polygamma(2, x)],
)
def test_gradients_of_two_orders(function: Any) -> None:
    x = ag.tensor([0.21, 0.52, 0.83], dtype=ag.float64, requires_grad=True)
    assert ag.autograd.gradcheck(function, (x,))
    assert ag.autograd.gradgradcheck(function, (x,))


def test_a_gradient_for_the_second_operand_only() -> None:
    a = ag.tensor([2.0], requires_grad=True)
    x = ag.tensor([1.5], requires_grad=True)
    for function in (ag.special.zeta, ag.igamma, ag.igammac):
        with pytest.raises(AutogradError, match="second operand only"):
            function(a, x).sum().backward()
        (slope,) = ag.autograd.grad(function(a.detach(), x).sum(), x)
        assert slope.shape == (1,)


def test_products_with_a_logarithm_are_0_where_their_number_is() -> None:
    x = ag.tensor([0.0, 0.0, 2.0, 0.0], dtype=ag.float64, requires_grad=True)
    y = ag.tensor([0.0, -3.0, 3.0, math.nan], dtype=ag.float64)
    product = ag.xlogy(x, y)
    expected = sp.xlogy(x.detach().numpy(), y.numpy())
    np.testing.assert_allclose(product.detach().numpy(), expected, 1e-15)
    (slope,) = ag.autograd.grad(product[:3].sum(), x)
    np.testing.assert_array_equal(slope.numpy()[:2], [0, 0])


def test_without_scipy_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(MissingExtraError, match="scipy"):
        ag.special.bessel_j0(ag.ones(2))


def test_polynomials_of_degrees_that_differ() -> None:
    x = np.linspace(-1.5, 1.5, 7)[:, None]
    n = np.arange(-1, 9)
    found = ag.special.legendre_polynomial_p(ag.from_numpy(x), ag.from_numpy(n)).numpy()
    expected = np.where(n < 0, 0, sp.eval_legendre(n, x))
    np.testing.assert_allclose(found, expected, 1e-12, 1e-12)
