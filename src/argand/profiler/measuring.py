"""Measuring: every op that runs eagerly, every step of a backward pass, every compiled call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any

from argand.base.naming import naming
from argand.ir import bind as crossroads
from argand.ir.op import Literal
from argand.profiler.events import Event, EventList
from argand.tensor.core import eager


class _Open(threading.local):
    def __init__(self) -> None:
        self.events: list[Event] = []


class Measurement:
    """A time during which everything is measured, in all threads."""

    def __init__(self, record_shapes: bool, profile_memory: bool) -> None:
        self.shapes, self.memory = record_shapes, profile_memory
        self.events: list[Event] = []
        self._open = _Open()

    def begin(self, name: str, kind: str, shapes: list[Any]) -> Event:
        """An event begins, inside those that this thread has open."""
        opened = self._open.events
        parent = opened[-1] if opened else None
        event = Event(name, kind, threading.get_native_id(), shapes, parent)
        self.events.append(event)
        opened.append(event)
        event.start = event.end = time.perf_counter_ns()
        return event

    def finish(self, event: Event) -> None:
        """An event, and what it has left open, ends."""
        event.end = time.perf_counter_ns()
        opened = self._open.events
        if event in opened:
            del opened[opened.index(event) :]

    def run(self, name: str, function: Callable[[], Any]) -> Any:
        """The result of a function, which is an event."""
        event = self.begin(name, "cpu_op", [])
        try:
            return function()
        finally:
            self.finish(event)

    def bind(self, below: Any, op: Any, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """An op, run eagerly by `below`."""
        shapes = [[] if type(x) is Literal else list(x.shape) for x in inputs]
        name = f"aten::{op.name}" if naming.package == "torch" else op.name
        event = self.begin(name, "cpu_op", shapes if self.shapes else [])
        try:
            outputs = below(op, inputs, params)
        finally:
            self.finish(event)
        if self.memory and not op.is_view and not event.cpu_children:
            event.self_cpu_memory_usage = sum(y._array.nbytes for y in outputs)
        return outputs

    def start(self) -> None:
        """Measure from here on; RuntimeError where something is measured already."""
        if crossroads.timer is not None:
            raise RuntimeError("Profiler is already enabled on this thread")
        crossroads.timer = self
        eager().watch(self.bind)

    def stop(self) -> EventList:
        """Measure no more: what was measured."""
        eager().unwatch(self.bind)
        crossroads.timer = None
        for event in self.events:
            event.end = event.end if event.end > event.start else time.perf_counter_ns()
        found = EventList(self.events)
        found.shows_memory = self.memory
        return found


class record_function(ContextDecorator):  # noqa: N801  # PyTorch's name
    """A block, or a function, with a name in the profile. Follows
    `torch.profiler.record_function`.

    >>> import argand.profiler
    >>> with argand.profiler.profile() as p, argand.profiler.record_function("forward"):
    ...     y = ag.ones(2) * 2
    >>> "forward" in [row.key for row in p.key_averages()]
    True
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args
        self._begun: list[tuple[Any, Any]] = []

    def __enter__(self) -> record_function:
        timer = crossroads.timer
        event = None if timer is None else timer.begin(self.name, "user_annotation", [])
        self._begun.append((timer, event))
        return self

    def __exit__(self, *exc: object) -> None:
        timer, event = self._begun.pop()
        if timer is not None:
            timer.finish(event)
