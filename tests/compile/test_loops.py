"""`ag.while_loop`: eager, compiled, differentiated, in files; against Python's loop."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand.base.errors import LoopLimitError


def rounds(i: Any, n: Any, x: Any) -> Any:
    return i < n


def grown(i: Any, n: Any, x: Any) -> Any:
    return i + 1, n, x * 1.5 + i


def loop(n: Any, x: Any) -> Any:
    return ag.while_loop(rounds, grown, (0, n, x))[2]


def expected(n: int, x: Any) -> Any:
    for i in range(n):
        x = x * np.float32(1.5) + np.float32(i)
    return x


@pytest.mark.parametrize("backend", [None, "cpu", "reference"])
@pytest.mark.parametrize("n", [0, 1, 7])
def test_a_loop_runs_as_many_rounds_as_a_call_needs(n: int, backend: str | None) -> None:
    f = loop if backend is None else ag.compile(loop, backend=backend)
    x = np.array([1, -2, 3], np.float32)
    for rows in (x, np.repeat(x, 2)):
        np.testing.assert_allclose(f(ag.tensor(n), ag.tensor(rows)), expected(n, rows), rtol=1e-6)


def test_one_program_serves_all_numbers_of_rounds() -> None:
    f = ag.compile(loop)
    for n in (0, 1, 5):
        f(ag.tensor(n), ag.ones(2))
    assert len(f.programs) == 1
    assert "while_loop" in f.explain()


def test_what_is_carried_may_be_nested_and_numbers() -> None:
    def f(x: Any) -> Any:
        return ag.while_loop(
            lambda s: s["i"] < 3,
            lambda s: ({"i": s["i"] + 1, "x": [s["x"][0] * 2]},),
            ({"i": 0, "x": [x]},),
        )

    for function in (f, ag.compile(f)):
        (found,) = function(ag.ones(2))
        assert found["x"][0].tolist() == [8.0, 8.0]
        assert int(found["i"]) == 3


def test_gradients_of_the_carried_and_of_what_is_read() -> None:
    w = ag.tensor([1.1, 0.5], dtype=ag.float64, requires_grad=True)

    def f(n: Any, x: Any) -> Any:
        _, y = ag.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, (y * w).sin()), (0, x))
        return (y * y).sum()

    for n in (0, 1, 4):
        grads = []
        for function in (f, ag.compile(f)):
            x = ag.tensor([0.3, 2.0], dtype=ag.float64, requires_grad=True)
            function(ag.tensor(n), x).backward()
            grads.append((x.grad, ag.zeros(2, dtype=ag.float64) if w.grad is None else w.grad))
            w.grad = None
        for a, b in zip(*grads, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


def test_a_second_derivative_is_an_error_that_says_so() -> None:
    @ag.compile
    def f(x: Any) -> Any:
        (y,) = ag.while_loop(lambda y: y.sum() < 9, lambda y: (y * y,), (x,))
        (g,) = ag.autograd.grad(y.sum(), x, create_graph=True)
        return ag.autograd.grad(g.sum(), x)

    with pytest.raises(RuntimeError, match="first derivatives only"):
        f(ag.tensor([2.0, 2.0], requires_grad=True))


def test_rounds_write_state_and_draw() -> None:
    count = ag.zeros(())

    def body(x: Any) -> Any:
        count.add_(1)
        return (x + ag.rand(2),)

    def f(x: Any) -> Any:
        return ag.while_loop(lambda x: x.sum() < 10, body, (x,))[0]

    found = []
    for function in (f, ag.compile(f)):
        count.zero_()
        ag.manual_seed(0)
        found.append((function(ag.zeros(2)).tolist(), count.item(), ag.rand(1).item()))
    assert found[0] == found[1]
    assert found[0][1] > 2


def test_loops_in_branches_in_loops() -> None:
    def f(n: Any, x: Any) -> Any:
        def body(i: Any, x: Any) -> Any:
            inner = ag.while_loop(lambda j, x: j < i, lambda j, x: (j + 1, x + 1), (0, x))
            return i + 1, ag.cond(x.sum() > 5, lambda: inner[1] * 2, lambda: inner[1] - 1)

        return ag.while_loop(lambda i, x: i < n, body, (0, x))[1]

    fast = ag.compile(f)
    for n in range(5):
        assert fast(ag.tensor(n), ag.ones(2)).tolist() == f(ag.tensor(n), ag.ones(2)).tolist()


def test_a_round_may_use_sizes_that_no_operand_has() -> None:
    def f(x: Any, n: Any) -> Any:
        return ag.while_loop(
            lambda i, s: i < n, lambda i, s: (i + 1, s + x.shape[0]), (0, ag.tensor(0))
        )[1]

    fast = ag.compile(f, dynamic=True)
    for size in (2, 3, 5):
        assert fast(ag.ones(size), ag.tensor(4)).item() == 4 * size


@pytest.mark.parametrize(
    ("cond_fn", "body_fn", "message"),
    [
        (lambda x: x.sum() < 9, lambda x: x.sum(), "must keep the types .* got f32"),
        (lambda x: x < 9, lambda x: x, r"0-d boolean, got bool\(2,\)"),
        (lambda x: x.sum() < 9, lambda x: (x, x), "nested alike"),
        (lambda x: x.sum() < 9, lambda x: "x", "got a str"),
    ],
)
def test_what_does_not_fit_is_named(cond_fn: Any, body_fn: Any, message: str) -> None:
    with pytest.raises((RuntimeError, TypeError), match=message):
        ag.compile(lambda x: ag.while_loop(cond_fn, body_fn, (x,)))(ag.ones(2))


def test_a_loop_that_never_ends_is_stopped() -> None:
    f = ag.compile(lambda x: ag.while_loop(lambda x: x.sum() > 0, lambda x: x * 1, (x,)))
    with ag.settings.using(loop_limit=100), pytest.raises(LoopLimitError, match="after 100 rounds"):
        f(ag.ones(2))


def test_a_file_keeps_the_loop() -> None:
    program = ag.export.export(
        loop, (ag.tensor(3), ag.ones(2)), dynamic_shapes=(None, {0: ag.Dim("k")})
    )
    file = io.BytesIO()
    program.save(file)
    file.seek(0)
    loaded = ag.export.load(file)
    for n in (0, 2, 9):
        x = np.arange(5, dtype=np.float32)
        np.testing.assert_allclose(loaded(np.array(n), x), expected(n, x), rtol=1e-6)
    x = ag.ones(2, requires_grad=True)
    loaded(ag.tensor(3), x).sum().backward()
    assert x.grad.tolist() == [1.5**3] * 2


def test_a_round_writes_what_the_function_has_computed_before() -> None:
    def f(x: Any) -> Any:
        out = x * 0
        row = out[1]

        def body(t: Any) -> Any:
            out[t] = x[t] * 2
            ag.cond(t > 1, lambda: out.add_(1), lambda: out.mul_(3))
            return t + 1

        ag.while_loop(lambda t: t < x.shape[0], body, (ag.tensor(0),))
        return out + 1, row * 2

    x = ag.arange(12.0).reshape(4, 3)
    for found, expected in zip(ag.compile(f)(x), f(x), strict=True):
        assert ag.equal(found, expected)


def test_a_branch_writes_what_the_function_has_computed_before() -> None:
    def f(x: Any) -> Any:
        out = x * 0
        flat = out.view(-1)
        result = ag.cond(x.sum() > 0, lambda: out.add_(x).sum(), lambda: out.sub_(1).sum() * 1)
        return out * 3, flat, result

    for x in (ag.ones(2, 3), -ag.ones(2, 3)):
        for found, expected in zip(ag.compile(f)(x), f(x), strict=True):
            assert ag.equal(found, expected)
