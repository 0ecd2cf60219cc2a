"""The rules that choose how a contraction runs, as text."""

from __future__ import annotations

import pytest
from products import Matrices, matmul_function

from argand.codegen.llvm.target import named_target
from argand.kernels.contraction.plan import plan
from argand.kernels.contraction.spec import Bound, Contraction, ContractionAxis, Operand
from argand.nest.builder import PTR, NestBuilder, NestModule, Reg
from nestrun import assembly

AVX2, AVX512 = named_target("avx2"), named_target("avx512")


def pointer() -> Reg:
    return NestBuilder("f", [("p", PTR)]).params[0]


def product(
    m: int, n: int, k: int, ta: bool = False, tb: bool = False, elem: str = "float32", **more: bool
) -> Contraction:
    am, an, ak = ContractionAxis("m", m), ContractionAxis("n", n), ContractionAxis("k", k)
    a = Operand(pointer(), elem, {am: 1, ak: m} if ta else {am: k, ak: 1})
    b = Operand(pointer(), elem, {an: k, ak: 1} if tb else {an: 1, ak: n})
    acc = "float32" if elem == "bfloat16" else elem
    return Contraction(a, b, (), (am,), (an,), (ak,), lambda *_: None, acc, **more)


def window(channels: int) -> Contraction:
    """A 3x3 convolution with padding of (2, 56, 56, channels) to 64, channels last."""
    image, y, x = ContractionAxis("image", 2), ContractionAxis("y", 56), ContractionAxis("x", 56)
    kh, kw, i, o = (
        ContractionAxis("kh", 3),
        ContractionAxis("kw", 3),
        ContractionAxis("i", channels),
        ContractionAxis("o", 64),
    )
    row, pixel = 56 * channels, channels
    strides = {image: 56 * row, y: row, x: pixel, kh: row, kw: pixel, i: 1}
    bounds = (Bound({y: 1, kh: 1}, -1, 56), Bound({x: 1, kw: 1}, -1, 56))
    a = Operand(pointer(), "float32", strides, -row - pixel, bounds)
    weights = {kh: 3 * channels * 64, kw: channels * 64, i: 64, o: 1}
    b = Operand(pointer(), "float32", weights)
    return Contraction(a, b, (), (image, y, x), (o,), (kh, kw, i), lambda *_: None)


def depthwise(channels: int, long_k: bool = False, depth: int = 1) -> Contraction:
    """A 3x3 convolution of (2, 56, 56, channels) in groups of `depth`, or its weight's gradient,
    channels last."""
    image, y, x = ContractionAxis("image", 2), ContractionAxis("y", 56), ContractionAxis("x", 56)
    kh, kw, i, o = (
        ContractionAxis("kh", 3),
        ContractionAxis("kw", 3),
        ContractionAxis("i", depth),
        ContractionAxis("o", depth),
    )
    group, row = ContractionAxis("group", channels // depth), 56 * channels
    pixels = {group: depth, image: 56 * row, y: row, x: channels}
    bounds = (Bound({y: 1, kh: 1}, -1, 56), Bound({x: 1, kw: 1}, -1, 56))
    a = Operand(
        pointer(), "float32", {**pixels, kh: row, kw: channels, i: 1}, -row - channels, bounds
    )
    weights = {**pixels, o: 1} if long_k else {group: 9 * depth**2, o: 9 * depth}
    if not long_k:
        weights |= {i: 9, kh: 3, kw: 1}
    m, k = (image, y, x), (kh, kw, i)
    if long_k:
        m, k = k, m
    b = Operand(pointer(), "float32", weights)
    return Contraction(a, b, (group,), m, (o,), k, lambda *_: None, long_k=long_k, across=group)


CHOICES = [
    (product(512, 512, 512), "blocked: tile 6x2x8 block 128x256, a place, b copy shared"),
    (product(128, 512, 784, tb=True), "blocked: tile 6x2x8 block 128x64, a place, b transpose"),
    (product(512, 784, 128, ta=True), "blocked: tile 6x2x8 block 128x400, a cols, b copy shared"),
    (product(1, 512, 784, tb=True), "few rows: tile 1x2x8, a place, b transpose if m <= 8"),
    # columns whole pages apart would push each other out of the first-level cache
    (product(1, 512, 1024, tb=True), "few rows: tile 1x1x8, a place, b transpose if m <= 8"),
    (product(100, 24, 50), "blocked: tile 4x3x8 block 100x24, a place, b copy"),
    (product(100, 24, 50, elem="bfloat16"), "blocked: tile 4x3x8 block 100x24, a rows, b copy"),
    (window(64), "blocked: tile 6x2x8 block 702x64, a table, b copy shared"),
    (depthwise(64), "grouped: tile 6x1x8, a place, b copy"),
    (depthwise(4), "grouped: tile 6x1x4, a place, b copy"),
    (depthwise(64, depth=4), "grouped: tile 3x1x8, a place, b copy"),
    (depthwise(64, depth=8), "group rows: tile 12x1x8, a place, b transpose"),
    (depthwise(64, depth=16), "group rows: tile 6x2x8, a place, b transpose"),
    (depthwise(64, long_k=True), "grouped: tile 4x3x8, a place, b place, 16 splits"),
]


@pytest.mark.parametrize(("spec", "text"), CHOICES, ids=[text for _, text in CHOICES])
def test_one_choice_for_known_sizes(spec: Contraction, text: str) -> None:
    assert [str(choice) for choice in plan(spec, AVX2)] == [text]


def test_long_k_is_cut_only_when_allowed() -> None:
    assert plan(product(64, 64, 100_000, ta=True), AVX2)[0].splits == 1
    chosen = plan(product(64, 64, 100_000, ta=True, long_k=True), AVX2)
    assert [str(choice) for choice in chosen] == [
        "long k: tile 6x2x8 block 64x64, a place, b copy if k >= 8192, 16 splits"
    ]


def test_sizes_at_run_time_keep_their_choices_open() -> None:
    b = NestBuilder("f", [("p", PTR)])
    unknown = b.add(b.load(b.params[0], 0, b.i64(0).ty), 0)
    m, n, k = (ContractionAxis(name, unknown) for name in "mnk")
    a = Operand(b.params[0], "float32", {m: unknown, k: 1})
    w = Operand(b.params[0], "float32", {n: unknown, k: 1})
    spec = Contraction(a, w, (), (m,), (n,), (k,), lambda *_: None, long_k=True)
    assert [choice.name for choice in plan(spec, AVX2)] == ["few rows", "long k", "blocked"]


def test_wider_vectors_get_other_tiles() -> None:
    (chosen,) = plan(product(512, 512, 512), AVX512)
    assert (chosen.rows, chosen.vectors, chosen.lanes) == (12, 2, 16)
    (chosen,) = plan(product(512, 96, 512), AVX512)
    assert (chosen.rows, chosen.vectors) == (8, 3)


def test_groups_of_half_a_vector_have_vectors_of_their_own() -> None:
    (image,) = plan(depthwise(64, depth=8), AVX512)
    assert str(image) == "group rows: tile 14x1x8, a place, b transpose"
    weight = plan(depthwise(64, depth=8, long_k=True), AVX512)
    assert str(weight[0]).startswith("blocked: tile 8x1x8"), weight
    (weight,) = plan(depthwise(64, depth=4, long_k=True), AVX2)
    assert str(weight) == "grouped: tile 4x1x8, a place, b place, 16 splits"


@pytest.mark.parametrize("name", ["neon", "avx512"])
def test_other_machines_get_code(name: str) -> None:
    target = named_target(name)
    of = Matrices((), 40, 50, 60, (60, 1), (1, 60), (50, 1))
    text = assembly(NestModule((matmul_function("mm", "float32", of, target),)), target)
    assert ("fmla" if name == "neon" else "vfmadd") in text
