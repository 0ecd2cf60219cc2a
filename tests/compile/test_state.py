"""State that compiled functions rebind: rolled back when a trace fails, safe from several threads,
over forks, in copies, with gradients."""

from __future__ import annotations

import functools
import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn, optim


def vector(*values: float) -> Any:
    return ag.tensor([float(v) for v in values])


class Holder:
    """Everything that a trace may change."""

    def __init__(self) -> None:
        self.h = ag.zeros(2)
        self.steps = 0
        self.table = {"a": ag.ones(2), "n": [1, 2]}
        self.pair = (ag.ones(2), 3)
        self.words = {"x"}


class Model(nn.Module):
    """A module with a buffer, a hidden state and a plain attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(ag.ones(2))
        self.register_buffer("n", ag.zeros(2))
        self.h: Any = None
        self.calls = 0


def change_everything(holder: Holder, model: Model, opt: Any, x: Any) -> Any:
    """Rebinds all of it, and steps the optimizer."""
    holder.h = holder.h + x
    holder.steps += 1
    holder.table["a"] = holder.table["a"] * 2
    holder.table["b"] = x * 3
    holder.table["n"].append(7)
    holder.pair = (x * 1, 4)
    holder.words.add("y")
    holder.fresh = x * 5  # type: ignore[attr-defined]
    model.n = model.n * 0.5 + x
    model.h = x.detach()
    model.calls += 1
    loss = (model.weight * x).sum()
    loss.backward()
    opt.step()
    opt.zero_grad()
    random.random()
    return loss


def everything(holder: Holder, model: Model, opt: Any) -> list[Any]:
    """What all of it holds, by identity and by value."""
    spaces = [vars(holder), holder.table, vars(model), model._buffers, model._parameters, opt.state]
    found: list[Any] = [
        [(k if isinstance(k, str) else id(k), id(v)) for k, v in space.items()] for space in spaces
    ]
    found += [[*holder.table["n"]], set(holder.words), holder.steps, model.calls]
    tensors = [holder.h, *holder.pair[:1], model.n, model.weight]
    found += [t.detach().numpy().tolist() for t in tensors]
    found += [t._version for t in tensors]
    return [*found, model.weight.grad, random.getstate()]


@pytest.mark.parametrize("error", ["value", "python", "random"])
def test_a_failed_trace_rolls_everything_back(error: str, compiled: Callable[..., Any]) -> None:
    holder, model = Holder(), Model()
    opt = optim.Adam(model.parameters())

    @compiled
    def f(x: Any) -> Any:
        loss = change_everything(holder, model, opt, x)
        if error == "value":
            return float(loss)
        if error == "python":
            raise KeyError("as it is")
        return loss  # having drawn from Python's generator is the error

    before = everything(holder, model, opt)
    with pytest.raises((RuntimeError, KeyError)):
        f(vector(1, 2))
    assert everything(holder, model, opt) == before
    assert not f.programs
    assert ag.tanh(holder.h + model.n).tolist() == [0, 0]  # alive


def test_a_failed_call_writes_nothing_back(compiled: Callable[..., Any]) -> None:
    holder = Holder()

    @compiled
    def f(i: Any) -> Any:
        holder.h = holder.h + 1
        holder.steps += 1
        return ag.arange(3.0)[i]

    good, bad = ag.tensor([0, 2]), ag.tensor([0, 3])
    assert f(good).tolist() == [0, 2]
    with pytest.raises(IndexError):
        f(bad)
    assert (holder.h.tolist(), holder.steps) == ([1, 1], 1)
    f(good)
    assert (holder.h.tolist(), holder.steps) == ([2, 2], 2)


def test_a_lazy_layer_is_lazy_again_after_a_failed_trace(compiled: Callable[..., Any]) -> None:
    model = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d())
    f = compiled(lambda x: model(x))
    with pytest.raises(RuntimeError, match="is made inside a compiled function"):
        f(ag.ones(3, 7))
    assert [type(m).__name__ for m in model] == ["LazyLinear", "LazyBatchNorm1d"]
    model(ag.ones(3, 6))
    assert f(ag.ones(3, 6)).shape == (3, 4)
    assert model[0].weight.shape == (4, 6)


def test_every_call_gives_new_tensors(compiled: Callable[..., Any]) -> None:
    holder = Holder()

    @compiled
    def f(x: Any) -> Any:
        holder.h = holder.h + x
        return holder.h

    kept = [f(vector(1, 1)) for _ in range(4)]
    assert [t.tolist() for t in kept] == [[1, 1], [2, 2], [3, 3], [4, 4]]
    assert holder.h is kept[-1]
    kept[-1].zero_()
    assert f(vector(1, 1)).tolist() == [1, 1]


def test_two_programs_share_a_state(compiled: Callable[..., Any]) -> None:
    model = Model()

    @compiled
    def write(x: Any) -> Any:
        model.n = model.n + x
        return model.n.sum()

    read = compiled(lambda x: model.n * x)
    for i in range(1, 25):
        write(vector(1, 1))
        assert read(vector(1, 2)).tolist() == [i, 2 * i]
    assert len(read.programs) <= 3 and len(write.programs) <= 2


def test_other_programs_notice_a_number(compiled: Callable[..., Any]) -> None:
    model = Model()

    @compiled
    def write(x: Any) -> Any:
        model.calls += 1
        return x + 1

    read = compiled(lambda x: model.weight * x * model.calls)
    with ag.no_grad():
        for i in range(1, 9):
            write(vector(1, 1))
            assert read(vector(1, 2)).tolist() == [i, 2 * i]


def test_history_flows_through_a_rebound_state(compiled: Callable[..., Any]) -> None:
    def make() -> Any:
        model = Model()
        model.h = ag.zeros(2)

        def f(x: Any) -> Any:
            model.h = ag.tanh(model.h + x) * model.weight
            return model.h.sum()

        return model, f

    gradients = []
    for wrap in (lambda f: f, compiled):
        model, f = make()
        f = wrap(f)
        total = f(vector(1, 2)) + f(vector(3, 4)) + f(vector(0.5, -1))
        total.backward()
        gradients.append(model.weight.grad.tolist())
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-6)


def test_a_second_derivative_finds_the_state_of_its_call(compiled: Callable[..., Any]) -> None:
    holder = Holder()

    @compiled
    def f(x: Any) -> Any:
        holder.h = (holder.h + 1).detach()
        return x**3 * holder.h

    x = vector(1, 2).requires_grad_()
    f(x)
    (slope,) = ag.autograd.grad(f(x).sum(), x, create_graph=True)
    assert slope.tolist() == [6, 24]  # 3 x² times 2
    assert ag.autograd.grad(slope.sum(), x)[0].tolist() == [12, 24]  # 6 x times 2
    assert holder.h.tolist() == [2, 2]


def test_arguments_are_filled(compiled: Callable[..., Any]) -> None:
    @compiled
    def f(x: Any, cache: dict[str, Any], log: list[Any]) -> Any:
        cache["k"] = cache.get("k", 0.0) + x
        log.append(x * 2)
        cache["inner"][0] = x - 1
        return cache["k"]

    for _ in range(3):
        cache: dict[str, Any] = {"inner": [None, 5]}
        inner, log = cache["inner"], []
        assert f(vector(1, 2), cache, log).tolist() == [1, 2]
        assert f(vector(1, 2), cache, log).tolist() == [2, 4]
        assert cache["k"].tolist() == [2, 4] and len(log) == 2
        assert cache["inner"] is inner and inner[0].tolist() == [0, 1] and inner[1] == 5
    assert len(f.programs) == 2


def test_a_model_as_an_argument(compiled: Callable[..., Any]) -> None:
    @compiled
    def f(model: Any, x: Any) -> Any:
        model.n = model.n + x
        return model.n * 2

    a, b = Model(), Model()
    for i in range(1, 4):
        assert f(a, vector(1, 1)).tolist() == [2 * i, 2 * i]
    assert f(b, vector(5, 5)).tolist() == [10, 10]
    assert f(a, vector(1, 1)).tolist() == [8, 8]
    assert (a.n.tolist(), b.n.tolist()) == ([4, 4], [5, 5])


def test_numpy_and_python_draws_are_refused(compiled: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    for draw in (random.random, np.random.rand, rng.random):
        f = compiled(lambda x, draw=draw: x * draw())
        with pytest.raises(RuntimeError, match=r"generator of random numbers.*ag\.rand"):
            f(vector(1, 2))


def test_large_arrays_read_by_python_are_refused(compiled: Callable[..., Any]) -> None:
    table = np.ones(1 << 18)
    f = compiled(lambda x: x * table.sum())
    with pytest.raises(RuntimeError, match=r"array table .*is read.*test_state.py:\d+"):
        f(vector(1, 2))
    g = compiled(lambda x: x * ag.from_numpy(table).sum())
    assert g(vector(1, 2)).tolist() == [1 << 18, 2 << 18]
    table[0] = 0
    assert g(vector(1, 1)).tolist() == [(1 << 18) - 1] * 2


@pytest.mark.parametrize("kind", ["list", "generator", "count"])
def test_an_iterator_that_is_advanced_is_refused(kind: str, compiled: Callable[..., Any]) -> None:
    made: dict[str, Any] = {
        "list": iter([1.0, 2.0]),
        "generator": (float(i) for i in range(3)),
        "count": itertools.count(1),
    }
    holder: Any = type("Holder", (), {})()
    holder.numbers = made[kind]
    first = {"list": 1.0, "generator": 0.0, "count": 1}[kind]
    f = compiled(lambda x: x * next(holder.numbers))
    with pytest.raises(RuntimeError, match=r"holder\.numbers is advanced at test_state\.py"):
        f(vector(1))
    assert holder.numbers is made[kind]
    assert next(holder.numbers) == first


def test_an_array_that_is_made_anew_is_refused(compiled: Callable[..., Any]) -> None:
    holder: Any = type("Holder", (), {})()
    holder.a = before = np.zeros(2, np.float32)

    def f(x: Any) -> Any:
        holder.a = holder.a + 1
        return x

    with pytest.raises(RuntimeError, match=r"holder\.a is set to a NumPy array"):
        compiled(f)(vector(1, 2))
    assert holder.a is before

    def g(x: Any, box: list[Any]) -> Any:
        box[0] = [x * 2, np.ones(2)]
        return x

    with pytest.raises(RuntimeError, match="is set to a NumPy array"):
        compiled(g)(vector(1, 2), [None])


def test_an_array_that_is_stored_is_the_array(compiled: Callable[..., Any]) -> None:
    holder: Any = type("Holder", (), {})()
    holder.a, holder.b = np.ones(2, np.float32), None

    def f(x: Any) -> Any:
        holder.b = holder.a
        return x + holder.b

    g = compiled(f)
    for _ in range(3):
        assert g(vector(1, 2)).tolist() == [2, 3]
        assert holder.b is holder.a


def test_caches_keep_no_tensor_of_a_trace(compiled: Callable[..., Any]) -> None:
    @functools.lru_cache
    def table(n: int) -> Any:
        return ag.arange(n) * 2.0

    f = compiled(lambda x: x * table(3))
    assert f(vector(1, 2, 3)).tolist() == [0, 4, 12]
    assert table(3).tolist() == [0, 2, 4]
    assert f(vector(1, 2, 3)).tolist() == [0, 4, 12]


def test_a_table_by_size_has_numbers_for_keys(compiled: Callable[..., Any]) -> None:
    table: dict[int, Any] = {}

    def f(x: Any) -> Any:
        n = x.shape[0]
        if n not in table:
            table[n] = ag.arange(n) * 2.0
        return x * table[n]

    g = compiled(f)
    for n in (3, 2, 3, 4, 2, 4):
        assert g(ag.ones(n)).tolist() == [2.0 * i for i in range(n)]
    assert list(table) == [3, 2, 4]
    assert all(type(n) is int for n in table)
    table[4] = ag.ones(4)
    assert g(ag.ones(4)).tolist() == [1] * 4


def test_sizes_are_numbers_in_what_is_returned(compiled: Callable[..., Any]) -> None:
    f = compiled(lambda x: [{x.shape[0]: x * 2}])
    for n in (3, 4, 5, 4):
        ((found, *_),) = [list(part) for part in f(ag.ones(n))]
        assert type(found) is int
        assert found == n


# -- threads and processes ------------------------------------------------------------------------


def run_threads(*works: Callable[[], None]) -> None:
    failed: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(w,)) for w in works]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failed:
        raise failed[0]


def test_no_update_is_lost_between_threads(compiled: Callable[..., Any]) -> None:
    holder = Holder()

    @compiled
    def f(x: Any) -> Any:
        holder.h = holder.h + x.sum()
        holder.steps += 1
        return holder.h

    def work() -> None:
        for i in range(60):
            f(ag.ones(1 + i % 3))

    run_threads(*[work] * 4)
    assert holder.steps == 240
    assert holder.h.tolist() == [480.0, 480.0]


def test_traces_and_calls_at_once(compiled: Callable[..., Any]) -> None:
    """Some threads call what is compiled already while others trace functions on the same state."""
    holder = Holder()

    @compiled
    def count(x: Any) -> Any:
        holder.h = holder.h + x
        return holder.h

    for _ in range(2):
        count(vector(1, 1))

    def call() -> None:
        for _ in range(100):
            count(vector(1, 1))

    def trace() -> None:
        for i in range(8):

            def other(x: Any, i: int = i) -> Any:
                holder.h = holder.h + x * i - x * i
                return holder.h.sum()

            compiled(other)(vector(1, 1))

    run_threads(call, trace, call)
    assert holder.h.tolist() == [202, 202]


def child(work: Callable[[], bool]) -> int:
    """The exit code of a child process that does some work; 9 when it hangs."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(0)
            code = 0 if work() else 2
        finally:
            os._exit(code)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return 9


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_trace_waits_for_its_end(compiled: Callable[..., Any]) -> None:
    holder = Holder()
    inside, go_on = threading.Event(), threading.Event()

    @compiled
    def f(x: Any) -> Any:
        holder.h = holder.h + x
        inside.set()
        go_on.wait(10)
        return holder.h

    thread = threading.Thread(target=lambda: f(vector(1, 1)))
    thread.start()
    inside.wait(10)
    threading.Timer(0.2, go_on.set).start()

    def work() -> bool:
        alive = holder.h._array is not None  # no stand-in of a trace that is not here
        f(vector(1, 1))
        return alive and compiled(lambda x: x * 3)(vector(1, 1)).tolist() == [3, 3]

    assert child(work) == 0
    thread.join()
    assert f(vector(1, 1)).tolist() == [2, 2]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forks_beside_calls_that_write(compiled: Callable[..., Any]) -> None:
    """Two states that every call changes together are never seen apart in a child."""
    holder, twin = Holder(), ag.zeros(2)

    @compiled
    def f(x: Any) -> Any:
        holder.h = holder.h + x
        twin.add_(x)
        return holder.h

    f(vector(1, 1))
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            f(vector(1, 1))

    thread = threading.Thread(target=call)
    thread.start()

    def work() -> bool:
        return holder.h.tolist() == twin.tolist() and f(vector(1, 1)) is holder.h

    codes = [child(work) for _ in range(5)]
    stop.set()
    thread.join()
    assert codes == [0] * 5


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_inside_a_traced_function(compiled: Callable[..., Any]) -> None:
    holder, codes = Holder(), []

    @compiled
    def f(x: Any) -> Any:
        holder.h = holder.h + x
        codes.append(child(lambda: True))
        return holder.h * 2

    assert f(vector(1, 1)).tolist() == [2, 2]
    assert set(codes) == {0}
    assert holder.h.tolist() == [1, 1]


def test_a_number_that_a_class_counts_is_an_input(compiled: Callable[..., Any]) -> None:
    class Counter:
        count = 0

    @compiled
    def f(x: Any) -> Any:
        Counter.count += 1
        return x * Counter.count

    assert [f(vector(1)).tolist() for _ in range(8)] == [[i + 1] for i in range(8)]
    assert Counter.count == 8
    assert len(f.programs) < 4  # not one for each number


def test_an_implementation_that_is_registered_again(compiled: Callable[..., Any]) -> None:
    @functools.singledispatch
    def scaled(by: Any, x: Any) -> Any:
        return x

    scaled.register(int, lambda by, x: x * 2)
    f = compiled(lambda x: scaled(3, x))
    assert [f(vector(1)).tolist() for _ in range(3)] == [[2]] * 3
    scaled.register(int, lambda by, x: x * 5)
    assert f(vector(1)).tolist() == [5]
