"""Convolution and its gradients against float64 NumPy, in every layout, stride, padding,
dilation."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

import numpy as np
import pytest

from argand.codegen.llvm.target import host_target, named_target
from argand.kernels.contraction import grouped_image
from argand.kernels.contraction.blocked import contractions
from argand.kernels.contraction.convolution import (
    ConvEpilogue,
    ConvolutionWindow,
    Tensor4,
    forward,
    input_gradient,
    weight_gradient,
)
from argand.kernels.contraction.spec import put
from argand.nest.builder import I64, PTR, NestBuilder, NestFunction, Param, Reg
from argand.nest.target import Target
from argand.runtime.threads import get_num_threads, set_num_threads
from machines import FORCED, HERE
from nestrun import compiled
from suites import first

NHWC, NCHW = (0, 2, 3, 1), (0, 1, 2, 3)
HWIO, OIHW = (2, 3, 1, 0), (0, 1, 2, 3)
Pair = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Case:
    """One convolution: the image (n, c, h, w), the weight (o, c / groups, kh, kw), the window."""

    x: tuple[int, int, int, int]
    w: tuple[int, int, int, int]
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    image: tuple[int, ...] = NHWC
    weight: tuple[int, ...] = HWIO

    @property
    def out(self) -> Pair:
        spans = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.w[2:], strict=True)]
        sizes = zip(self.x[2:], self.padding, spans, self.stride, strict=True)
        height, width = ((size + 2 * p - span) // s + 1 for size, p, span, s in sizes)
        return height, width

    @property
    def y(self) -> tuple[int, int, int, int]:
        return (self.x[0], self.w[0], *self.out)

    def __str__(self) -> str:
        parts = [f"{self.x}*{self.w}"]
        for field in dataclasses.fields(self)[2:]:
            value = getattr(self, field.name)
            if value != field.default:
                parts.append(f"{field.name}{value}")
        return " ".join(parts).replace(" ", "")


def ordered(
    shape: tuple[int, ...], layout: tuple[int, ...], seed: int, dtype: str = "float32"
) -> np.ndarray:
    """Random, with that logical shape and its axes in memory in the order of `layout`."""
    rng = np.random.default_rng(seed)
    memory = rng.standard_normal([shape[i] for i in layout]).astype(dtype)
    return memory.transpose([layout.index(i) for i in range(4)])


def taps(case: Case, padded: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """For each tap of the kernel the view of the padded image that it multiplies."""
    views = []
    for ky, kx in itertools.product(range(case.w[2]), range(case.w[3])):
        cuts = []
        for d, k in enumerate((ky, kx)):
            start = k * case.dilation[d]
            cuts.append(
                slice(start, start + (case.out[d] - 1) * case.stride[d] + 1, case.stride[d])
            )
        views.append((ky, kx, padded[:, :, cuts[0], cuts[1]]))
    return views


def reference(case: Case, x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> dict[str, np.ndarray]:
    """The result and both gradients in float64."""
    x, w, dy = (v.astype(np.float64) for v in (x, w, dy))
    (py, px), g = case.padding, case.groups
    padded = np.pad(x, ((0, 0), (0, 0), (py, py), (px, px)))
    y, dw, dpad = np.zeros(case.y), np.zeros(case.w), np.zeros_like(padded)
    o, i = case.w[0] // g, case.w[1]
    grads = taps(case, dpad)
    for (ky, kx, view), (_, _, grad) in zip(taps(case, padded), grads, strict=True):
        for n in range(g):
            ins, outs = slice(n * i, (n + 1) * i), slice(n * o, (n + 1) * o)
            y[:, outs] += np.einsum("nihw,oi->nohw", view[:, ins], w[outs, :, ky, kx])
            dw[outs, :, ky, kx] = np.einsum("nihw,nohw->oi", view[:, ins], dy[:, outs])
            grad[:, ins] += np.einsum("nohw,oi->nihw", dy[:, outs], w[outs, :, ky, kx])
    height, width = case.x[2:]
    return {"forward": y, "weight": dw, "input": dpad[:, :, py : py + height, px : px + width]}


def steps(array: np.ndarray) -> tuple[int, ...]:
    return tuple(s // array.itemsize for s in array.strides)


def numbers(case: Case, x: np.ndarray, w: np.ndarray, y: np.ndarray) -> list[int]:
    n, _, h, width = case.x
    sizes = [n, case.w[1], h, width, case.w[0] // case.groups, *case.out, case.groups]
    return [*sizes, *steps(x), *steps(w), *steps(y)]


def build(
    case: Case,
    kind: str,
    known: list[int],
    open_numbers: set[int],
    target: Target,
    dtype: str = "float32",
) -> NestFunction:
    """The function of one of the three contractions; numbers in `open_numbers` are parameters."""
    params = [Param(f"s{i}", I64) for i in sorted(open_numbers)]
    b = NestBuilder("conv", [*(Param(p, PTR, noalias=True) for p in "xwy"), *params])
    opened = dict(zip(sorted(open_numbers), b.params[3:], strict=True))
    v = [opened.get(i, number) for i, number in enumerate(known)]
    window = ConvolutionWindow(
        images=v[0],
        in_channels=v[1],
        in_size=(v[2], v[3]),
        out_channels=v[4],
        out_size=(v[5], v[6]),
        kernel=case.w[2:],
        stride=case.stride,
        padding=case.padding,
        dilation=case.dilation,
        groups=v[7],
    )
    x, w, y = (
        Tensor4(p, dtype, (v[i], v[i + 1], v[i + 2], v[i + 3]))
        for p, i in zip(b.params[:3], (8, 12, 16), strict=True)
    )

    def into(tensor: Tensor4, names: str, lanes: int) -> ConvEpilogue:
        def epilogue(b: NestBuilder, at: Mapping[str, Reg], value: Reg, mask: Reg | None) -> None:
            keys = ("kh", "kw") if names == "oi" else ("h", "w")
            index = [at[key] for key in (*names, *keys)]
            place = b.affine(0, *zip(index, tensor.strides, strict=True))
            put(b, tensor.ptr, place, tensor.strides[lanes], value, mask)

        return epilogue

    if kind == "forward":
        specs = [forward(b, window, x, w, dtype, into(y, "nc", 1))]
    elif kind == "input":
        specs = input_gradient(b, window, y, w, dtype, into(x, "nc", 1))
    else:
        specs = [weight_gradient(b, window, x, y, dtype, into(w, "oi", 0))]
    contractions(b, specs, target)
    return b.finish()


def run(
    case: Case,
    kind: str,
    *,
    run_time: bool = False,
    target: Target | None = None,
    dtype: str = "float32",
) -> tuple[np.ndarray, np.ndarray]:
    """(what the kernel computes, the reference)."""
    machine = target or host_target()
    x, w = ordered(case.x, case.image, 1, dtype), ordered(case.w, case.weight, 2, dtype)
    y = ordered(case.y, case.image, 3, dtype)
    want = reference(case, x, w, y)[kind]
    known = numbers(case, x, w, y)
    units = {8 + case.image[3], 12 + case.weight[3], 16 + case.image[3]}
    open_numbers = set(range(len(known))) - units if run_time else set()
    function = build(case, kind, known, open_numbers, machine, dtype)
    result = {"forward": y, "input": x, "weight": w}[kind]
    result[...] = 77
    compiled(function, machine)(x, w, y, *(known[i] for i in sorted(open_numbers)))
    return result, want


KINDS = ("forward", "input", "weight")
CASES = [
    Case((2, 8, 7, 9), (5, 8, 3, 3), padding=(1, 1)),
    Case((2, 3, 8, 11), (4, 3, 3, 3), padding=(1, 1), stride=(2, 2)),
    Case((2, 3, 9, 11), (4, 3, 3, 2), padding=(2, 1), stride=(1, 2), dilation=(2, 1)),
    Case((1, 6, 9, 8), (4, 3, 3, 3), groups=2),
    Case((2, 6, 9, 8), (6, 1, 3, 3), padding=(1, 1), groups=6),
    Case((2, 1, 12, 12), (8, 1, 5, 5)),
    Case((2, 20, 6, 6), (17, 20, 1, 1)),
    Case((2, 20, 6, 6), (17, 20, 1, 1), stride=(2, 2)),
    Case((2, 4, 6, 5), (3, 4, 1, 1), padding=(1, 2)),
    Case((1, 2, 7, 6), (3, 2, 3, 2), padding=(0, 1), stride=(2, 1)),
    Case((2, 5, 7, 9), (5, 5, 3, 3), padding=(1, 1), image=NCHW, weight=OIHW),
    Case((2, 5, 7, 9), (5, 5, 3, 3), image=NCHW, weight=OIHW),
    Case((2, 5, 7, 9), (9, 5, 3, 3), padding=(1, 1), image=NHWC, weight=OIHW),
    Case((1, 4, 10, 9), (6, 4, 3, 3), (3, 3), (1, 1), (2, 2), image=NCHW, weight=OIHW),
    Case((1, 300, 5, 5), (9, 300, 3, 3), padding=(1, 1)),
    Case((3, 2, 4, 300), (3, 2, 1, 3), padding=(0, 1)),
    Case((2, 6, 7, 8), (5, 6, 3, 3), padding=(0, 1)),
    Case((2, 6, 7, 8), (5, 6, 3, 3), padding=(1, 0), image=NCHW, weight=OIHW),
    Case((0, 2, 4, 4), (3, 2, 3, 3), padding=(1, 1)),
]
GROUPED = [
    Case((2, 6, 9, 8), (6, 1, 3, 3), padding=(1, 1), groups=6),
    Case((2, 37, 9, 23), (37, 1, 3, 3), padding=(1, 1), groups=37, weight=OIHW),
    Case((2, 19, 9, 8), (19, 1, 3, 3), padding=(1, 1), stride=(2, 2), groups=19, weight=OIHW),
    Case((1, 33, 11, 14), (33, 1, 3, 5), padding=(2, 4), dilation=(2, 2), groups=33),
    Case((2, 16, 12, 13), (16, 1, 5, 3), stride=(3, 2), padding=(1, 2), dilation=(1, 3), groups=16),
    Case((2, 16, 7, 7), (16, 1, 7, 7), padding=(3, 3), groups=16, weight=OIHW),
    Case((2, 8, 4, 300), (8, 1, 1, 3), padding=(0, 1), groups=8),
    Case((3, 8, 5, 4), (8, 1, 1, 1), groups=8),
    Case((3, 8, 5, 6), (8, 1, 1, 1), stride=(2, 3), padding=(1, 1), groups=8),
    Case((2, 8, 3, 2), (8, 1, 5, 5), padding=(4, 4), groups=8),
    Case((2, 5, 6, 7), (5, 1, 3, 2), padding=(0, 1), groups=5),
    Case((0, 8, 6, 7), (8, 1, 3, 3), padding=(1, 1), groups=8),
    Case((2, 2, 6, 7), (2, 1, 3, 3), groups=2, image=NCHW, weight=OIHW),
    Case((2, 6, 6, 7), (12, 1, 3, 3), groups=6),
    Case((2, 24, 9, 8), (24, 2, 3, 3), padding=(1, 1), groups=12, weight=OIHW),
    Case((2, 36, 9, 15), (36, 4, 3, 3), stride=(2, 2), padding=(1, 1), groups=9),
    Case((1, 32, 9, 8), (32, 8, 3, 2), padding=(0, 1), dilation=(2, 1), groups=4, weight=OIHW),
    Case((1, 32, 6, 5), (32, 16, 1, 1), groups=2),
    Case((1, 12, 9, 8), (12, 3, 3, 3), padding=(1, 1), groups=4),
    Case((2, 24, 9, 8), (24, 8, 3, 3), padding=(1, 1), groups=3),
    Case((1, 20, 5, 3), (20, 1, 3, 3), padding=(1, 6), dilation=(1, 3), groups=20),
    Case((1, 20, 3, 26), (20, 1, 3, 9), padding=(0, 13), stride=(1, 2), groups=20),
]
# groups that fill vectors, which are computed row by row: edges, chains of several blocks, strides
FULL = [
    Case((2, 32, 6, 15), (32, 16, 3, 3), padding=(1, 1), groups=2, weight=OIHW),
    Case((2, 64, 7, 7), (64, 32, 3, 3), padding=(1, 1), groups=2, weight=OIHW),
    Case((1, 64, 7, 29), (128, 32, 3, 3), (2, 2), (1, 1), groups=2, weight=OIHW),
    Case((2, 96, 5, 13), (96, 48, 2, 5), padding=(1, 3), dilation=(2, 1), groups=2),
    Case((1, 64, 3, 1), (64, 32, 3, 3), padding=(1, 1), groups=2, weight=OIHW),
    Case((2, 16, 3, 2), (64, 8, 5, 5), (3, 2), (4, 4), groups=2, weight=OIHW),
    Case((0, 32, 3, 5), (32, 16, 3, 3), padding=(1, 1), groups=2),
]


def check(result: np.ndarray, want: np.ndarray) -> None:
    room = 84 * np.finfo(result.dtype).eps
    np.testing.assert_allclose(
        result, want, rtol=room, atol=2 * room * max(1, np.abs(want).max(initial=0))
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", [*CASES, *GROUPED, *FULL], ids=str)
def test_known_sizes(case: Case, kind: str) -> None:
    check(*run(case, kind))


@pytest.mark.parametrize("case", [*GROUPED[:5], GROUPED[9], GROUPED[14]], ids=str)
def test_an_image_in_far_memory_gives_the_same_bits(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, w = ordered(case.x, case.image, 1, "float32"), ordered(case.w, case.weight, 2, "float32")
    known = numbers(case, x, w, ordered(case.y, case.image, 3, "float32"))
    for kind in ("forward", "input"):
        near, _ = run(case, kind)
        with monkeypatch.context() as far:
            far.setattr(grouped_image, "FAR_BYTES", -1)
            text = str(build(case, kind, known, set(), host_target()))
            assert "prefetch" in text
            np.testing.assert_array_equal(run(case, kind)[0], near)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "case", [*(CASES[i] for i in (0, 2, 3, 9, 14)), GROUPED[1], GROUPED[3], GROUPED[14]], ids=str
)
def test_sizes_at_run_time(case: Case, kind: str) -> None:
    check(*run(case, kind, run_time=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FORCED)
def test_other_widths_of_vectors(name: str, kind: str) -> None:
    for case in (CASES[0], CASES[2], *GROUPED[1:3], GROUPED[15], GROUPED[19], *FULL[:3]):
        check(*run(case, kind, target=named_target(name)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "case",
    [
        Case((4, 24, 30, 31), (40, 24, 3, 3), padding=(1, 1)),
        Case((4, 72, 30, 31), (72, 1, 3, 3), padding=(1, 1), groups=72),
        Case((4, 24, 47, 45), (24, 8, 3, 3), padding=(1, 1), groups=3),
        Case((4, 64, 30, 31), (64, 32, 3, 3), padding=(1, 1), groups=2, weight=OIHW),
    ],
    ids=str,
)
def test_large_enough_for_threads(case: Case, kind: str) -> None:
    before = get_num_threads()
    try:
        results = []
        for threads in (1, 2, 5):
            set_num_threads(threads)
            result, want = run(case, kind)
            check(result, want)
            results.append(result.copy())
        np.testing.assert_array_equal(results[0], results[1])
        np.testing.assert_array_equal(results[0], results[2])
    finally:
        set_num_threads(before)


def test_an_image_has_the_same_bits_in_any_batch() -> None:
    wide = Case((5, 16, 9, 10), (24, 16, 3, 3), padding=(1, 1))
    whole, _ = run(wide, "forward")
    x, w = ordered(wide.x, NHWC, 1)[:1], ordered(wide.w, HWIO, 2)
    one = dataclasses.replace(wide, x=(1, 16, 9, 10))
    y = np.empty((1, 9, 10, 24), np.float32).transpose(0, 3, 1, 2)
    compiled(build(one, "forward", numbers(one, x, w, y), set(), host_target()))(x, w, y)
    np.testing.assert_array_equal(y, whole[:1])


@pytest.mark.parametrize("kind", ["forward", "input"])
@pytest.mark.parametrize("name", FORCED)
def test_sizes_known_and_at_run_time_give_the_same_bits(name: str, kind: str) -> None:
    for case in FULL:
        known, _ = run(case, kind, target=named_target(name))
        known = known.copy()
        unknown, _ = run(case, kind, target=named_target(name), run_time=True)
        np.testing.assert_array_equal(known, unknown)


def drawn(seed: int) -> tuple[Case, str, str]:
    """A convolution in groups, a target and a dtype."""
    rng = np.random.default_rng(seed)

    def pair(low: int, high: int) -> Pair:
        down, across = rng.integers(low, high, 2)
        return int(down), int(across)

    kernel, stride, dilation = pair(1, 6), pair(1, 4), pair(1, 4)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    padding = tuple(int(rng.integers(0, span + 1)) for span in spans)
    smallest = [max(1, span - 2 * p) for span, p in zip(spans, padding, strict=True)]
    height, width = (n + int(rng.integers(0, 24)) for n in smallest)
    depth = int(rng.choice([1, 1, 1, 2, 3, 4, 8, 16, 32]))
    groups = int(rng.integers(1, 49 if depth < 3 else 9))
    outputs = groups * int(rng.choice([depth, depth, depth, 2]))
    case = Case(
        (int(rng.integers(1, 4)), groups * depth, height, width),
        (outputs, depth, *kernel),
        stride,
        (padding[0], padding[1]),
        dilation,
        groups,
        weight=OIHW if rng.integers(2) else HWIO,
    )
    return case, str(rng.choice(HERE)), str(rng.choice(["float32", "float64"], p=[0.8, 0.2]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", first(6, range(16)))
def test_drawn_groups(seed: int, kind: str) -> None:
    case, name, dtype = drawn(seed)
    target = named_target(name)
    results = []
    for run_time in (False, True):
        result, want = run(case, kind, run_time=run_time, target=target, dtype=dtype)
        check(result, want)
        results.append(result.copy())
    if kind != "weight":  # its sum is cut by its length, where that is known
        np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("kind", ["forward", "input"])
def test_an_image_of_groups_has_the_same_bits_in_any_batch(kind: str) -> None:
    for case in (GROUPED[1], GROUPED[2], GROUPED[14], *FULL[:2]):
        whole, _ = run(case, kind)
        x, w = ordered(case.x, NHWC, 1)[:1], ordered(case.w, case.weight, 2)
        y = ordered(case.y, NHWC, 3)[:1]
        one = dataclasses.replace(case, x=(1, *case.x[1:]))
        result = y if kind == "forward" else x
        result[...] = 77
        compiled(build(one, kind, numbers(one, x, w, y), set(), host_target()))(x, w, y)
        np.testing.assert_array_equal(result, whole[:1])
