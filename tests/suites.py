"""Which cases of a parameter the short suite runs; `pytest -m slow` has the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def first(count: int, cases: Iterable[Any]) -> list[Any]:
    """The cases, of which the short suite runs the first `count`."""
    return [
        case if n < count else pytest.param(case, marks=pytest.mark.slow)
        for n, case in enumerate(cases)
    ]
