"""What `fit` shows: a progress bar in a terminal, one line an epoch elsewhere, or nothing."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any


def describe(logs: dict[str, Any]) -> str:
    """The logs in a line: ``loss 0.1234  accuracy 0.9876``."""
    return "  ".join(f"{name} {_number(value)}" for name, value in logs.items())


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.3e}"


def shown(verbose: Any) -> int:
    """0 nothing, 1 a progress bar, 2 one line an epoch; "auto" by whether this is a terminal."""
    if verbose in ("auto", None):
        return 1 if sys.stdout.isatty() else 2
    return int(verbose)


class Progress:
    """Reports epochs and steps. Redraws at most ten times a second, so it costs next to nothing."""

    def __init__(self, verbose: Any, epochs: int) -> None:
        self.level = shown(verbose)
        self.epochs = epochs
        self._bar: Any = None
        self._drawn = 0.0

    def begin(self, epoch: int, steps: int | None, title: str | None = None) -> None:
        """An epoch of `steps` steps begins."""
        self.started = time.perf_counter()
        self.title = title or f"Epoch {epoch + 1}/{self.epochs}"
        if self.level == 1:
            self._bar = _make_bar(self.title, steps)
            self._bar[0].start()

    def step(self, done: int, logs: dict[str, Any]) -> None:
        """`done` steps are done."""
        if self._bar is None:
            return
        now = time.perf_counter()
        if now - self._drawn > 0.1:
            bar, task = self._bar
            bar.update(task, completed=done, logs=describe(logs))
            self._drawn = now

    def end(self, done: int, logs: dict[str, Any]) -> None:
        """The epoch is over."""
        seconds = time.perf_counter() - self.started
        if self._bar is not None:
            bar, task = self._bar
            bar.update(task, total=done, completed=done, logs=describe(logs))
            bar.stop()
            self._bar = None
        elif self.level == 2:
            print(f"{self.title} - {seconds:.1f}s - {describe(logs)}", flush=True)

    def abort(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None


def _make_bar(title: str, steps: int | None) -> tuple[Any, Any]:
    """rich is loaded when the first bar is shown."""
    rich = importlib.import_module("rich.progress")
    bar = rich.Progress(
        rich.TextColumn("[bold]{task.description}"),
        rich.BarColumn(bar_width=24),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(),
        rich.TextColumn("{task.fields[logs]}"),
    )
    return bar, bar.add_task(title, total=steps, logs="")
