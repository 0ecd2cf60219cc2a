"""Products by a matrix unit: as exact as chains of fused products, whatever the rows, and the same
bits for any number of them."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math

import numpy as np
import pytest
from products import Matrices, in_panels, matmul_function, panelled, spec_of, store_to

import argand as ag
from argand.codegen.llvm import target as targets
from argand.codegen.llvm.target import host_target, named_target
from argand.kernels.contraction import panels
from argand.kernels.contraction.blocked import contraction
from argand.kernels.contraction.matrix_unit import LARGEST, SMALLEST
from argand.kernels.contraction.spec import ContractionAxis, Operand
from argand.kernels.contraction.tiles import UNIT_COLUMNS, UNIT_ELEMENTS, panel_width
from argand.nest.builder import PTR, NestBuilder, NestFunction, Param
from argand.nest.python import python_function
from argand.nest.target import Target
from machines import WIDE
from nestrun import Run, compiled

HOST = host_target()
UNIT = pytest.mark.skipif(not HOST.matrix_unit, reason="this machine has no AMX, or may not use it")
ROUNDING = 2.0**-24
TOO_SMALL = np.float32(SMALLEST / 4)


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit computes with small weights too, in the tests here."""
    monkeypatch.setattr(panels, "UNIT_ELEMENTS", 0)


@functools.cache
def _run(m: int | None, n: int, k: int, unit: bool) -> Run:
    with ag.settings.using(matrix_unit=unit):
        return compiled(panelled(m, n, k, UNIT_COLUMNS, "float32", named_target()))


def product(a: np.ndarray, b: np.ndarray, known: bool = False, unit: bool = True) -> np.ndarray:
    """A @ B by the unit, or by the nest for a machine that has none."""
    (m, k), n = a.shape, b.shape[1]
    out = np.full((m, n), 7, np.float32)
    run = _run(m if known else None, n, k, unit)
    run(a, in_panels(b, UNIT_COLUMNS), out, *([] if known else [m]))
    return out


def by_chains(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return product(a, b, unit=False)


def drawn(m: int, n: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((m, k)).astype(np.float32),
        rng.standard_normal((k, n)).astype(np.float32),
    )


def uses_unit(function: NestFunction) -> bool:
    return "matrix" in str(function)


@UNIT
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("k", [1, 33, 64, 224, 1000])
def test_as_exact_as_float32(k: int, known: bool) -> None:
    for m in (1, 17) if known else (1, 16, 17, 33, 70):
        n = 96
        a, b = drawn(m, n, k, m)
        exact = a.astype(np.float64) @ b.astype(np.float64)
        sizes = np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)
        error = np.abs(product(a, b, known) - exact)
        assert (error <= 4 * ROUNDING * sizes).all(), f"{m, n, k}"
        chains = np.abs(by_chains(a, b) - exact)
        assert error.mean() <= 1.1 * chains.mean() + ROUNDING * sizes.mean()


@UNIT
def test_whole_numbers_are_exact() -> None:
    rng = np.random.default_rng(3)
    a, b = (rng.integers(-500, 500, s).astype(np.float32) for s in ((50, 63), (63, 64)))
    np.testing.assert_array_equal(product(a, b), a @ b)


@UNIT
@pytest.mark.parametrize("m", [5, 40])
def test_a_chunk_has_several_panels(m: int) -> None:
    for k in (20, 32, 96):
        a, b = drawn(m, 40 * UNIT_COLUMNS, k)
        b[3, [70, 700]] = np.inf
        found, chains = product(a, b), by_chains(a, b)
        np.testing.assert_allclose(found, chains, rtol=1e-4, atol=1e-4)
        for panel in (70 // UNIT_COLUMNS, 700 // UNIT_COLUMNS):
            columns = slice(panel * UNIT_COLUMNS, (panel + 1) * UNIT_COLUMNS)
            np.testing.assert_array_equal(found[:, columns], chains[:, columns])


@UNIT
def test_many_rows_are_computed_in_blocks() -> None:
    a, b = drawn(700, 64, 1500)  # more than A_BYTES
    exact = a.astype(np.float64) @ b.astype(np.float64)
    sizes = np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)
    assert (np.abs(product(a, b) - exact) <= 4 * ROUNDING * sizes).all()


@UNIT
def test_the_bits_of_a_row_are_the_same_in_any_company() -> None:
    a, b = drawn(130, 96, 300)
    every = product(a, b)
    for low, high in ((0, 1), (5, 21), (17, 50), (3, 130)):
        part = product(np.ascontiguousarray(a[low:high]), b)
        np.testing.assert_array_equal(part, every[low:high])
    np.testing.assert_array_equal(product(a, b, known=True), every)
    columns = product(a, np.ascontiguousarray(b[:, 32:]))
    np.testing.assert_array_equal(columns, every[:, 32:])


@UNIT
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_bits_do_not_depend_on_threads(threads: int) -> None:
    a, b = drawn(90, 512, 320)
    with ag.settings.using(threads=threads):
        found = product(a, b)
    np.testing.assert_array_equal(found, product(a, b))


OUTSIDE = [np.inf, -np.inf, np.nan, 1e-40, -1e-44, TOO_SMALL, -1e-20, 3e38, 2 * LARGEST, -1e20]


@UNIT
@pytest.mark.parametrize("value", OUTSIDE)
def test_rows_outside_the_range_are_computed_by_chains(value: float) -> None:
    a, b = drawn(40, 64, 100)
    without = product(a, b)
    for row, column in ((0, 0), (17, 99), (39, 50)):
        a[row, column] = value
    with np.errstate(all="ignore"):
        chains = by_chains(a, b)
    found = product(a, b)
    touched = np.isin(np.arange(40), [0, 17, 39])
    np.testing.assert_array_equal(found[touched], chains[touched])
    np.testing.assert_array_equal(found[~touched], without[~touched])


@UNIT
@pytest.mark.parametrize("value", OUTSIDE)
def test_columns_outside_the_range_are_computed_by_chains(value: float) -> None:
    a, b = drawn(40, 96, 100)
    without = product(a, b)
    b[[3, 64, 99], [40, 40, 63]] = value
    found = product(a, b)
    np.testing.assert_array_equal(found[:, 32:64], by_chains(a, b)[:, 32:64])
    np.testing.assert_array_equal(found[:, :32], without[:, :32])
    np.testing.assert_array_equal(found[:, 64:], without[:, 64:])


@UNIT
def test_the_ends_of_the_range_are_exact_enough() -> None:
    a, b = drawn(20, 64, 64)
    for x, y in itertools.product((SMALLEST, LARGEST / 8), repeat=2):
        scaled_a = (np.sign(a) * np.maximum(np.abs(a), 1)).astype(np.float32) * np.float32(x)
        scaled_b = (np.sign(b) * np.maximum(np.abs(b), 1)).astype(np.float32) * np.float32(y)
        exact = scaled_a.astype(np.float64) @ scaled_b.astype(np.float64)
        sizes = np.abs(scaled_a).astype(np.float64) @ np.abs(scaled_b).astype(np.float64)
        error = np.abs(product(scaled_a, scaled_b) - exact)
        assert (error <= 4 * ROUNDING * sizes).all(), f"{x, y}"


@UNIT
def test_zeros_are_inside() -> None:
    a, b = drawn(20, 64, 64)
    a[3], a[:, 5], b[7], b[:, 40] = 0, -0.0, 0, -0.0
    np.testing.assert_allclose(product(a, b), a @ b, rtol=1e-5, atol=1e-5)
    assert not product(a, b)[3].any() and not product(a, b)[:, 40].any()


def strided(m: int, k: tuple[int, int], n: int, target: Target) -> NestFunction:
    """C = A @ B where k is two axes, A as (inner, rows, outer), B in panels and C as (n, m)."""
    b = NestBuilder("strided", [Param(p, PTR, noalias=True) for p in "abc"])
    spec = spec_of(m, n, math.prod(k), UNIT_COLUMNS, "float32", b.params)
    (rows,), (panel, column) = spec.m, spec.n
    outer, inner = (ContractionAxis(f"k{i}", size) for i, size in enumerate(k))
    places = {rows: 1, panel: UNIT_COLUMNS * m, column: m}
    of_b = {panel: math.prod(k) * UNIT_COLUMNS, outer: k[1] * UNIT_COLUMNS, inner: UNIT_COLUMNS}
    a = Operand(b.params[0], "float32", {rows: k[0], outer: 1, inner: m * k[0]})
    spec = dataclasses.replace(
        spec,
        a=a,
        b=dataclasses.replace(spec.b, strides={**of_b, column: 1}),
        k=(outer, inner),
        epilogue=store_to(b.params[2], "float32", places, column),
        long_k=True,
    )
    contraction(b, spec, target)
    return b.finish()


@UNIT
@pytest.mark.parametrize("value", [1.0, np.inf])
def test_the_bits_do_not_depend_on_strides(value: float) -> None:
    a, b = drawn(37, 96, 600)
    a[5, 99] = value
    out = np.full((96, 37), 7, np.float32)
    function = strided(37, (20, 30), 96, named_target())
    assert uses_unit(function)
    apart = np.ascontiguousarray(a.reshape(37, 20, 30).transpose(2, 0, 1))
    compiled(function)(apart, in_panels(b, UNIT_COLUMNS), out)
    np.testing.assert_array_equal(out.T, product(a, b))


class _Bounds:
    """A Memory that checks that accesses are inside of what was given or taken, and aligned ones
    of the unit where they belong."""

    def __init__(self, sizes: dict[int, int], ranges: int) -> None:
        self.places, self.ranges, self.registers = dict(sizes), ranges, 0
        self.next = 1 << 30

    def _check(self, address: int, nbytes: int) -> None:
        start = max(p for p in self.places if p <= address)
        assert address + nbytes <= start + self.places[start], "out of bounds"
        self.registers += nbytes == 1024

    def load(self, address: int, nbytes: int) -> None:
        self._check(address, nbytes)

    store = load

    def load_lanes(self, address: int, each: int, mask: np.ndarray) -> None:
        for lane in np.flatnonzero(mask):
            self._check(address + int(lane) * each, each)

    store_lanes = load_lanes

    def value(self, address: int, elem: str) -> int:
        self._check(address, 4)
        return self.ranges

    def values(self, address: int, elem: str, offsets: np.ndarray, mask: object) -> np.ndarray:
        there = np.ones(len(offsets), bool) if mask is None else np.asarray(mask)
        for offset in offsets[there]:
            self._check(address + 4 * int(offset), 4)
        return np.where(there, np.uint64(self.ranges), np.uint64(0))

    def store_value(
        self, address: int, each: int, offsets: object, mask: object, value: object
    ) -> None:
        count = 1 if offsets is None else len(np.atleast_1d(np.asarray(offsets)))
        self._check(address, each * count)

    def take(self, nbytes: int) -> int:
        self.next += (1 << 24) + 4096
        self.places[self.next] = int(nbytes)
        return self.next

    def chunks(self, count: int) -> range:
        return range(count)

    def scatter(self, address: int, each: int, offsets: np.ndarray, mask: object) -> None:
        assert mask is None
        for offset in offsets:
            self._check(address + each * int(offset), each)

    def gather(self, *args: object) -> None:
        raise AssertionError("nothing is gathered")

    call = gather


@pytest.mark.parametrize("outside", [0, 0x7F800000])
@pytest.mark.parametrize(("m", "k"), [(1, 40), (16, 64), (37, 96), (70, 33), (90, 2100)])
def test_nothing_is_read_or_written_beyond(m: int, k: int, outside: int) -> None:
    unit = targets.Target("unit", HOST.triple, "", "+amx-tile,+amx-bf16", 64, 32)
    function = panelled(None, 64, k, UNIT_COLUMNS, "float32", unit)
    assert uses_unit(function)
    memory = _Bounds({1 << 20: m * k * 4, 1 << 24: k * 256, 1 << 28: m * 256}, outside)
    python_function(function)(memory, 1 << 20, 1 << 24, 1 << 28, m)
    assert memory.registers > 0


def test_of_strided_rows_nothing_is_read_or_written_beyond() -> None:
    unit = targets.Target("unit", HOST.triple, "", "+amx-tile,+amx-bf16", 64, 32)
    function = strided(37, (5, 14), 64, unit)
    assert uses_unit(function)
    memory = _Bounds({1 << 20: 37 * 70 * 4, 1 << 24: 70 * 256, 1 << 28: 37 * 256}, 0)
    python_function(function)(memory, 1 << 20, 1 << 24, 1 << 28)
    assert memory.registers > 0


def test_what_the_unit_is_for() -> None:
    unit = targets.Target("unit", "x86_64", "", "+amx-tile,+amx-bf16", 64, 32)
    without = targets.Target("plain", "x86_64", "", "+avx512f", 64, 32)
    assert panel_width(512, "float32", unit, for_unit=UNIT_ELEMENTS) == UNIT_COLUMNS
    assert panel_width(512, "float32", unit, for_unit=UNIT_ELEMENTS - 1) == 64
    assert panel_width(512, "float32", unit) == 64
    assert panel_width(160, "float32", unit) is None, "32 columns are for the unit alone"
    assert panel_width(160, "float32", without) == 32
    assert panel_width(512, "float32", without, for_unit=UNIT_ELEMENTS) == 64
    doubles = panel_width(512, "float64", unit)
    assert panel_width(512, "float64", unit, for_unit=UNIT_ELEMENTS) == doubles


def test_products_of_other_panels_are_not_for_the_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = targets.Target("unit", "x86_64", "", "+amx-tile,+amx-bf16", 64, 32)
    for k in (1, 64, UNIT_ELEMENTS):
        columns = Matrices((), 9, 32, k, (k, 1), (32, 1), (32, 1))
        assert not uses_unit(matmul_function("columns", "float32", columns, unit)), "a matrix"
    monkeypatch.setattr(panels, "UNIT_ELEMENTS", UNIT_ELEMENTS)
    assert uses_unit(panelled(None, 64, UNIT_ELEMENTS // 64, 32, "float32", unit))
    assert not uses_unit(panelled(None, 64, UNIT_ELEMENTS // 64 - 1, 32, "float32", unit))


def test_without_permission_there_is_no_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "triple": "x86_64-unknown-linux-gnu",
        "cpu": "sapphirerapids",
        "features": "+amx-bf16,+amx-int8,+amx-tile,+avx2,+avx512f,+avx512vl",
        "version": "",
    }
    monkeypatch.setattr(targets, "_said_by_llvm", lambda: said)
    for granted in (True, False):
        monkeypatch.setattr(targets, "_granted", lambda granted=granted: granted)
        found = targets.host_target.__wrapped__()
        assert found.matrix_unit is granted and found.has("avx512f")


def test_the_setting_switches_it_off() -> None:
    with ag.settings.using(matrix_unit=False):
        assert not named_target().matrix_unit and not named_target(WIDE.name).matrix_unit
        assert not uses_unit(panelled(None, 64, 64, UNIT_COLUMNS, "float32", named_target()))
