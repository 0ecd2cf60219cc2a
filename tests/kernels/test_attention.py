"""The nest of attention against NumPy in float64."""

from __future__ import annotations

import ctypes
import ctypes.util
import math
import platform
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from oneprogram import program_of, run
from small_pieces import cut_small

import argand as ag
import argand.nn.functional as F  # PyTorch's name
from argand.codegen.llvm.target import named_target
from argand.ir.op import ops
from argand.kernels.attention.operands import Attention
from argand.kernels.attention.tiling import tiling
from argand.kernels.contraction.spec import ContractionAxis, Operand
from argand.kernels.match import plan_of
from argand.nest.builder import PTR, NestBuilder
from argand.runtime.threads import get_num_threads, set_num_threads
from machines import HERE
from suites import first

RNG = np.random.default_rng(5)

HOST_AT_ONCE = first(1, HERE)
"""The other widths belong to the long suite."""


def f32(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def reference(
    q: Any, k: Any, v: Any, mask: Any = None, is_causal: bool = False, scale: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The result and the log-sum-exp of the scores, in float64."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    with np.errstate(all="ignore"):
        scores = q @ np.swapaxes(k, -1, -2) * scale
        if is_causal:
            mask = np.tri(*scores.shape[-2:], dtype=bool)
        if mask is not None:
            masked = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
            scores = masked
        top = np.max(scores, -1, keepdims=True, initial=-np.inf)
        top = np.where(top == -np.inf, 0, top)
        p = np.exp(scores - top)
        total = p.sum(-1, keepdims=True)
        y = np.where(total == 0, 0, p / np.where(total == 0, 1, total)) @ v
        lse = np.where(total == 0, 0, top + np.log(np.where(total == 0, 1, total)))
    return y, lse[..., 0]


def computed(arrays: Sequence[np.ndarray], target: str = "host", **params: Any) -> list[np.ndarray]:
    """What the kernel computes, the hidden output too; the program is nothing but the op."""
    program = program_of(lambda *x: ops.scaled_dot_product_attention(*x, **params), arrays)
    (node,) = [n for n in program.nodes if n.op.name == "scaled_dot_product_attention"]
    program.outputs = list(node.outputs)
    return run(program, arrays, target)


def check(
    arrays: Sequence[np.ndarray], target: str = "host", tolerance: float = 3e-6, **params: Any
) -> list[np.ndarray]:
    found = computed(arrays, target, **params)
    for got, want in zip(found, reference(*arrays, **params), strict=True):
        size = np.nanmax(np.abs(want), initial=1.0, where=np.isfinite(want))
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * size)
    return found


def gradients(
    g: Any, arrays: Sequence[np.ndarray], is_causal: bool = False, scale: float | None = None
) -> list[np.ndarray]:
    """Those of the operands, by the derivative of the softmax, in float64."""
    q, k, v, *mask = arrays
    identity = np.eye(k.shape[-2])
    p, _ = reference(q, k, np.broadcast_to(identity, (*k.shape[:-1], k.shape[-2])), *mask,
                     is_causal=is_causal, scale=scale)  # fmt: skip
    g, q, k, v = (np.asarray(x, np.float64) for x in (g, q, k, v))
    gp = np.einsum("...lv,...sv->...ls", g, v)
    gs = p * (gp - np.sum(p * gp, -1, keepdims=True))
    gs *= 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    turned = np.swapaxes(gs, -1, -2), np.swapaxes(p, -1, -2)
    return [gs @ k, turned[0] @ q, turned[1] @ g]


def backward(
    g: np.ndarray, arrays: Sequence[np.ndarray], target: str = "host", **params: Any
) -> list[np.ndarray]:
    """What the kernel of the gradients computes from the results of the other."""
    y, lse = (x.astype(g.dtype) for x in reference(*arrays, **params))
    given = [g, *arrays[:3], y, lse, *arrays[3:]]
    function = ops.scaled_dot_product_attention_grad
    return run(program_of(lambda *x: function(*x, **params), given), given, target)


def check_gradients(
    arrays: Sequence[np.ndarray], target: str = "host", tolerance: float = 3e-6, **params: Any
) -> None:
    g = RNG.standard_normal((*arrays[0].shape[:-1], arrays[2].shape[-1])).astype(arrays[0].dtype)
    found = backward(g, arrays, target, **params)
    for got, want in zip(found, gradients(g, arrays, **params), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * np.abs(want).max(initial=1))


def heads(batch: tuple[int, ...], rows: int, keys: int, depth: int, width: int) -> list[np.ndarray]:
    return [f32(*batch, rows, depth), f32(*batch, keys, depth), f32(*batch, keys, width)]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("sizes", [(17, 17), (33, 130), (130, 33), (1, 300), (600, 600), (1, 1)])
@pytest.mark.parametrize("target", HERE)
def test_lengths(target: str, sizes: tuple[int, int], causal: bool) -> None:
    check(heads((2,), *sizes, 32, 32), target, is_causal=causal)


@pytest.mark.parametrize("depth", [1, 3, 48, 64, 80, 128, 300])
@pytest.mark.parametrize("target", HOST_AT_ONCE)
def test_sizes_of_heads(target: str, depth: int) -> None:
    check(heads((3,), 37, 270, depth, depth), target)
    check(heads((1, 2), 37, 40, depth, depth % 7 + 1), target, is_causal=True)


@pytest.mark.parametrize("depth", [3, 64, 80, 300])
@pytest.mark.parametrize("target", HOST_AT_ONCE)
def test_few_rows(target: str, depth: int) -> None:
    check(heads((3,), 1, 530, depth, depth), target)
    check([*heads((1, 2), 3, 270, depth, 16), RNG.random((3, 270)) < 0.5], target)
    check(heads((2,), 4, 270, depth, 16), target, is_causal=True)


@pytest.mark.parametrize("target", HERE)
def test_long_rows(target: str) -> None:
    check(heads((1,), 70, 2048, 32, 32), target)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("target", HOST_AT_ONCE)
def test_float64(target: str, causal: bool) -> None:
    arrays = [x.astype(np.float64) for x in heads((2,), 50, 300, 24, 20)]
    check(arrays, target, tolerance=2e-14, is_causal=causal)


@pytest.mark.parametrize("shape", [(35, 290), (35, 1), (2, 1, 1, 290), (1,)])
@pytest.mark.parametrize("target", HOST_AT_ONCE)
def test_masks(target: str, shape: tuple[int, ...]) -> None:
    arrays = heads((2, 3), 35, 290, 16, 16)
    check([*arrays, RNG.random(shape) < 0.6], target)
    check([*arrays, f32(*shape) * 3], target)
    hidden = np.where(RNG.random(shape) < 0.6, f32(*shape), np.float32(-np.inf))
    check([*arrays, hidden], target)


def test_a_mask_of_any_strides() -> None:
    arrays = heads((2,), 35, 290, 16, 16)
    check([*arrays, (RNG.random((2, 290, 35)) < 0.5).transpose(0, 2, 1)])
    check([*arrays, f32(35, 580)[:, ::2]])


@pytest.mark.parametrize("scale", [-0.7, 0.0, 2.5])
def test_scales(scale: float) -> None:
    arrays = heads((2,), 35, 290, 16, 16)
    check(arrays, scale=scale)
    check(arrays, scale=scale, is_causal=True)
    check([*arrays, f32(35, 290)], scale=scale)


def test_rows_that_see_nothing_are_zero() -> None:
    arrays = heads((2,), 35, 290, 16, 16)
    mask = RNG.random((35, 290)) < 0.5
    mask[[0, 7, 34]] = False
    y, lse = check([*arrays, mask])
    assert not y[:, [0, 7, 34]].any()
    assert not lse[:, [0, 7, 34]].any()


@pytest.mark.parametrize("causal", [False, True])
def test_huge_scores(causal: bool) -> None:
    """The row's maximum grows from block to block, by more than exp can tell."""
    q, k, v = heads((2,), 35, 600, 16, 16)
    k *= np.linspace(1, 1e4, 600, dtype=np.float32)[:, None]
    check([q, k, v], tolerance=2e-3, is_causal=causal)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite(value: float) -> None:
    """A NaN or an infinite score takes the row; an infinite value reaches the rows that see it."""
    q, k, v = (np.abs(x) for x in heads((1,), 9, 300, 4, 4))
    for changed in ((0, 3, 2), (1, 280, 1), (2, 280, 1)):
        arrays = [q.copy(), k.copy(), v.copy()]
        arrays[changed[0]][0, changed[1], changed[2]] = value
        y, _ = computed(arrays)
        want, _ = reference(*arrays)
        np.testing.assert_array_equal(np.isnan(y), np.isnan(want))
        np.testing.assert_allclose(y, want, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("target", HERE)
def test_heads_that_alternate_in_memory(target: str) -> None:
    """As models have them: no operand is contiguous along its last two dimensions."""
    mixed = f32(2, 37, 3, 4, 16)
    q, k, v = np.moveaxis(mixed, (2, 3), (0, 2))
    check([q, k, v], target, is_causal=True)
    check([np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2) for x in (q, k, v)], target)
    check([f32(2, 4, 37, 32)[..., ::2] for _ in range(3)], target)


def test_heads_that_share_keys() -> None:
    q, k, v = f32(2, 3, 4, 20, 8), f32(2, 3, 1, 30, 8), f32(2, 3, 1, 30, 8)
    check([q, *(np.broadcast_to(x, (2, 3, 4, 30, 8)) for x in (k, v))])


def test_empty() -> None:
    y, lse = computed([f32(2, 3, 4), f32(2, 0, 4), f32(2, 0, 5)])
    assert not y.any()
    assert not lse.any()
    assert computed([f32(2, 0, 4), f32(2, 3, 4), f32(2, 3, 5)])[0].shape == (2, 0, 5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("sizes", [(17, 17), (130, 33), (1, 300), (300, 300)])
@pytest.mark.parametrize("target", HERE)
def test_gradients_of_lengths(target: str, sizes: tuple[int, int], causal: bool) -> None:
    check_gradients(heads((2,), *sizes, 32, 32), target, is_causal=causal)


@pytest.mark.parametrize("depth", [3, 64, 80, 300])
@pytest.mark.parametrize("target", HOST_AT_ONCE)
def test_gradients_of_sizes_of_heads(target: str, depth: int) -> None:
    check_gradients(heads((3,), 37, 140, depth, depth), target)
    check_gradients(heads((1, 2), 37, 40, depth, depth % 7 + 1), target, is_causal=True)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("target", HOST_AT_ONCE)
def test_gradients_in_float64(target: str, causal: bool) -> None:
    arrays = [x.astype(np.float64) for x in heads((2,), 50, 300, 24, 20)]
    check_gradients(arrays, target, tolerance=2e-14, is_causal=causal)


@pytest.mark.parametrize("shape", [(35, 290), (35, 1), (2, 1, 1, 290), (1,)])
@pytest.mark.parametrize("target", HOST_AT_ONCE)
def test_gradients_with_masks(target: str, shape: tuple[int, ...]) -> None:
    arrays = heads((2, 3), 35, 290, 16, 16)
    check_gradients([*arrays, RNG.random(shape) < 0.6], target)
    check_gradients([*arrays, f32(*shape) * 3], target)


@pytest.mark.parametrize("scale", [-0.7, 0.0, 2.5])
def test_gradients_of_scales(scale: float) -> None:
    # scores reach 40, and a probability is as exact as the difference of two such
    check_gradients(heads((2,), 35, 290, 16, 16), tolerance=2e-5, scale=scale, is_causal=True)


@pytest.mark.parametrize("target", HERE)
def test_gradients_of_heads_that_alternate_in_memory(target: str) -> None:
    mixed = f32(2, 37, 3, 4, 16)
    check_gradients(list(np.moveaxis(mixed, (2, 3), (0, 2))), target, is_causal=True)
    check_gradients([f32(2, 4, 37, 32)[..., ::2] for _ in range(3)], target)
    turned = [np.ascontiguousarray(x.swapaxes(-1, -2)) for x in heads((2,), 37, 40, 16, 16)]
    check_gradients([x.swapaxes(-1, -2) for x in turned], target)


def test_gradients_of_rows_that_see_nothing_are_zero() -> None:
    arrays = heads((2,), 35, 290, 16, 16)
    mask = RNG.random((35, 290)) < 0.5
    mask[[0, 7, 34]] = False
    check_gradients([*arrays, mask])
    gq, _, _ = backward(f32(2, 35, 16), [*arrays, mask])
    assert not gq[:, [0, 7, 34]].any()


def test_gradients_of_nothing() -> None:
    gq, gk, gv = backward(f32(2, 3, 5), [f32(2, 3, 4), f32(2, 0, 4), f32(2, 0, 5)])
    assert gk.size == gv.size == 0
    assert not gq.any()
    gq, gk, gv = backward(f32(2, 0, 5), [f32(2, 0, 4), f32(2, 3, 4), f32(2, 3, 5)])
    assert gq.size == 0
    assert not gk.any()
    assert not gv.any()


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_as_users_ask_for_them(compiled: bool) -> None:
    arrays = heads((2, 3), 40, 300, 16, 16)
    g = f32(2, 3, 40, 16)

    def function(g: Any, *operands: Any) -> Any:
        y = F.scaled_dot_product_attention(*operands, is_causal=True)
        return ag.autograd.grad(y, operands, g)

    given = [ag.tensor(x, requires_grad=True) for x in arrays]
    found = (ag.compile(function) if compiled else function)(ag.tensor(g), *given)
    for got, want in zip(found, gradients(g, arrays, is_causal=True), strict=True):
        np.testing.assert_allclose(got.numpy(), want, atol=1e-5)


@pytest.fixture
def threads() -> Iterator[None]:
    before = get_num_threads()
    yield
    set_num_threads(before)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.usefixtures("threads")
def test_the_bits_do_not_depend_on_threads(causal: bool) -> None:
    arrays = heads((3,), 500, 500, 32, 32)
    results = []
    for count in (1, 2, 5):
        set_num_threads(count)
        results.append(computed(arrays, is_causal=causal))
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(other, results[0], strict=True))


@pytest.mark.usefixtures("threads")
def test_the_bits_of_gradients_depend_on_neither_threads_nor_batch() -> None:
    arrays, g = heads((5,), 300, 300, 32, 32), f32(5, 300, 32)
    set_num_threads(1)
    whole = backward(g, arrays, is_causal=True)
    for count in (2, 5):
        set_num_threads(count)
        for batch in (1, 2, 5):
            part = backward(g[:batch], [x[:batch] for x in arrays], is_causal=True)
            assert all(np.array_equal(a, b[:batch]) for a, b in zip(part, whole, strict=True))


def test_a_row_has_the_same_bits_in_any_batch() -> None:
    arrays = heads((40,), 70, 300, 32, 32)
    whole = computed(arrays, is_causal=True)
    for batch in (1, 2, 13):
        part = computed([x[:batch] for x in arrays], is_causal=True)
        assert all(np.array_equal(a, b[:batch]) for a, b in zip(part, whole, strict=True))


def test_a_row_has_the_same_bits_whatever_rows_come_with_it() -> None:
    q, k, v = heads((2,), 70, 300, 32, 32)
    for counts in ((1, 2, 4), (5, 13, 33, 70)):
        whole, _ = computed([q[:, : counts[-1]], k, v])
        for rows in counts:
            part, _ = computed([q[:, :rows], k, v])
            np.testing.assert_array_equal(part, whole[:, :rows])


@pytest.mark.parametrize("target", HOST_AT_ONCE)
def test_in_small_pieces(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_small(monkeypatch)
    check(heads((2,), 37, 45, 20, 11), target)
    check(heads((2,), 37, 45, 20, 11), target, is_causal=True)
    check([*heads((2,), 37, 45, 20, 11), RNG.random((37, 45)) < 0.5], target)
    check_gradients(heads((2,), 37, 45, 20, 11), target)
    check_gradients(heads((2,), 37, 45, 20, 11), target, is_causal=True)


def test_symbolic_sizes() -> None:
    attend = ag.compile(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True))
    for rows, keys in ((5, 7), (40, 300), (300, 40), (513, 513)):
        arrays = heads((2, 3), rows, keys, 16, 16)
        got = attend(*(ag.tensor(x) for x in arrays)).numpy()
        np.testing.assert_allclose(got, reference(*arrays, is_causal=True)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "taken"), [("float32", True), ("float64", True), ("float16", False)]
)
def test_plan(dtype: str, taken: bool) -> None:
    arrays = [x.astype(dtype) for x in heads((2,), 5, 7, 3, 3)]
    program = program_of(lambda *x: ops.scaled_dot_product_attention(*x, is_causal=True), arrays)
    (node,) = [n for n in program.nodes if n.op.name == "scaled_dot_product_attention"]
    short = {"float32": "f32", "float64": "f64"}.get(dtype)
    text = f"attention: of {short}[2, 5, 3] and {short}[2, 7, 3] and {short}[2, 7, 3], causal"
    assert str(plan_of(node)) == (text if taken else "None")


def pointer() -> Any:
    return NestBuilder("f", [("p", PTR)]).params[0]


def shape(rows: int, keys: int, depth: int, **strides: tuple[int, int]) -> Attention:
    axes = [ContractionAxis("", n) for n in (rows, keys, depth, depth)]
    row, key, inner, column = axes

    def operand(name: str, *axes: ContractionAxis) -> Operand:
        steps = strides.get(name, (depth, 1))
        return Operand(pointer(), "float32", dict(zip(axes, steps, strict=True)))

    operands = operand("q", row, inner), operand("k", key, inner), operand("v", key, column)
    return Attention((), *axes, *operands, None, (), (), True, 0.125, "float32")


@pytest.mark.parametrize(
    ("target", "spec", "text"),
    [
        (
            "avx512",
            shape(256, 256, 64),
            "scores 6x4x16, values 6x4x16, block 32x256, k transpose, v place",
        ),
        (
            "avx2",
            shape(17, 17, 80),
            "scores 4x3x8, values 6x2x8, block 17x256, k transpose, v place",
        ),
        (
            "sse2",
            shape(256, 256, 64, k=(1, 256), v=(2, 3)),
            "scores 6x2x4, values 6x2x4, block 32x256, k copy, v gather",
        ),
        (
            "avx512",
            shape(1, 2048, 64),
            "scores 6x4x16, values 6x4x16, block 1x256, k place, v place",
        ),
    ],
)
def test_tilings(target: str, spec: Attention, text: str) -> None:
    assert str(tiling(spec, named_target(target))) == text


class Flags:
    """The flags of x86's vector unit, in the last word of C's floating-point environment."""

    DENORMAL = 2  # set where an operand was a denormal number

    def __init__(self) -> None:
        self._libm = ctypes.CDLL(ctypes.util.find_library("m"))
        self._words = (ctypes.c_uint32 * 8)()

    def clear(self) -> None:
        self._libm.fegetenv(self._words)
        self._words[7] &= ~0x3F
        self._libm.fesetenv(self._words)

    def denormal(self) -> bool:
        self._libm.fegetenv(self._words)
        return bool(self._words[7] & self.DENORMAL)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other machines have no such flag")
def test_what_scratch_held_before_is_not_computed_with() -> None:
    """Denormal numbers of a call before made the next one ten times slower."""
    flags, sizes = Flags(), {2: ag.Dim("length", min=2)}
    x = ag.rand(1, 2, 16, 64)
    program = ag.export.export(
        F.scaled_dot_product_attention, (x, x, x), dynamic_shapes=(sizes,) * 3
    )
    before = get_num_threads()
    slow = []
    set_num_threads(1)
    try:
        for length in (3, 8, 16, 64, 96, 48, 17, 68, 100, 257):
            small = ag.full((1, 2, 300, 64), 1e-40)
            flags.clear()
            program(small, small, small)
            assert flags.denormal()
            x = ag.rand(1, 2, length, 64) + 0.5
            flags.clear()
            program(x, x, x)
            slow += [length] if flags.denormal() else []
    finally:
        set_num_threads(before)
    assert not slow
