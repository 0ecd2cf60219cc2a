"""Matrix products of the contraction skeleton against float64 NumPy."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import ml_dtypes
import numpy as np
import pytest
from products import Matrices, matmul_function, store_to

from argand.codegen.llvm.target import host_target, named_target
from argand.kernels.contraction.blocked import contraction
from argand.kernels.contraction.spec import (
    AxisValues,
    Contraction,
    ContractionAxis,
    Epilogue,
    Operand,
)
from argand.nest.builder import PTR, NestBuilder, Param, Reg
from argand.nest.target import Target
from argand.runtime.threads import get_num_threads, set_num_threads
from machines import FORCED
from nestrun import compiled

NUMPY = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
TOLERANCE = {"float32": 2e-6, "float64": 4e-15, "float16": 2e-3, "bfloat16": 1e-2}


def numpy_type(elem: str) -> np.dtype:
    return np.dtype(NUMPY.get(elem, elem))


def random(shape: Sequence[int], elem: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if elem.startswith("int"):
        return rng.integers(-9, 9, shape).astype(elem)
    return rng.standard_normal(shape).astype(numpy_type(elem))


def layout(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> Matrices:
    """The layout of arrays, every number known."""
    batch, (m, k), n = a.shape[:-2], a.shape[-2:], b.shape[-1]
    steps = [tuple(s // x.itemsize for s in x.strides) for x in (a, b, c)]
    return Matrices(batch, m, n, k, *steps)


def opened(of: Matrices, keep: Sequence[int | None] = (1,)) -> Matrices:
    """The same with every number but unit strides left to run time."""

    def last_unit(strides: tuple[int | None, ...]) -> tuple[int | None, ...]:
        units = [i for i, s in enumerate(strides) if s == 1 and i >= len(strides) - 2]
        return tuple(1 if units and i == units[-1] else None for i in range(len(strides)))

    return Matrices(
        (None,) * len(of.batch), None, None, None, *(last_unit(s) for s in (of.a, of.b, of.c))
    )


def multiply(
    a: np.ndarray,
    b: np.ndarray,
    elem: str = "float32",
    *,
    run_time: bool = False,
    target: Target | None = None,
    long_k: bool = False,
) -> np.ndarray:
    c = np.full((*a.shape[:-1], b.shape[-1]), 77, numpy_type(elem))
    of = layout(a, b, c)
    form = opened(of) if run_time else of
    machine = target or host_target()
    run = compiled(matmul_function("mm", elem, form, machine, long_k=long_k), machine)
    pairs = zip(of.fields(), form.fields(), strict=True)
    run(a, b, c, *(known for (_, known), (_, value) in pairs if value is None))
    return c


def check(c: np.ndarray, a: np.ndarray, b: np.ndarray, elem: str = "float32") -> None:
    wide = np.float64 if not elem.startswith("int") else np.dtype(elem)
    want = a.astype(wide) @ b.astype(wide)
    if elem.startswith("int"):
        np.testing.assert_array_equal(c, want)
        return
    scale = np.abs(a.astype(wide)) @ np.abs(b.astype(wide)) + 1e-30
    assert c.size == 0 or np.max(np.abs(c.astype(wide) - want) / scale) < TOLERANCE[elem]


def arrays(
    m: int, n: int, k: int, ta: bool, tb: bool, elem: str = "float32"
) -> tuple[np.ndarray, np.ndarray]:
    a = random((k, m), elem, 1).T if ta else random((m, k), elem, 1)
    b = random((n, k), elem, 2).T if tb else random((k, n), elem, 2)
    return a, b


FLIPS = list(itertools.product([False, True], repeat=2))
SIZES = [(1, 1, 1), (7, 13, 5), (1, 33, 300), (3, 70, 513), (50, 100, 700), (64, 64, 64)]


@pytest.mark.parametrize("ta", [False, True])
@pytest.mark.parametrize("tb", [False, True])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_transpositions_with_known_sizes(size: tuple[int, int, int], ta: bool, tb: bool) -> None:
    a, b = arrays(*size, ta, tb)
    check(multiply(a, b), a, b)


@pytest.mark.parametrize(("ta", "tb"), FLIPS)
def test_transpositions_with_sizes_at_run_time(ta: bool, tb: bool) -> None:
    a, b = arrays(1, 1, 1, ta, tb)
    machine = host_target()
    form = opened(layout(*arrays(9, 9, 9, ta, tb), np.empty((9, 9), np.float32)))
    run = compiled(matmul_function("mm", "float32", form, machine))
    for m, n, k in [
        *SIZES,
        (2, 40, 520),
        (4, 9, 1100),
        (0, 5, 4),
        (5, 0, 4),
        (5, 4, 0),
        (33, 17, 1),
    ]:
        a, b = arrays(m, n, k, ta, tb)
        c = np.full((m, n), 77, np.float32)
        pairs = zip(layout(a, b, c).fields(), form.fields(), strict=True)
        run(a, b, c, *(known for (_, known), (_, value) in pairs if value is None))
        check(c, a, b)


@pytest.mark.parametrize("elem", ["float64", "float16", "bfloat16", "int32", "int64"])
@pytest.mark.parametrize(("ta", "tb"), FLIPS)
def test_other_dtypes(elem: str, ta: bool, tb: bool) -> None:
    a, b = arrays(19, 37, 261, ta, tb, elem)
    check(multiply(a, b, elem), a, b, elem)


@pytest.mark.parametrize("elem", ["float64", "bfloat16", "int64"])
def test_one_row_of_other_dtypes(elem: str) -> None:
    for tb in (False, True):
        a, b = arrays(1, 37, 300, False, tb, elem)
        check(multiply(a, b, elem, run_time=True), a, b, elem)


@pytest.mark.parametrize("size", [(0, 3, 4), (3, 0, 4), (3, 4, 0)], ids=str)
def test_empty(size: tuple[int, int, int]) -> None:
    a, b = arrays(*size, False, False)
    check(multiply(a, b), a, b)


def test_strides_of_every_kind() -> None:
    a = random((40, 90), "float32", 1)[::2, ::3]
    b = random((60, 50), "float32", 2)[::2, ::2]
    for run_time in (False, True):
        check(multiply(a, b, run_time=run_time), a, b)
        check(multiply(a[::-1], b[:, ::-1], run_time=run_time), a[::-1], b[:, ::-1])


def test_batches_and_broadcast_batches() -> None:
    a, b = random((3, 2, 17, 30), "float32", 1), random((2, 30, 21), "float32", 2)
    wide = np.broadcast_to(b, (3, 2, 30, 21))
    for run_time in (False, True):
        check(multiply(a, wide, run_time=run_time), a, wide)


@pytest.mark.parametrize("tb", [False, True])
def test_large_enough_for_threads_and_many_blocks(tb: bool) -> None:
    a, b = arrays(401, 333, 777, False, tb)
    check(multiply(a, b), a, b)


@pytest.mark.parametrize("name", FORCED)
@pytest.mark.parametrize("tb", [False, True])
def test_other_widths_of_vectors(name: str, tb: bool) -> None:
    target = named_target(name)
    for m, n in ((1, 45), (7, 150), (23, 45), (70, 97)):
        a, b = arrays(m, n, 301, False, tb)
        check(multiply(a, b, target=target), a, b)
        check(multiply(a, b, target=target, run_time=True), a, b)
    for m in (1, 23):
        a, b = arrays(m, 45, 301, True, tb, "float64")
        check(multiply(a, b, "float64", target=target), a, b, "float64")


# the contract: the order of a sum -----------------------------------------------------------------


def chain(a: np.ndarray, b: np.ndarray) -> np.float32:
    """One element as the contract says: fused chains of 256 in float32, added in order."""
    total: np.float32 | None = None
    for start in range(0, len(a), 256):
        acc = np.float32(0)
        for x, y in zip(a[start : start + 256], b[start : start + 256], strict=True):
            # the product of two floats is exact in float64; one rounding to float64 and one to
            # float32 differ from a fused one only in ties that this data does not hit
            acc = np.float32(np.float64(x) * np.float64(y) + np.float64(acc))
        total = acc if total is None else np.float32(total + acc)
    return np.float32(0) if total is None else total


@pytest.mark.parametrize("tb", [False, True])
@pytest.mark.parametrize("run_time", [False, True])
def test_sums_follow_the_contract(tb: bool, run_time: bool) -> None:
    if not host_target().fused:
        pytest.skip("the target does not fuse")
    for m in (1, 9):
        a, b = arrays(m, 11, 600, False, tb)
        c = multiply(a, b, run_time=run_time)
        for i, j in ((0, 0), (m - 1, 10), (m // 2, 7)):
            assert c[i, j] == chain(a[i], b[:, j])


@pytest.mark.parametrize("ta", [False, True])
@pytest.mark.parametrize("tb", [False, True])
def test_a_row_has_the_same_bits_in_any_company(ta: bool, tb: bool) -> None:
    a, b = arrays(150, 90, 800, ta, tb)
    whole = multiply(a, b)
    for rows in (1, 2, 3, 4, 5, 7, 12, 64):
        part = a[:rows]
        for run_time in (False, True):
            got = multiply(part, b, run_time=run_time)
            np.testing.assert_array_equal(got.view(np.int32), whole[:rows].view(np.int32))


def test_the_same_bits_for_any_number_of_threads() -> None:
    before = get_num_threads()
    cases = [
        (arrays(200, 300, 600, False, True), False),
        (arrays(60, 50, 20_000, True, False), True),
        (arrays(1, 3000, 900, False, True), False),
    ]
    try:
        for (a, b), long_k in cases:
            results = []
            for threads in (1, 2, 5):
                set_num_threads(threads)
                results.append(multiply(a, b, long_k=long_k).view(np.int32))
            np.testing.assert_array_equal(results[0], results[1])
            np.testing.assert_array_equal(results[0], results[2])
    finally:
        set_num_threads(before)


@pytest.mark.parametrize("run_time", [False, True])
def test_long_k(run_time: bool) -> None:
    for m, n, k in ((20, 30, 9000), (64, 64, 8192), (3, 5, 30_001)):
        a, b = arrays(m, n, k, True, False)
        check(multiply(a, b, long_k=True, run_time=run_time), a, b)


# epilogues, producers, einsum ---------------------------------------------------------------------


def _both(*epilogues: Epilogue) -> Epilogue:
    def epilogue(b: NestBuilder, index: AxisValues, value: Reg, mask: Reg | None) -> None:
        for each in epilogues:
            each(b, index, value, mask)

    return epilogue


def test_an_epilogue_reads_a_bias_and_writes_two_outputs() -> None:
    x, w, bias = random((33, 50), "float32", 1), random((29, 50), "float32", 2), np.arange(29.0)
    bias = bias.astype(np.float32)
    machine = host_target()
    b = NestBuilder("linear", [Param(p, PTR, noalias=True) for p in ("x", "w", "bias", "y", "z")])
    px, pw, pb, py, pz = b.params
    m, n, k = ContractionAxis("m", 33), ContractionAxis("n", 29), ContractionAxis("k", 50)
    plain = store_to(py, "float32", {m: 29, n: 1}, n)

    def relu(b: NestBuilder, index: AxisValues, value: Reg, mask: Reg | None) -> None:
        shifted = b.apply("add", value, b.load(pb, index[n], value.ty, mask))
        at = b.affine(index[n], (index[m], 29))
        b.store(pz, at, b.apply("max", shifted, 0.0), mask)

    spec = Contraction(
        a=Operand(px, "float32", {m: 50, k: 1}),
        b=Operand(pw, "float32", {n: 50, k: 1}),
        batch=(),
        m=(m,),
        n=(n,),
        k=(k,),
        epilogue=_both(plain, relu),
    )
    contraction(b, spec, machine)
    y, z = np.empty((33, 29), np.float32), np.empty((33, 29), np.float32)
    compiled(b.finish())(x, w, bias, y, z)
    check(y, x, w.T)
    np.testing.assert_array_equal(z, np.maximum(y + bias, 0))


def test_einsum_with_several_axes_of_each_kind() -> None:
    """abicd, aejcd -> abiej: batch a, m (b, i), n (e, j), k (c, d)."""
    sizes = dict(zip("abiejcd", (2, 3, 5, 2, 19, 4, 6), strict=True))
    x = random([sizes[s] for s in "abicd"], "float32", 1)
    y = random([sizes[s] for s in "aejcd"], "float32", 2)
    want = np.einsum("abicd,aejcd->abiej", x.astype(np.float64), y.astype(np.float64))
    axes = {s: ContractionAxis(s, e) for s, e in sizes.items()}

    def strides(names: str, of: np.ndarray) -> dict[ContractionAxis, int]:
        return {axes[s]: step // 4 for s, step in zip(names, of.strides, strict=True)}

    out = np.empty(want.shape, np.float32)
    b = NestBuilder("einsum", [Param(p, PTR, noalias=True) for p in "xyz"])
    px, py, pz = b.params
    spec = Contraction(
        a=Operand(px, "float32", strides("abicd", x)),
        b=Operand(py, "float32", strides("aejcd", y)),
        batch=(axes["a"],),
        m=(axes["b"], axes["i"]),
        n=(axes["e"], axes["j"]),
        k=(axes["c"], axes["d"]),
        epilogue=store_to(pz, "float32", strides("abiej", out), axes["j"]),
    )
    contraction(b, dataclasses.replace(spec), host_target())
    compiled(b.finish())(x, y, out)
    np.testing.assert_allclose(out, want, atol=2e-5)


def test_short_inner_axes_packed_by_transposition() -> None:
    """85 is not a multiple of any vector: the last square of each turn writes beyond it."""
    m, n, o, k = 30, 70, 7, 85
    x, w = random((m, o, 90), "float32", 1)[..., :k], random((n, o, 96), "float32", 2)[..., :k]
    am, an, ao, ak = (
        ContractionAxis(name, size) for name, size in zip("mnok", (m, n, o, k), strict=True)
    )
    b = NestBuilder("short", [Param(p, PTR, noalias=True) for p in "xwy"])
    px, pw, py = b.params
    spec = Contraction(
        a=Operand(px, "float32", {am: o * 90, ao: 90, ak: 1}),
        b=Operand(pw, "float32", {an: o * 96, ao: 96, ak: 1}),
        batch=(),
        m=(am,),
        n=(an,),
        k=(ao, ak),
        epilogue=store_to(py, "float32", {am: n, an: 1}, an),
    )
    contraction(b, spec, host_target())
    y = np.empty((m, n), np.float32)
    compiled(b.finish())(x, w, y)
    want = np.einsum("mok,nok->mn", x.astype(np.float64), w.astype(np.float64))
    np.testing.assert_allclose(y, want, atol=1e-4)


def test_random_sizes_and_layouts() -> None:
    rng = np.random.default_rng(7)
    for case in range(24):
        m, n, k = (int(rng.choice([1, 2, 6, 8, 17, 33, 64, 130, 257, 300])) for _ in range(3))
        ta, tb = bool(rng.integers(2)), bool(rng.integers(2))
        a, b = arrays(m, n, k, ta, tb)
        if rng.integers(4) == 0:  # rows or columns apart from one another
            a, b = np.repeat(a, 2, axis=1)[:, ::2], np.repeat(b, 3, axis=0)[::3]
        check(multiply(a, b, run_time=case % 3 == 0), a, b)
