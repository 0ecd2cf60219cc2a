"""Primitives without machine code: rare special functions that SciPy computes, and orthogonal
polynomials by their recurrences."""

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
