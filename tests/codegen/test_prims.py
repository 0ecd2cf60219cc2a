"""Every primitive on every dtype, as vectors and scalars, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from nests import Array, mapped, numpy_dtype, primitive

from argand.codegen.llvm.target import named_target
from argand.nest.builder import I64, PTR, NestBuilder
from machines import HERE
from nestrun import entry
from suites import first

FLOATS = ("float32", "float64")
HALVES = ("float16", "bfloat16")
INTS = ("int8", "int16", "int32", "int64", "uint8", "uint64", "uint16", "uint32")
ALL = (*FLOATS, *HALVES, *INTS)
MACHINES = first(2, HERE)  # the host and the narrowest
EACH_INT = first(6, INTS)  # not at once the unsigned ones between the sizes of the others
EACH = [*FLOATS, *HALVES, *EACH_INT]

UNARY = {
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": lambda x: x if x.dtype.kind in "iu" else np.rint(x),
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x,
}
BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "floordiv": np.floor_divide,
    "mod": np.mod,
    "fmod": np.fmod,
    "min": np.minimum,
    "max": np.maximum,
}
COMPARE = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}
BITS = {
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "shl": np.left_shift,
    "shr": np.right_shift,
}


def values(elem: str, seed: int = 3) -> Array:
    """Numbers of all sizes, the special ones among them; an odd count, so that tails are met."""
    rng = np.random.default_rng(seed)
    dtype = numpy_dtype(elem)
    if elem in INTS:
        info = np.iinfo(dtype)
        half = (info.min + info.max) // 2  # the sign bit of a signed integer begins behind it
        edge = [info.min, info.max, info.min + 1, info.max - 1, 0, 1, 2, half, half + 1]
        small = rng.integers(0 if info.min == 0 else -9, 10, 400).astype(dtype)
        large = rng.integers(info.min, info.max, 594, dtype, endpoint=True)
        return np.concatenate([large, small, np.array(edge, dtype)])
    edge = [0.0, -0.0, np.inf, -np.inf, np.nan, 0.5, -0.5, 1.5, 2.5, -2.5, 1e-39, -1e-39]
    small = rng.integers(-20, 20, 200) / 2
    large = rng.uniform(-1, 1, 200) * 10.0 ** rng.uniform(-4, 4, 200)
    return np.concatenate([rng.normal(size=201), small, large, edge]).astype(dtype)


def reference(function: object, *args: Array) -> Array:
    """NumPy's answer; of 16-bit floats: computed in float32 and rounded."""
    with np.errstate(all="ignore"):
        if args[0].dtype.itemsize == 2 and args[0].dtype.kind not in "iu":
            wide = function(*(a.astype(np.float32) for a in args))  # type: ignore[operator]
            return wide if wide.dtype == bool else wide.astype(args[0].dtype)
        return np.asarray(function(*args))  # type: ignore[operator]


def same(got: Array, want: Array) -> None:
    assert got.dtype == want.dtype
    wide = np.float64 if got.dtype.kind in "fV" else got.dtype
    with np.errstate(invalid="ignore"):
        a, b = got.astype(wide), want.astype(wide)
    wrong = ~((a == b) | ((a != a) & (b != b)))
    assert not wrong.any(), (np.flatnonzero(wrong)[:5], got[wrong][:5], want[wrong][:5])


@pytest.mark.parametrize("target", MACHINES)
@pytest.mark.parametrize("elem", EACH)
@pytest.mark.parametrize("lanes", [0, 1])
def test_unary(elem: str, target: str, lanes: int) -> None:
    x = values(elem)
    for prim, function in UNARY.items():
        if elem in INTS and prim in ("sqrt", "rsqrt", "reciprocal"):
            continue
        same(primitive(prim, elem, 1, target, lanes)(x), reference(function, x))


@pytest.mark.parametrize("target", MACHINES)
@pytest.mark.parametrize("elem", EACH)
@pytest.mark.parametrize("lanes", [0, 1])
def test_binary(elem: str, target: str, lanes: int) -> None:
    x, y = values(elem), np.roll(values(elem, 5), 7)
    for prim, function in BINARY.items():
        if elem in INTS and prim == "div":
            continue
        same(primitive(prim, elem, 2, target, lanes)(x, y), reference(function, x, y))


@pytest.mark.parametrize("elem", EACH)
@pytest.mark.parametrize("target", MACHINES)
def test_compare(elem: str, target: str) -> None:
    x, y = values(elem), np.roll(values(elem), 1)
    y[::3] = x[::3]
    for prim, function in COMPARE.items():
        got = primitive(prim, elem, 2, target, out="bool")(x, y)
        same(got, reference(function, x, y))


@pytest.mark.parametrize("elem", EACH_INT)
@pytest.mark.parametrize("target", MACHINES)
def test_bits(elem: str, target: str) -> None:
    x, y = values(elem), values(elem, 5)
    for prim, function in BITS.items():
        if prim in ("shl", "shr"):
            y = (np.abs(y.astype(np.int64)) % (8 * x.itemsize + 5)).astype(x.dtype)
        same(primitive(prim, elem, 2, target)(x, y), function(x, y))
    same(primitive("not", elem, 1, target)(x), np.bitwise_not(x))


@pytest.mark.parametrize("elem", FLOATS)
def test_predicates(elem: str) -> None:
    x = values(elem)
    same(primitive("isnan", elem, 1, out="bool")(x), np.isnan(x))
    same(primitive("isinf", elem, 1, out="bool")(x), np.isinf(x))


def test_bool_logic() -> None:
    x = values("int8") % 2 == 0
    y = np.roll(x, 3)
    for prim, function in {"and": np.logical_and, "or": np.logical_or, "ne": np.not_equal}.items():
        same(primitive(prim, "bool", 2)(x, y), function(x, y))
    same(primitive("max", "bool", 2)(x, y), np.maximum(x, y))
    same(primitive("not", "bool", 1)(x), np.logical_not(x))


@pytest.mark.parametrize("elem", ("int32", "uint32", "int64"))
def test_umulhi(elem: str) -> None:
    x, y = (values("int64", seed).astype(elem) for seed in (1, 2))
    bits = 8 * x.itemsize
    mask = (1 << bits) - 1
    want = [(int(a) & mask) * (int(b) & mask) >> bits for a, b in zip(x, y, strict=True)]
    same(primitive("umulhi", elem, 2)(x, y), np.array(want, f"u{bits // 8}").astype(elem))


@pytest.mark.parametrize("elem", ("int8", "int32", "int64", "uint8"))
def test_integer_powers_wrap(elem: str) -> None:
    x, y = values(elem), np.abs(values(elem, 5).astype(np.int64)).astype(elem)
    y = np.where(y < 0, 0, y)
    same(primitive("pow", elem, 2)(x, y), x**y)


@pytest.mark.parametrize("target", MACHINES)
def test_a_size_of_0_divides_an_index_as_1_does(target: str) -> None:
    b = NestBuilder("divided", [("out", PTR), ("i", I64), ("n", I64)])
    out, i, n = b.params
    for place, index in enumerate((b.div(i, n), b.rem(i, n), b.ceildiv(i, n))):
        b.store(out, place, index)
    run = entry(b.finish(), named_target(target))
    found = np.zeros(3, np.int64)
    for divisor, want in ((3, [1, 2, 2]), (0, [5, 0, 4])):
        assert run(found, 5, divisor) == 0
        assert found.tolist() == want


@pytest.mark.parametrize("target", MACHINES)
def test_remainders_are_exact_over_all_sizes(target: str) -> None:
    rng = np.random.default_rng(9)
    for elem, span in (("float32", 36), ("float64", 300)):
        x, y = (rng.normal(size=2001) * 10.0 ** rng.uniform(-span, span, 2001) for _ in range(2))
        x, y = x.astype(elem), y.astype(elem)
        x[:3], y[:3] = np.finfo(elem).max, np.finfo(elem).smallest_subnormal
        for prim in ("fmod", "mod", "floordiv"):
            want = reference(BINARY[prim], x, y)
            same(primitive(prim, elem, 2, target)(x, y), want)


def test_fma_and_where() -> None:
    x, y, z = (np.random.default_rng(k).normal(size=101).astype(np.float32) for k in range(3))
    got = mapped(lambda b, x, y, z: b.fma(x, y, z), ("float32",) * 3, "float32")(x, y, z)
    assert np.allclose(got, x.astype(np.float64) * y + z, rtol=1e-6, atol=1e-7)
    pick = mapped(lambda b, x, y: b.where(b.apply("gt", x, 0.0), x, y), ("float32",) * 2, "float32")
    same(pick(x, y), np.where(x > 0, x, y))


@pytest.mark.parametrize("target", MACHINES)
@pytest.mark.parametrize("to", [*EACH, "bool"])
@pytest.mark.parametrize("lanes", [0, 1])
def test_casts(to: str, target: str, lanes: int) -> None:
    for source in ALL:
        x = values(source)
        if source not in INTS:
            limit = 100 if to in INTS else np.inf
            x = x[np.abs(x.astype(np.float64)) < limit]
            x = np.abs(x) if to == "uint8" else x
        with np.errstate(all="ignore"):
            want = x.astype(np.float32).astype(numpy_dtype(to)) if to in HALVES else x.astype(to)
            if source in HALVES and to not in HALVES:
                want = x.astype(np.float32).astype(to)
        got = mapped(lambda b, x: b.cast(x, to), (source,), to, target, lanes)(x)
        same(got, want)


@pytest.mark.parametrize("target", MACHINES)
@pytest.mark.parametrize("source", FLOATS)
def test_floats_wrap_as_unsigned_integers(source: str, target: str) -> None:
    """Also negative ones, and those that only an unsigned integer of that size holds."""
    for bits, reach in ((8, 31), (16, 31), (32, 63), (64, 63)):
        rng = np.random.default_rng(bits)
        x = rng.uniform(-1, 1, 301) * 2.0 ** rng.uniform(0, reach, 301)
        above = 2.0**63 * rng.uniform(1, 2, 20) if bits == 64 else ()
        x = np.concatenate([x, above, [-1, -0.5, 2.0 ** (reach - 1)]]).astype(source)
        want = np.array([int(v) % 2**bits for v in x.tolist()], f"uint{bits}")
        for lanes in (0, 1):
            to = f"uint{bits}"
            same(mapped(lambda b, x, to=to: b.cast(x, to), (source,), to, target, lanes)(x), want)


@pytest.mark.parametrize("target", MACHINES)
@pytest.mark.parametrize("half", HALVES)
def test_every_half_survives_and_rounding_is_to_even(half: str, target: str) -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    x = bits.view(numpy_dtype(half))
    wide = mapped(lambda b, x: b.cast(x, "float32"), (half,), "float32", target)(x)
    with np.errstate(all="ignore"):
        same(wide, x.astype(np.float32))
    back = mapped(lambda b, x: b.cast(x, half), ("float32",), half, target)
    same(back(wide), x)
    finite = np.sort(wide[np.isfinite(wide)])
    middle = (finite[:-1].astype(np.float64) + finite[1:]) / 2
    for y in (middle, np.nextafter(middle.astype(np.float32), np.inf), middle * (1 - 1e-6)):
        single = y.astype(np.float32)
        with np.errstate(all="ignore"):
            same(back(single), single.astype(numpy_dtype(half)))
