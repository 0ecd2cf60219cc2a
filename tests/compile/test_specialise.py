"""Which calls share a program: sizes that vary, limits, what `explain` says."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

import argand as ag
import argand.nn.functional as F  # PyTorch's name
from argand import nn, optim


def normal(*shape: int) -> Any:
    return ag.tensor(np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32))


def test_a_second_size_makes_it_symbolic(compiled: Any) -> None:
    f = compiled(lambda x: (x * 2).sum() / x.shape[0])
    for n in (4, 6, 9, 30):
        x = normal(n, 3)
        np.testing.assert_allclose(f(x).item(), x.numpy().sum() * 2 / n, rtol=1e-4)
    assert len(f.programs) == 2
    assert "f32[s0, 3]" in f.explain()
    assert "(4, 3) became f32(6, 3)" in f.explain()


def test_sizes_0_and_1_get_programs_of_their_own(compiled: Any) -> None:
    f = compiled(lambda x: x + x.shape[0], dynamic={"x": {0: ag.Dim("n")}})
    for n in (5, 1, 0, 7):
        assert f(ag.zeros(n)).tolist() == [float(n)] * n
    assert len(f.programs) == 3


def test_a_declared_dim_serves_all_sizes(compiled: Any) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    f = compiled(lambda x: model(x).mean(0), dynamic={0: ("batch", None)})
    with ag.no_grad():
        for n in (4, 7, 12):
            x = normal(n, 3)
            np.testing.assert_allclose(f(x).numpy(), model(x).mean(0).numpy(), rtol=1e-5)
    (program,) = f.programs
    assert "x: f32[batch, 3]" in str(program)


def test_a_comparison_with_a_declared_dim_is_an_error(compiled: Any) -> None:
    f = compiled(lambda x: x * 2 if x.shape[0] > 5 else x, dynamic={"x": ("batch",)})
    with pytest.raises(ValueError, match="'batch' was declared to take any size"):
        f(normal(4))


def test_a_comparison_of_a_seen_size_is_a_guard(compiled: Any) -> None:
    f = compiled(lambda x: x * 2 if x.shape[0] > 5 else x * 3)
    for n in (3, 4, 7, 9, 5, 8):
        assert f(ag.ones(n)).tolist() == [2.0 if n > 5 else 3.0] * n
    assert len(f.programs) == 3


def test_equal_sizes_share_a_symbol_and_others_do_not(compiled: Any) -> None:
    f = compiled(lambda x, y: x.sum() + y.sum())
    f(ag.ones(3), ag.ones(3))
    f(ag.ones(5), ag.ones(5))
    assert "(x: f32[s0], y: f32[s0])" in str(f.program())
    assert f(ag.ones(5), ag.ones(7)).item() == 12
    assert f(ag.ones(6), ag.ones(7)).item() == 13
    assert len(f.programs) == 3


def test_dynamic_true_and_false(compiled: Any) -> None:
    f = compiled(lambda x: x * 2, dynamic=True)
    f(ag.ones(3, 4))
    f(ag.ones(5, 6))
    assert len(f.programs) == 1
    g = compiled(lambda x: x * 2, dynamic=False)
    for n in (2, 3, 4):
        g(ag.ones(n))
    assert len(g.programs) == 3


def test_sizes_that_can_not_vary_stay_numbers(compiled: Any) -> None:
    model = nn.Linear(4, 3)
    f = compiled(lambda x: model(x), dynamic=True)
    for n in (5, 6, 7, 8):
        np.testing.assert_allclose(f(ag.ones(n, 4)).tolist(), model(ag.ones(n, 4)).tolist())
    assert len(f.programs) == 2
    with pytest.raises(RuntimeError, match=r"linear: f32\(5, 7\) and f32\(3, 4\)"):
        f(ag.ones(5, 7))


def test_a_training_step_of_any_batch_size(backend: str) -> None:
    def make() -> Any:
        ag.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
        return model, optim.SGD(model.parameters(), lr=0.1)

    def step_of(model: Any, opt: Any) -> Any:
        def step(x: Any, y: Any) -> Any:
            opt.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            opt.step()
            return loss

        return step

    plain = step_of(*make())
    fast = ag.compile(step_of(*make()), backend=backend, dynamic={"x": ("n",), "y": ("n",)})
    for n in (4, 3, 9, 2):
        x, y = normal(n, 3), normal(n, 2)
        np.testing.assert_allclose(fast(x, y).item(), plain(x, y).item(), rtol=1e-5)
    assert len(fast.programs) == 1


def test_an_external_backward_of_any_batch_size(compiled: Any) -> None:
    w = normal(3, 2).requires_grad_()
    f = compiled(lambda x: ag.tanh(x @ w).mean(), dynamic={"x": ("n",)})
    for n in (4, 7):
        x = normal(n, 3).requires_grad_()
        w.grad = None
        f(x).backward()
        got = x.grad.numpy(), w.grad.numpy()
        x.grad = w.grad = None
        ag.tanh(x @ w).mean().backward()
        np.testing.assert_allclose(got[0], x.grad.numpy(), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(got[1], w.grad.numpy(), rtol=1e-5, atol=1e-7)
    assert len(f.programs) == 1


def test_the_limit_names_what_changed(compiled: Any) -> None:
    f = compiled(lambda x, n: x * len(n))
    with ag.settings.using(retrace_limit=3):
        for n in range(3):
            f(ag.ones(2), str(n))
        with pytest.raises(RuntimeError, match=r"more than 3 programs.*argument 1: '2' became '3'"):
            f(ag.ones(2), "3")
    assert f(ag.ones(2), "1").tolist() == [1, 1]


def test_dtype_rank_and_grad_are_guarded(compiled: Any) -> None:
    f = compiled(lambda x: x * 2)
    f(ag.ones(2))
    assert f(ag.ones(2, dtype=ag.int64)).dtype is ag.int64
    assert f(ag.ones(2, 2)).shape == (2, 2)
    assert f(ag.ones(2, requires_grad=True)).requires_grad
    assert not f(ag.ones(2)).requires_grad
    assert len(f.programs) == 4


def test_explain_and_program(compiled: Any) -> None:
    f = compiled(lambda x, flag: x * 2 if flag else x, name="scale")
    f(ag.ones(2), True)
    f(ag.ones(2), True)
    f(ag.ones(2), False)
    text = f.explain()
    assert text.startswith("scale: 2 program(s)")
    assert "0: (f32[2], True), 2 call(s)" in text
    assert "because: argument 1: True became False" in text
    assert "segment 0" in text
    assert str(f.program(ag.ones(2), True)).startswith("program scale(x: f32[2])")
    assert repr(f) == "<compiled scale, 2 program(s)>"
    assert f.__wrapped__ is f.function and f.__name__ == "<lambda>"


def test_a_symbolic_size_is_a_number() -> None:
    def f(x: Any) -> Any:
        n = x.shape[0]
        return x * (1.0 / n), x * (n / 2), x * n**0.5, x * (n * 0.5 + 1.5), n * x, x / n

    fast = ag.compile(f, backend="reference", dynamic={"x": ("n",)})
    for n in (3, 4):
        x = normal(n)
        for got, want in zip(fast(x), f(x), strict=True):
            assert got.dtype is want.dtype
            np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-6)
    assert len(fast.programs) == 1


# What Python does with a size n of the tensor x, and the same of an int.
SIZES = """
    x * (n // -2)           x * (n % -3)            x * (-n // 2)           x * (-n % 3)
    x * (7 // n)            x * (-7 // n)           x * (-7 % n)            x * ((n - 5) // 2)
    x * ((n - 5) % 3)       x * abs(n - 4)          x * sum(divmod(n, 3))   x * sum(divmod(7, n))
    x * 2**n                x * n**2                x * (n - 5)**2          x * pow(n, 2, 5)
    x * (n & 1)             x * (n >> 1)            x * (1 << n)            x * (n | 1)
    x * ~n                  x[: (n + 3) & ~3]       x * (n // 2.0)          x * (n % 2.0)
    x * (7.0 // n)          x * (n * 0.5)           x * n**0.5              x * 2.0**n
    x * int(n * 0.5)        x * int(n / 2)          x * math.ceil(n / 2)    x * round(n / 2)
    x * float(n**2)         x[: n**2]               x * math.sqrt(n)        x * math.gcd(n, 6)
    x * n.bit_length()      x * np.sqrt(n)          x * np.arange(n).sum()  x * sum(range(n))
    x * len(f"{n:03d}")     x * len("%d" % n)       x * len(repr(n))        x * len(str((n, 1)))
    x * len(str(x.shape))   x * hash(n)             x * isinstance(n, int)  {str(n): x}
    x * {3: 1, 4: 2}.get(n, 0)                      x * max(n, 4)           x * min(n / 2, 2.2)
    x * (n / 2 > 2.2)       x.chunk(2)              x.chunk(3)              x.chunk(4)
    x.tensor_split(3)       x.split(2)              x.view(n // 1)          x.new_zeros(n // 2)
    x * divmod(n - 10, 3)[0]                        x * divmod(n - 10, 3)[1]
    x * (n // (13 - 2 * n))                         x * (n % (13 - 2 * n))  x * (100 // (n - 9))
    x * pow(n, 20, 7)       x * pow(n, -1, 11)      x * (n**20 % 97)        x * n.real
    x * (n > 4.5)           x * (n == 4.0)          x * (n <= math.inf)     x * (n - 0.5)
    x[-(n // 2) :]          x[n // -2 :]            x[n % -3 :]             x[-n // 2 :]
    x[(1 - n) // 2 :]       x[1 - n :]              x[: -(n // 3)]          x[n - 10 :]
    x[n // 3 : -(n // 3)]   x[..., -(n // 2) - 1 :]                         x[4 - n :]  x[: 4 - n]
    x[-n]                   x[-(n // 2)]            x[n - 1]                x[n // 2 :][-1]
    x[: n + 10]             x[n + 10 :]             x[min(n, 4) :]          x[max(n - 4, 0) :]
    x.roll(-n // 2)         x.roll(n + 1)           x.roll(3 * n // 2)      x.view(1, n).roll(n, 0)
    ag.full((2,), n)        ag.full((2,), n / 2)    ag.tensor(n / 2)        ag.tensor([n, 1])
    ag.tensor(n)            ag.as_tensor(n)         ag.arange(n - 1, -1, -1)
    ag.arange(-n, n)        ag.eye(n).triu(n // 2)  x.scatter(0, ag.tensor([n - 1]), n * 1.0)
    x.narrow(0, -(n // 2), 1)                       x.clamp(-n // 2, n // 2)
    F.pad(x, (-(n // 3), n))                        x.unfold(0, n // 2, 1)
    x.repeat(3)[n : -(n // 2)]
    x.split([n // 2, n - n // 2])                   x.diag(n // 3 - 1)
"""


@pytest.mark.parametrize("text", re.split(r"\s{2,}", SIZES.strip()))
def test_sizes_compute_as_ints_do(text: str) -> None:
    names = {"math": math, "np": np, "ag": ag, "F": F}
    function = eval(f"lambda x, n: {text}", names)

    def called(x: Any) -> Any:
        return function(x, x.shape[0])

    compiled = ag.compile(called, backend="reference")
    for n in (3, 4, 5, 6, 8):
        x = ag.arange(float(n))
        assert repr(compiled(x)) == repr(called(x)), n


@pytest.mark.parametrize("parts", [1, 2, 3, 4])
def test_chunks_of_any_size(compiled: Any, parts: int) -> None:
    f = compiled(lambda x: x.chunk(parts, 1))
    for n in (4, 5, 6, 7, 8, 9, 2, 1):
        x = ag.arange(2.0 * n).view(2, n)
        assert [p.tolist() for p in f(x)] == [p.tolist() for p in x.chunk(parts, 1)]


def test_floats_that_python_reads_are_told_apart(compiled: Any) -> None:
    """-0.0 equals 0.0 and NaN nothing, but a program for one of them is not for another."""

    def sign(x: Any, v: float) -> Any:
        return x * math.copysign(1.0, v)

    f, x = compiled(sign), ag.ones(2)
    for v in (0.0, -0.0, math.nan, -math.nan, 1.0, -0.0, math.nan, 0.0, -math.nan, -2.0):
        for _ in range(3):
            assert f(x, v).tolist() == sign(x, v).tolist(), v
    assert len(f.programs) <= 7


# Windows, slices and indices that a small image has no room for.
WINDOWS = {
    "conv2d": lambda x: F.conv2d(x, ag.ones(1, 1, 3, 3), stride=2),
    "max_pool2d": lambda x: F.max_pool2d(x, 3, 2),
    "ceil_mode": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 2),
    "unfold": lambda x: F.unfold(x, (3, 3), stride=2),
    "narrow": lambda x: x.narrow(2, 3, 1),
    "select": lambda x: x.select(2, 3),
    "index": lambda x: x[0, 0, 3],
    "negative index": lambda x: x[0, 0, -3],
    "pad": lambda x: F.pad(x, (-3, 0)),
    "reflect": lambda x: F.pad(x, (3, 3, 3, 3), mode="reflect"),
    "diff": lambda x: x.diff(n=3),
    "slice": lambda x: x[:, :, 3:],
    "negative slice": lambda x: x[:, :, :-3],
    "topk": lambda x: x.topk(3, 2)[0],
    "split": lambda x: x.split([3, x.shape[2] - 3], 2)[1],
}


@pytest.mark.parametrize("name", list(WINDOWS))
def test_what_is_too_small_is_refused_as_eagerly(compiled: Any, name: str) -> None:
    eager = WINDOWS[name]
    f = compiled(eager)
    for n in (8, 9, 10, 2, 3, 4, 5):
        x = ag.arange(float(n * n)).view(1, 1, n, n)
        try:
            want = eager(x).tolist()
        except (RuntimeError, IndexError, ValueError) as error:
            with pytest.raises(type(error)):
                f(x)
        else:
            np.testing.assert_allclose(f(x).tolist(), want, rtol=1e-6)
