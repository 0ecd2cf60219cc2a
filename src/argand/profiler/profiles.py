"""`profile`, and the schedules by which it measures some steps of a loop."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable
from enum import Enum
from types import TracebackType
from typing import Any

from argand.profiler.events import Averages, EventList
from argand.profiler.measuring import Measurement, record_function


class ProfilerAction(Enum):
    """What a schedule says of a step: nothing, nothing yet, measure, measure and hand over.

    >>> ag.profiler.ProfilerAction.RECORD.value
    2
    """

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


class ProfilerActivity(Enum):
    """What may be measured; there is only the CPU.

    >>> ag.profiler.ProfilerActivity.CPU.name
    'CPU'
    """

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


Schedule = Callable[[int], ProfilerAction]
_MEASURED = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


def supported_activities() -> set[ProfilerActivity]:
    """What is measured where nothing else is asked for.

    >>> [activity.name for activity in ag.profiler.supported_activities()]
    ['CPU']
    """
    return {ProfilerActivity.CPU}


def kineto_available() -> bool:
    """False: PyTorch's library Kineto is not used; what is measured is the same without it.

    >>> import argand.profiler
    >>> argand.profiler.kineto_available()
    False
    """
    return False


def schedule(
    *,
    wait: int,
    warmup: int,
    active: int,
    repeat: int = 0,
    skip_first: int = 0,
    skip_first_wait: int = 0,
) -> Schedule:
    """What to do in which step: after `skip_first` steps `wait`, then `warmup`, then measure
    `active` steps, and so again, `repeat` times (0: always).

    With `skip_first_wait` the first round doesn't wait. Follows `torch.profiler.schedule`.

    >>> plan = ag.profiler.schedule(wait=1, warmup=1, active=2, repeat=1)
    >>> [plan(step).name for step in range(5)]
    ['NONE', 'WARMUP', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active < 1:
        raise ValueError("Invalid profiler schedule arguments: active >= 1, the others >= 0")
    round_ = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        step -= skip_first
        if step >= 0 and skip_first_wait:
            step += wait
        if step < 0 or (repeat and step // round_ >= repeat):
            return ProfilerAction.NONE
        at = step % round_
        if at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if at < round_ - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


def _always(step: int) -> ProfilerAction:
    return ProfilerAction.RECORD


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[Any], None]:
    """What writes each trace to a file of a folder, for `on_trace_ready` of a profile.

    Named ``worker.time.pt.trace.json``; never compressed. Follows
    `torch.profiler.tensorboard_trace_handler`.

    >>> callable(ag.profiler.tensorboard_trace_handler("traces"))
    True
    """

    def handle(profiled: Any) -> None:
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        name = f"{worker}.{time.time_ns()}.pt.trace.json"
        profiled.export_chrome_trace(os.path.join(dir_name, name))

    return handle


class profile:  # noqa: N801  # PyTorch's name
    """A block in which everything is measured: each op that runs eagerly, each step of a backward
    pass, each call of a compiled function, and blocks of `record_function`; in all threads.

    With a `schedule` only the steps that it says, `step()` being called after each, and
    `on_trace_ready(profile)` is called whenever steps have been measured. `record_shapes` notes the
    operands' shapes, `profile_memory` the bytes of results. Times are real ones on the CPU; while
    they are measured, small ops take a little longer, since none is run by a plan. RuntimeError
    where another profile is under way. Follows `torch.profiler.profile`.

    >>> with ag.profiler.profile() as p:
    ...     y = (ag.ones(4) * 2).sum()
    >>> table = p.key_averages().table(sort_by="self_cpu_time_total")
    >>> sorted(row.key for row in p.key_averages()), "Self CPU" in table
    (['full', 'mul', 'sum'], True)
    """

    def __init__(
        self,
        *,
        activities: Iterable[Any] | None = None,
        schedule: Schedule | None = None,
        on_trace_ready: Callable[[Any], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
        custom_trace_id_callback: Any = None,
        post_processing_timeout_s: float | None = None,
    ) -> None:
        self.activities = supported_activities() if activities is None else set(activities)
        self.schedule = schedule or _always
        self.on_trace_ready = on_trace_ready
        self.record_shapes, self.profile_memory = record_shapes, profile_memory
        self.acc_events = acc_events
        self.step_num = 0
        self.current_action = ProfilerAction.NONE
        self._names_steps = schedule is not None
        self._measurement: Measurement | None = None
        self._events = EventList()
        self._step: record_function | None = None

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin, with step 0."""
        self.current_action = self.schedule(self.step_num)
        self._go_on(ProfilerAction.NONE, self.current_action)

    def stop(self) -> None:
        """End, and hand over what is being measured."""
        self._go_on(self.current_action, None)

    def step(self) -> None:
        """The next step begins."""
        before = self.current_action
        self.step_num += 1
        self.current_action = self.schedule(self.step_num)
        self._go_on(before, self.current_action)

    def _go_on(self, before: ProfilerAction, now: ProfilerAction | None) -> None:
        if self._step is not None:
            self._step.__exit__(None, None, None)
            self._step = None
        saves = before is ProfilerAction.RECORD_AND_SAVE or (now is None and before in _MEASURED)
        if self._measurement is not None and (saves or now not in _MEASURED):
            found = self._measurement.stop()
            self._measurement = None
            if self.acc_events:
                found[:0] = self._events
            self._events = found
            if saves and self.on_trace_ready is not None:
                self.on_trace_ready(self)
        if now in _MEASURED and self._measurement is None:
            measurement = Measurement(self.record_shapes, self.profile_memory)
            measurement.start()
            self._measurement = measurement
        if self._names_steps and self._measurement is not None:
            self._step = record_function(f"ProfilerStep#{self.step_num}")
            self._step.__enter__()

    def events(self) -> EventList:
        """The events, in the order in which they began."""
        return self._events

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0
    ) -> EventList:
        """What the events of one name took together; of one name and shapes where asked for."""
        return self._events.key_averages(group_by_input_shape, group_by_stack_n)

    def export_chrome_trace(self, path: Any) -> None:
        """Write the events as a file for chrome://tracing."""
        self._events.export_chrome_trace(path)

    def add_metadata(self, key: str, value: str) -> None:
        """Accepted, for PyTorch's programs; traces don't hold it."""

    def add_metadata_json(self, key: str, value: str) -> None:
        """Accepted, for PyTorch's programs; traces don't hold it."""


class LegacyProfile(profile):
    """`torch.autograd.profiler.profile`: the same with its own arguments and methods.

    >>> import argand.profiler
    >>> with argand.profiler.LegacyProfile(enabled=False) as p:
    ...     y = ag.ones(4) * 2
    >>> len(p.key_averages())
    0
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        record_shapes: bool = False,
        profile_memory: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(record_shapes=record_shapes, profile_memory=profile_memory)
        self.enabled = enabled

    def start(self) -> None:
        """Begin, where it is enabled."""
        if self.enabled:
            super().start()

    @property
    def function_events(self) -> EventList:
        """The events."""
        return self._events

    @property
    def self_cpu_time_total(self) -> float:
        """The time of all events together, in microseconds."""
        return self._events.self_cpu_time_total

    def total_average(self) -> Averages:
        """What all events took together."""
        return self._events.total_average()

    def table(self, **options: Any) -> str:
        """The events as a text, one by one."""
        return self._events.table(**options)

    def __str__(self) -> str:
        return self.table()
