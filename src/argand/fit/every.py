"""When a checkpoint is due: ``every=100``, ``"epoch"``, ``"2 epochs"``, ``"10 minutes"``."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from argand.base.errors import ArgumentError

_UNITS = {
    "step": ("steps", 1.0),
    "epoch": ("epochs", 1.0),
    "second": ("seconds", 1.0),
    "minute": ("seconds", 60.0),
    "hour": ("seconds", 3600.0),
}


class Every:
    """Tells after each step and epoch whether to save; None: never."""

    def __init__(self, every: Any) -> None:
        self.count, self.unit = _read(every)
        self.restart()

    def restart(self) -> None:
        """Something was saved now."""
        self._saved = time.monotonic()

    def after_step(self, steps: int) -> bool:
        """Whether to save when so many steps are done."""
        if self.unit == "steps":
            return steps % int(self.count) == 0
        return self.unit == "seconds" and time.monotonic() - self._saved >= self.count

    def after_epoch(self, epochs: int) -> bool:
        """Whether to save when so many epochs are done."""
        return self.unit == "epochs" and epochs % int(self.count) == 0


def _read(every: Any) -> tuple[float, str]:
    if every is None:
        return 0, ""
    if isinstance(every, timedelta):
        every = f"{every.total_seconds()} seconds"
    words = [str(every), "step"] if isinstance(every, int) else str(every).split()
    number, unit = words if len(words) == 2 else ("1", words[0] if words else "")
    known = _UNITS.get(unit.removesuffix("s"))
    try:
        count = float(number) * (known or ("", 0))[1]
    except ValueError:
        count = 0
    if known is None or not count > 0 or (known[0] != "seconds" and count != int(count)):
        raise ArgumentError(
            'save every so many steps (100), "epoch", "2 epochs", "30 seconds", '
            f'"10 minutes", "1 hour" or a timedelta, got {every!r}'
        )
    return count, known[0]
