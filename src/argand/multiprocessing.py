"""`argand.multiprocessing`: Python's `multiprocessing` under PyTorch's name.

Tensors are sent as copies, and those in shared memory (`Tensor.share_memory_`) as what they are.

>>> import argand.multiprocessing as mp
>>> mp.get_context("spawn").get_start_method()
'spawn'
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

from argand.base.errors import ArgumentError

globals().update({name: getattr(multiprocessing, name) for name in multiprocessing.__all__})


class ProcessRaisedException(Exception):  # noqa: N818  # PyTorch's name
    """A process that was started has raised an error, or ended with another status than 0."""


class SpawnContext:
    """Processes that run one function."""

    def __init__(self, processes: list[Any]) -> None:
        self.processes = processes

    def pids(self) -> list[int]:
        """The processes' numbers."""
        return [process.pid for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait for all; raises ProcessRaisedException when one failed, and ends the others."""
        for process in self.processes:
            process.join(timeout)
        failed = [p for p in self.processes if p.exitcode]
        for process in self.processes if failed else ():
            process.terminate()
        if failed:
            raise ProcessRaisedException(
                f"process {self.processes.index(failed[0])} ended with status {failed[0].exitcode}"
            )
        return all(process.exitcode is not None for process in self.processes)


def start_processes(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> SpawnContext | None:
    """Start `nprocs` processes that call ``fn(i, *args)``, and wait for them, unless `join` is
    False; `spawn` is another name of it."""
    context: Any = multiprocessing.get_context(start_method)
    started = []
    for i in range(nprocs):
        process = context.Process(target=fn, args=(i, *args), daemon=daemon)
        process.start()
        started.append(process)
    found = SpawnContext(started)
    if not join:
        return found
    while not found.join():
        pass
    return None


spawn = start_processes


def get_all_sharing_strategies() -> set[str]:
    """The ways of sharing memory that can be asked for.

    >>> import argand.multiprocessing as mp
    >>> sorted(mp.get_all_sharing_strategies())
    ['file_descriptor', 'file_system']
    """
    return {"file_descriptor", "file_system"}


_strategy = ["file_descriptor"]


def get_sharing_strategy() -> str:
    """The way of sharing memory that was asked for.

    >>> import argand.multiprocessing as mp
    >>> mp.get_sharing_strategy()
    'file_descriptor'
    """
    return _strategy[-1]


def set_sharing_strategy(new_strategy: str) -> None:
    """Ask for a way of sharing memory; it has no effect, descriptors of files are sent.

    >>> import argand.multiprocessing as mp
    >>> mp.set_sharing_strategy("file_descriptor")
    """
    if new_strategy not in get_all_sharing_strategies():
        raise ArgumentError(f"no sharing strategy {new_strategy!r}")
    _strategy[:] = [new_strategy]


__all__ = [
    *multiprocessing.__all__,
    "ProcessRaisedException",
    "SpawnContext",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]
