"""Long sums: eager and compiled ones are of one accuracy class, and no thread changes a bit.

Measured against `math.fsum`, which rounds once. docs/design.md states the bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn
from suites import first

F = nn.functional
N = 1_000_000
HALVES = 3_000_000
UNIT = {"float32": 2.0**-24, "float64": 2.0**-53, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""The largest error of one rounding, of the number that is rounded."""
ACCUMULATES = {"float16": "float32", "bfloat16": "float32"}


def values(*shape: int, dtype: str = "float32") -> ag.Tensor:
    """Numbers in [3, 4): errors of their sums don't cancel."""
    x = np.random.default_rng(5).uniform(3, 4, shape)
    return ag.from_numpy(x).to(getattr(ag, dtype))


def wide(x: ag.Tensor) -> np.ndarray:
    return x.double().numpy()


def exact_sums(x: np.ndarray) -> np.ndarray:
    """The sum along the first dimension, rounded once."""
    columns = x.reshape(x.shape[0], -1).T
    return np.array([math.fsum(c.tolist()) for c in columns]).reshape(x.shape[1:])


def both(function: Callable[..., Any], *args: Any) -> dict[str, np.ndarray]:
    compiled = ag.compile(function, dynamic=False)
    return {"eager": wide(function(*args)), "compiled": wide(compiled(*args))}


def allowed(count: int, dtype: str) -> float:
    """The stated bound, of the sum of the magnitudes."""
    accumulated = UNIT[ACCUMULATES.get(dtype, dtype)]
    return (1000 + count / 2**14) * accumulated + UNIT[dtype]


def check_sums(function: Callable[..., Any], x: ag.Tensor, want: np.ndarray, count: int) -> None:
    dtype = x.dtype.name
    for mode, got in both(function, x).items():
        error = float(np.max(np.abs(got - want) / want))
        assert error <= allowed(count, dtype), (mode, error)
        # roundings are as often up as down: one by one a million of them are off by 2000 units here
        likely = 40 * UNIT[ACCUMULATES.get(dtype, dtype)] + UNIT[dtype]
        assert error <= likely, (mode, error)


# one accuracy class -------------------------------------------------------------------------------

DTYPES = ["float32", "float64", "bfloat16"]
COLUMNS: dict[str, Callable[[Any], Any]] = {
    "sum": lambda x: x.sum(0),
    "fused": lambda x: (x.relu() + 0).sum(0),
    "of a transpose": lambda x: x.T.sum(1),
    "as rows of a batch": lambda x: x.unsqueeze(0).sum(1)[0],
    "beside another result": lambda x: (x.sum(0), x * 2)[0],
    "product with ones": lambda x: ag.ones(x.shape[0], dtype=x.dtype) @ x,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", COLUMNS)
def test_columns(name: str, dtype: str) -> None:
    x = values(N, 3, dtype=dtype)
    check_sums(COLUMNS[name], x, exact_sums(wide(x)), N)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "whole",
    [lambda x: x.sum(), lambda x: (x.relu() + 0).sum(), lambda x: x.reshape(-1, 8).sum((0, 1))],
    ids=["sum", "fused", "of both dimensions"],
)
def test_everything(whole: Callable[[Any], Any], dtype: str) -> None:
    x = values(3 * N, dtype=dtype)
    check_sums(whole, x, exact_sums(wide(x)), 3 * N)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_lies_apart_in_memory(dtype: str) -> None:
    x = values(N // 2, 4, dtype=dtype)
    check_sums(lambda x: x[:, 1], x, wide(x)[:, 1], 1)
    check_sums(lambda x: x[:, 1].sum(), x, exact_sums(wide(x)[:, 1]), N)
    check_sums(lambda x: x[:, 1:3].sum(), x, exact_sums(wide(x)[:, 1:3].reshape(-1)), N)
    three = x.reshape(-1, 2, 2, 2)
    want = exact_sums(wide(three).transpose(0, 1, 3, 2).reshape(-1, 2))
    check_sums(lambda x: x.sum((0, 1, 3)), three, want, N)


ALIKE: dict[str, Callable[[Any], Any]] = {
    "columns": lambda x: x.sum(0)[0] / N,
    "rows": lambda x: x.T.contiguous().sum(1)[0] / N,
    "middle": lambda x: x.unsqueeze(0).sum(1)[0, 0] / N,
    "everything": lambda x: x.sum() / (2 * N),
    "sums of rows": lambda x: (x.sum(1) * 1).sum() / (2 * N),
    "running": lambda x: x.cumsum(0)[-1, 0] / N,
}


@pytest.mark.parametrize("name", ALIKE)
def test_equal_numbers(name: str) -> None:
    """Roundings of a growing sum of equal numbers all go one way: no chain may be long."""
    for number in (0.1, 0.7, 1.1):
        x = ag.full((N, 2), number)
        want = float(np.float32(number))
        for mode, got in both(ALIKE[name], x).items():
            assert abs(float(got) - want) / want < 128 * UNIT["float32"], (mode, number)


def test_products_of_equal_numbers() -> None:
    """A product's sums have chains of 256, added one by one: its bound grows with K / 256."""
    x = ag.full((N, 2), 0.3)
    want = float(np.float32(0.3)) ** 2
    for product in (lambda x: (x.T @ x)[0, 0] / N, lambda x: x[:, 0] @ x[:, 1] / N):
        for mode, got in both(product, x).items():
            error = abs(float(got) - want) / want
            assert error < (256 + N / 256) * UNIT["float32"], mode
            assert error < 1000 * UNIT["float32"], mode


def test_complex_columns() -> None:
    x = values(N, 2)
    z = ag.complex(x, x + 1)
    for function in (lambda z: z.sum(0), ag.compile(lambda z: z.sum(0), dynamic=False)):
        got, want = function(z).numpy(), exact_sums(wide(x))
        for part, exact in ((got.real, want), (got.imag, want + N)):
            assert np.max(np.abs(part - exact) / exact) < 40 * UNIT["float32"]


CENTRED: dict[str, tuple[Callable[[Any], Any], Callable[[np.ndarray], np.ndarray]]] = {
    "mean": (lambda h: h - h.mean(0), lambda h: h - h.mean(0)),
    "batch norm": (
        lambda h: F.batch_norm(h, None, None, training=True),
        lambda h: (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-5),
    ),
    "variance": (lambda h: h.var(0), lambda h: h.var(0, ddof=1)),
    "logsumexp": (lambda h: h.logsumexp(0), lambda h: np.log(np.exp(h).sum(0))),
    "softmax": (lambda h: h.softmax(0) * N, lambda h: N * np.exp(h) / np.exp(h).sum(0)),
    "norm": (lambda h: h.norm(dim=0) / 1000, lambda h: np.linalg.norm(h, axis=0) / 1000),
    "squares": (lambda h: F.mse_loss(h, h * 0), lambda h: np.mean(h * h)),
}


@pytest.mark.parametrize("name", CENTRED)
def test_what_is_made_of_sums(name: str) -> None:
    function, reference = CENTRED[name]
    h = values(N, 4)
    want = reference(wide(h))
    for mode, got in both(function, h).items():
        assert np.max(np.abs(got - want)) < 1e-5, mode


def test_gradients_of_a_bias_and_a_weight() -> None:
    x, w, bias = values(300_000, 3), ag.zeros(3, 2), ag.zeros(2)

    def gradients(x: Any, w: Any, bias: Any) -> Any:
        w, bias = w.requires_grad_(), bias.requires_grad_()
        loss = ((x @ w + bias) + x[:, :2]).sum()
        gw, gb = ag.autograd.grad(loss, [w, bias])
        return ag.cat([gw.reshape(-1), gb])

    columns = exact_sums(wide(x))
    want = np.array([*np.repeat(columns, 2), 300_000, 300_000])
    for mode, got in both(gradients, x, w, bias).items():
        assert np.max(np.abs(got - want) / want) < 40 * UNIT["float32"], mode


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(N, 2), (2, N)], ids=str)
def test_running_sums(shape: tuple[int, int], dtype: str) -> None:
    x = values(*shape, dtype=dtype)
    dim = int(shape[1] == N)
    steps = np.cumsum(wide(x).astype(np.longdouble), dim)
    found = both(lambda x: x.cumsum(dim), x)
    np.testing.assert_array_equal(found["eager"], found["compiled"])
    assert np.max(np.abs(found["eager"] - steps) / steps) < 40 * UNIT[dtype]
    assert (np.diff(found["eager"], axis=dim) >= 0).all()


# 16-bit floats ------------------------------------------------------------------------------------

OF_HALVES: dict[str, Callable[[Any], Any]] = {
    "sum": lambda h: h.sum(),
    "scaled": lambda h: (h * 0.0078125).sum(),
    "sum in float32": lambda h: h.sum(dtype=ag.float32),
    "converted": lambda h: h.float().sum(),
    "mean": lambda h: h.mean(),
    "mean in float32": lambda h: h.float().mean(),
    "variance": lambda h: h.var(),
    "norm": lambda h: h.norm(),
    "logsumexp": lambda h: h.logsumexp(0),
}


@pytest.mark.parametrize("dtype", first(1, ["float16", "bfloat16"]))
@pytest.mark.parametrize("name", OF_HALVES)
def test_three_million_halves(name: str, dtype: str) -> None:
    """The order does not depend on what is fused, so eager and compiled sums are equal; and what is
    made of sums is rounded to 16 bits at the end."""
    h = values(HALVES, dtype=dtype) - 3
    found = both(OF_HALVES[name], h)
    assert found["eager"] == found["compiled"]
    x = wide(h)
    want = {
        "scaled": math.fsum(x) / 128,
        "mean": math.fsum(x) / HALVES,
        "mean in float32": math.fsum(x) / HALVES,
        "variance": x.var(),
        "norm": math.sqrt(math.fsum(x * x)),
        "logsumexp": math.log(math.fsum(np.exp(x))),
    }.get(name, math.fsum(x))
    if name == "sum" and dtype == "float16":
        want = math.inf  # 1.5 million is more than there is
    last = UNIT["float32" if "float32" in name or name == "converted" else dtype]
    assert found["eager"] == pytest.approx(want, rel=last + 40 * UNIT["float32"])


def test_gradients_of_halves() -> None:
    h = values(HALVES, dtype="float16")
    (g,) = ag.autograd.grad(h.requires_grad_().mean(), [h])
    assert g[0].item() == float(np.float16(1 / HALVES))
    scores = ag.zeros(100_000, 4, dtype=ag.float16)
    target = ag.zeros(100_000, dtype=ag.int64)
    for mode, loss in both(F.cross_entropy, scores, target).items():
        assert abs(loss - math.log(4)) < 1e-3, mode


# places that meet ---------------------------------------------------------------------------------


def test_a_million_times_one_place() -> None:
    """Writes at computed places add in the order of the indices, one by one: the only sum whose
    error grows with the number of its terms. Eager and compiled bits are equal."""
    x = values(N, 2)
    index = ag.zeros(N, dtype=ag.int64)
    want = exact_sums(wide(x))
    one_by_one = np.add.accumulate(x.numpy(), axis=0)[-1]

    def gradient(x: Any, index: Any) -> Any:
        table = ag.zeros(3, 2).requires_grad_()
        return ag.autograd.grad((F.embedding(index, table) * x).sum(), [table])[0]

    for function in (gradient, lambda x, i: ag.zeros(3, 2).index_add(0, i, x)):
        for mode, got in both(function, x, index).items():
            np.testing.assert_array_equal(got[0], one_by_one, mode)
            assert np.max(np.abs(got[0] - want) / want) <= N * UNIT["float32"]
            assert not got[1:].any()


# bits ---------------------------------------------------------------------------------------------

LONG: dict[str, Callable[[Any], Any]] = {
    "columns": lambda x: x.sum(0),
    "everything": lambda x: x.sum(),
    "rows": lambda x: x.sum(1),
    "fused columns": lambda x: x - x.mean(0),
    "batch norm": lambda x: F.batch_norm(x, None, None, training=True),
    "variance": lambda x: x.var(0),
    "weight gradient": lambda x: x.T @ x,
    "running": lambda x: x.cumsum(0),
}


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", LONG)
def test_threads_change_no_bit(name: str, compiled: bool) -> None:
    x = values(200_003, 7)
    function = ag.compile(LONG[name], dynamic=False) if compiled else LONG[name]
    before = ag.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 5):
            ag.set_num_threads(threads)
            found.append(function(x).numpy())
    finally:
        ag.set_num_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


OF_ROWS: dict[str, Callable[[Any], Any]] = {
    "middle": lambda x: x.sum(1),
    "all but the batch": lambda x: x.sum((1, 2)),
    "running": lambda x: x.cumsum(1),
    "centred": lambda x: x - x.mean(1, keepdim=True),
    "turned": lambda x: x.transpose(1, 2).sum(2),
}


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", OF_ROWS)
@pytest.mark.parametrize("shape", [(70_001, 3), (3, 70_001)], ids=str)
def test_long_rows_alone(name: str, compiled: bool, shape: tuple[int, int]) -> None:
    x = values(5, *shape)

    def run(x: Any) -> np.ndarray:
        f = ag.compile(OF_ROWS[name], dynamic=False) if compiled else OF_ROWS[name]
        return f(x).numpy()

    whole = run(x)
    for size in (1, 2):
        np.testing.assert_array_equal(run(x[:size].clone()), whole[:size])
