"""Values, gradients and errors at the edges of common functions, as PyTorch has them.

The expected numbers are closed forms, or NumPy's in float64.
"""

from __future__ import annotations

import functools
import math
import operator
import tracemalloc
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand.base import errors
from argand.ir.op import ops
from argand.tensor.eager import plan_calls

F = ag.nn.functional

INTEGER_DIVISIONS = {
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "fmod": ag.fmod,
    "trunc": lambda a, b: ag.div(a, b, rounding_mode="trunc"),
    "floor": lambda a, b: ag.div(a, b, rounding_mode="floor"),
}


def gradient(function: Any, x: Any) -> Any:
    x = x.clone().requires_grad_()
    function(x).sum().backward()
    return x.grad


# -- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [ag.tensor, ag.as_tensor, ag.asarray])
def test_python_numbers_keep_their_digits(make: Any) -> None:
    assert make(0.1, dtype=ag.float64).item() == 0.1
    assert make([1e300, 0.1], dtype=ag.float64).tolist() == [1e300, 0.1]
    assert make(1e300 + 0.1j, dtype=ag.complex128).item() == 1e300 + 0.1j
    assert ag.full((1,), 1e300, dtype=ag.float64).item() == 1e300


def test_limits_name_the_real_dtype() -> None:
    assert ag.finfo(ag.complex64).dtype == ag.finfo(ag.float32).dtype == "float32"
    assert ag.iinfo(ag.uint8).dtype == "uint8"


# -- division --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_trunc_rounds_the_quotient(dtype: str) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 5000)).astype(dtype)
    y[:50] = x[:50] / 7
    found = ag.div(ag.tensor(x), ag.tensor(y), rounding_mode="trunc")
    np.testing.assert_array_equal(found.numpy(), np.trunc(x / y))
    signs = ag.tensor([-0.5, -0.0, 0.5]).div_(ag.tensor([1.0, 1.0, -1.0]), rounding_mode="trunc")
    assert np.signbit(signs.numpy()).all()


@pytest.mark.parametrize("name", INTEGER_DIVISIONS)
@pytest.mark.parametrize("dtype", [ag.int64, ag.int32, ag.uint8])
def test_integers_are_not_divided_by_zero(name: str, dtype: Any) -> None:
    divide = INTEGER_DIVISIONS[name]
    a, b = ag.tensor([7, 8, 9], dtype=dtype), ag.tensor([2, 3, 4], dtype=dtype)
    for run in (divide, ag.compile(divide)):
        expected = {"//": [3, 2, 2], "floor": [3, 2, 2], "trunc": [3, 2, 2]}.get(name, [1, 2, 1])
        for _ in range(3):
            assert run(a, b).tolist() == expected
            for zeros in ([2, 0, 4], [0, 0, 0]):
                with pytest.raises(ZeroDivisionError, match="divided by 0") as caught:
                    run(a, ag.tensor(zeros, dtype=dtype))
                assert isinstance(caught.value, RuntimeError)
    with pytest.raises(ZeroDivisionError):
        divide(a, 0)
    assert run(a[:0], b[:0]).shape == (0,)


@pytest.mark.parametrize("size", [3, 40_000])
def test_a_zero_is_found_in_whatever_the_quotient_is_fused_with(size: int) -> None:
    a, b = ag.arange(size) + 5, ag.ones(size, dtype=ag.int64)
    zero = b.clone()
    zero[size - 1] = 0
    for function in (
        lambda a, b: F.pad(a // b, (2, 3)) + 1,
        lambda a, b: (a // b).sum(),
        lambda a, b: ((a // b) * 2)[: size - 1].float().softmax(0),
        lambda a, b: F.pad((a // b)[:2], (1, 0)) + 1,
        lambda a, b: ag.cumsum(a // b, 0),
        lambda a, b: a.index_add(0, ag.tensor([0]), (a // b)[-1:]),
    ):
        run = ag.compile(function)
        np.testing.assert_array_equal(run(a, b).numpy(), function(a, b).numpy())
        for refusing in (function, run):
            with pytest.raises(ZeroDivisionError):
                refusing(a, zero)
    padded = ag.compile(lambda b: F.pad(ops.divisor(b), (2, 3)))  # 0 only where it isn't read
    assert padded(b).tolist() == F.pad(b, (2, 3)).tolist()
    for run in (padded, ag.compile(lambda b: F.pad(a // b, (2, 3)) + 1)):
        with pytest.raises(ZeroDivisionError):
            run(zero)


def test_a_failed_division_in_place_changes_nothing() -> None:
    x = ag.arange(6)
    with pytest.raises(ZeroDivisionError):
        x //= ag.tensor([1, 1, 1, 0, 1, 1])
    assert x.tolist() == [0, 1, 2, 3, 4, 5]


# -- norms and similarities ------------------------------------------------------------------------


def test_cosine_similarity_broadcasts_first() -> None:
    x, y = ag.randn(3, 1, 4), ag.randn(1, 5, 1)
    for dim in (0, 1, 2):
        a, b = np.broadcast_arrays(x.numpy().astype(np.float64), y.numpy().astype(np.float64))
        expected = (a * b).sum(dim) / (np.linalg.norm(a, axis=dim) * np.linalg.norm(b, axis=dim))
        found = F.cosine_similarity(x, y, dim=dim)
        np.testing.assert_allclose(found.numpy(), expected, rtol=2e-5, atol=1e-6)
    with pytest.raises(TypeError, match="floating-point"):
        F.cosine_similarity(ag.ones(2, 2, dtype=ag.int64), ag.ones(2, 2, dtype=ag.int64))


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3, math.inf, -1, -math.inf])
def test_norms_have_the_slope_0_at_0(p: float) -> None:
    x = ag.zeros(2, 3)
    functions = [
        lambda x: x.norm(p),
        lambda x: x.norm(p, dim=1),
        lambda x: ag.linalg.vector_norm(x, p, dim=0),
        lambda x: ag.dist(x, ag.zeros(2, 3), p),
        lambda x: F.pairwise_distance(x, ag.zeros(2, 3), p, eps=0.0),
    ]
    if p > 0:
        functions.append(lambda x: ag.cdist(x, ag.zeros(2, 3), p))
    for function in functions:
        assert gradient(function, x).tolist() == [[0.0] * 3] * 2
    if p > 0:
        assert ag.isfinite(gradient(lambda x: F.normalize(x, p), x)).all()


@pytest.mark.parametrize("p", [0.5, 1.5, 3])
def test_p_norms_beside_zeros(p: float) -> None:
    x = np.array([[0.0, 3.0, -4.0], [1.0, 0.0, 2.0]])
    size = np.abs(x)
    total = (size**p).sum(1, keepdims=True)
    slope = np.where(x == 0, 0, np.sign(x) * np.where(x == 0, 1, size) ** (p - 1))
    expected = slope * total ** (1 / p - 1)
    found = gradient(lambda x: x.norm(p, dim=1), ag.tensor(x))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_norms_of_complex_numbers_are_those_of_their_sizes() -> None:
    x = np.array([1 + 2j, 3 - 1j, 0, -2j])
    t = ag.tensor(x)
    for p in (0, 0.5, 1, 2, 3, math.inf, -math.inf):
        expected = np.linalg.norm(x, p)
        for found in (t.norm(p), ag.dist(t, ag.zeros(4, dtype=ag.complex128), p)):
            assert found.dtype is ag.float64
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(t.var().item(), np.var(x, ddof=1))
    np.testing.assert_allclose(t.std(correction=0).item(), np.std(x))
    assert ag.autograd.gradcheck(lambda z: z.norm(), (t[:2].clone().requires_grad_(),))


@pytest.mark.parametrize("name", ["floor", "ceil", "trunc", "round", "sign"])
def test_steps_have_the_gradient_0(name: str) -> None:
    x = ag.tensor([1.5, -0.3])
    assert gradient(getattr(ag, name), x).tolist() == [0.0, 0.0]
    assert gradient(ag.compile(getattr(ag, name)), x).tolist() == [0.0, 0.0]
    assert gradient(lambda x: x * getattr(ag, name)(x), x).tolist() == getattr(ag, name)(x).tolist()


def test_fill_and_counts_are_connected_with_the_gradient_0() -> None:
    x = ag.tensor([1.5, ag.inf])
    assert gradient(lambda x: ag.fill(x, 3.0), x).tolist() == [0.0, 0.0]
    assert gradient(lambda x: x.norm(0), x).tolist() == [0.0, 0.0]
    value = ag.tensor(2.0, requires_grad=True)
    ag.fill(x, value).sum().backward()
    assert value.grad.item() == 2.0


# -- statistics ------------------------------------------------------------------------------------


def test_var_mean_takes_unbiased_first() -> None:
    x = np.random.default_rng(0).normal(size=(3, 4))
    for unbiased in (True, False):
        for pair, ddof in ((ag.var_mean, np.var), (ag.std_mean, np.std)):
            found, mean = pair(ag.tensor(x), unbiased)
            np.testing.assert_allclose(found.item(), ddof(x, ddof=int(unbiased)))
            np.testing.assert_allclose(mean.item(), x.mean())
    assert ag.tensor([1.0, 2.0, 4.0]).var(correction=1.3).item() == pytest.approx(14 / 3 / 1.7)


@pytest.mark.parametrize("interpolation", ["linear", "lower", "higher", "nearest", "midpoint"])
def test_quantiles_as_numpy_has_them(interpolation: Any) -> None:
    x = np.random.default_rng(1).normal(size=(5, 7))
    q = np.array([0.0, 0.1, 0.5, 0.93, 1.0])
    for dim in (None, 0, 1):
        expected = np.quantile(x, q, axis=dim, method=interpolation)
        for marks in (q.tolist(), ag.tensor(q)):
            found = ag.quantile(ag.tensor(x), marks, dim, interpolation=interpolation)
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
        kept = ag.quantile(ag.tensor(x), 0.3, dim, True, interpolation=interpolation)
        assert kept.shape == np.quantile(x, 0.3, axis=dim, keepdims=True).shape
    assert ag.quantile(ag.tensor(3.0), 0.5).item() == 3.0
    assert ag.isnan(ag.quantile(ag.tensor([1.0, ag.nan]), 0.5))


def test_quantiles_have_a_gradient_for_q() -> None:
    q = ag.tensor(0.3, dtype=ag.float64, requires_grad=True)
    ag.quantile(ag.tensor([1.0, 2.0, 5.0], dtype=ag.float64), q).backward()
    assert q.grad.item() == pytest.approx(2.0)  # two steps of 1 between 1 and 2
    with pytest.raises(ValueError, match="between 0 and 1"):
        ag.quantile(ag.ones(3), ag.tensor([0.5, 1.5]))


def test_bytes_are_summed_without_a_copy_as_int64() -> None:
    x = ag.full((1 << 22,), 3, dtype=ag.uint8)
    x.view(4, -1).sum(1), x.sum()  # whatever is loaded by a first call
    tracemalloc.start()
    try:
        assert x.sum().item() == 3 << 22
        assert x.view(4, -1).sum(1).tolist() == [3 << 20] * 4
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()
    assert x.sum().dtype is ag.int64


# -- halves ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [ag.float16, ag.bfloat16])
def test_halves_are_reduced_in_float32(dtype: Any) -> None:
    n = 70_000
    x = (ag.arange(n) % 7).to(dtype)
    wide = x.double().numpy()
    for name in ("mean", "var", "std"):
        expected = getattr(np, name)(wide, **({} if name == "mean" else {"ddof": 1}))
        np.testing.assert_allclose(getattr(x, name)().double().item(), expected, rtol=4e-3)
    np.testing.assert_allclose(F.mse_loss(x, x * 0).double().item(), (wide**2).mean(), rtol=4e-3)
    np.testing.assert_allclose((x * 0).softmax(0)[0].double().item(), 1 / n, rtol=2e-3)
    big = ag.full((100,), 1000.0, dtype=dtype)
    for p in (2, 3):
        expected = float(big[0]) * 100 ** (1 / p)
        np.testing.assert_allclose(big.norm(p).double().item(), expected, rtol=4e-3)


# -- images ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "area"])
def test_images_of_bytes_are_interpolated_and_rounded(mode: str) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (1, 3, 9, 7), dtype=np.uint8)
    x = ag.tensor(pixels)
    for size in ((4, 5), (13, 20)):
        found = F.interpolate(x, size=size, mode=mode)
        exact = F.interpolate(x.double(), size=size, mode=mode).clamp(0, 255)
        assert found.dtype is ag.uint8
        assert (found.double() - exact).abs().max().item() < 0.5001


def _row_of_bytes(row: list[int], new: int, options: dict[str, Any]) -> list[int]:
    """A row of pixels resized in fixed point, in Python's integers."""
    units = ag.eye(len(row), dtype=ag.float64).reshape(len(row), 1, 1, len(row))
    weights = F.interpolate(units, size=(1, new), **options).reshape(len(row), new).T.tolist()
    bits = 0
    while bits < 22 and int(0.5 + max(map(max, weights)) * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    found = []
    for taps in weights:
        whole = [int(w * (1 << bits) + (0.5 if w >= 0 else -0.5)) for w in taps]
        total = sum(w * p for w, p in zip(whole, row, strict=True))
        found.append(min(max((total + (1 << (bits - 1))) >> bits, 0), 255))
    return found


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_images_of_bytes_are_mixed_in_fixed_point(mode: str, antialias: bool) -> None:
    pixels = np.random.default_rng(6).integers(0, 256, (9, 7))
    options = {"mode": mode, "antialias": antialias}
    for size in ((4, 5), (13, 20), (9, 3), (1, 1)):
        columns = [_row_of_bytes(row, size[1], options) for row in pixels.tolist()]
        turned = [_row_of_bytes([*row], size[0], options) for row in zip(*columns, strict=True)]
        x = ag.tensor(pixels[None, None].astype(np.uint8))
        found = F.interpolate(x, size=size, **options)
        assert found.dtype is ag.uint8
        assert found[0, 0].T.tolist() == turned


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [False, True])
def test_a_dimension_of_unchanged_size_is_copied(mode: str, antialias: bool) -> None:
    if antialias and mode == "nearest":
        return
    x = ag.arange(32.0, dtype=ag.float64).reshape(1, 1, 4, 8) ** 2
    found = F.interpolate(x, scale_factor=(1.2, 1.0), mode=mode, antialias=antialias)
    assert ag.equal(found, x) == (antialias or mode != "bicubic")
    row = x[:, :, 0]
    assert ag.equal(F.interpolate(row, scale_factor=1.05, mode="linear"), row)
    assert not ag.equal(F.interpolate(row, scale_factor=1.05), row)


def test_circular_padding_cuts_first() -> None:
    x = ag.arange(6.0).reshape(1, 1, 6)
    assert F.pad(x, (-1, 2), mode="circular").flatten().tolist() == [1, 2, 3, 4, 5, 1, 2]
    assert F.pad(x, (2, -3), mode="circular").flatten().tolist() == [1, 2, 0, 1, 2]


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolution_with_more_output_padding_than_stride(groups: int) -> None:
    rng = np.random.default_rng(2)
    windows = (1, 0, 1, 2), (1, 2, 2, 3), (2, 1, 2, 3), (1, 3, 1, 2)
    for stride, padding, extra, dilation in windows:
        x, w = rng.normal(size=(2, 4, 5)), rng.normal(size=(4, 3, 3))
        size = (5 - 1) * stride - 2 * padding + dilation * 2 + extra + 1
        expected = np.zeros((2, 3 * groups, size))
        for i in range(5):
            for k in range(3):
                place = i * stride + k * dilation - padding
                if 0 <= place < size:
                    for c in range(4):
                        g = c // (4 // groups)
                        part = x[:, c, i, None] * w[c, :, k]
                        expected[:, g * 3 : g * 3 + 3, place] += part
        a, b = ag.tensor(x, requires_grad=True), ag.tensor(w, requires_grad=True)
        args = (None, stride, padding, extra, groups, dilation)
        np.testing.assert_allclose(F.conv_transpose1d(a, b, *args).detach().numpy(), expected)
        run = functools.partial(lambda args, a, b: F.conv_transpose1d(a, b, *args), args)
        assert ag.autograd.gradcheck(run, (a, b))


def test_complex_convolutions() -> None:
    rng = np.random.default_rng(4)
    x, w = (rng.normal(size=s) + 1j * rng.normal(size=s) for s in ((1, 2, 6), (3, 2, 3)))
    expected = np.array([[[(x[0, :, i : i + 3] * w[o]).sum() for i in range(4)] for o in range(3)]])
    a, b = ag.tensor(x, requires_grad=True), ag.tensor(w, requires_grad=True)
    np.testing.assert_allclose(F.conv1d(a, b).detach().numpy(), expected)
    assert ag.autograd.gradcheck(F.conv1d, (a, b))
    t = ag.tensor(w[:2], requires_grad=True)
    assert ag.autograd.gradcheck(F.conv_transpose1d, (a, ag.tensor(w[:2], requires_grad=True)))
    assert F.conv_transpose1d(a, t).dtype is ag.complex128
    z = ag.tensor(x[0, 0, :4], requires_grad=True)
    assert ag.autograd.gradcheck(lambda z: z.prod(), (z,))


# -- layers ----------------------------------------------------------------------------------------


def test_an_empty_batch_leaves_running_statistics_alone() -> None:
    for layer, x in (
        (ag.nn.BatchNorm1d(3), ag.zeros(0, 3)),
        (ag.nn.BatchNorm2d(3), ag.zeros(0, 3, 4, 4)),
    ):
        assert layer(x).shape == x.shape
        assert layer.running_mean.tolist() == [0.0] * 3
        assert layer.running_var.tolist() == [1.0] * 3


def test_rms_norm_checks_the_shape() -> None:
    for shape in ((4,), (2, 2), (), (3, 2)):
        with pytest.raises(RuntimeError, match="rms_norm"):
            F.rms_norm(ag.ones(2, 3), shape)
    with pytest.raises(RuntimeError, match="weight"):
        F.rms_norm(ag.ones(2, 3), (3,), ag.ones(2))


def test_a_bias_has_the_dtype_of_the_image() -> None:
    bias = ag.ones(1, dtype=ag.float64)
    with pytest.raises(RuntimeError, match="bias is float64"):
        F.conv1d(ag.ones(1, 1, 4), ag.ones(1, 1, 2), bias)
    with pytest.raises(RuntimeError, match="bias is float64"):
        F.conv_transpose2d(ag.ones(1, 1, 4, 4), ag.ones(1, 1, 2, 2), bias)


def test_integer_forms_of_float_functions() -> None:
    assert F.hardtanh(ag.tensor([-3, 0, 3])).tolist() == [-1, 0, 1]
    assert F.hardtanh(ag.tensor([-3, 0, 3])).dtype is ag.int64
    with pytest.raises(RuntimeError, match="uint8"):
        F.hardtanh(ag.tensor([3], dtype=ag.uint8))
    ones = ag.ones(1, 4, 3, dtype=ag.int64)
    first = F.local_response_norm(ones, 2)[0, :, 0]
    np.testing.assert_allclose(first.numpy(), [1.0, *[(1 + 1e-4) ** -0.75] * 3], rtol=1e-6)
    byte = ag.ones(3, 2, 2, dtype=ag.uint8)
    assert ag.addbmm(byte[0], byte, byte).tolist() == [[7, 7], [7, 7]]
    assert F.bilinear(byte[0], byte[0], byte).tolist() == [[4, 4, 4]] * 2
    assert F.prelu(ag.tensor(-1.0), ag.tensor(0.25)).item() == -0.25
    assert F.prelu(ag.tensor(-1.0), ag.tensor([0.25])).shape == ()


def test_kl_div_of_a_negative_target_is_nan() -> None:
    x, t = ag.tensor([0.1, 0.2, 0.3]), ag.tensor([-1.0, 0.0, 0.5])
    found = F.kl_div(x, t, reduction="none").tolist()
    assert math.isnan(found[0])
    assert found[1] == 0.0
    assert found[2] == pytest.approx(0.5 * (math.log(0.5) - 0.3))


# -- indices ---------------------------------------------------------------------------------------


def test_index_fill_counts_a_place_once() -> None:
    x = ag.arange(4.0).requires_grad_()
    value = ag.tensor(2.0, requires_grad=True)
    found = x.index_fill(0, ag.tensor([1, 1, -2]), value)
    assert found.tolist() == [0.0, 2.0, 2.0, 3.0]
    found.sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 0.0, 1.0]
    assert value.grad.item() == 2.0
    with pytest.raises(IndexError):
        x.index_fill(0, ag.tensor([4]), 0.0)


def test_one_hot_refuses_classes_outside() -> None:
    hot = ag.compile(lambda x: F.one_hot(x, 3))
    for _ in range(3):
        assert F.one_hot(ag.tensor([0, 2]), 3).tolist() == [[1, 0, 0], [0, 0, 1]]
        assert hot(ag.tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]
        for bad in (3, -1):
            with pytest.raises(RuntimeError, match="classes must be at least 0") as eager:
                F.one_hot(ag.tensor([bad, 0]), 3)
            with pytest.raises(RuntimeError, match="out of range") as compiled:
                hot(ag.tensor([bad, 0]))
            assert eager.type is compiled.type
    assert F.one_hot(ag.zeros(0, 2, dtype=ag.int64), 3).shape == (0, 2, 3)
    with pytest.raises(RuntimeError, match="num_classes"):
        F.one_hot(ag.zeros(0, dtype=ag.int64))
    with pytest.raises(TypeError, match="integers"):
        F.one_hot(ag.tensor([1.0]), 3)


def test_indexing_takes_a_0d_tensor_for_a_vector() -> None:
    x = ag.tensor(3.0, requires_grad=True)
    assert ag.gather(x, 0, ag.tensor(0)).shape == ()
    assert ag.gather(x, 0, ag.tensor([0, 0])).tolist() == [3.0, 3.0]
    ag.gather(x, 0, ag.tensor([0, 0])).sum().backward()
    assert x.grad.item() == 2.0
    assert ag.scatter(x, 0, ag.tensor(0), ag.tensor(5.0)).item() == 5.0
    assert ag.scatter(x, 0, ag.tensor([0]), 5.0).shape == ()
    assert ag.scatter_add(x, 0, ag.tensor(0), ag.tensor(5.0)).item() == 8.0
    assert ag.index_add(x, 0, ag.tensor([0]), ag.tensor(2.0)).item() == 5.0
    assert ag.index_copy(x, 0, ag.tensor([0]), ag.tensor(2.0)).item() == 2.0
    assert ag.index_fill(x, 0, ag.tensor([0]), 2.0).item() == 2.0
    with pytest.raises(IndexError):
        ag.gather(x, 0, ag.tensor(1))


def test_index_add_checks_the_source() -> None:
    x, index = ag.zeros(3, 2), ag.tensor([0, 2])
    for source in (ag.ones(1, 2), ag.ones(2, 1), ag.ones(2), ag.ones(3, 2)):
        for function in (ag.index_add, ag.index_copy):
            with pytest.raises(RuntimeError, match="source's shape must be"):
                function(x, 0, index, source)


def test_value_checks_are_made_every_time() -> None:
    """A call that came before runs by its plan, which reads no values."""
    plan_calls()
    for i in range(6):
        mask = ag.tensor([True, True, i > 3, False])
        weights = ag.tensor([1.0, -1.0 if i > 3 else 1.0])
        if i <= 3:
            assert ag.masked_scatter(ag.zeros(4), mask, ag.tensor([1.0, 2.0])).sum() == 3
            assert ag.multinomial(weights, 1).shape == (1,)
            continue
        with pytest.raises(ValueError, match="takes 3 elements"):
            ag.masked_scatter(ag.zeros(4), mask, ag.tensor([1.0, 2.0]))
        with pytest.raises(ValueError, match="weights >= 0"):
            ag.multinomial(weights, 1)


# -- arranging -------------------------------------------------------------------------------------


def test_diff_at_its_edges() -> None:
    x = ag.tensor([1.0, 2.0, 4.0])
    assert ag.diff(x, n=0, prepend=ag.tensor([0.0])).tolist() == [1.0, 2.0, 4.0]
    assert ag.diff(x, n=2, prepend=ag.tensor([0.0])).tolist() == [0.0, 1.0]
    assert ag.diff(x, n=5).shape == (0,)
    with pytest.raises(RuntimeError, match="at least 0"):
        ag.diff(x, n=-1)


def test_flip_takes_its_keyword() -> None:
    x = ag.arange(4).reshape(2, 2)
    expected = [[3, 2], [1, 0]]
    assert ag.flip(x, dims=(0, 1)).tolist() == x.flip(dims=[0, 1]).tolist() == expected
    assert x.flip(0, 1).tolist() == expected


def test_diag_keeps_booleans() -> None:
    assert ag.diag(ag.tensor([True, False])).tolist() == [[True, False], [False, False]]
    assert ag.diag_embed(ag.tensor([True])).dtype is ag.bool


def test_running_sums_take_a_dtype() -> None:
    x = ag.tensor([100, 100, 100], dtype=ag.int8)
    assert ag.cumsum(x, 0).tolist() == [100, 200, 300]
    for function in (ag.cumsum, ag.cumprod):
        assert function(x, 0, dtype=ag.float64).dtype is ag.float64


def test_writes_through_an_expansion_that_repeats_nothing() -> None:
    x = ag.zeros(1, 3)
    x.expand(1, -1).copy_(ag.ones(1, 3))
    x.expand(1, 1, 3)[0, 0, 1] = 5.0
    assert x.tolist() == [[1.0, 5.0, 1.0]]
    with pytest.raises(RuntimeError):
        x.expand(2, 3).copy_(ag.ones(2, 3))


def test_out_shares_no_memory_with_what_is_joined() -> None:
    x = ag.zeros(4)
    for join in (lambda: ag.cat([x[:2], x[2:]], out=x), lambda: ag.stack([x[:2], x[2:]], out=x)):
        with pytest.raises(RuntimeError, match="shares memory"):
            join()
    assert ag.cat([x[:1], x[1:2]], out=x[2:]).shape == (2,)


# -- drawing ---------------------------------------------------------------------------------------


def test_multinomial_refuses_infinite_weights() -> None:
    for bad in (ag.inf, ag.nan, -1.0):
        with pytest.raises(RuntimeError, match="multinomial"):
            ag.multinomial(ag.tensor([1.0, bad]), 1)


def test_samplers_begin_at_once() -> None:
    draws = iter(ag.data.RandomSampler(range(10), replacement=True, num_samples=10**10))
    found = [next(draws) for _ in range(5000)]
    assert set(found) == set(range(10))


def test_a_missing_name_looks_for_its_hint_when_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AttributeError, match="did you mean zeros") as caught:
        _ = ag.zeross
    monkeypatch.setattr(errors, "did_you_mean", lambda name, known: "; a hint")
    assert str(caught.value) == "module 'argand' has no attribute 'zeross'; a hint"
    monkeypatch.setattr(errors, "did_you_mean", None)  # hasattr needs none
    assert not hasattr(ag, "no_such_name")


def test_next_numbers_of_equal_ones_have_no_gradient() -> None:
    x = ag.tensor([1.0, 2.0, 3.0], requires_grad=True)
    ag.nextafter(x, ag.tensor([1.0, 3.0, 2.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 1]


@pytest.mark.parametrize("padding", ["border", "reflection"])
def test_points_on_the_edge_of_an_image_have_no_gradient(padding: str) -> None:
    image = ag.arange(9.0).reshape(1, 1, 3, 3) ** 2
    grid = ag.tensor([[[[-1.0, 1.0], [0.5, -1.0]]]], requires_grad=True)
    F.grid_sample(image, grid, padding_mode=padding, align_corners=True).sum().backward()
    assert grid.grad is not None
    found = grid.grad.flatten().tolist()
    assert [found[0], found[1], found[3]] == [0, 0, 0]
    assert found[2] != 0


def test_points_that_are_nan_see_the_first_pixel() -> None:
    image = ag.arange(1.0, 5.0).reshape(1, 1, 2, 2)
    grid = ag.full((1, 1, 1, 2), float("nan"))
    found = F.grid_sample(image, grid, padding_mode="border", align_corners=True)
    assert found.item() == 1


@pytest.mark.parametrize("dtype", [ag.float16, ag.bfloat16])
def test_convolutions_of_volumes_round_once(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x = ag.tensor(rng.normal(size=(1, 2, 5, 6, 7))).to(dtype)
    w = ag.tensor(rng.normal(size=(2, 2, 3, 3, 3))).to(dtype)
    b = ag.tensor(rng.normal(size=2) * 100).to(dtype)
    eps = ag.finfo(dtype).eps
    for function, image, weight in (
        (F.conv3d, x, w),
        (F.conv_transpose3d, x, w),
        (F.conv_transpose2d, x[0, :, 0], w[:, :, 0]),
    ):
        leaf = image.detach().requires_grad_()
        y = function(leaf, weight, b)
        wide = image.double().requires_grad_()
        exact = function(wide, weight.double(), b.double())
        assert y.dtype is dtype
        assert ((y.double() - exact).abs() <= 0.51 * eps * exact.abs() + 1e-5).all()
        y.sum().backward()
        exact.sum().backward()
        assert leaf.grad is not None
        assert wide.grad is not None
        near = 0.51 * eps * wide.grad.abs() + 1e-5
        assert ((leaf.grad.double() - wide.grad).abs() <= near).all()


def test_bilinear_products_of_integers_have_their_dtype() -> None:
    ones = ag.ones(2, 3, dtype=ag.int32)
    found = F.bilinear(ones, ones, ag.ones(4, 3, 3, dtype=ag.int32))
    assert found.dtype is ag.int32
    assert found.tolist() == [[9] * 4] * 2


def test_masked_logarithms_of_sums_have_the_dtype_of_the_input() -> None:
    x = ag.tensor([3, 9, 3])
    mask = ag.tensor([True, False, True])
    assert ag.masked.logsumexp(x, 0, mask=mask).dtype is ag.int64
    assert ag.masked.logsumexp(x, 0, mask=mask, dtype=ag.float64).item() == pytest.approx(3.693147)


def test_complex_numbers_have_a_root_mean_square() -> None:
    x = ag.tensor([[3.0 + 4.0j, 0.5j]], dtype=ag.complex128)
    w = ag.tensor([2.0, 1.0j], dtype=ag.complex128)
    found = F.rms_norm(x, (2,), w).numpy()
    a = x.numpy()
    root = np.sqrt((a**2).mean(-1, keepdims=True) + np.finfo(np.float64).eps)
    np.testing.assert_allclose(found, a / root * w.numpy())


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_padding_that_isnt_constant_has_a_rank(rank: int) -> None:
    for kind in ("Circular", "Reflection", "Replication"):
        pad = getattr(ag.nn, f"{kind}Pad{rank}d")(1)
        for ndim in range(1, 7):
            x = ag.ones(*(3,) * ndim)
            if ndim in (rank + 1, rank + 2):
                assert pad(x).shape[-1] == 5
            else:
                with pytest.raises(RuntimeError, match=f"expected {rank + 1} or {rank + 2} dim"):
                    pad(x)


@pytest.mark.parametrize("name", ["gather", "index_select", "kthvalue", "masked_select"])
def test_results_are_not_written_over_their_operands(name: str) -> None:
    x = ag.tensor([3, 1, 2])
    index = ag.tensor([0, 1, 2])
    args = {
        "gather": (x, 0, index),
        "index_select": (x, 0, index),
        "kthvalue": (x, 1),
        "masked_select": (x, x > 0),
    }[name]
    out = (ag.empty(0, dtype=ag.int64), x) if name == "kthvalue" else x
    with pytest.raises(ValueError, match="shares memory with an operand"):
        getattr(ag, name)(*args, out=out)


def test_complex_numbers_have_a_silu() -> None:
    x = ag.tensor([1.0 + 2.0j, -0.5j], dtype=ag.complex128)
    a = x.numpy()
    np.testing.assert_allclose(F.silu(x).numpy(), a / (1 + np.exp(-a)))


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_bags_of_16_bits_are_rounded_once(mode: str) -> None:
    table = ag.full((4, 1), 0.001, dtype=ag.float16)
    table[0] = 8.0
    bag = ag.tensor([[0, *[1] * 15]])
    exact = F.embedding_bag(bag, table.double(), mode=mode)
    found = F.embedding_bag(bag, table, mode=mode)
    assert found.dtype is ag.float16
    assert ag.equal(found, exact.half())


def test_infinite_sides_have_an_infinite_hypotenuse() -> None:
    inf, nan = math.inf, math.nan
    found = ag.hypot(ag.tensor([inf, nan, -inf, nan, 3.0]), ag.tensor([nan, -inf, 1.0, 1.0, 4.0]))
    assert found[:3].tolist() == [inf, inf, inf]
    assert math.isnan(found[3].item())
    assert found[4].item() == 5


def test_hardswish_of_the_largest_numbers_is_finite() -> None:
    x = ag.tensor([65504.0, 30000.0, -65504.0], dtype=ag.float16)
    assert F.hardswish(x).tolist() == [65504.0, 30000.0, 0.0]


# -- what PyTorch refuses, and what it doesn't -----------------------------------------------------


def test_vandermondes_matrix_has_falling_powers() -> None:
    x = np.array([2.0, 3.0, -1.5])
    for n in (None, 0, 1, 4):
        for increasing in (False, True):
            found = ag.vander(ag.tensor(x), n, increasing=increasing).numpy()
            np.testing.assert_allclose(found, np.vander(x, n, increasing))
    with pytest.raises(errors.ShapeError, match="a vector, got shape"):
        ag.vander(ag.ones(2, 2))
    with pytest.raises(errors.ArgumentError, match="N must be greater than 1"):
        ag.linalg.vander(ag.ones(3), N=1)


def test_the_median_of_no_floats_is_nan() -> None:
    assert math.isnan(ag.median(ag.zeros(0)).item())
    assert math.isnan(ag.nanmedian(ag.zeros(2, 0)).item())
    with pytest.raises(errors.ShapeError):
        ag.median(ag.zeros(0, dtype=ag.int64))


@pytest.mark.parametrize("where", [ag.where, lambda c, x, y: x.where(c, y)])
def test_a_condition_is_of_bools(where: Any) -> None:
    x = ag.ones(3)
    with pytest.raises(errors.DTypeError, match="of bools, got float32"):
        where(x, x, x)
    assert where(ag.tensor([1, 0, 1], dtype=ag.uint8), x, -x).tolist() == [1.0, -1.0, 1.0]


@pytest.mark.parametrize("wrong", [[0.5, 1.5], [-0.1, 0.5], [0.5, math.nan]])
def test_probabilities_are_probabilities(wrong: list[float]) -> None:
    for draw in (ag.bernoulli, lambda p: ag.zeros(2).bernoulli_(p)):
        with pytest.raises(RuntimeError, match="probabilities from 0 to 1"):
            draw(ag.tensor(wrong))
    assert ag.bernoulli(ag.tensor([0.0, 1.0])).tolist() == [0.0, 1.0]


def test_interpolation_needs_spatial_dimensions() -> None:
    for shape in ((3, 4), (1, 2, 3, 4, 5, 6)):
        with pytest.raises(NotImplementedError, match="3, 4 or 5 dimensions"):
            F.interpolate(ag.ones(shape), scale_factor=2)


def test_several_elements_are_no_number() -> None:
    for convert in (int, float, complex):
        with pytest.raises(ValueError, match="of 2 elements"):
            convert(ag.ones(2))


def test_an_index_outside_has_both_types() -> None:
    for kind in (IndexError, RuntimeError):
        with pytest.raises(kind):
            ag.ones(3).gather(0, ag.tensor([7]))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "int64"])
@pytest.mark.parametrize("number", [-32, -1, 255, 511, 65535])
def test_bits_of_numbers_beyond_a_dtypes_range(dtype: str, number: int) -> None:
    array = np.array([0, 1, 7, 100, 127], dtype)
    bits, x = np.array(number).astype(dtype), ag.tensor(array)
    for function in (operator.and_, operator.or_, operator.xor):
        expected = function(array, bits)
        for found in (function(x, number), ag.compile(lambda t, f=function: f(t, number))(x)):
            assert found.dtype is x.dtype and (found.numpy() == expected).all()
    with pytest.raises(ValueError, match="doesn't fit into"):
        x & 2**70
