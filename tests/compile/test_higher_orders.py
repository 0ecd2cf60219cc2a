"""Derivatives of second and higher order through compiled functions, against eager and closed
forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag
import argand.nn.functional as F  # PyTorch's name
from argand import nn
from argand.autograd import gradcheck, gradgradcheck


def vector(*values: float, dtype: str = "float64") -> Any:
    return ag.tensor(values, dtype=dtype, requires_grad=True)


def orders(f: Any, x: Any, count: int) -> list[Any]:
    """The derivatives of the sum of f, one by one."""
    found, y = [], f(x)
    for _ in range(count):
        (y,) = ag.autograd.grad(y.sum(), x, create_graph=True)
        found.append(y.detach().numpy())
    return found


def stop(x: Any) -> Any:
    return x.exp() * x.detach() * x


def without(x: Any) -> Any:
    with ag.no_grad():
        scale = x * 2
    return scale * x * x * x


class Straight(ag.autograd.Function):
    """Rounds; its derivative is taken to be x."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return ag.round(x)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        (x,) = ctx.saved_tensors
        return grad * x


def in_place(x: Any) -> Any:
    y = x * x
    y[1:] = y[:-1].clone() * x[1:]
    y.add_(x**4)
    return y


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x**5,
        lambda x: ag.tanh(x) * ag.exp(x),
        stop,
        without,
        lambda x: Straight.apply(x) * x * x,
        in_place,
        lambda x: F.softmax(x * x, 0) * x,
        lambda x: ag.stack([x, x * x]).prod(0).cumsum(0),
        lambda x: F.gelu(x) * x.view(3),
        lambda x: ag.cond(x.sum() > 0, lambda x: x * x * x, lambda x: x, x),
    ],
    ids=[
        "power",
        "tanh",
        "detach",
        "no_grad",
        "custom",
        "in_place",
        "softmax",
        "stack",
        "gelu",
        "cond",
    ],
)
def test_every_order_equals_eagers(f: Any, compiled: Callable[..., Any]) -> None:
    x = vector(0.5, -1.25, 2.0)
    fast = compiled(f)
    for _ in range(2):
        for got, expected in zip(orders(fast, x, 3), orders(f, x, 3), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)
    assert len(fast.programs) == 1


def test_a_closed_form(compiled: Callable[..., Any]) -> None:
    first, second, third = orders(compiled(lambda x: x**4), vector(1.0, 2.0), 3)
    np.testing.assert_allclose(first, [4.0, 32.0])
    np.testing.assert_allclose(second, [12.0, 48.0])
    np.testing.assert_allclose(third, [24.0, 48.0])


def test_finite_differences(compiled: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    x, w = (ag.tensor(rng.standard_normal((3, 3)), requires_grad=True) for _ in range(2))
    f = compiled(lambda x, w: ag.tanh(x @ w).softmax(1) * w)
    assert gradcheck(f, (x, w))
    assert gradgradcheck(f, (x, w))


def test_a_gradient_penalty_reaches_captured_parameters(compiled: Callable[..., Any]) -> None:
    ag.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    x = ag.randn(5, 3, dtype="float64", requires_grad=True)

    def penalties(f: Any) -> list[Any]:
        found = []
        for _ in range(2):
            model.zero_grad()
            (g,) = ag.autograd.grad(f(x).sum(), x, create_graph=True)
            ((g.norm(2, dim=1) - 1) ** 2).mean().backward()
            found += [None if p.grad is None else p.grad.numpy() for p in model.parameters()]
        return found

    for got, expected in zip(penalties(compiled(model)), penalties(model), strict=True):
        if expected is None:
            assert got is None or not got.any()  # the last bias, where no gradient leads
        else:
            np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_one_step_of_maml(compiled: Callable[..., Any]) -> None:
    rng = np.random.default_rng(1)
    x, y = (ag.tensor(rng.standard_normal((6, 2))) for _ in range(2))

    def loss(w: Any, x: Any, y: Any) -> Any:
        return F.mse_loss(ag.sin(x @ w), y)

    def meta(loss: Any) -> Any:
        w = ag.tensor(np.eye(2), requires_grad=True)
        fast_weights = w
        for _ in range(3):
            (g,) = ag.autograd.grad(loss(fast_weights, x, y), fast_weights, create_graph=True)
            fast_weights = fast_weights - 0.1 * g
        return ag.autograd.grad(loss(fast_weights, x, y), w)[0].numpy()

    np.testing.assert_allclose(meta(compiled(loss)), meta(loss), rtol=1e-10)


def test_a_hessian_vector_product_of_the_cubic(compiled: Callable[..., Any]) -> None:
    f, x, v = compiled(lambda x: (x**3).sum()), vector(1.0, 2.0), vector(3.0, -1.0).detach()
    (g,) = ag.autograd.grad(f(x), x, create_graph=True)
    np.testing.assert_allclose(ag.autograd.grad(g, x, v)[0].numpy(), [18.0, -12.0])
    full = ag.autograd.functional.hessian(f, x.detach()).numpy()
    np.testing.assert_allclose(full, np.diag([6.0, 12.0]))


def test_cotangents_are_differentiated_too(compiled: Callable[..., Any]) -> None:
    f, x, c = compiled(lambda x: (x * x, ag.sin(x))), vector(0.5), vector(3.0)
    a, _ = f(x)
    (g,) = ag.autograd.grad(a, x, c, create_graph=True)  # 2 x c; the other result is unused
    np.testing.assert_allclose(ag.autograd.grad(g, c, retain_graph=True)[0].numpy(), [1.0])
    np.testing.assert_allclose(ag.autograd.grad(g, x)[0].numpy(), [6.0])


def test_compiled_functions_one_after_the_other(compiled: Callable[..., Any]) -> None:
    f, g = compiled(lambda x: x * x), compiled(lambda x, scale: ag.exp(x) * scale)
    x = vector(0.5, 0.25)
    for got, expected in zip(
        orders(lambda x: g(f(x * 2), scale=3.0), x, 2),
        orders(lambda x: ag.exp(4 * x * x) * 3, x, 2),
        strict=True,
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_the_random_numbers_of_the_call(compiled: Callable[..., Any]) -> None:
    f, x = compiled(lambda x: F.dropout(x * x * x, 0.5)), ag.ones(64).requires_grad_()
    ag.manual_seed(0)
    first, second = f(x), f(x)
    after = ag.default_generator.get_state()
    for y in (first, second):
        (g,) = ag.autograd.grad(y.sum(), x, create_graph=True)
        (gg,) = ag.autograd.grad(g.sum(), x)
        np.testing.assert_allclose(g.detach().numpy(), 3 * y.detach().numpy())
        np.testing.assert_allclose(gg.numpy(), 6 * y.detach().numpy())
    assert not ag.equal(first, second)
    assert ag.equal(after, ag.default_generator.get_state())


def test_state_is_written_once(compiled: Callable[..., Any]) -> None:
    ag.manual_seed(0)
    results = []
    for way in (compiled, lambda f: f):
        ag.manual_seed(0)
        norm = nn.BatchNorm1d(2).double()
        x = ag.randn(4, 2, dtype="float64", requires_grad=True)
        f = way(lambda x, norm=norm: norm(x * x))
        ys = f(x), f(x)
        (g,) = ag.autograd.grad((ys[0] * ys[0] * x).sum(), x, create_graph=True)
        (g * g).sum().backward()
        results.append((norm.running_mean, norm.num_batches_tracked, x.grad, norm.weight.grad))
    for got, expected in zip(*results, strict=True):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-8)


def test_state_that_the_call_rebinds(compiled: Callable[..., Any]) -> None:
    class Memory:
        h = None
        calls = 0

    def run(way: Callable[..., Any]) -> list[Any]:
        memory = Memory()
        memory.h = ag.ones(2, dtype="float64")

        def f(x: Any, seen: list[Any]) -> Any:
            seen.append(x.detach() * 2)
            memory.calls += 1
            y = (x + memory.h) ** 3 * memory.calls
            memory.h = memory.h + x.detach()
            return y + seen[0]

        fast, x, seen = way(f), vector(1.0, 2.0), []
        found = []
        for y in [fast(x, seen), fast(x, seen)]:
            (g,) = ag.autograd.grad(y.sum(), x, create_graph=True)
            (gg,) = ag.autograd.grad(g.sum(), x)
            found += [y, g, gg, memory.h]
        return [*(t.detach().numpy() for t in found), memory.calls, len(seen)]

    for got, expected in zip(run(compiled), run(lambda f: f), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-10)


def test_a_tensor_left_in_state_has_no_higher_derivative(compiled: Callable[..., Any]) -> None:
    kept: dict[str, Any] = {"y": None}

    def f(x: Any) -> Any:
        kept["y"] = x**3
        return x**2

    x = vector(2.0)
    y = compiled(f)(x)
    (g,) = ag.autograd.grad(y, x, create_graph=True)
    np.testing.assert_allclose(ag.autograd.grad(g, x)[0].numpy(), [2.0])
    np.testing.assert_allclose(ag.autograd.grad(kept["y"], x, retain_graph=True)[0].numpy(), [12.0])
    with pytest.raises(RuntimeError, match="return the tensor from the function"):
        ag.autograd.grad(kept["y"], x, create_graph=True)


def test_what_changed_since_the_call_is_refused(compiled: Callable[..., Any]) -> None:
    w = vector(2.0)
    model = nn.Dropout(0.0)
    f, x = compiled(lambda x: model(x + w) ** 3), vector(1.0)

    def use() -> Any:
        y = f(x)
        yield
        with pytest.raises(RuntimeError, match="has changed since the call"):
            ag.autograd.grad(y, x, create_graph=True)
        yield

    steps = use()
    next(steps)
    with ag.no_grad():
        w.add_(1)
    next(steps)
    steps = use()
    next(steps)
    model.eval()
    next(steps)


def test_needed_state_that_the_call_overwrote_is_refused(compiled: Callable[..., Any]) -> None:
    h = ag.ones(1, dtype="float64")

    def f(x: Any) -> Any:
        y = (x + h) ** 3
        with ag.no_grad():
            h.add_(1)
        return y

    x = vector(1.0)
    y = compiled(f)(x)
    with pytest.raises(RuntimeError, match="has overwritten h"):
        ag.autograd.grad(y, x, create_graph=True)
    np.testing.assert_allclose(ag.autograd.grad(y, x)[0].numpy(), [12.0])


def test_a_saved_value_overwritten_inside_is_eagers_error(compiled: Callable[..., Any]) -> None:
    def f(x: Any) -> Any:
        y = x * x
        return y.mul_(y * x)

    for way in (compiled, lambda f: f):
        x = vector(1.0)
        with pytest.raises(RuntimeError, match="overwritten in place"):
            ag.autograd.grad(way(f)(x), x)


def test_a_first_derivative_holds_no_arguments_afterwards() -> None:
    import gc
    import weakref

    f, x = ag.compile(lambda x, unused: x * x + unused), vector(1.0, 2.0)
    extra = ag.ones(2)
    held = weakref.ref(extra)
    y = f(x, extra)
    del extra
    y.sum().backward()
    gc.collect()
    assert held() is None
