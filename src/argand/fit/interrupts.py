"""Ctrl-C and SIGTERM during training: they wait until a step is done."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any


class Interrupts:
    """A block in which SIGINT and SIGTERM are noted; `asked` is the signal that came, or None.

    The second one is obeyed at once. A handler that the program has set stays, and so do both
    outside of the main thread. `reason()` is what to raise when the step is done and saved:
    KeyboardInterrupt, or for SIGTERM SystemExit with the status 143 that a shell shows.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self._before: dict[int, Any] = {}
        self._process = os.getpid()

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if handler in (signal.SIG_DFL, signal.default_int_handler):
                    self._before[number] = handler
                    signal.signal(number, self._note)
        return self

    def __exit__(self, *exc: object) -> None:
        self._restore()

    def reason(self, said: str) -> BaseException:
        """The error to leave with."""
        return SystemExit(143) if self.asked == signal.SIGTERM else KeyboardInterrupt(said)

    def _note(self, number: int, frame: Any) -> None:
        forked = os.getpid() != self._process
        if forked or self.asked is not None:
            self._restore()
            os.kill(os.getpid(), number)  # what it would have done without us
            return
        self.asked = number

    def _restore(self) -> None:
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._note:
                signal.signal(number, handler)
        self._before = {}
