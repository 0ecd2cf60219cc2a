"""Results, gradients and rebound state that share memory do so after a compiled call too.

Every case runs eagerly and compiled; what it does to the results of each call, and what it sees
of them then, must be the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from between_calls import Plain

import argand as ag

Look = Callable[[Callable[..., Any], int], Any]
CASES: dict[str, Callable[[], tuple[Callable[..., Any], Look]]] = {}


def case(make: Any) -> Any:
    CASES[make.__name__] = make
    return make


def vector(n: int = 3) -> Any:
    return ag.arange(1.0, n + 1.0)


def numbers(*tensors: Any) -> list[Any]:
    return [t.tolist() for t in tensors]


@case
def a_result_and_views_of_it() -> Any:
    def f(x: Any) -> Any:
        y = x * 2
        return y, y[:2], y.detach(), {"column": y.view(3, 1)}

    def look(f: Any, i: int) -> Any:
        y, view, twin, found = f(vector())
        view.add_(1)
        found["column"].mul_(2)
        twin[2] = 7.0
        return numbers(y, view, twin, found["column"]), found["column"].shape

    return f, look


@case
def views_of_what_is_not_returned() -> Any:
    def f(x: Any) -> Any:
        y = x * 2
        return y[1:], y[:2]

    def look(f: Any, i: int) -> Any:
        a, b = f(vector())
        a.add_(1)
        b.mul_(2)
        return numbers(a, b)

    return f, look


@case
def parts_without_a_common_element() -> Any:
    def f(x: Any) -> Any:
        return (x * 2).chunk(3)

    def look(f: Any, i: int) -> Any:
        a, b, c = f(vector())
        a.add_(1)
        return numbers(a, b, c)

    return f, look


@case
def an_expanded_result() -> Any:
    def f(x: Any) -> Any:
        y = x * 2
        return y.expand(2, 3), y

    def look(f: Any, i: int) -> Any:
        rows, y = f(vector())
        y.add_(1)
        return numbers(rows, y)

    return f, look


@case
def the_real_part() -> Any:
    def f(x: Any) -> Any:
        z = ag.complex(x, x)
        return z.real, z, z.imag

    def look(f: Any, i: int) -> Any:
        real, z, imaginary = f(vector())
        z.add_(1)
        imaginary.zero_()
        return numbers(real, z, imaginary)

    return f, look


@case
def a_view_of_another_size_at_each_call() -> Any:
    def f(x: Any) -> Any:
        y = x * 2
        return y[: x.shape[0] - 1], y[1:]

    def look(f: Any, i: int) -> Any:
        a, b = f(vector(2 + i))
        a.add_(1)
        return numbers(a, b)

    return f, look


@case
def a_view_written_inside() -> Any:
    def f(x: Any) -> Any:
        y = x * 2
        view = y[:2]
        view.add_(5)
        return {"y": y, "view": view}

    def look(f: Any, i: int) -> Any:
        found = f(vector())
        found["view"].add_(1)
        return numbers(*found.values())

    return f, look


@case
def gradients_through_views() -> Any:
    w = ag.ones(3, requires_grad=True)

    def f(x: Any) -> Any:
        y = x * w
        return y, y[:2], y.detach(), y.view(3, 1)

    def look(f: Any, i: int) -> Any:
        w.grad = None
        y, view, twin, column = f(vector())
        (view.sum() * 2 + y.square().sum() + column.sum()).backward()
        assert w.grad is not None
        return numbers(w.grad), [t.requires_grad for t in (y, view, twin, column)]

    return f, look


@case
def gradients_of_higher_order_through_views() -> Any:
    w = ag.ones(3, requires_grad=True)

    def f(x: Any) -> Any:
        y = x * w * w
        return y[:2], y[1:]

    def look(f: Any, i: int) -> Any:
        a, b = f(vector())
        (g,) = ag.autograd.grad(a.sum() + b.sum(), w, create_graph=True)
        return numbers(g, *ag.autograd.grad(g.sum(), w))

    return f, look


@case
def a_view_of_a_gradient() -> Any:
    w = ag.ones(3, requires_grad=True)

    def f(x: Any) -> Any:
        w.grad = None
        (x * w).sum().backward()
        assert w.grad is not None
        return w.grad[:2]

    def look(f: Any, i: int) -> Any:
        view = f(vector())
        view.add_(1)
        return numbers(view, w.grad)

    return f, look


@case
def state_that_is_a_view_of_other_state() -> Any:
    state = Plain(a=ag.zeros(3), b=None)
    state.b = state.a[:2]

    def f(x: Any) -> Any:
        state.a = state.a + x
        state.b = state.a[:2]
        return state.b.sum()

    def look(f: Any, i: int) -> Any:
        total = f(vector())
        state.b.add_(1)
        return numbers(total, state.a, state.b)

    return f, look


@case
def state_that_is_a_view_of_the_result() -> Any:
    state = Plain(last=[])

    def f(x: Any) -> Any:
        y = x * 2
        state.last = [y[:1], y]
        return y

    def look(f: Any, i: int) -> Any:
        y = f(vector())
        y.mul_(2)
        return numbers(y, *state.last), state.last[1] is y

    return f, look


@pytest.mark.parametrize("name", sorted(CASES))
def test_memory_is_shared_as_eagerly(name: str, backend: str) -> None:
    function, look = CASES[name]()
    want = [look(function, i) for i in range(4)]
    function, look = CASES[name]()
    compiled = ag.compile(function, backend=backend)
    assert [look(compiled, i) for i in range(4)] == want


def test_parts_are_outputs_of_their_own() -> None:
    """What has no element in common needs no memory in common."""
    f = ag.compile(lambda x: (x * 2).chunk(2))
    a, _ = f(vector(4))
    assert a.is_contiguous()
    assert len(f.programs[0].outputs) == 2
    whole = ag.compile(lambda x: ((y := x * 2), y[1:]))
    whole(vector(4))
    assert len(whole.programs[0].outputs) == 1
