"""Two tiers of code: generated at once without optimisation, then replaced by optimised code.

A kernel of eager code that no cache has runs as soon as its text is written: LLVM makes the quick
object in a fraction of the time. A helper process (`objectfile`, run as a script) makes the
optimised object and writes it to the cache; a thread of this process links it, and from then on
calls of the quick code go on to it. Both come from one text without fast-math, so their bits agree.

It is a process because llvmlite lets one thread in at a time: a thread that optimises would delay
the kernels that the program waits for. It may end after this one, to fill the cache.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import dataclasses
import fcntl
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from argand.base.errors import CompileError
from argand.base.events import emit
from argand.codegen.llvm import objectfile
from argand.codegen.llvm.objectfile import read_message, write_message
from argand.codegen.llvm.objects import immortal, invalid, load_object
from argand.codegen.llvm.source import Source

IDLE_SECONDS: Final = 5.0
"""How long the helper process waits for more before it is told to end."""

LAST_SECONDS: Final = 0.2
"""How long the end of the interpreter waits, at most, for jobs to be sent."""

PIPE_BYTES: Final = 1 << 20

_RUN: Final = """
import runpy, sys
file, *sys.path = sys.argv[1:]
runpy.run_path(file, run_name="__main__")
"""


class TieredCode:
    """An exported function `i64 f(ptr)` that runs quick code until its optimised code is there."""

    def __init__(self, source: Source, imported: Mapping[str, int]) -> None:
        self.source = source
        self._imported = imported
        first, cell = f"{source.name}.first", f"{source.name}.optimised"
        data = source.quick(_switch(source.name, first, cell))
        self._code = load_object(data, [first, cell], imported)
        self._optimised: Any = None
        self.address = self._code.address(first)
        self._cell = self._code.address(cell)

    def install(self, data: bytes) -> None:
        """Link the optimised object, and let calls go on to it."""
        # `settle` and another thread may both install: what one of them linked may be running.
        found = immortal(load_object(data, [self.source.name], self._imported))
        self._optimised = found
        # An aligned word is written at once; linking ended with system calls, which order memory.
        ctypes.c_size_t.from_address(self._cell).value = found.address(self.source.name)

    def settle(self) -> None:
        """See to it that optimised code runs from now on."""
        if self._optimised is None:
            self.install(self.source.optimised())


def _switch(name: str, first: str, cell: str) -> str:
    """A function that goes on to the address in a cell, or to `name` while there is none."""
    return f"""
@{cell} = global ptr null, align 8

define i64 @{first}(ptr %slots) nounwind {{
  %there = load atomic ptr, ptr @{cell} acquire, align 8
  %none = icmp eq ptr %there, null
  br i1 %none, label %quick, label %optimised
optimised:
  %a = tail call i64 %there(ptr %slots)
  ret i64 %a
quick:
  %b = tail call i64 @{name}(ptr %slots)
  ret i64 %b
}}
"""


@dataclasses.dataclass(slots=True)
class _Job:
    source: Source
    install: Callable[[bytes], None]


class Optimiser:
    """Has objects optimised by a helper process, and installs them."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._change = threading.Condition()
        self._jobs: deque[_Job] = deque()  # that are not done, in order
        self._sent = 0  # how many of them were taken to be sent
        self._writing = False  # whether one of these is on its way
        self._process: Any = None
        self._usable = _can_start()
        self._installing = threading.Lock()
        self._closed = False
        self._failures: list[str] = []

    def submit(self, source: Source, install: Callable[[bytes], None]) -> bool:
        """Let a module be optimised and `install` be called with the object, in another thread.

        False where there can be no helper process: nothing will happen then.
        """
        with self._change:
            if not self._usable:
                return False
            if self._process is None and not self._start():
                self._usable = False
                return False
            if source.folder is not None:
                with contextlib.suppress(OSError):
                    source.folder.mkdir(parents=True, exist_ok=True)
            self._jobs.append(_Job(source, install))
            self._change.notify_all()
        return True

    def wait(self) -> None:
        """Wait until all that was submitted is installed; raises CompileError for what was not."""
        with self._change:
            self._change.wait_for(lambda: not self._jobs)
            failures, self._failures = self._failures, []
        if failures:
            raise CompileError("; ".join(failures))

    def close(self) -> None:
        """Send what is left, and install nothing more: the interpreter is about to end."""
        with self._change:
            self._change.wait_for(self._all_sent, LAST_SECONDS)
        with self._installing:
            self._closed = True

    def forked(self) -> None:
        """In a child process: the threads and the helper are the parent's."""
        process = self._process
        self._reset()
        if process is not None:
            process.returncode = 0  # it is no child of this process
            process.stdin.close()
            process.stdout.close()

    def _start(self) -> bool:
        try:
            process: Any = subprocess.Popen(
                [sys.executable, "-c", _RUN, objectfile.__file__, *filter(None, sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
            )
        except (OSError, ValueError):
            return False
        with contextlib.suppress(OSError, AttributeError):
            # room for what a script has compiled before the process reads
            fcntl.fcntl(process.stdin, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._process = immortal(process)
        for run in (self._send, self._receive):
            threading.Thread(target=run, args=(process,), name="argand", daemon=True).start()
        return True

    def _send(self, process: Any) -> None:
        while (job := self._next()) is not None:
            try:
                write_message(process.stdin, *job.source.message())
            except OSError:
                return  # the process has ended; `_receive` sees it too
            finally:
                with self._change:
                    self._writing = False
                    self._change.notify_all()
        process.stdin.close()

    def _all_sent(self) -> bool:
        return self._sent == len(self._jobs) and not self._writing

    def _next(self) -> _Job | None:
        """The next job to be sent; None when there was none for long."""
        with self._change:
            while self._sent == len(self._jobs):
                if not self._change.wait(IDLE_SECONDS) and not self._jobs:
                    self._process = None  # the next job starts another
                    return None
            job = self._jobs[self._sent]
            self._sent += 1  # before it is written: the answer may come before that is noted
            self._writing = True
            return job

    def _receive(self, process: Any) -> None:
        with open(process.stdout.fileno(), "rb", closefd=False) as answers:
            while (answer := _answer(answers)) is not None:
                head, data = answer
                self._finish(self._jobs[0], data, head["error"])
        with self._change:
            lost = self._process is process
            self._usable = self._usable and not lost
        process.kill()
        process.wait()
        process.stdout.close()
        if lost:
            self._finish_all()

    def _finish_all(self) -> None:
        """Do here what the helper process didn't live to do."""
        while True:
            with self._change:
                if not self._jobs:
                    self._process = None
                    return
            self._finish(self._jobs[0], None, None)

    def _finish(self, job: _Job, data: bytes | None, error: str | None) -> None:
        try:
            with self._installing:
                if not self._closed:
                    if error is not None:
                        raise invalid(job.source.name, error)
                    job.install(job.source.optimised() if data is None else data)
        except CompileError as failure:
            self._failures.append(str(failure))
            emit("not_optimised", kernel=job.source.name, reason=str(failure))
        with self._change:
            self._jobs.popleft()
            self._sent = max(self._sent - 1, 0)  # of a lost process, some were never sent
            self._change.notify_all()


def _answer(stream: Any) -> tuple[dict[str, Any], bytes] | None:
    """The next answer; None where the process ended or wrote anything else."""
    try:
        return read_message(stream)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _can_start() -> bool:
    """Whether Python can be started again: this is no program that embeds it."""
    name = os.path.basename(sys.executable or "").lower()
    return "python" in name and not getattr(sys, "frozen", False)


OPTIMISER: Final = Optimiser()
"""The process's own."""

atexit.register(OPTIMISER.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=OPTIMISER.forked)
