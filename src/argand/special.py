"""`argand.special`: special functions, as `torch.special`."""

from __future__ import annotations

from typing import Any

from argand.base.naming import published
from argand.ir.op import ops, registry
from argand.tensor.surface import alias_of, function_of, functions

# Ops that are functions of this module alone.
_OPS = [
    "airy_ai",
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "entr",
    "erfcx",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "i0e",
    "i1",
    "i1e",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "log_ndtr",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "ndtr",
    "ndtri",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
    "xlog1py",
    "zeta",
]

# Functions of the package, by their names here.
_SAME = {
    **{
        name: name
        for name in [
            "digamma",
            "erf",
            "erfc",
            "erfinv",
            "exp2",
            "expm1",
            "i0",
            "log1p",
            "log_softmax",
            "logit",
            "logsumexp",
            "polygamma",
            "round",
            "sinc",
            "softmax",
            "xlogy",
        ]
    },
    "expit": "sigmoid",
    "gammainc": "igamma",
    "gammaincc": "igammac",
    "gammaln": "lgamma",
    "multigammaln": "mvlgamma",
    "psi": "digamma",
}


def modified_bessel_i0(input: Any) -> Any:
    """The modified Bessel function of the first kind and order 0: `i0`.

    >>> ag.special.modified_bessel_i0(ag.tensor([0.0, 1.0]))
    tensor([1.0000, 1.2661])
    """
    return ops.i0(input)


def modified_bessel_i1(input: Any) -> Any:
    """The modified Bessel function of the first kind and order 1: `i1`.

    >>> ag.special.modified_bessel_i1(ag.tensor([0.0, 1.0]))
    tensor([0.0000, 0.5652])
    """
    return ops.i1(input)


def spherical_bessel_j0(input: Any) -> Any:
    """sin(x) / x, and 1 at 0: the spherical Bessel function of order 0.

    >>> ag.special.spherical_bessel_j0(ag.tensor([0.0, 1.0, 5.0]))
    tensor([ 1.0000,  0.8415, -0.1918])
    """
    zero = ops.eq(input, 0)
    far = ops.isinf(input)
    safe = ops.where(ops.logical_or(zero, far), 1.0, input)
    quotient = ops.div(ops.sin(safe), safe)
    return ops.where(zero, 1.0, ops.where(far, 0.0, quotient))


__all__ = ["modified_bessel_i0", "modified_bessel_i1", "spherical_bessel_j0", *_OPS, *_SAME]

globals().update({name: function_of(registry.get(name)) for name in _OPS})
published(__name__, {name: globals()[name] for name in _OPS})
globals().update(
    {name: alias_of(functions[same], f"special.{name}") for name, same in _SAME.items()}
)
