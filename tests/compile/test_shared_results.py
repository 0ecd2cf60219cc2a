"""Results, gradients and rebound state that share memory, or containers, do so after a call too.

Every case runs eagerly and compiled; what it does to the results of each call, and what it sees
of them then, must be the same.
"""

from __future__ import annotations

import dataclasses
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from between_calls import Plain

import argand as ag
from argand.compile.results import Found

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
def the_imaginary_part_alone() -> Any:
    def f(x: Any) -> Any:
        z = ag.complex(x, x)
        return z, z.imag

    def look(f: Any, i: int) -> Any:
        z, imaginary = f(vector())
        z.mul_(0)
        return numbers(imaginary)

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


@case
def what_is_contiguous_already() -> Any:
    w = ag.zeros(2, 3)

    def f(x: Any, y: Any) -> Any:
        z = x * 2
        z.contiguous().add_(1)
        w[0].contiguous().add_(x)
        x.contiguous().mul_(3)
        return z, y.contiguous(), w * 1

    def look(f: Any, i: int) -> Any:
        x, y = vector(), vector(6).view(2, 3)
        z, same, written = f(x, y)
        turned = f(x, y.t())[1]
        seen = same is y, turned.is_contiguous(), turned.stride()
        return seen, numbers(x, z, same, written, w, turned)

    return f, look


# -- containers that others hold too ---------------------------------------------------------------

TABLE: dict[str, Any] = {"a": 1.0, "list": [1.0]}


@dataclasses.dataclass
class Record:
    h: Any
    count: int = 0
    me: Any = None


@dataclasses.dataclass(slots=True)
class Slotted:
    h: Any


@case
def a_global_dictionary() -> Any:
    def f(x: Any) -> Any:
        return TABLE, x * TABLE["a"]

    def look(f: Any, i: int) -> Any:
        table, y = f(vector())
        return table is TABLE, numbers(y)

    return f, look


@case
def a_cache_that_is_an_argument() -> Any:
    cache = {"k": ag.zeros(3)}

    def f(x: Any, cache: dict[str, Any]) -> Any:
        cache["k"] = cache["k"] + x
        return x.sum(), cache

    def look(f: Any, i: int) -> Any:
        _, found = f(vector(), cache)
        seen = found is cache, numbers(cache["k"])
        found["k"] = found["k"] * 2
        return seen

    return f, look


@case
def containers_of_an_object() -> Any:
    state = Plain(log=[], table={"n": 0}, record=Record(ag.zeros(3)))

    def f(x: Any) -> Any:
        state.log.append(x.sum())
        state.table["n"] += 1
        state.record.h = state.record.h + x
        return state.log, {"inside": state.table}, state.record

    def look(f: Any, i: int) -> Any:
        log, found, record = f(vector())
        same = log is state.log, found["inside"] is state.table, record is state.record
        return same, numbers(*log, record.h), dict(state.table)

    return f, look


@case
def a_list_that_each_call_makes() -> Any:
    state = Plain(now=[ag.zeros(3)], too=None)

    def f(x: Any) -> Any:
        before = state.now
        state.now = state.too = [before[0] + x]
        return before, state.now

    def look(f: Any, i: int) -> Any:
        held = state.now
        before, now = f(vector())
        return before is held, now is state.now, now is state.too, numbers(*before, *now)

    return f, look


@case
def a_list_that_moves_and_grows() -> Any:
    state = Plain(now=[ag.zeros(3)], before=None)

    def f(x: Any) -> Any:
        state.before = state.now
        state.now = [state.before[0] + x]
        state.before.append(x)
        return state.before

    def look(f: Any, i: int) -> Any:
        held = state.now
        found = f(vector())
        return found is state.before, found is held, numbers(*found, *state.now)

    return f, look


@case
def a_list_that_leaves_its_place() -> Any:
    state = Plain(now=[ag.zeros(3)])

    def f(x: Any) -> Any:
        before = state.now
        state.now = [before[0] + x]
        before.append(x)
        return before

    def look(f: Any, i: int) -> Any:
        held = state.now
        found = f(vector())
        return found is held, numbers(*found, *state.now)

    return f, look


@case
def one_object_in_two_places() -> Any:
    state = Plain(a=None, b=None)

    def f(x: Any) -> Any:
        state.a = state.b = Plain(h=x * 2)
        return x

    def look(f: Any, i: int) -> Any:
        f(vector())
        return state.a is state.b, numbers(state.a.h)

    return f, look


@case
def a_list_from_outside_that_is_stored() -> Any:
    outside, state = [1.0], Plain(found=None)

    def f(x: Any) -> Any:
        state.found = outside
        return x * state.found[0]

    def look(f: Any, i: int) -> Any:
        y = f(vector())
        outside.append(2.0)
        return state.found is outside, numbers(y), list(state.found)

    return f, look


@case
def a_list_of_arguments() -> Any:
    def f(xs: list[Any], *, table: dict[str, Any]) -> Any:
        xs.append(xs[0] * 2)
        return [xs, table["inside"]], table["inside"]["k"] * xs[0]

    def look(f: Any, i: int) -> Any:
        xs, table = [vector()], {"inside": {"k": vector() * i}}
        (list_, inner), y = f(xs, table=table)
        return list_ is xs, inner is table["inside"], numbers(*xs, y)

    return f, look


@case
def records_from_outside() -> Any:
    outside, state = Record(ag.ones(3)), Plain(now=Slotted(ag.ones(3)), too=None)

    def f(x: Any) -> Any:
        state.too = state.now
        return outside, state.too, x * state.too.h

    def look(f: Any, i: int) -> Any:
        a, b, y = f(vector())
        return a is outside, b is state.now, state.too is state.now, numbers(y, a.h)

    return f, look


@case
def derivatives_of_higher_order_through_a_list() -> Any:
    def f(xs: list[Any]) -> Any:
        xs.append(xs[0] ** 3)
        return xs

    def look(f: Any, i: int) -> Any:
        x = vector().requires_grad_()
        y = f([x])[1].sum()
        (g,) = ag.autograd.grad(y, x, create_graph=True)
        return numbers(*ag.autograd.grad(g.sum(), x))

    return f, look


@case
def a_record_that_contains_itself() -> Any:
    record = Record(2.0)
    record.me = record

    def f(x: Any) -> Any:
        return record, x * record.h

    def look(f: Any, i: int) -> Any:
        found, y = f(vector())
        return found is record, numbers(y)

    return f, look


@case
def a_copy_of_a_dictionary() -> Any:
    state = {"h": ag.zeros(3)}

    def f(x: Any) -> Any:
        state["h"] = state["h"] + x
        return dict(state)

    def look(f: Any, i: int) -> Any:
        found = f(vector())
        found["h"].add_(1)
        return found is state, numbers(state["h"])

    return f, look


@case
def gradients_through_a_dictionary() -> Any:
    w = ag.ones(3, requires_grad=True)

    def f(x: Any, table: dict[str, Any]) -> Any:
        table["y"] = x * w
        return table

    def look(f: Any, i: int) -> Any:
        w.grad, table = None, {}  # type: ignore[var-annotated]
        found = f(vector(), table)
        found["y"].sum().backward()
        return found is table, numbers(w.grad)

    return f, look


@pytest.mark.parametrize("name", sorted(CASES))
def test_results_are_shared_as_eagerly(name: str, backend: str) -> None:
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


def test_what_is_only_read_is_not_written() -> None:
    """Another thread may look at the containers of an argument meanwhile."""
    for record in (Record(vector(), me={"a": 1.0}), Slotted([vector()]), [vector()]):
        f = ag.compile(lambda r: (r, 2.0))
        assert f(record)[0] is record
        results = f.specialisations[0].executable.parts.results
        assert isinstance(results[0], Found)


@pytest.mark.parametrize("whole", [False, True])
def test_arguments_of_the_first_call_are_let_go(whole: bool) -> None:
    def f(xs: list[Any]) -> Any:
        return (xs, xs[0] * 2) if whole else xs[0] * 2

    compiled, big = ag.compile(f), vector()
    known = weakref.ref(big)
    gc.disable()
    try:
        compiled([big])
        del big
        assert known() is None
    finally:
        gc.enable()
