"""`grad`, `vjp`, `jvp`, Jacobians and Hessians: alone, nested, and inside and around `vmap`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import argand as ag
import argand.autograd.forward_ad as fwad
from argand.func import (
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    vjp,
    vmap,
)

X = ag.tensor([[0.5, -1.0], [2.0, 3.0], [-0.25, 1.5]], dtype=ag.float64)
W = ag.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=ag.float64)


def same(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(found.detach().numpy(), np.asarray(wanted), rtol=1e-9, atol=1e-12)


def loss(w: Any, x: Any) -> Any:
    return ((w @ x).sin() ** 2).sum()


def each() -> Any:
    return ag.stack([grad(loss)(W, x) for x in X]).numpy()


def test_any_order() -> None:
    f, x = (lambda x: x**4), ag.tensor(2.0)
    wanted = [16.0, 32.0, 48.0, 48.0, 24.0]
    for value in wanted:
        found = f(x)
        assert float(found) == value
        assert not found.requires_grad
        f = grad(f)


def test_transforms_that_are_nested_are_not_mixed_up() -> None:
    one, two = ag.tensor(1.0), ag.tensor(2.0)
    assert float(grad(lambda x: x * grad(lambda y: x + y)(one))(two)) == 1
    assert float(grad(lambda x: x * grad(lambda y: x * y)(x))(two)) == 4
    found = jvp(lambda x: x * jvp(lambda y: x * y, (one,), (one,))[1], (two,), (one,))
    assert [float(v) for v in found] == [4, 4]
    found = jvp(lambda x: grad(lambda y: x * x * y)(one), (two,), (one,))
    assert [float(v) for v in found] == [4, 4]
    assert float(grad(lambda x: jvp(lambda y: x * x * y, (one,), (one,))[1])(two)) == 4


def test_arguments_by_number() -> None:
    def f(a: Any, b: Any, c: Any = 1.0) -> Any:
        return (a * b).sum() * c

    a, b = ag.tensor([1.0, 2.0]), ag.tensor([3.0, 4.0])
    same(grad(f, argnums=1)(a, b), a.numpy())
    same(grad(f, argnums=-2)(a, b, c=2.0), 2 * b.numpy())
    of_a, of_b = grad(f, argnums=(0, 1))(a, b)
    same(of_a, b.numpy())
    same(of_b, a.numpy())
    tree = grad(lambda t: (t["a"] * t["b"][0]).sum())({"a": a, "b": [b]})
    same(tree["b"][0], a.numpy())
    found, (value, aux) = grad_and_value(lambda a: ((a * b).sum(), {"x": a * 2}), has_aux=True)(a)
    assert float(value) == 11
    same(found, b.numpy())
    assert not aux["x"].requires_grad


def test_what_is_unused_has_no_slope() -> None:
    same(grad(lambda a: (a * 0.0 + 1).sum() * 0 + 3.0)(ag.ones(2)), [0.0, 0.0])
    same(grad(lambda a, b: b.sum())(ag.ones(2), ag.ones(2)), [0.0, 0.0])


def test_outer_tensors_that_want_gradients() -> None:
    w = W.clone().requires_grad_()
    found = grad(lambda x: loss(w, x))(X[0])
    assert found.requires_grad
    found.sum().backward()
    numeric = grad(lambda w: grad(lambda x: loss(w, x))(X[0]).sum())(W)
    same(w.grad, numeric.numpy())
    with ag.no_grad():
        inside = grad(loss)(w, X[0])
    assert not inside.requires_grad
    same(inside, grad(loss)(W, X[0]).numpy())

    def f(x: Any) -> Any:
        with ag.no_grad():
            y = x * 2
        return (x * y).sum()

    same(grad(f)(ag.tensor([1.0, 3.0])), [2.0, 6.0])


def test_gradients_of_each_example() -> None:
    same(vmap(grad(loss), in_dims=(None, 0))(W, X), each())
    found, values = vmap(grad_and_value(loss), in_dims=(None, 0))(W, X)
    same(found, each())
    same(values, [float(loss(W, x)) for x in X])


def test_gradients_around_maps() -> None:
    same(grad(lambda w: vmap(loss, (None, 0))(w, X).sum())(W), each().sum(0))
    squares = grad(lambda w: vmap(grad(loss), (None, 0))(w, X).pow(2).sum())(W)
    same(squares, grad(lambda w: sum(grad(loss)(w, x).pow(2).sum() for x in X))(W).numpy())
    w = W.clone().requires_grad_()
    vmap(grad(loss), in_dims=(None, 0))(w, X).pow(2).sum().backward()
    same(w.grad, squares.numpy())


def test_detached_in_a_map_is_detached_around_it() -> None:
    found = grad(lambda x: vmap(lambda a: (a * a.detach()).sum())(x).sum())(X)
    same(found, X.numpy())
    same(vmap(grad(lambda a: (a * a.detach()).sum()))(X), X.numpy())


def test_pulling_back() -> None:
    y, pull = vjp(lambda a, b: {"p": a * b, "s": a.sum()}, X[0], X[1])
    same(y["p"], (X[0] * X[1]).numpy())
    of_a, of_b = pull({"p": ag.ones(2, dtype=ag.float64), "s": ag.tensor(2.0, dtype=ag.float64)})
    same(of_a, X[1].numpy() + 2)
    same(of_b, X[0].numpy())
    _, pull, aux = vjp(lambda a: (a.sin(), a * 2), X[0], has_aux=True)
    same(aux, 2 * X[0].numpy())
    same(vmap(pull)(ag.eye(2, dtype=ag.float64))[0], np.diag(np.cos(X[0].numpy())))


def test_along_tangents() -> None:
    t = ag.tensor([1.0, -2.0], dtype=ag.float64)
    y, along = jvp(lambda a: (a.sin(), a.prod()), (X[0],), (t,))
    a = X[0].numpy()
    same(along[0], np.cos(a) * t.numpy())
    same(along[1], a[1] * 1.0 + a[0] * -2.0)
    same(y[1], a.prod())
    out, push = linearize(lambda a: a**3, X[0])
    same(out, a**3)
    same(push(t), 3 * a**2 * t.numpy())
    same(vmap(push)(ag.eye(2, dtype=ag.float64)), np.diag(3 * a**2))
    same(jvp(lambda a: ag.ones(2), (X[0],), (t,))[1], [0.0, 0.0])


@pytest.mark.parametrize("of", [jacrev, jacfwd])
def test_jacobians(of: Any) -> None:
    def f(a: Any, b: Any) -> Any:
        return {"outer": a[:, None] * b, "sum": (a.sum(),)}

    a, b = X[0], ag.tensor([1.0, 2.0, 3.0], dtype=ag.float64)
    found = of(f, argnums=(0, 1))(a, b)
    same(found["outer"][0], np.einsum("ik,j->ijk", np.eye(2), b.numpy()))
    same(found["outer"][1], np.einsum("i,jk->ijk", a.numpy(), np.eye(3)))
    same(found["sum"][0][0], [1.0, 1.0])
    same(found["sum"][0][1], [0.0, 0.0, 0.0])
    alone, aux = of(lambda a: (a.sin(), a), has_aux=True)(a)
    same(alone, np.diag(np.cos(a.numpy())))
    same(aux, a.numpy())
    assert not alone.requires_grad
    same(vmap(of(lambda a: a * a.sum()))(X)[1], of(lambda a: a * a.sum())(X[1]).numpy())


def test_chunks_of_a_jacobian() -> None:
    whole = jacrev(lambda a: (W @ a).sin())(X[0])
    same(jacrev(lambda a: (W @ a).sin(), chunk_size=1)(X[0]), whole.numpy())


@pytest.mark.parametrize("outer", [jacrev, jacfwd])
@pytest.mark.parametrize("inner", [jacrev, jacfwd])
def test_hessians(outer: Any, inner: Any) -> None:
    def f(a: Any) -> Any:
        return (a**3).sum() * a[0]

    wanted = hessian(f)(X[1]).numpy()
    a0, a1 = X[1].numpy()
    np.testing.assert_allclose(wanted, [[12 * a0**2, 3 * a1**2], [3 * a1**2, 6 * a0 * a1]])
    same(outer(inner(f))(X[1]), wanted)
    same(vmap(outer(inner(f)))(X)[1], wanted)


def test_dual_tensors() -> None:
    x, one = ag.tensor(2.0), ag.tensor(1.0)
    with fwad.dual_level():
        dual = fwad.make_dual(x, one)
        primal, tangent = fwad.unpack_dual(dual**3)
        assert (float(primal), float(tangent)) == (8, 12)
        assert not tangent.requires_grad
        assert fwad.unpack_dual(x * 2).tangent is None
        with fwad.dual_level():
            inner = fwad.make_dual(dual, one)
            second = fwad.unpack_dual(inner**3).tangent
        assert float(fwad.unpack_dual(second).tangent) == 12
        with pytest.raises(RuntimeError, match="different size"):
            fwad.make_dual(ag.ones(3), ag.ones(2))
    assert fwad.unpack_dual(dual).tangent is None
    with pytest.raises(RuntimeError, match="no level exists"):
        fwad.make_dual(x, one)
    w = ag.tensor(3.0, requires_grad=True)
    with fwad.dual_level():
        fwad.unpack_dual(fwad.make_dual(x, one) * w * w).tangent.backward()
    assert float(w.grad) == 6


def test_cotangents_in_a_batch() -> None:
    x = X[0].clone().requires_grad_()
    y, unused = x.sin(), ag.ones(2, requires_grad=True)
    batch = ag.eye(2, dtype=ag.float64)
    found = ag.autograd.grad(y, [x, unused], batch, is_grads_batched=True, allow_unused=True)
    same(found[0], np.diag(np.cos(X[0].numpy())))
    assert found[1] is None


class Cube(ag.autograd.Function):
    """x^3 w, with derivatives ten times too large, to be told from the true ones."""

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any) -> Any:
        ctx.save_for_backward(x, w)
        return x**3 * w

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, w = ctx.saved_tensors
        return 30 * x**2 * g * w, (10 * x**3 * g).sum()


class Square(ag.autograd.Function):
    """x^2, computed by NumPy, with a rule of its own for maps."""

    @staticmethod
    def forward(x: Any) -> Any:
        return ag.from_numpy(x.detach().numpy() ** 2)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return 2 * ctx.saved_tensors[0] * g

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Any) -> Any:
        assert (info.batch_size, in_dims) == (3, (0,))
        return Square.apply(x), 0


def test_custom_functions() -> None:
    w, x = ag.tensor(2.0, dtype=ag.float64), X.numpy()
    same(grad(lambda x: vmap(lambda a: Cube.apply(a, w))(x).sum())(X), 60 * x**2)
    same(grad(lambda w: vmap(lambda a: Cube.apply(a, w))(X).sum())(w), 10 * (x**3).sum())
    same(vmap(grad(lambda a: Cube.apply(a, w).sum()))(X), 60 * x**2)
    per_row = vmap(grad(lambda w, a: Cube.apply(a, w).sum()), (None, 0))(w, X)
    same(per_row, 10 * (x**3).sum(1))
    second = vmap(grad(grad(lambda a: Cube.apply(a, w))))(X[:, 0])
    same(second, 120 * x[:, 0])
    around = grad(lambda x: vmap(grad(lambda a: Cube.apply(a, w)))(x).sum())(X[:, 0])
    same(around, 120 * x[:, 0])
    same(vmap(Square.apply)(X), x**2)
    same(vmap(grad(lambda a: Square.apply(a).sum()))(X), 2 * x)
    same(grad(lambda x: vmap(Square.apply)(x).sum())(X), 2 * x)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (
            lambda: grad(lambda x: x)(X[0]),
            RuntimeError,
            "return a scalar Tensor, got tensor with 1",
        ),
        (lambda: grad(lambda x: 1.0)(X[0]), RuntimeError, "Expected .* to return a Tensor"),
        (lambda: grad(lambda x: x, has_aux=True)(X[0]), RuntimeError, r"a tuple: \(output, aux\)"),
        (lambda: grad(lambda x: x, argnums=1)(X[0]), RuntimeError, "Got argnum=1, but only 1"),
        (lambda: grad(lambda x: x, argnums=(0, 0))(X), RuntimeError, "must be unique"),
        (lambda: grad(lambda x: x.sum())(ag.arange(3)), RuntimeError, "floating point dtype"),
        (lambda: grad(lambda x: x)(1.0), ValueError, "must be Tensor"),
        (lambda: grad(lambda x: x.mul_(2).sum())(X.clone()), RuntimeError, "leaf"),
        (lambda: jvp(lambda x: x, X, X), RuntimeError, "Expected primals to be a tuple"),
        (lambda: jvp(lambda x: x, (X,), (X, X)), RuntimeError, "the same python structure"),
        (lambda: jvp(lambda x: x, (X,), (X[0],)), RuntimeError, "a different size"),
        (lambda: jvp(lambda x: x, (), ()), RuntimeError, "at least one Tensor"),
        (lambda: jvp(lambda x: 1, (X,), (X,)), RuntimeError, "only tensors, got unsupported"),
        (lambda: jvp(ag.ones_like, (X,), (X,), strict=True), RuntimeError, "independent"),
        (lambda: vjp(lambda x: 1, X), RuntimeError, "only tensors, got unsupported"),
        (lambda: vjp(lambda x: (x, x), X)[1](X), RuntimeError, "pytree structure of cotangents"),
        (lambda: vjp(lambda x: x, X)[1](X[0]), RuntimeError, "Mismatch in shape: grad_output"),
        (lambda: jacrev(lambda x: x.int())(X), RuntimeError, "must be floating-point or complex"),
    ],
)
def test_misuse(make: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make()


def test_compiled_gradients_of_each_example_are_batch_code() -> None:
    f = ag.compile(lambda w, x: vmap(grad(loss), in_dims=(None, 0))(w, x))
    same(f(W, X), each())
    text = str(f.program())
    assert text.count("einsum") == 2  # the product and its gradient, for all examples at once
    assert "slice" not in text
