"""Calls in one thread while another one traces: what a trace changes for a while is not seen, what
a call writes meanwhile is not lost, and who needs neither does not wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import argand as ag
from argand.compile import tracing

PATIENCE = 20.0  # seconds until a test gives up


class Beside:
    """A trace in a thread of its own, which ends when it is told to."""

    def __init__(self, traced: Callable[[Any], Any]) -> None:
        self.inside, self.go_on = threading.Event(), threading.Event()
        inside, go_on = self.inside, self.go_on

        def function(x: Any) -> Any:
            y = traced(x)
            inside.set()
            go_on.wait(PATIENCE)
            return y

        self.thread = threading.Thread(target=ag.compile(function), args=(ag.ones(3),))

    def start(self) -> None:
        """Start, and wait until the function is inside its trace."""
        self.thread.start()
        assert self.inside.wait(PATIENCE)

    def end(self) -> None:
        """Let the trace end."""
        self.go_on.set()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


def started(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """A thread that works, and where its result will be."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    return thread, found


@contextmanager
def a_trace_after_the_program(function: Any, beside: Beside) -> Iterator[None]:
    """In the block, the trace starts when the function's last program has run, before the call has
    written anything else; it ends when the call has, or waits."""
    compiled = function.specialisations[-1].executable.compiled
    run = compiled.run

    def run_and_start(inputs: Any, state: Any) -> Any:
        outputs = run(inputs, state)
        beside.start()
        return outputs

    compiled.run = run_and_start
    try:
        yield
    finally:
        compiled.run = run


def call_beside(function: Any, x: Any, beside: Beside) -> Any:
    """What a call gives while the trace goes on from the end of its program."""
    with a_trace_after_the_program(function, beside):
        thread, found = started(lambda: function(x))
        assert beside.inside.wait(PATIENCE)
        thread.join(0.2)  # enough for a call that takes no lock
        beside.end()
        thread.join(PATIENCE)
    return found[0]


def test_gradients_that_a_call_leaves_are_not_lost() -> None:
    w = ag.ones(3, requires_grad=True)

    @ag.compile
    def step(x: Any) -> Any:
        w.grad = None
        loss = (w * x).sum()
        loss.backward()
        return loss

    for _ in range(2):
        step(ag.ones(3))
    call_beside(step, ag.tensor([1.0, 2.0, 3.0]), Beside(lambda x: (w * x).sum()))
    assert w.grad.tolist() == [1, 2, 3]


def test_writes_that_a_call_counts_are_not_lost() -> None:
    b, a = ag.ones(3), ag.ones(3, requires_grad=True)

    @ag.compile
    def write(x: Any) -> Any:
        b.add_(x)

    for _ in range(2):
        write(ag.ones(3))
    y = (a * b).sum()
    call_beside(write, ag.ones(3), Beside(lambda x: b * x))
    with pytest.raises(RuntimeError, match="in place"):
        y.backward()


def test_results_find_their_place_on_the_tape() -> None:
    a = ag.ones(3, requires_grad=True)
    h = a * 2
    double = ag.compile(lambda x: x * 3)
    for _ in range(2):
        double(h)
    out = call_beside(double, h, Beside(lambda x: (h * x).sum()))
    out.sum().backward()
    assert a.grad is not None
    assert a.grad.tolist() == [6, 6, 6]


def test_gradients_are_read_as_they_are_outside_of_the_trace() -> None:
    w = ag.ones(3, requires_grad=True)
    w.grad = ag.ones(3)
    scaled = ag.compile(lambda x: w.grad * x)
    for _ in range(2):
        scaled(ag.ones(3))

    def doubles(x: Any) -> Any:
        w.grad = w.grad * 2
        return x

    beside = Beside(doubles)
    beside.start()
    thread, found = started(lambda: scaled(ag.ones(3)))
    thread.join(0.2)
    beside.end()
    thread.join(PATIENCE)
    assert found and found[0].tolist() in ([1, 1, 1], [2, 2, 2])
    assert w.grad.tolist() == [2, 2, 2]


def test_a_call_that_only_reads_memory_does_not_wait() -> None:
    w = ag.ones(3)
    plain = ag.compile(lambda x: x * w)
    for _ in range(2):
        plain(ag.ones(3))
    beside = Beside(lambda x: w.add_(x))
    beside.start()
    thread, found = started(lambda: plain(ag.ones(3)))
    thread.join(PATIENCE)
    assert found and found[0].tolist() == [1, 1, 1]
    beside.end()


def test_a_compilation_holds_up_neither_calls_nor_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    w = ag.ones(3, requires_grad=True)

    @ag.compile
    def step(x: Any) -> Any:
        w.grad = None
        (w * x).sum().backward()

    for _ in range(2):
        step(ag.ones(3))
    compiling, go_on = threading.Event(), threading.Event()
    compile_program = tracing.compile_program

    def slow(program: Any, *rest: Any) -> Any:
        if program.name == "slow":
            compiling.set()
            go_on.wait(PATIENCE)
        return compile_program(program, *rest)

    monkeypatch.setattr(tracing, "compile_program", slow)
    other = ag.compile(lambda x: w * x, name="slow")
    first, _ = started(lambda: other(ag.ones(3)))
    assert compiling.wait(PATIENCE)
    thread, found = started(lambda: (step(ag.ones(3) * 2), ag.compile(lambda x: x + w)(ag.ones(3))))
    thread.join(PATIENCE)
    assert found
    go_on.set()
    first.join(PATIENCE)
    assert w.grad.tolist() == [2, 2, 2]


def test_no_call_is_lost_between_threads_that_make_programs() -> None:
    """Threads that call one function with other shapes at once: each shape gets one program."""
    f = ag.compile(lambda x: x * 2, dynamic=False)
    shapes = [(2,), (3,), (2, 2), (3, 2)]
    gate = threading.Barrier(4)

    def work() -> None:
        gate.wait(PATIENCE)
        for shape in shapes * 5:
            assert f(ag.ones(shape)).tolist() == (ag.ones(shape) * 2).tolist()

    threads = [started(work)[0] for _ in range(4)]
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(s.signature.specs[0].shape for s in f.specialisations) == sorted(shapes)
    assert sum(s.calls for s in f.specialisations) == 80
