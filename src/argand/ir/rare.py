"""Primitives without machine code: rare special functions that SciPy computes, the derivative of
gamma random numbers, and orthogonal polynomials by their recurrences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from argand.base.errors import missing_extra


def _of_scipy(name: str, scipy_name: str) -> Callable[..., Any]:
    """A function of `scipy.special`, which is imported when it is first called."""

    def function(*operands: Any) -> Any:
        try:
            import scipy.special
        except ImportError as e:
            raise missing_extra("scipy", "scipy", f"special.{name}") from e
        wide = [np.asarray(x).astype(np.float64) for x in operands]
        found = getattr(scipy.special, scipy_name)(*wide)
        found = found[0] if isinstance(found, tuple) else found
        return np.asarray(found).astype(np.asarray(operands[-1]).dtype)

    return function


def _zeta(s: Any, q: Any) -> Any:
    return np.where(np.equal(s, 1), np.inf, _SCIPY_ZETA(s, q)).astype(np.asarray(q).dtype)


_SCIPY_ZETA = _of_scipy("zeta", "zeta")

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)


def _digamma(x: Any) -> Any:
    """The digamma function of positive numbers: its recurrence up to 10, an asymptotic series."""
    below, big = np.zeros_like(x), x
    for _ in range(10):
        small = big < 10
        below = np.where(small, below - 1 / np.where(small, big, 1.0), below)
        big = np.where(small, big + 1, big)
    r = 1 / (big * big)
    series = np.zeros_like(x)
    for coefficient in (691 / 32760, 5 / 660, 1 / 240, 1 / 252, 1 / 120, 1 / 12):
        series = r * (coefficient - series)
    return below + np.log(big) - 0.5 / big - series


def _log_gamma_slope(a: Any, y: Any) -> Any:
    """dy / da along which the probability that gamma random numbers of shape a are below exp(y)
    stays the same: minus the derivative of that probability by a, over its derivative by y."""
    dtype = np.asarray(y).dtype
    a, y = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(y, np.float64))
    found = np.empty(a.shape)
    with np.errstate(all="ignore"):
        small = y < 0
        for where, rule in ((small, _slope_by_series), (~small, _slope_by_quadrature)):
            if where.any():
                found[where] = rule(a[where], y[where])
    return found.astype(dtype)


def _slope_by_series(a: Any, y: Any) -> Any:
    """The sum of (digamma(a + k + 1) - y) x^k / (a (a + 1) .. (a + k)) over k, for x = exp(y) < 1:
    the derivative of the incomplete gamma function's power series."""
    x, apart = np.exp(y), _digamma(a) - y
    term = 1 / a
    total = (apart + term) * term
    harmonic = term
    for k in range(1, 20):
        harmonic = harmonic + 1 / (a + k)
        term = term * x / (a + k)
        total = total + (apart + harmonic) * term
    return total


def _slope_by_quadrature(a: Any, y: Any) -> Any:
    """The integral of (digamma(a) - ln t) f(t) / (x f(x)) over t from 0 to x = exp(y), with f the
    density; or minus that from x on.

    In v = |ln(t / x)| the side away from the mode decays like exp(-|a - x| v - x v^2 / 2): cut
    where that is below exp(-40), and summed by Gauss and Legendre's rule.
    """
    x = np.exp(y)
    below = x <= a
    sign = np.where(below, -1.0, 1.0)
    apart = np.abs(a - x)

    def decay(v: Any) -> Any:
        return apart * v + x * (np.expm1(sign * v) - sign * v)

    # where the decay is at least 40: |exp(+-v) - 1 -+ v| is above v^2 / 3 up to 1, v - 1 beyond
    end = 80 / (apart + np.sqrt(apart * apart + np.where(below, 160 / 3, 80.0) * x))
    end = np.where(below & (end > 1), 40 / a + 1, end)
    for _ in range(4):  # Newton's steps come from above, since the decay is convex
        end = end - (decay(end) - 40) / (apart + x * np.abs(np.expm1(sign * end)))
    first = _digamma(a) - y
    total = np.zeros_like(x)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        v = end * (0.5 + 0.5 * node)
        total += weight * (v - sign * first) * np.exp(-decay(v))
    return 0.5 * end * total


SCIPY: dict[str, tuple[int, Callable[..., Any]]] = {
    "zeta": (2, _zeta),
    "igamma": (2, _of_scipy("gammainc", "gammainc")),
    "igammac": (2, _of_scipy("gammaincc", "gammaincc")),
    "airy_ai": (1, _of_scipy("airy_ai", "airy")),
    "bessel_j0": (1, _of_scipy("bessel_j0", "j0")),
    "bessel_j1": (1, _of_scipy("bessel_j1", "j1")),
    "bessel_y0": (1, _of_scipy("bessel_y0", "y0")),
    "bessel_y1": (1, _of_scipy("bessel_y1", "y1")),
    "modified_bessel_k0": (1, _of_scipy("modified_bessel_k0", "k0")),
    "modified_bessel_k1": (1, _of_scipy("modified_bessel_k1", "k1")),
    "scaled_modified_bessel_k0": (1, _of_scipy("scaled_modified_bessel_k0", "k0e")),
    "scaled_modified_bessel_k1": (1, _of_scipy("scaled_modified_bessel_k1", "k1e")),
}

Step = Callable[[Any, int, Any, Any], Any]


def _polynomial(first: Callable[[Any], Any], step: Step) -> Callable[..., Any]:
    """The polynomial of degree n (cut to a whole number): 1, `first`, then by `step` from the two
    before. Of a negative degree it is 0."""

    def function(x: Any, n: Any) -> Any:
        dtype = np.asarray(x).dtype
        x, n = np.broadcast_arrays(np.asarray(x, np.float64), np.trunc(np.asarray(n, np.float64)))
        before, now = np.ones_like(x), first(x)
        found = np.where(n < 1, np.where(n < 0, 0.0, before), now)
        highest = int(n.max(initial=0)) if np.isfinite(n).all() else 0
        for k in range(1, highest):
            before, now = now, step(x, k, now, before)
            found = np.where(n > k, now, found)
        return found.astype(dtype)

    return function


def _shifted(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, n: function(2 * np.asarray(x, np.float64) - 1, n).astype(np.asarray(x).dtype)


def _chebyshev(x: Any, k: int, now: Any, before: Any) -> Any:
    return 2 * x * now - before


_CHEBYSHEV = {
    "t": _polynomial(lambda x: x * 1.0, _chebyshev),
    "u": _polynomial(lambda x: 2 * x, _chebyshev),
    "v": _polynomial(lambda x: 2 * x - 1, _chebyshev),
    "w": _polynomial(lambda x: 2 * x + 1, _chebyshev),
}

OWN: dict[str, tuple[int, Callable[..., Any]]] = {"log_gamma_slope": (2, _log_gamma_slope)}

POLYNOMIALS: dict[str, Callable[..., Any]] = {
    **{f"chebyshev_polynomial_{kind}": f for kind, f in _CHEBYSHEV.items()},
    **{f"shifted_chebyshev_polynomial_{kind}": _shifted(f) for kind, f in _CHEBYSHEV.items()},
    "hermite_polynomial_h": _polynomial(
        lambda x: 2 * x, lambda x, k, now, before: 2 * (x * now - k * before)
    ),
    "hermite_polynomial_he": _polynomial(
        lambda x: x * 1.0, lambda x, k, now, before: x * now - k * before
    ),
    "laguerre_polynomial_l": _polynomial(
        lambda x: 1 - x,
        lambda x, k, now, before: ((2 * k + 1 - x) * now - k * before) / (k + 1),
    ),
    "legendre_polynomial_p": _polynomial(
        lambda x: x * 1.0,
        lambda x, k, now, before: ((2 * k + 1) * x * now - k * before) / (k + 1),
    ),
}
