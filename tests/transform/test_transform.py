"""Custom functions, checkpointing, anomaly detection, products with Jacobians."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import argand as ag
from argand.autograd import (
    Function,
    detect_anomaly,
    functional,
    grad,
    gradcheck,
    gradgradcheck,
    once_differentiable,
    set_detect_anomaly,
)
from argand.utils.checkpoint import checkpoint, checkpoint_sequential


def doubles(*shape: int, seed: int = 0) -> Any:
    """A float64 leaf that wants a gradient."""
    values = np.random.default_rng(seed).uniform(-1, 1, shape)
    return ag.tensor(values, requires_grad=True)


class Exp(Function):
    """exp by hand."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (y,) = ctx.saved_tensors
        return g * y


class Scaled(Function):
    """x * factor and the sign of x, in the style with setup_context."""

    @staticmethod
    def forward(x: Any, factor: float) -> Any:
        return x * factor, x.sign()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.factor = inputs[1]
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, g: Any, unused: Any) -> Any:
        assert ctx.needs_input_grad == (True, False)
        assert unused is not None
        return g * ctx.factor, None


def test_custom_function_and_its_second_derivative() -> None:
    x = doubles(3)
    assert gradcheck(Exp.apply, (x,))
    assert gradgradcheck(Exp.apply, (x,))


def test_custom_function_with_several_outputs() -> None:
    x = doubles(3)
    y, sign = Scaled.apply(x, 3.0)
    assert y.requires_grad and not sign.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [3, 3, 3]


def test_custom_function_that_returns_its_input() -> None:
    class Same(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    x = doubles(2)
    y = Same.apply(x)
    assert y is not x and x.is_leaf
    y.sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_saved_tensors_are_guarded() -> None:
    y = Exp.apply(doubles(2))
    with ag.no_grad():
        y.add_(1)
    with pytest.raises(RuntimeError, match="overwritten in place"):
        y.sum().backward()


def test_wrong_number_of_gradients() -> None:
    class Bad(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            return x + y

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            return g

    with pytest.raises(RuntimeError, match="1 gradients for the 2 arguments"):
        Bad.apply(doubles(2), doubles(2)).sum().backward()


def test_checkpoint_computes_the_same() -> None:
    w, x = doubles(3, 3), doubles(2, 3, seed=1)

    def block(x: Any) -> Any:
        return (x @ w).tanh() * ag.rand(2, 3, dtype=ag.float64)

    ag.manual_seed(1)
    expected = grad(block(x).sum(), [x, w])
    ag.manual_seed(1)
    y = checkpoint(block, x, use_reentrant=False).sum()
    state = ag.get_rng_state()
    found = grad(y, [x, w])
    assert ag.equal(state, ag.get_rng_state())
    for a, b in zip(found, expected, strict=True):
        assert ag.allclose(a, b)
    assert gradcheck(lambda x: checkpoint(lambda x: (x @ w).tanh(), x), (x,))
    assert gradgradcheck(lambda x: checkpoint(lambda x: (x @ w).tanh(), x), (x,))


def test_checkpoint_runs_again_and_keeps_nothing() -> None:
    calls = []

    def block(x: Any) -> Any:
        calls.append(1)
        return x.exp().tanh()

    x = doubles(4)
    y = checkpoint_sequential([block, block, block], 2, x)
    assert len(calls) == 3
    y.sum().backward()
    assert len(calls) == 4
    expected = grad(x.exp().tanh().exp().tanh().exp().tanh().sum(), x)[0]
    assert ag.allclose(x.grad, expected)


def test_anomaly_names_operation_line_and_origin() -> None:
    with detect_anomaly():
        x = ag.tensor([0.0, -1.0], requires_grad=True)
        y = x.sqrt() * 0
        with pytest.raises(RuntimeError, match=r"SqrtBackward0.*first NaN.* sqrt at test_tr"):
            y.sum().backward()
    x = ag.tensor([0.0], requires_grad=True)
    (x.sqrt() * 0).sum().backward()
    assert np.isnan(x.grad.numpy()).all()


def test_anomaly_leaves_schedules_as_they_are() -> None:
    """Watching operations is no trace: numbers of groups can be set, and are numbers."""
    w = ag.ones(2, requires_grad=True)
    optimizer = ag.optim.SGD([w], lr=0.1)
    schedule = ag.optim.lr_scheduler.StepLR(optimizer, 1)
    with ag.autograd.detect_anomaly():
        (w * w).sum().backward()
        optimizer.step()
        schedule.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)
        assert type(optimizer.param_groups[0]["lr"]) is float
    np.testing.assert_allclose(w.detach().numpy(), [0.8, 0.8], rtol=1e-6)


def test_anomaly_as_a_switch() -> None:
    set_detect_anomaly(True)
    try:
        x = ag.tensor([-1.0], requires_grad=True)
        with pytest.raises(RuntimeError, match="NaN"):
            x.log().sqrt().sum().backward()
    finally:
        set_detect_anomaly(False)
    assert ag.ones(2).add(1).tolist() == [2, 2]


def test_products_with_jacobians() -> None:
    def f(x: Any, y: Any) -> Any:
        return (x**2).sum() * y, x * y.sum()

    x, y = doubles(2).detach(), doubles(3, seed=1).detach()
    jac = functional.jacobian(f, (x, y))
    assert jac[0][0].shape == (3, 2) and jac[1][1].shape == (2, 3)
    vx, vy = doubles(2, seed=3).detach(), doubles(3, seed=4).detach()
    out, tangent = functional.jvp(f, (x, y), (vx, vy))
    for k in range(2):
        expected = jac[k][0] @ vx + jac[k][1] @ vy
        assert ag.allclose(tangent[k], expected)
        assert ag.allclose(out[k], f(x, y)[k])
    _, cotangent = functional.vjp(f, (x, y), (vy, vx))
    assert ag.allclose(cotangent[0], vy @ jac[0][0] + vx @ jac[1][0])
    assert ag.allclose(cotangent[1], vy @ jac[0][1] + vx @ jac[1][1])


def test_hessian() -> None:
    def f(x: Any) -> Any:
        return (x**3).sum() + x[0] * x[1]

    x = doubles(3).detach()
    h = functional.hessian(f, x)
    expected = np.diag(6 * x.numpy())
    expected[0, 1] = expected[1, 0] = 1
    np.testing.assert_allclose(h.numpy(), expected)
    v = doubles(3, seed=2).detach()
    _, product = functional.vhp(f, x, v)
    np.testing.assert_allclose(product.numpy(), expected @ v.numpy())


@pytest.mark.parametrize("name", ["vjp", "jvp", "vhp"])
def test_products_of_functions_that_do_not_depend_on_their_input(name: str) -> None:
    x, product = doubles(3).detach(), getattr(functional, name)
    one = ag.tensor(1.0, dtype=ag.float64)
    _, found = product(lambda x: one * 2, x, one if name == "vjp" else x)
    assert found.shape == (() if name == "jvp" else (3,)) and not found.any()
    with pytest.raises(RuntimeError, match=f"{name}: v can be left out only for one"):
        product(lambda x: x * one if name == "vjp" else (x * one).sum(), x)


def test_a_product_may_insist_on_dependence() -> None:
    x = doubles(3).detach()
    for product in (functional.vjp, functional.jvp):
        with pytest.raises(RuntimeError, match="does not depend on an input"):
            product(lambda x: ag.ones(3, dtype=ag.float64), x, x, strict=True)


def test_gradcheck_finds_a_wrong_derivative() -> None:
    class Wrong(Exp):
        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    x = doubles(2)
    with pytest.raises(RuntimeError, match="finite differences give"):
        gradcheck(Wrong.apply, (x,))
    assert not gradcheck(Wrong.apply, (x,), raise_exception=False)
