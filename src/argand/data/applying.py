"""Users' functions in pipelines: their errors name the stage, and others may run them."""

from __future__ import annotations

import dataclasses
import os
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from argand.data.randomness import mixed
from argand.data.worker import ERROR, Job, surroundings
from argand.data.workers import Crew
from argand.tensor.generators import Generator

Thunk = Callable[[], Any]
Submit = Callable[[Thunk, int], Thunk]


@dataclasses.dataclass(frozen=True)
class Apply:
    """A function of a stage, and where the stage was added."""

    stage: str
    function: Callable[..., Any]
    place: str
    generator: bool = False

    def __call__(self, element: Any, number: int = 0, seed: int = 0) -> Any:
        extra = (Generator().manual_seed(mixed(seed, number)),) if self.generator else ()
        try:
            return self.function(element, *extra)
        except Exception as error:
            self._explain(error)
            raise

    def _explain(self, error: Exception) -> None:
        """Say in the error which stage it comes from."""
        name = getattr(self.function, "__name__", type(self.function).__name__)
        text = f"in {self.stage}({name}) of the pipeline, added in {self.place}"
        plain = type(error).__str__ is Exception.__str__ and len(error.args) == 1
        if plain and isinstance(error.args[0], str):
            error.args = (f"{error.args[0]}  [{text}]",)
        else:
            error.add_note(text)


def threads(count: int) -> Submit:
    """Elements computed by threads."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="argand pipeline")
    return lambda thunk, _: pool.submit(thunk).result


class _Applied:
    """The dataset of processes that call a function: an element's index is the element itself."""

    def __init__(self, apply: Apply, seed: int) -> None:
        self._apply, self._seed = apply, seed

    def __getitem__(self, index: tuple[int, Any]) -> Any:
        number, element = index
        return self._apply(element, number, self._seed)


class _Processes:
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


def processes(apply: Apply, seed: int, count: int) -> Submit:
    """Elements computed by processes."""
    return _Processes(apply, seed, count).submit


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
