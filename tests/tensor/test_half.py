"""16-bit floats: computed in float32 with the numbers beside them as they are, rounded once.

The references are NumPy's float32, and float64 rounded to the dtype.
"""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import argand as ag
import argand.nn.functional as F

HALVES = {ag.float16: np.dtype(np.float16), ag.bfloat16: np.dtype(ml_dtypes.bfloat16)}
NUMBERS = (0.1, 1 / 3, 2.999, -0.7, 1e5, 1e-8, 1000)
PRODUCTS: dict[str, tuple[Any, Any]] = {
    "x * s": (lambda x, s: x * s, lambda x, s: x * s),
    "s * x": (lambda x, s: s * x, lambda x, s: x * s),
    "x / s": (lambda x, s: x / s, lambda x, s: x / s),
    "s / x": (lambda x, s: s / x, lambda x, s: s / x),
    "x // s": (lambda x, s: x // s, np.floor_divide),
    "trunc": (
        lambda x, s: ag.div(x, s, rounding_mode="trunc"),
        lambda x, s: np.trunc(x / s),
    ),
    "leaky_relu": (F.leaky_relu, lambda x, s: np.where(x > 0, x, x * s)),
    "lerp": (lambda x, s: ag.lerp(x, x.flip(0), s), lambda x, s: _lerp(x, x[::-1], s)),
    "add": (lambda x, s: ag.add(x, x, alpha=s), lambda x, s: x + x * s),
}


def _lerp(start: Any, end: Any, weight: Any) -> Any:
    span = end - start
    low = abs(weight) < 0.5
    return start + weight * span if low else end - span * (np.float32(1) - weight)


def _values(half: np.dtype[Any], signed: bool = True) -> Any:
    x = np.arange(1, 400) * 0.377
    return (np.where(np.arange(399) % 3, x, -x) if signed else x).astype(half)


def _same(found: ag.Tensor, expected: Any) -> None:
    got = found.detach().numpy()
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got.astype(np.float32), expected.astype(np.float32))


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", PRODUCTS)
def test_numbers_are_not_rounded(name: str, dtype: Any) -> None:
    """Eagerly, in a plan (from the third call on), compiled, and as an argument of what is."""
    half = HALVES[dtype]
    ours, reference = PRODUCTS[name]
    values = _values(half)
    x = ag.from_numpy(values)
    compiled = ag.compile(ours)
    for s in NUMBERS:
        with np.errstate(all="ignore"):
            expected = np.asarray(reference(values.astype(np.float32), np.float32(s))).astype(half)
        for _ in range(4):
            _same(ours(x, s), expected)
        _same(ag.compile(lambda x, s=s: ours(x, s))(x), expected)
        if isinstance(s, float):
            _same(compiled(x, s), expected)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_zero_dimensional_tensors_are_not_rounded(dtype: Any) -> None:
    half = HALVES[dtype]
    values = _values(half)
    scale = ag.tensor(0.1, requires_grad=True)
    x = ag.from_numpy(values).requires_grad_()
    wide = values.astype(np.float32) * np.float32(0.1)
    for run in (ag.mul, ag.compile(ag.mul)):
        y = run(x, scale)
        _same(y, wide.astype(half))
        y.backward(ag.ones_like(y))
        assert x.grad is not None and scale.grad is not None
        _same(x.grad, np.full(399, np.float32(0.1)).astype(half))
        assert scale.grad.dtype is ag.float32 and scale.grad.shape == ()
        exact = values.astype(np.float64).sum()
        assert abs(scale.grad.item() - exact) <= 2 * ag.finfo(dtype).eps * abs(exact) + 1e-3
        x.grad = scale.grad = None
    x = ag.from_numpy(values)
    x *= 0.1
    _same(x, wide.astype(half))


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_constants_beside_wide_numbers_stay_halves(dtype: Any) -> None:
    """What passes know of constants must not change the dtype, nor what overflows."""
    scale = ag.tensor(1 / 3)
    ones = ag.compile(lambda t: ag.ones(3, dtype=dtype) * t)(scale)
    _same(ones, np.full(3, np.float32(1 / 3)).astype(HALVES[dtype]))
    large = ag.compile(lambda x: x + ag.full((3,), 6e4, dtype=dtype) * 3)(ag.zeros(3, dtype=dtype))
    assert large.tolist() == (ag.zeros(3, dtype=dtype) + 1.8e5).tolist()


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_numbers_that_the_dtype_does_not_hold(dtype: Any) -> None:
    x = ag.tensor([1.0, 60000.0, -30000.0], dtype=dtype)
    exact = x.double()
    for number in (1e5, 3e5):
        _same(x / number, (exact / number).to(dtype).numpy())
    _same(x * 1e-8, (exact * 1e-8).to(dtype).numpy())
    assert (x / 1e5).ne(0).all()


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_symbolic_sizes_are_not_rounded(dtype: Any) -> None:
    mean = ag.compile(lambda x: x / x.shape[0], dynamic=True)
    for n in (1001, 2049, 999):
        values = (np.arange(1, n + 1) * 0.25).astype(HALVES[dtype])
        expected = values.astype(np.float32) / np.float32(n)
        _same(mean(ag.from_numpy(values)), expected.astype(HALVES[dtype]))


def test_the_default_dtype_may_be_a_half() -> None:
    before = ag.get_default_dtype()
    ag.set_default_dtype(ag.bfloat16)
    try:
        for x in (ag.tensor(3), ag.tensor([3, 4])):
            y = x * 0.1
            assert y.dtype is ag.bfloat16
            expected = (x.numpy().astype(ml_dtypes.bfloat16).astype(np.float32)) * 0.1
            assert np.allclose(y.float().numpy(), expected, rtol=2**-7)
    finally:
        ag.set_default_dtype(before)


CURVES: dict[str, Any] = {
    "elu": lambda x: F.elu(x, 0.1),
    "celu": lambda x: F.celu(x, 0.3),
    "selu": F.selu,
    "silu": F.silu,
    "mish": F.mish,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "softplus": lambda x: F.softplus(x, 0.7),
    "softshrink": lambda x: F.softshrink(x, 0.3),
    "leaky_relu": lambda x: F.leaky_relu(x, 0.3),
    "logit": lambda x: ag.logit(x / 16, 0.01),
    "sinc": ag.sinc,
    "hypot": lambda x: ag.hypot(x, 0.5 * x),
    "logaddexp": lambda x: ag.logaddexp(x, 0.5 * x),
    "addcmul": lambda x: ag.addcmul(x, x, x, value=0.3),
    "add": lambda x: ag.add(x, x, alpha=0.3),
    "sub": lambda x: ag.sub(x, x, alpha=0.3),
}
# Ties of float32's results between two 16-bit floats, as which a double rounding may show.
TIES = 3


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", CURVES)
def test_functions_and_gradients_are_rounded_once(name: str, dtype: Any) -> None:
    """Nearly all elements are the 16-bit floats next to what float64 gives."""
    formula = CURVES[name]
    values = (np.arange(-200, 200) * 0.03125 + 0.015625).astype(HALVES[dtype])
    weights = ((np.arange(1, 401) * 0.0137) % 1.7 + 0.1).astype(HALVES[dtype])
    x = ag.from_numpy(values).requires_grad_()
    wide = ag.from_numpy(values.astype(np.float64)).requires_grad_()
    y, exact = formula(x), formula(wide)
    if name not in ("hypot", "logaddexp", "logit", "addcmul"):  # x reaches y by several ways
        y.backward(ag.from_numpy(weights))
        exact.backward(ag.from_numpy(weights.astype(np.float64)))
        assert x.grad is not None and wide.grad is not None
        _nearly_all(x.grad, wide.grad, dtype, 1 if name in ("add", "sub") else 0)
    _nearly_all(y, exact, dtype, 0)
    _nearly_all(ag.compile(formula)(x), exact, dtype, 0)


def _nearly_all(found: ag.Tensor, exact: ag.Tensor, dtype: Any, sums: int) -> None:
    """`sums`: of gradients that are sums of rounded ones, a unit apart is near enough."""
    expected = exact.detach().to(dtype)
    off = (found.detach().float() - expected.float()).abs()
    unit = expected.float().abs() * ag.finfo(dtype).eps + 1e-7  # sinc's zeros are of float32
    assert found.dtype is dtype
    assert (off <= (1 + sums) * unit).all()
    assert sums or (off > 1e-7).sum() <= TIES


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ag.full((2,), 1e5, dtype=x.dtype),
        lambda x: ag.full_like(x, -1e9),
        lambda x: x.new_full((2,), 1e5),
        lambda x: x.fill_(1e5),
        lambda x: x.masked_fill(x > 0, -1e9),
        lambda x: x.masked_fill_(x > 0, -1e9),
        lambda x: x.index_fill(0, ag.tensor([0]), 1e5),
        lambda x: x.scatter(0, ag.tensor([0]), 1e5),
        lambda x: x.clamp(max=1e5),
        lambda x: x.clamp(-1e9),
        lambda x: F.hardtanh(x, -1e5, 1.0),
        lambda x: F.pad(x, (1, 1), value=1e5),
    ],
    ids=lambda f: str(f.__code__.co_firstlineno),
)
def test_fills_beyond_the_range_are_refused(call: Any) -> None:
    """PyTorch refuses them too; an infinity is asked for as one."""
    x = ag.ones(3, dtype=ag.float16)
    with pytest.raises(RuntimeError, match="doesn't fit into float16, which holds -65504"):
        call(x)
    assert x.eq(1).all()


def _assigned(x: ag.Tensor, index: Any, value: float) -> ag.Tensor:
    y = x.clone()
    y[index] = value
    return y


def test_numpys_numbers_warn_of_nothing() -> None:
    x = ag.ones(2, dtype=ag.float64)
    for number in (np.float32(0.5), np.float16(0.5)):
        assert x.clamp(number).eq(1).all()
        assert ag.full((2,), number, dtype=ag.float64).tolist() == [0.5, 0.5]
        assert F.pad(x, (1, 0), value=number).tolist() == [0.5, 1, 1]


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_batch_norm_in_evaluation(dtype: Any) -> None:
    """As float64 does, rounded once: an eps that the dtype doesn't hold counts."""
    draw = np.random.default_rng(0)
    x, mean, weight, bias = (
        draw.normal(size=s).astype(HALVES[dtype]) for s in ((50, 3), (3,), (3,), (3,))
    )
    var = np.array([0, 1e-7, 2]).astype(HALVES[dtype])
    halves = [ag.from_numpy(v) for v in (x, mean, var, weight, bias)]
    found = F.batch_norm(*halves, eps=1e-7)
    wide = [v.astype(np.float64) for v in (x, mean, var, weight, bias)]
    exact = (wide[0] - wide[1]) / np.sqrt(wide[2] + 1e-7) * wide[3] + wide[4]
    bound = 2 * ag.finfo(dtype).eps * np.abs(exact) + 1e-2 * ag.finfo(dtype).eps
    assert found.dtype is dtype
    assert (np.abs(found.double().numpy() - exact) <= bound)[:, 1:].all()
    assert found[:, 0].isfinite().all()


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_adafactor_steps(dtype: Any) -> None:
    p = ag.nn.Parameter(ag.ones(3, 4, dtype=dtype))
    p.grad = ag.ones_like(p)
    ag.optim.Adafactor([p]).step()
    assert p.dtype is dtype
    assert p.lt(1).all()


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda x: x + 1e5, math.inf),
        (lambda x: x - 1e5, -math.inf),
        (lambda x: ag.where(x > 0, 1e5, x), math.inf),
        (lambda x: x * 1e5, math.inf),
        (lambda x: ag.tensor(1e5, dtype=x.dtype), math.inf),
        (lambda x: ag.tensor(1e39), math.inf),
        (lambda x: ag.ones(1) + 1e39, math.inf),
        (lambda x: x.masked_fill(x > 0, -math.inf), -math.inf),
        (lambda x: x.clamp(max=math.inf) * math.inf, math.inf),
        (lambda x: _assigned(x, x > 0, -1e9), -math.inf),
        (lambda x: _assigned(x, 0, 1e5), math.inf),
        (lambda x: _assigned(x, slice(1), ag.finfo(ag.float32).min), -math.inf),
    ],
)
def test_operands_beyond_the_range_are_infinite(call: Any, expected: float) -> None:
    x = ag.ones(1, dtype=ag.float16)
    assert call(x).item() == expected
    assert ag.compile(call)(x).item() == expected
