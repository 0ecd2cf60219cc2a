"""Independent references of signs, exponents and special functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sp


def _polynomials() -> dict[str, Callable[..., Any]]:
    """SciPy's closed forms, of degrees that are whole; the third and fourth kinds by angles."""
    of: dict[str, Callable[..., Any]] = {
        "hermite_polynomial_h": lambda x, n: sp.eval_hermite(_whole(n), x),
        "hermite_polynomial_he": lambda x, n: sp.eval_hermitenorm(_whole(n), x),
        "laguerre_polynomial_l": lambda x, n: sp.eval_laguerre(_whole(n), x),
        "legendre_polynomial_p": lambda x, n: sp.eval_legendre(_whole(n), x),
    }
    kinds: dict[str, Callable[..., Any]] = {
        "t": lambda x, n: sp.eval_chebyt(_whole(n), x),
        "u": lambda x, n: sp.eval_chebyu(_whole(n), x),
        "v": lambda x, n: sp.eval_jacobi(_whole(n), -0.5, 0.5, x) / _weight(n),
        "w": lambda x, n: sp.eval_jacobi(_whole(n), 0.5, -0.5, x) * (2 * n + 1) / _weight(n, 1),
    }
    for kind, function in kinds.items():
        of[f"chebyshev_polynomial_{kind}"] = function
        of[f"shifted_chebyshev_polynomial_{kind}"] = lambda x, n, f=function: f(2 * x - 1, n)
    return of


def _whole(n: Any) -> Any:
    return np.asarray(n).astype(np.int64)


def _weight(n: Any, side: int = 0) -> Any:
    """Jacobi's polynomial at the right end, where the third kind is 1, the fourth 2n + 1."""
    return sp.eval_jacobi(_whole(n), *((0.5, -0.5) if side else (-0.5, 0.5)), 1.0)


def _log_gamma_slope(a: Any, y: Any) -> Any:
    """From the power series of the incomplete gamma function, differentiated term by term."""
    a, y = np.broadcast_arrays(np.asarray(a, np.float64)[..., None], np.asarray(y)[..., None])
    k = np.arange(80)
    terms = np.exp(k * y + sp.gammaln(a) - sp.gammaln(a + k + 1))
    return np.sum((sp.digamma(a + k + 1) - y) * terms, axis=-1)


REFERENCES: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(sp, theirs or name)
        for name, theirs in {
            "erfc": "",
            "erfcx": "",
            "erfinv": "",
            "ndtr": "",
            "ndtri": "",
            "log_ndtr": "",
            "entr": "",
            "xlogy": "",
            "xlog1py": "",
            "lgamma": "gammaln",
            "digamma": "",
            "i0": "",
            "i0e": "",
            "i1": "",
            "i1e": "",
            "igamma": "gammainc",
            "igammac": "gammaincc",
            "bessel_j0": "j0",
            "bessel_j1": "j1",
            "bessel_y0": "y0",
            "bessel_y1": "y1",
            "modified_bessel_k0": "k0",
            "modified_bessel_k1": "k1",
            "scaled_modified_bessel_k0": "k0e",
            "scaled_modified_bessel_k1": "k1e",
        }.items()
    },
    "trigamma": lambda x: sp.polygamma(1, x),
    "zeta": lambda s, q: sp.zeta(np.asarray(s, np.float64), q),
    "log_gamma_slope": _log_gamma_slope,
    "airy_ai": lambda x: sp.airy(x)[0],
    **_polynomials(),
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "copysign": np.copysign,
    "signbit": lambda x: np.signbit(x) if x.dtype.kind == "f" else x < 0,
    "exponent": lambda x: np.frexp(x)[1].astype(np.float64),
    "nextafter": np.nextafter,  # in float64: `tests/ops/test_floating.py` has each dtype's own
    "fmax": np.fmax,
    "fmin": np.fmin,
    "gcd": np.vectorize(math.gcd, otypes=[np.int64]),
}
