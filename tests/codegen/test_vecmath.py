"""The elementary functions against NumPy and SciPy in higher precision."""

from __future__ import annotations

import numpy as np
import pytest
from nests import Array, primitive, ulps
from scipy import special

SPECIAL = [
    *(0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 1e-30, -1e-30),
    *(5e-324, 1e-45, -1e-45, 1e-40, 3e38, -3e38, 1e300, -1e300, 88.7, 88.73, 89.41, -87.4),
    *(-103.0, -104.0, 709.7, 709.8, 710.4, -745.0, -746.0, 1e5, 1e6, 1e10, np.pi, np.pi / 2),
    *(22 / 7 * 1e15, 6381956970095103 * 2.0**797),
]
# name: (range, most ULP in float32, in float64)
UNARY = {
    "exp": (-110, 95, 1.2, 1.2),
    "exp2": (-155, 130, 1.2, 1.2),
    "expm1": (-30, 95, 2, 2.5),
    "log": (0, 10, 1, 1),
    "log2": (0, 10, 2, 2),
    "log1p": (-1, 10, 1.6, 1.6),
    "sin": (-100, 100, 1.7, 2.2),
    "cos": (-100, 100, 1.7, 2.4),
    "tan": (-100, 100, 1, 4),
    "asin": (-1, 1, 2.5, 2.5),
    "acos": (-1, 1, 1.5, 1.5),
    "atan": (-30, 30, 2.3, 2.5),
    "sinh": (-92, 92, 2.5, 3),
    "cosh": (-92, 92, 2, 2),
    "tanh": (-20, 20, 2.5, 2.5),
    "erf": (-7, 7, 6, 4),
}
NUMPY = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}


def points(low: float, high: float, elem: str) -> Array:
    rng = np.random.default_rng(7)
    near = np.concatenate(
        [
            rng.uniform(low, high, 40_000),
            rng.uniform(-1, 1, 20_000) * 10.0 ** rng.uniform(-9, 1, 20_000),
            1 + rng.uniform(-1, 1, 8_000) * 10.0 ** rng.uniform(-7, 0, 8_000),
            10.0 ** rng.uniform(-44, 38, 8_000),
            -(10.0 ** rng.uniform(-44, 38, 8_000)),
        ]
    )
    if elem == "float64":
        near = np.concatenate([near, near * 8, 10.0 ** rng.uniform(-320, 308, 8_000)])
    with np.errstate(over="ignore"):
        return np.concatenate([near, SPECIAL]).astype(elem)


def exact(prim: str, *args: Array) -> Array:
    wide = np.longdouble if args[0].dtype == np.float64 else np.float64
    with np.errstate(all="ignore"):
        if prim == "erf":
            return special.erf(args[0].astype(np.float64)).astype(wide)
        function = getattr(np, NUMPY.get(prim, prim))
        return function(*(a.astype(wide) for a in args))


@pytest.mark.parametrize("elem", ["float32", "float64"])
@pytest.mark.parametrize("prim", UNARY)
@pytest.mark.parametrize("target", ["host", "sse2"])
def test_function_is_within_its_error(prim: str, elem: str, target: str) -> None:
    low, high, *limits = UNARY[prim]
    x = points(low, high, elem)
    got, want = primitive(prim, elem, 1, target)(x), exact(prim, x)
    error = ulps(got, want)
    worst = int(np.argmax(error))
    assert error[worst] <= limits[elem == "float64"], (x[worst], got[worst], want[worst])
    zero = got == 0
    assert (np.signbit(got) == np.signbit(want))[zero].all()


@pytest.mark.parametrize("prim", ["exp", "log", "sin", "tanh", "erf"])
def test_scalars_and_vectors_agree(prim: str) -> None:
    x = points(-5, 5, "float32")[:1003]
    vector, scalar = (primitive(prim, "float32", 1, "host", lanes)(x) for lanes in (0, 1))
    assert np.array_equal(vector, scalar, equal_nan=True)


def pairs(elem: str) -> tuple[Array, Array]:
    rng = np.random.default_rng(11)
    edge = [0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 2, -2, 0.5, -0.5, 3, -3, 1e-40, 1e30, -1e30]
    a, b = np.meshgrid(edge, edge)
    x = np.concatenate(
        [rng.uniform(0, 10, 30_000), 10.0 ** rng.uniform(-35, 35, 30_000), a.ravel()]
    )
    y = np.concatenate([rng.uniform(-20, 20, 30_000), rng.uniform(-9, 9, 30_000), b.ravel()])
    return x.astype(elem), y.astype(elem)


@pytest.mark.parametrize("elem", ["float32", "float64"])
@pytest.mark.parametrize("target", ["host", "sse2"])
def test_pow(elem: str, target: str) -> None:
    x, y = pairs(elem)
    error = ulps(primitive("pow", elem, 2, target)(x, y), exact("pow", x, y))
    worst = int(np.argmax(error))
    assert error[worst] <= 2, (x[worst], y[worst])


@pytest.mark.parametrize("elem", ["float32", "float64"])
def test_atan2(elem: str) -> None:
    x, y = pairs(elem)
    x = np.where(np.arange(x.size) % 2, x, -x)
    got, want = primitive("atan2", elem, 2)(x, y), exact("arctan2", x, y)
    error = ulps(got, want)
    worst = int(np.argmax(error))
    assert error[worst] <= 3, (x[worst], y[worst], got[worst], want[worst])
    zero = got == 0
    assert (np.signbit(got) == np.signbit(want))[zero].all()
