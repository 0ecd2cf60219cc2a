"""How the programs beside this one run their parts: each in turn, and all are told of."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any


def attempt(parts: Iterable[tuple[str, Callable[[], Any]]]) -> None:
    """Run parts by name; ends the process with 1 where one failed."""
    failed = False
    for name, part in parts:
        try:
            part()
        except Exception:
            failed = True
            print(f"{name} failed:", traceback.format_exc(limit=-4), sep="\n")
    sys.exit(failed)


__all__ = ["attempt"]
