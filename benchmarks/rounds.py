"""Ratios of two figures over the rounds of a run, and what they decide.

The rule of docs/performance.md: a ratio is told from a bound (a target, or 1) only where it is
further from it than the rounds are from one another. Distances are factors. The rounds' distance
is the largest of three: greatest over least ratio, and slowest over fastest round of either side.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from columns import Store
from common import WORKLOADS

Results = dict[str, dict[str, Any]]  # workload -> what a bench script wrote of it

KINDS: dict[str, Callable[[str], bool]] = {
    "training": lambda w: w.endswith("_train"),
    "inference": lambda w: "_infer" in w or w.startswith("gpt2_"),
    "micro": lambda w: w.startswith("micro_"),
    "overhead": lambda w: w.startswith("overhead_"),
}


class UnequalError(Exception):
    """The columns were not measured in the same rounds."""


@dataclass(frozen=True)
class Ratio:
    """A time over another: best round over best round, and each round's ratio."""

    value: float
    each: tuple[float, ...]
    noise: float  # how far the rounds are from one another, a factor; 1 for one round

    @property
    def span(self) -> str:
        """Least and greatest ratio of the rounds."""
        return f"{min(self.each):.2f}-{max(self.each):.2f}" if len(self.each) > 1 else "–"

    def against(self, bound: float) -> str:
        """'above', 'below' or 'noise'."""
        if max(self.value / bound, bound / self.value) <= self.noise:
            return "noise"
        return "above" if self.value > bound else "below"


def spread(numbers: Iterable[float]) -> float:
    """Greatest over least."""
    numbers = tuple(numbers)
    return max(numbers) / min(numbers)


def ratio(above: Iterable[float], below: Iterable[float]) -> Ratio:
    """The ratio of two figures from the medians of their rounds.

    >>> r = ratio([2.0, 2.2], [1.0, 1.0])
    >>> r.value, r.each, r.noise, r.against(1.0), r.against(1.9)
    (2.0, (2.0, 2.2), 1.1, 'above', 'noise')
    """
    above, below = tuple(above), tuple(below)
    # Columns with unequal rounds have no pairs: each round is then held against the best.
    same = len(above) == len(below)
    pairs = zip(above, below, strict=True) if same else ((a, min(below)) for a in above)
    each = tuple(a / b for a, b in pairs)
    noise = max(spread(each), spread(above), spread(below))
    return Ratio(min(above) / min(below), each, noise)


def mean(values: Iterable[float]) -> float:
    """The geometric mean."""
    values = tuple(values)
    return math.exp(sum(map(math.log, values)) / len(values))


def means(ratios: dict[str, Ratio]) -> list[str]:
    """For each kind of workload a line: the geometric mean of its ratios, and of each round's."""
    lines = []
    for kind, belongs in KINDS.items():
        chosen = [r for w, r in ratios.items() if belongs(w)]
        if chosen:
            text = f"{mean(r.value for r in chosen):.2f}"
            rounds = min(len(r.each) for r in chosen)
            each = [mean(r.each[k] for r in chosen) for k in range(rounds)]
            text += f" (rounds {min(each):.2f}-{max(each):.2f})" if rounds > 1 else ""
            lines.append(f"* {kind}: {text} over {len(chosen)} workloads")
    return lines


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """What run_all.py wrote of each column, by its name."""
    columns = Store(str(folder)).everything()
    if not columns:
        raise SystemExit(f"{folder}: no results; give the folder that run_all.py wrote (--out)")
    return columns


def measured(columns: dict[str, dict[str, Any]], workload: str) -> Results:
    """The results of a workload by column, of those that have a figure."""
    found = {c: d["results"].get(workload, {}) for c, d in columns.items()}
    return {c: r for c, r in found.items() if "us" in r}


def check_equal(columns: dict[str, dict[str, Any]]) -> None:
    """Raise UnequalError unless each workload's columns were measured in the same rounds."""
    wrong = []
    for workload in WORKLOADS:
        by_column = {c: tuple(r["runs"]) for c, r in measured(columns, workload).items()}
        if len(set(by_column.values())) > 1:
            counts = ", ".join(f"{c} {len(runs)}" for c, runs in by_column.items())
            wrong.append(f"  {workload}: {counts}")
    if wrong:
        raise UnequalError("rounds of one run_all.py are not equal:\n" + "\n".join(wrong))


def head(columns: dict[str, dict[str, Any]]) -> list[str]:
    """Machine, date, rounds, commit and versions."""
    results = [r for d in columns.values() for r in d["results"].values() if "us" in r]
    counts = sorted({len(r["rounds"]) for r in results})
    dates = sorted({run for r in results for run in r["runs"]})
    machines = {(d["cpu"], d["cores"], " ".join(d["isa"])) for d in columns.values()}
    rounds = " to ".join(str(n) for n in (counts[:1] + counts[1:][-1:]))
    times = "/".join(f"{t:g}" for t in sorted({d["min_time"] for d in columns.values()}))
    lines = [f"* Machine: {cpu}, {cores} cores, {isa}" for cpu, cores, isa in sorted(machines)]
    lines.append(f"* Measured: {', '.join(dates)}; {rounds} rounds, `--min-time {times}`")
    for column, d in columns.items():
        versions = ", ".join(f"{k} {v}" for k, v in d.get("versions", {}).items())
        lines.append(f"* {column}: {versions}, Python {d['python']}")
    return lines


def time_text(us: float) -> str:
    """A time with three digits and its unit."""
    if us < 1000:
        return f"{us:.3g} µs" if us < 100 else f"{us:.0f} µs"
    return f"{us / 1e3:.3g} ms" if us < 1e6 else f"{us / 1e6:.3g} s"
