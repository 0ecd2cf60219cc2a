"""Argand before and after, workload by workload, from one run of both.

    python benchmarks/compare.py RESULTS_FOLDER [--before COLUMN --after COLUMN]

RESULTS_FOLDER is what `peers/run_all.py --before SRC` wrote. Without names of columns it compares
"argand" with "argand before", and the eager ones likewise. A workload is slower or faster where
the ratio is further from 1 than the rounds are from one another (rounds.py); with fewer than
four rounds that happens by chance. Ends with 1 if a workload is slower.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rounds import (
    WORKLOADS,
    Ratio,
    UnequalError,
    check_equal,
    head,
    load,
    means,
    measured,
    ratio,
    time_text,
)

PAIRS = (("argand before", "argand"), ("argand eager before", "argand eager"))
VERDICTS = {"above": "**slower**", "below": "faster", "noise": "within noise"}


def compared(columns: dict[str, dict[str, Any]], before: str, after: str) -> dict[str, Ratio]:
    """Workload -> after / before, for those that both have a figure for."""
    both = {w: measured({c: columns[c] for c in (before, after)}, w) for w in WORKLOADS}
    return {
        w: ratio(found[after]["rounds"], found[before]["rounds"])
        for w, found in both.items()
        if len(found) == 2
    }


def failed(columns: dict[str, dict[str, Any]], before: str, after: str) -> list[str]:
    """Workloads that only the earlier code has a figure for."""
    lines = []
    for w in WORKLOADS:
        found = columns[after]["results"].get(w, {})
        if "us" in columns[before]["results"].get(w, {}) and "us" not in found:
            lines.append(f"| {w} | | | | | **{found.get('skip', 'not run')}** |")
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--before")
    parser.add_argument("--after")
    options = parser.parse_args()
    if bool(options.before) != bool(options.after):
        parser.error("--before and --after name two columns: give both")
    found = load(options.results)
    pairs = [(options.before, options.after)] if options.before else PAIRS
    pairs = [p for p in pairs if options.before or all(c in found for c in p)]
    names = [c for p in pairs for c in p]
    if not names or any(c not in found for c in names):
        raise SystemExit(f"{options.results}: columns {sorted(found)}; asked for {names or PAIRS}")
    columns = {c: found[c] for c in names}
    try:
        check_equal(columns)
    except UnequalError as error:
        raise SystemExit(str(error)) from None
    print("\n".join(head(columns)))
    slower = 0
    for before, after in pairs:
        ratios = compared(columns, before, after)
        print(f"\n| {after} | before | after | after / before | rounds | |")
        print("|---|---:|---:|---:|---:|---|")
        for w, r in ratios.items():
            times = (time_text(columns[c]["results"][w]["us"]) for c in (before, after))
            print(f"| {w} | {' | '.join(times)} | {r.value:.3f} | {r.span} | {verdict(r)} |")
        gone = failed(columns, before, after)
        print("\n".join([*gone, "", "Geometric means of after / before:", "", *means(ratios)]))
        slower += len(gone) + sum(verdict(r) == VERDICTS["above"] for r in ratios.values())
    print(f"\n{slower} slower by more than the noise, or failing.")
    raise SystemExit(1 if slower else 0)


def verdict(r: Ratio) -> str:
    """What the rounds decide; nothing after one."""
    return VERDICTS[r.against(1.0)] if len(r.each) > 1 else "one round"


if __name__ == "__main__":
    main()
