"""Whether results agree with a program's reference runs, and where nothing can be said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from runs import Runs, epsilon, evaluated, widened

from argand.ir.op import Literal
from argand.ir.program import Program, Value

TIMES = 8
# More than this share of the largest element allowed: the output is hardly checked.
COARSE = 0.05


class Judge:
    """The reference of one call of a program; it judges any number of results.

    `unclear` counts outputs that a rounding may change altogether; `coarse` those whose allowed
    error is large. Both are results that the comparison says little about.
    """

    def __init__(self, program: Program, arrays: Sequence[Any]) -> None:
        self.program = program
        self.arrays = [np.array(a) for a in arrays]
        self.runs = evaluated(program, self.arrays)
        self.checked = 0
        self.unclear = 0
        self.coarse = 0

    def disagreement(self, results: Sequence[Any]) -> str | None:
        """What is wrong with the results, outputs and then written state; None when they agree."""
        wanted = self.program.results
        if len(results) != len(wanted):
            return f"{len(results)} results, not {len(wanted)}"
        for i, (v, found) in enumerate(zip(wanted, results, strict=True)):
            wrong = self._one(v, np.asarray(found))
            if wrong is not None:
                return f"result {i}: {wrong}"
        return None

    def _one(self, v: Value | Literal, found: np.ndarray) -> str | None:
        self.checked += 1
        if isinstance(v, Literal):
            return None if np.array_equal(found, v.dtype.numpy.type(v.value)) else f"not {v}"
        narrow = self.runs.narrow[v]
        if (found.dtype, found.shape) != (narrow.dtype, narrow.shape):
            return f"{found.dtype} {found.shape}, not {narrow.dtype} {narrow.shape}"
        if v in self.runs.certain or not v.dtype.is_inexact:
            return self._equal(self.runs, v, found)
        return self._near(self.runs, v, found)

    def _equal(self, runs: Runs, v: Value, found: np.ndarray) -> str | None:
        narrow = runs.narrow[v]
        if np.array_equal(found, narrow, equal_nan=v.dtype.is_inexact):
            return None
        if v not in runs.certain and self._wavers(v):
            self.unclear += 1
            return None
        places = np.argwhere(widened(found) != widened(narrow))
        at = tuple(int(n) for n in places[0]) if len(places) else ()
        return f"{found[at]} at {at}, not {narrow[at]} ({len(places)} of {narrow.size} differ)"

    def _wavers(self, v: Value) -> bool:
        """Whether roundings change the integers or booleans of a value."""
        for runs in (self.runs, evaluated(self.program, self.arrays, 16, 2.0)):
            others = [runs.narrow[v], *(env[v] for env in runs.shaken)]
            if any(not np.array_equal(runs.wide[v], a) for a in others):
                return True
        return False

    def _near(self, runs: Runs, v: Value, found: np.ndarray) -> str | None:
        wrong, allowed = _compared(runs, v, found)
        largest = np.abs(runs.wide[v][np.isfinite(runs.wide[v])]).max(initial=0)
        if wrong is None:
            self.coarse += bool(allowed > COARSE * largest > 0)
            return None
        # Perhaps a rounding is a jump here, or errors grow as squares of roundings (a variance of
        # equal numbers): more runs, shaken as much as is allowed, would tell.
        deeper = evaluated(self.program, self.arrays, 24, TIMES)
        if _compared(deeper, v, found, times=2)[0] is None:
            self.unclear += 1
            return None
        return wrong


def _compared(
    runs: Runs, v: Value, found: np.ndarray, times: float = TIMES
) -> tuple[str | None, float]:
    """What is wrong with an inexact result, and the error that was allowed.

    Allowed is `times` what the runs differ by and a rounding of the largest element; what isn't
    finite must be so in the same places, unless the runs disagree on them.
    """
    narrow, wide, got = widened(runs.narrow[v]), runs.wide[v], widened(found)
    others = [narrow, *(env[v] for env in runs.shaken)]
    finite = np.isfinite(wide)
    if any(not np.array_equal(np.isfinite(a), finite) for a in others):
        finite = finite & np.logical_and.reduce([np.isfinite(a) for a in others])
    elif not np.array_equal(np.isfinite(got), finite):
        return "not finite in other places", 0.0
    elif not np.array_equal(got[~finite], narrow[~finite], equal_nan=True):
        return "another infinity", 0.0
    if not finite.any():
        return None, 0.0
    exact = wide[finite]
    spread = max(np.abs(a[finite] - exact).max() for a in others)
    allowed = times * float(spread + epsilon(v.dtype) / 2 * np.abs(exact).max())
    error = np.abs(got[finite] - exact)
    if np.isnan(error).any() or error.max() > allowed:
        return f"off by {error.max():.3g}, allowed {allowed:.3g}", allowed
    return None, allowed
