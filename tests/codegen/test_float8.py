"""8-bit floats, every code and every boundary between two numbers, by NumPy and in kernels.

What a code means, and what float32 becomes, is written down here from the definitions: with exact
numbers of float64 and a search, independent of how either computes it.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from nests import mapped

from argand.base.conversion import converted
from argand.base.dtype import as_dtype
from machines import HERE
from suites import first

# bits of the exponent and the mantissa, the exponent's bias, what codes beyond numbers mean
FORMS = {
    "float8_e4m3fn": (4, 3, 7),
    "float8_e5m2": (5, 2, 15),
    "float8_e4m3fnuz": (4, 3, 8),
    "float8_e5m2fnuz": (5, 2, 16),
}
ALL = (*FORMS, "float8_e8m0fnu")
MACHINES = first(2, HERE)  # the host and the narrowest
CODES = np.arange(256, dtype=np.uint8)


def meaning(name: str, code: int) -> float:
    """The number of a code."""
    if name == "float8_e8m0fnu":
        return math.nan if code == 255 else 2.0 ** (code - 127)
    _, mantissa, bias = FORMS[name]
    sign, rest = (-1.0 if code >> 7 else 1.0), code & 127
    if name.endswith("uz") and code == 128:
        return math.nan
    if name == "float8_e4m3fn" and rest == 127:
        return math.nan
    if name == "float8_e5m2" and rest >= 124:
        return sign * math.inf if rest == 124 else math.nan
    exponent, fraction = rest >> mantissa, rest & ((1 << mantissa) - 1)
    if exponent == 0:
        return sign * fraction * 2.0 ** (1 - bias - mantissa)
    return sign * (1 + fraction * 2.0**-mantissa) * 2.0 ** (exponent - bias)


def rounded(name: str, x: float) -> int:
    """The code of the nearest number, of the even one in the middle of two."""
    if name == "float8_e8m0fnu":
        return _power(abs(x))
    negative = math.copysign(1, x) < 0
    unsigned = name.endswith("uz")
    if math.isnan(x):
        return 128 if unsigned else 127 + 128 * negative
    numbers = [c for c in range(128) if math.isfinite(meaning(name, c))]
    top = numbers[-1]
    values = [meaning(name, c) for c in numbers]
    # the number after the largest one, if there were one: from the middle on all is too large
    following = 2 * values[-1] - values[-2]
    if abs(x) >= (values[-1] + following) / 2:
        over = {"float8_e4m3fn": top, "float8_e5m2": 124}.get(name, 128)
        return over if unsigned else over + 128 * negative
    place = int(np.searchsorted(values, abs(x)))
    if place == len(values):
        place = top
    elif place and values[place] != abs(x):
        below, above = abs(x) - values[place - 1], values[place] - abs(x)
        place -= below < above or (below == above and place % 2 == 1)
    return place if unsigned and place == 0 else place + 128 * negative


def _power(x: float) -> int:
    """The nearest power of two: the larger one from the middle on, but for what has no exponent."""
    if math.isnan(x) or x >= 1.5 * 2.0**127:
        return 255
    if x < 2.0**-126:
        return int(x > 2.0**-127)
    fraction, exponent = math.frexp(x)
    return exponent + 126 + (fraction >= 0.75)


def numbers(name: str) -> np.ndarray:
    """All numbers of a form, the middles between neighbours, what is just beside, and extremes."""
    known = sorted({v for c in range(256) if math.isfinite(v := meaning(name, c))})
    middles = [(a + b) / 2 for a, b in itertools.pairwise(known)]
    top = known[-1]
    edges = [top * 1.01, top * 1.04, top * 1.0625, top * 1.125, top * 1.25, top * 2]
    special = [0.0, -0.0, math.inf, -math.inf, math.nan, 1e-45, 3e38, 2.0**-127, 2.0**-126]
    with np.errstate(over="ignore"):
        x = np.array([*known, *middles, *edges, *(-e for e in edges), *special], np.float32)
    near = np.concatenate([np.nextafter(x, np.float32(np.inf)), np.nextafter(x, -np.float32(1e9))])
    rng = np.random.default_rng(1)
    anywhere = rng.integers(0, 1 << 32, 500, dtype=np.uint32).view(np.float32)
    negative_nan = np.array([0xFFC00000, 0xFF800001], np.uint32).view(np.float32)
    return np.concatenate([x, near, anywhere, negative_nan])


@pytest.mark.parametrize("target", MACHINES)
@pytest.mark.parametrize("name", ALL)
def test_every_code_has_its_meaning(name: str, target: str) -> None:
    x = CODES.view(as_dtype(name).numpy)
    wanted = np.array([meaning(name, c) for c in range(256)], np.float32)
    widen = mapped(lambda b, v: b.cast(v, "float32"), (name,), "float32", target)
    some = ~np.isnan(wanted)
    for found in (converted(x, as_dtype("float32")), widen(x)):
        np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(np.signbit(found)[some], np.signbit(wanted)[some])


@pytest.mark.parametrize("target", MACHINES)
@pytest.mark.parametrize("name", ALL)
def test_rounding_is_to_the_nearest_number(name: str, target: str) -> None:
    x = numbers(name)
    wanted = np.array([rounded(name, float(v)) for v in x], np.uint8)
    dtype = as_dtype(name)
    np.testing.assert_array_equal(converted(x, dtype).view(np.uint8), wanted)
    narrow = mapped(lambda b, v: b.cast(v, name), ("float32",), name, target)
    np.testing.assert_array_equal(narrow(x).view(np.uint8), wanted)


@pytest.mark.parametrize("name", ALL)
def test_other_dtypes_go_through_float32(name: str) -> None:
    dtype = as_dtype(name)
    rng = np.random.default_rng(2)
    single = rng.standard_normal(501).astype(np.float32) * np.float32(50)
    codes = CODES[np.isfinite([meaning(name, c) for c in range(256)])]
    small = codes[np.abs([meaning(name, int(c)) for c in codes]) < 120].view(dtype.numpy)
    for other in ("float64", "float16", "bfloat16", "int32", "int8", "uint64", "bool"):
        source = converted(single, as_dtype(other))
        wanted = converted(converted(source, as_dtype("float32")), dtype)
        into = mapped(lambda b, v: b.cast(v, name), (other,), name)
        np.testing.assert_array_equal(
            converted(source, dtype).view(np.uint8), wanted.view(np.uint8)
        )
        np.testing.assert_array_equal(into(source).view(np.uint8), wanted.view(np.uint8))
        out = mapped(lambda b, v, other=other: b.cast(v, other), (name,), other)
        plain = converted(converted(small, as_dtype("float32")), as_dtype(other))
        np.testing.assert_array_equal(out(small), plain)
        np.testing.assert_array_equal(converted(small, as_dtype(other)), plain)


@pytest.mark.parametrize("name", ALL)
def test_equality_is_that_of_the_numbers(name: str) -> None:
    x, y = (a.ravel().view(as_dtype(name).numpy) for a in np.meshgrid(CODES, CODES))
    one, two = (converted(v, as_dtype("float32")) for v in (x, y))
    same = mapped(lambda b, u, v: b.apply("eq", u, v), (name, name), "bool")
    np.testing.assert_array_equal(same(x, y), one == two)
    np.testing.assert_array_equal(np.equal(x, y), one == two)
