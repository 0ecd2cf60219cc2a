"""Processes that call a function of a pipeline."""

from __future__ import annotations

import os
import weakref
from typing import Any

from argand.data.applying import Apply, Submit, Thunk
from argand.data.worker import ERROR, Job, surroundings
from argand.data.workers import Crew


class _Applied:
    """The dataset of processes that call a function: an element's index is the element itself."""

    def __init__(self, apply: Apply, seed: int) -> None:
        self._apply, self._seed = apply, seed

    def __getitem__(self, index: tuple[int, Any]) -> Any:
        number, element = index
        return self._apply(element, number, self._seed)


def processes(apply: Apply, seed: int, count: int) -> Submit:
    """Elements computed by processes."""
    return Processes(apply, seed, count).submit


class Processes:
    """Processes that call a function, by turns."""

    def __init__(self, apply: Apply, seed: int, count: int) -> None:
        self._crew = Crew([_job(apply, seed, i, count) for i in range(count)])
        weakref.finalize(self, self._crew.close)
        self._answers: dict[int, Any] = {}
        for worker in self._crew.workers:
            worker.send(("start", 0, seed & (1 << 63) - 1, 0, {}))

    def submit(self, thunk: Thunk, number: int) -> Thunk:
        """Send an element; what is returned waits for the result."""
        worker = self._crew.workers[number % len(self._crew.workers)]
        worker.send(("fetch", 0, number, (number, thunk())))
        return lambda: self._result(number)

    def _result(self, number: int) -> Any:
        while number not in self._answers:
            try:
                found = self._crew.receive(float("inf"))
            except BaseException:
                self._crew.close()
                raise
            assert found is not None
            _, (_, which, kind, value, _) = found
            self._answers[which] = kind, value
        kind, value = self._answers.pop(number)
        if kind == ERROR:
            value.reraise()
        return value


def _job(apply: Apply, seed: int, number: int, count: int) -> Job:
    return Job(
        id=number,
        num_workers=count,
        dataset=_Applied(apply, seed),
        size=None,
        batched=False,
        streams=False,
        cut=False,
        collate=_same,
        drop_last=False,
        init=None,
        batch_seeds=True,
        parent=os.getpid(),
        surroundings=surroundings(),
    )


def _same(sample: Any) -> Any:
    return sample
