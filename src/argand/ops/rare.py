"""Rare special functions and orthogonal polynomials, which NumPy and SciPy compute on the host.

SciPy is an extra: without it, those that it computes raise MissingExtraError. Where PyTorch has no
gradient, there is none here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from argand.base.errors import AutogradError
from argand.ir.elementwise import Elementwise
from argand.ir.op import Literal, ops
from argand.ir.samples import Sample, T, Uniform


class _Rare(Elementwise):
    """A function of numbers that has no gradient."""

    abstract = True
    promotion = "float"
    kinds = "buif"
    differentiable = False


class _OfSecond(Elementwise):
    """A function of a parameter and a number, with a gradient for the number alone."""

    abstract = True
    required: ClassVar[tuple[str, ...]] = ("samples", "body", "slope")
    promotion = "float"
    kinds = "buif"
    slope: ClassVar[Any] = None
    samples: ClassVar[Any] = (
        Sample(2.5, T((2, 3), 0.4, 4.0)),
        Sample(T((3, 1), 2, 4, "int64"), T((4,), 0.4, 4.0)),
        Sample(3.0, T((), 0.4, 4.0)),
        Sample(2.0, T((0,))),
    )

    def adjoint_for(
        self,
        wants: Sequence[bool],
        grads: Sequence[Any],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        params: dict[str, Any],
    ) -> Sequence[Any]:
        parameter, x = (v.value if type(v) is Literal else v for v in inputs)
        if wants[0] and type(inputs[0]) is not Literal and inputs[0].dtype.is_inexact:
            raise AutogradError(
                f"{self.name} has a gradient for its second operand only; detach() the first"
            )
        return [None, ops.mul(grads[0], type(self).slope(parameter, x)) if wants[1] else None]

    def saves(self, params: dict[str, Any]) -> tuple[Sequence[int], Sequence[int]]:
        return (0, 1), ()

    def saves_for(
        self, wants: Sequence[bool], params: dict[str, Any]
    ) -> tuple[Sequence[int], Sequence[int]]:
        return self.saves(params)

    def derive(self, part: str) -> None:
        return None


class Zeta(_OfSecond):
    """The sum of (k + q) ** -s over k from 0 on, Hurwitz's zeta function of input s and other q.

    Infinite for s = 1, NaN below. The gradient is that of q. By SciPy. Follows
    `torch.special.zeta`.

    >>> ag.special.zeta(ag.tensor([2.0, 4.0]), 1)
    tensor([1.6449, 1.0823])
    """

    def body(b: Any, input: Any, other: Any) -> Any:
        return b.zeta(input, other)

    @staticmethod
    def slope(s: Any, q: Any) -> Any:
        return ops.mul(ops.neg(_tensor(s, q)), ops.zeta(ops.add(_tensor(s, q), 1.0), q))


class Igamma(_OfSecond):
    """The part of the gamma function's integral of order input up to other, in [0, 1].

    The regularised lower incomplete gamma function, by SciPy; the gradient is that of other.
    Follows `torch.special.gammainc`.

    >>> ag.igamma(ag.tensor([1.0, 4.0]), ag.tensor([1.0, 4.0]))
    tensor([0.6321, 0.5665])
    """

    tensors = 2

    def body(b: Any, input: Any, other: Any) -> Any:
        return b.igamma(input, other)

    @staticmethod
    def slope(a: Any, x: Any) -> Any:
        return _density(a, x)


class Igammac(_OfSecond):
    """1 - igamma(input, other), accurate where that is close to 1; by SciPy.

    >>> ag.igammac(ag.tensor([1.0, 4.0]), ag.tensor([1.0, 4.0]))
    tensor([0.3679, 0.4335])
    """

    tensors = 2

    def body(b: Any, input: Any, other: Any) -> Any:
        return b.igammac(input, other)

    @staticmethod
    def slope(a: Any, x: Any) -> Any:
        return ops.neg(_density(a, x))


class LogGammaSlope(_Rare):
    """dy / da of the logarithm y of a gamma random number of shape a.

    That along which the probability to be below it stays the same: the implicit gradient of
    Figurnov, Mohamed and Mnih (2018).
    """

    kinds = "f"
    samples: ClassVar[Any] = (
        Sample(T((2, 3), 0.3, 5.0), T((2, 3), -2.0, 1.5)),
        Sample(T((3, 1), 0.3, 5.0), T((4,), -2.0, 1.5)),
        Sample(T((0,)), T((0,))),
    )

    def body(b: Any, shape: Any, y: Any) -> Any:
        return b.log_gamma_slope(shape, y)


def _tensor(parameter: Any, like: Any) -> Any:
    if hasattr(parameter, "shape"):
        return parameter
    return ops.full(tuple(like.shape), parameter, like.dtype)


def _density(a: Any, x: Any) -> Any:
    """x^(a - 1) exp(-x) / gamma(a)."""
    a = _tensor(a, x)
    power = ops.xlogy(ops.sub(a, 1.0), x)
    return ops.exp(ops.sub(ops.sub(power, x), ops.lgamma(a)))


class AiryAi(_Rare):
    """Airy's function Ai, which solves y'' = x y. By SciPy.

    >>> ag.special.airy_ai(ag.tensor([0.0, 1.0]))
    tensor([0.3550, 0.1353])
    """

    samples = Uniform(-3, 3)

    def body(b: Any, x: Any) -> Any:
        return b.airy_ai(x)


class BesselJ0(_Rare):
    """The Bessel function of the first kind and order 0. By SciPy.

    >>> ag.special.bessel_j0(ag.tensor([0.0, 1.0]))
    tensor([1.0000, 0.7652])
    """

    samples = Uniform(-6, 6)

    def body(b: Any, x: Any) -> Any:
        return b.bessel_j0(x)


class BesselJ1(_Rare):
    """The Bessel function of the first kind and order 1. By SciPy.

    >>> ag.special.bessel_j1(ag.tensor([0.0, 1.0]))
    tensor([0.0000, 0.4401])
    """

    samples = Uniform(-6, 6)

    def body(b: Any, x: Any) -> Any:
        return b.bessel_j1(x)


class BesselY0(_Rare):
    """The Bessel function of the second kind and order 0. By SciPy.

    >>> ag.special.bessel_y0(ag.tensor([0.0, 1.0]))
    tensor([  -inf, 0.0883])
    """

    samples = Uniform(0.3, 6)

    def body(b: Any, x: Any) -> Any:
        return b.bessel_y0(x)


class BesselY1(_Rare):
    """The Bessel function of the second kind and order 1. By SciPy.

    >>> ag.special.bessel_y1(ag.tensor([0.0, 1.0]))
    tensor([   -inf, -0.7812])
    """

    samples = Uniform(0.3, 6)

    def body(b: Any, x: Any) -> Any:
        return b.bessel_y1(x)


class ModifiedBesselK0(_Rare):
    """The modified Bessel function of the second kind and order 0. By SciPy.

    >>> ag.special.modified_bessel_k0(ag.tensor([0.0, 1.0]))
    tensor([   inf, 0.4210])
    """

    samples = Uniform(0.3, 6)

    def body(b: Any, x: Any) -> Any:
        return b.modified_bessel_k0(x)


class ModifiedBesselK1(_Rare):
    """The modified Bessel function of the second kind and order 1. By SciPy.

    >>> ag.special.modified_bessel_k1(ag.tensor([0.0, 1.0]))
    tensor([   inf, 0.6019])
    """

    samples = Uniform(0.3, 6)

    def body(b: Any, x: Any) -> Any:
        return b.modified_bessel_k1(x)


class ScaledModifiedBesselK0(_Rare):
    """exp(x) times the modified Bessel function of the second kind and order 0. By SciPy.

    >>> ag.special.scaled_modified_bessel_k0(ag.tensor([0.0, 1.0]))
    tensor([   inf, 1.1445])
    """

    samples = Uniform(0.3, 6)

    def body(b: Any, x: Any) -> Any:
        return b.scaled_modified_bessel_k0(x)


class ScaledModifiedBesselK1(_Rare):
    """exp(x) times the modified Bessel function of the second kind and order 1. By SciPy.

    >>> ag.special.scaled_modified_bessel_k1(ag.tensor([0.0, 1.0]))
    tensor([   inf, 1.6362])
    """

    samples = Uniform(0.3, 6)

    def body(b: Any, x: Any) -> Any:
        return b.scaled_modified_bessel_k1(x)


class _Polynomial(_Rare):
    """A polynomial in x of degree n, by the recurrence over degrees."""

    abstract = True
    samples: ClassVar[Any] = (
        Sample(T((2, 3), -0.9, 0.9), 5),
        Sample(T((4, 1), -0.9, 0.9), T((3,), 0, 6, "int64")),
        Sample(T((), -0.9, 0.9), 2.0),
        Sample(T((0,)), 3),
    )


class ChebyshevPolynomialT(_Polynomial):
    """Chebyshev's polynomial of the first kind and degree n: cos(n arccos(x)).

    0 of a negative degree; a fraction of n is cut off.

    >>> ag.special.chebyshev_polynomial_t(ag.tensor([0.5, 2.0]), 3)
    tensor([-1., 26.])
    """

    def body(b: Any, input: Any, n: Any) -> Any:
        return b.chebyshev_polynomial_t(input, n)


class ChebyshevPolynomialU(_Polynomial):
    """Chebyshev's polynomial of the second kind and degree n.

    0 of a negative degree; a fraction of n is cut off.

    >>> ag.special.chebyshev_polynomial_u(ag.tensor([0.5, 2.0]), 3)
    tensor([-1., 56.])
    """

    def body(b: Any, input: Any, n: Any) -> Any:
        return b.chebyshev_polynomial_u(input, n)


class ChebyshevPolynomialV(_Polynomial):
    """Chebyshev's polynomial of the third kind and degree n.

    0 of a negative degree; a fraction of n is cut off.

    >>> ag.special.chebyshev_polynomial_v(ag.tensor([0.5, 2.0]), 3)
    tensor([-1., 41.])
    """

    def body(b: Any, input: Any, n: Any) -> Any:
        return b.chebyshev_polynomial_v(input, n)


class ChebyshevPolynomialW(_Polynomial):
    """Chebyshev's polynomial of the fourth kind and degree n.

    0 of a negative degree; a fraction of n is cut off.

    >>> ag.special.chebyshev_polynomial_w(ag.tensor([0.5, 2.0]), 3)
    tensor([-1., 71.])
    """

    def body(b: Any, input: Any, n: Any) -> Any:
        return b.chebyshev_polynomial_w(input, n)


class ShiftedChebyshevPolynomialT(_Polynomial):
    """Chebyshev's polynomial of the first kind and degree n, of 2 x - 1.

    0 of a negative degree; a fraction of n is cut off.

    >>> ag.special.shifted_chebyshev_polynomial_t(ag.tensor([0.5, 2.0]), 3)
    tensor([-0., 99.])
    """

    def body(b: Any, input: Any, n: Any) -> Any:
        return b.shifted_chebyshev_polynomial_t(input, n)


class ShiftedChebyshevPolynomialU(_Polynomial):
    """Chebyshev's polynomial of the second kind and degree n, of 2 x - 1.

    0 of a negative degree; a fraction of n is cut off.

    >>> ag.special.shifted_chebyshev_polynomial_u(ag.tensor([0.5, 2.0]), 3)
    tensor([ -0., 204.])
    """

    def body(b: Any, input: Any, n: Any) -> Any:
        return b.shifted_chebyshev_polynomial_u(input, n)


class ShiftedChebyshevPolynomialV(_Polynomial):
    """Chebyshev's polynomial of the third kind and degree n, of 2 x - 1.

    0 of a negative degree; a fraction of n is cut off.

    >>> ag.special.shifted_chebyshev_polynomial_v(ag.tensor([0.5, 2.0]), 3)
    tensor([  1., 169.])
    """

    def body(b: Any, input: Any, n: Any) -> Any:
        return b.shifted_chebyshev_polynomial_v(input, n)


class ShiftedChebyshevPolynomialW(_Polynomial):
    """Chebyshev's polynomial of the fourth kind and degree n, of 2 x - 1.

    0 of a negative degree; a fraction of n is cut off.

    >>> ag.special.shifted_chebyshev_polynomial_w(ag.tensor([0.5, 2.0]), 3)
    tensor([ -1., 239.])
    """

    def body(b: Any, input: Any, n: Any) -> Any:
        return b.shifted_chebyshev_polynomial_w(input, n)


class HermitePolynomialH(_Polynomial):
    """The physicist's Hermite polynomial of degree n.

    0 of a negative degree; a fraction of n is cut off.

    >>> ag.special.hermite_polynomial_h(ag.tensor([0.5, 2.0]), 3)
    tensor([-5., 40.])
    """

    def body(b: Any, input: Any, n: Any) -> Any:
        return b.hermite_polynomial_h(input, n)


class HermitePolynomialHe(_Polynomial):
    """The probabilist's Hermite polynomial of degree n.

    0 of a negative degree; a fraction of n is cut off.

    >>> ag.special.hermite_polynomial_he(ag.tensor([0.5, 2.0]), 3)
    tensor([-1.3750,  2.0000])
    """

    def body(b: Any, input: Any, n: Any) -> Any:
        return b.hermite_polynomial_he(input, n)


class LaguerrePolynomialL(_Polynomial):
    """Laguerre's polynomial of degree n.

    0 of a negative degree; a fraction of n is cut off.

    >>> ag.special.laguerre_polynomial_l(ag.tensor([0.5, 2.0]), 3)
    tensor([-0.1458, -0.3333])
    """

    def body(b: Any, input: Any, n: Any) -> Any:
        return b.laguerre_polynomial_l(input, n)


class LegendrePolynomialP(_Polynomial):
    """Legendre's polynomial of degree n.

    0 of a negative degree; a fraction of n is cut off.

    >>> ag.special.legendre_polynomial_p(ag.tensor([0.5, 2.0]), 3)
    tensor([-0.4375, 17.0000])
    """

    def body(b: Any, input: Any, n: Any) -> Any:
        return b.legendre_polynomial_p(input, n)
