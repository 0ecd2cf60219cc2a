"""What a compiled function was made for, and what has changed when it is called again: each guard
by itself, a bound call (the second of equal calls) and one that is described
(the first)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.base.errors import TraceError
from argand.base.tree import flatten

Call = tuple[Any, ...]


def copied(args: Call) -> Call:
    """Fresh tensors of the same values, and the same ones where a tensor is there twice."""
    memo: dict[int, Any] = {}
    return tuple(
        memo.setdefault(id(a), a.detach().clone().requires_grad_(a.requires_grad))
        if isinstance(a, ag.Tensor)
        else a
        for a in args
    )


def check(function: Callable[..., Any], *calls: Call, **options: Any) -> None:
    """Each call twice, compiled and eagerly: same values, dtypes, shapes, wish for gradients."""
    compiled = ag.compile(function, **options)
    for args in calls:
        for _ in range(2):
            given, plain = copied(args), copied(args)
            got, want = flatten(compiled(*given))[0], flatten(function(*plain))[0]
            for g, w in zip([*got, *given], [*want, *plain], strict=True):
                if not isinstance(w, ag.Tensor):
                    continue
                assert (g.dtype, g.shape, g.requires_grad) == (w.dtype, w.shape, w.requires_grad)
                np.testing.assert_allclose(g.detach().numpy(), w.detach().numpy(), rtol=1e-6)


def vector(n: int, dtype: Any = ag.float32) -> Any:
    return ag.arange(n).to(dtype) + 1


def test_the_dtype_of_one_tensor() -> None:
    check(lambda x: x * 2, *[(vector(4, d),) for d in (ag.float32, ag.float64, ag.int64)])


def test_the_shape_of_one_tensor() -> None:
    shapes = [(vector(4),), (vector(8),), (vector(2),), (vector(1),), (vector(6).reshape(2, 3),)]
    check(lambda x: x * 2, *shapes)
    check(lambda x: x * 2, *shapes, dynamic=False)


def test_the_second_of_two_tensors() -> None:
    x = vector(4)
    others = [vector(4), vector(4, ag.float64), vector(1), vector(8).reshape(2, 4)]
    check(lambda x, y: x * y, *[(x, y) for y in others], dynamic=False)


def test_the_first_of_two_tensors() -> None:
    y = vector(4)
    others = [vector(4), vector(4, ag.float64), vector(1), vector(8).reshape(2, 4)]
    check(lambda x, y: x * y, *[(x, y) for x in others], dynamic=False)


def test_three_tensors() -> None:
    x = vector(4)
    others = [vector(4), vector(4, ag.float64), vector(1), vector(8).reshape(2, 4)]
    check(lambda x, y, z: x * y + z, *[(x, y, x + 1) for y in others], dynamic=False)


def test_whether_gradients_are_wanted() -> None:
    check(lambda x: x * 2, (vector(4),), (vector(4).requires_grad_(),), (vector(4),))
    x, y = vector(4), vector(4).requires_grad_()
    check(lambda x, y: x * y, (x, x.clone()), (x, y), (y, x), (x, x.clone()))
    check(lambda x, y, z: x * y + z, (x, x.clone(), x + 1), (x, x.clone(), y), (y, x, x + 1))


def test_the_number_of_arguments() -> None:
    def f(x: Any, y: Any = None) -> Any:
        return x * 2 if y is None else x * y

    check(f, (vector(4),), (vector(4), vector(4)), (vector(4),), (vector(4), 3.0))
    check(lambda *xs: xs[0] * len(xs), (vector(4),), (vector(4), vector(4)), (vector(4),))
    w = vector(4)
    check(lambda *xs: xs[0] * w * len(xs), (vector(4),), (vector(4), vector(4)), (vector(4),))


def test_grad_mode() -> None:
    w = vector(4).requires_grad_()
    compiled = ag.compile(lambda x: x * w)
    several = ag.compile(lambda x, y: (x * w, y))
    for enabled in (True, False, True):
        with ag.set_grad_enabled(enabled):
            for _ in range(2):
                assert compiled(vector(4)).requires_grad is enabled
                assert several(vector(4), vector(2))[0].requires_grad is enabled


def test_arguments_that_are_one_tensor() -> None:
    def f(x: Any, y: Any) -> Any:
        before = y * 3
        x.add_(1)
        return before + y * 2

    a, b = vector(4), vector(4)
    check(f, (a, b), (a, a), (b, a))
    check(f, (a, b), (a, a), (b, a), dynamic=True)


def test_an_argument_that_the_function_writes_behind() -> None:
    w = vector(4)

    def f(x: Any, y: Any) -> Any:
        before = x * 3
        w.add_(1)
        return before + x * 2 + y

    compiled = ag.compile(f)
    y = vector(4)
    for x in (vector(4), w, vector(4), w):
        for _ in range(2):
            old, before = w.clone(), x * 3
            got = compiled(x, y)
            np.testing.assert_array_equal(w.numpy(), old.numpy() + 1)
            np.testing.assert_array_equal(got.numpy(), (before + x * 2 + y).numpy())
    for view in (w[:], w.reshape(2, 2).reshape(4)):
        with pytest.raises(TraceError, match="shares its memory"):
            compiled(view, y)


class Scaled(nn.Module):
    """A Python number among the attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = 2.0
        self.inner = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        return x * self.factor


def test_debugging() -> None:
    f = ag.compile(lambda x: (x - 1).sqrt())
    for _ in range(2):
        f(vector(3))
    with ag.settings.using(debug=True), pytest.raises(FloatingPointError, match="NaN"):
        f(vector(3) - 2)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_the_epoch_of_modules(backend: str) -> None:
    model = Scaled()
    compiled = ag.compile(model, backend=backend)
    for factor in (2.0, 3.0, 2.0):
        model.factor = factor
        for _ in range(2):
            np.testing.assert_array_equal(compiled(vector(4)).numpy(), vector(4).numpy() * factor)


def test_memory_that_a_parameter_gets() -> None:
    model = Scaled()
    compiled = ag.compile(model.inner)
    x = ag.ones(2, 4)
    for seed in range(3):
        ag.manual_seed(seed)
        model.inner.weight.data = ag.rand(4, 4)
        for _ in range(2):
            want = model.inner(x).detach().numpy()
            np.testing.assert_allclose(compiled(x).detach().numpy(), want, rtol=1e-5)


def test_names_around_the_function() -> None:
    factor, names = 2.0, {"b": 1.0}

    def one(x: Any) -> Any:
        return x * factor + names["b"]

    def two(x: Any, y: Any) -> Any:
        return x * factor + names["b"], y

    first, second = ag.compile(one), ag.compile(two)
    for factor in (2.0, 3.0):
        for names["b"] in (1.0, 4.0):
            for _ in range(2):
                want = vector(4).numpy() * factor + names["b"]
                np.testing.assert_array_equal(first(vector(4)).numpy(), want)
                np.testing.assert_array_equal(second(vector(4), vector(2))[0].numpy(), want)


def test_sizes_that_become_symbols() -> None:
    sizes = [(vector(n).reshape(n, 1),) for n in (4, 5, 7, 1, 0, 2)]
    check(lambda x: x.squeeze(), *sizes)  # of one row no dimension is left
    check(lambda x: x.sum() / x.shape[0], *sizes[:4])
    check(lambda x: x * 2, *[(ag.rand(n, m),) for n, m in ((4, 3), (5, 3), (6, 4), (7, 3))])


def test_symbols_that_are_equal() -> None:
    """Made for equal sizes; then they differ."""
    pairs = [(n, n) for n in (4, 5, 7)] + [(4, 1), (1, 5), (5, 5)]
    check(lambda x, y: x + y, *[(vector(a), vector(b)) for a, b in pairs])
    compiled = ag.compile(lambda x, y: x + y)
    for n in (4, 5):
        compiled(vector(n), vector(n))
    with pytest.raises(ValueError, match=r"4.*6|6.*4"):
        compiled(vector(4), vector(6))


def test_what_python_decided_by_a_size() -> None:
    def f(x: Any) -> Any:
        return x * 2 if x.shape[0] > 5 else x * 3

    check(f, *[(vector(n),) for n in (4, 3, 5, 6, 9, 2)])


def test_constants_among_the_arguments() -> None:
    def f(x: Any, how: str, flag: bool) -> Any:
        return (x * 2 if how == "double" else x * 3) + (1 if flag else 0)

    x = vector(4)
    check(f, (x, "double", True), (x, "triple", True), (x, "double", False), (x, "triple", False))


def test_the_layout_of_an_argument() -> None:
    x = vector(6).reshape(2, 3)
    check(lambda x: x.reshape(6), (x,), (x.T,), (x,))
    compiled = ag.compile(lambda x: x.contiguous().view(-1))
    for given in (x, x.T, x):
        np.testing.assert_array_equal(compiled(given).numpy(), given.numpy().reshape(-1))
    written = ag.compile(lambda x: x.reshape(9).add_(1))  # of a transpose: a copy
    for turned in (False, True, False, True):
        base, plain = vector(9).reshape(3, 3), vector(9).reshape(3, 3)
        got = written(base.T if turned else base)
        want = (plain.T if turned else plain).reshape(9).add_(1)
        np.testing.assert_array_equal(got.numpy(), want.numpy())
        np.testing.assert_array_equal(base.numpy(), plain.numpy())


def test_a_gradient_that_is_there() -> None:
    w = vector(4).requires_grad_()

    def step(x: Any) -> Any:
        (w * x).sum().backward()
        return x * 1

    compiled = ag.compile(step)
    for times in (1, 2, 3):
        compiled(vector(4))
        assert w.grad is not None
        np.testing.assert_array_equal(w.grad.numpy(), vector(4).numpy() * times)
    w.grad = None
    compiled(vector(4))
    np.testing.assert_array_equal(w.grad.numpy(), vector(4).numpy())
