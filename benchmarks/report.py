"""The head and the table of docs/performance.md: Argand beside the best peer, floor, target.

    python benchmarks/report.py RESULTS_FOLDER FLOORS.json [--allow-unequal]

RESULTS_FOLDER is what peers/run_all.py wrote, FLOORS.json what floors.py --json wrote. Every
workload that a column has a figure for is a row. Columns that were not measured in the same
rounds are refused (--allow-unequal prints them all the same, and says so).
"""

from __future__ import annotations

import argparse
import json
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

# What issue 2 asks for: best peer's time over ours.
TARGETS = {
    **dict.fromkeys(("micro_matmul256", "micro_matmul512", "micro_matmul1024"), 0.95),
    **dict.fromkeys(("micro_matmul2048", "micro_bmm"), 0.95),
    **dict.fromkeys(("micro_conv3x3", "micro_conv3x3_bwd"), 0.9),
    **dict.fromkeys(("micro_gelu_chain", "micro_softmax", "micro_layernorm"), 1.0),
    **dict.fromkeys(("micro_sum0", "micro_sum1", "overhead_add", "overhead_add_grad"), 1.0),
    **dict.fromkeys(("mlp_train", "mnist_train"), 1.1),
    **dict.fromkeys(("dqn_train", "dqn_infer_b1"), 2.0),
    "mlp_infer_b1": 1.2,
}
OURS = ("argand", "argand eager")
VERDICTS = {"above": "met", "below": "**missed**", "noise": "within noise"}

RULES = """\
`best / ours` is the fastest peer's time over Argand's, each its best round's median: above 1 Argand
is the faster. `rounds` is the least and the greatest ratio of a round (that round's fastest peer
over Argand). A target is met or missed where the ratio is further from it than the rounds are from
one another (the largest of: greatest over least ratio, slowest over fastest round of Argand, the
same of the peer), else it is within noise; after one round nothing is known of noise. `freeze`:
Argand's figure is of a function compiled with `freeze=True`, whose weights are constants;
`constants` beside a peer: its weights are constants too. `of the floor` is the floor (arithmetic
over peak or compulsory traffic over bandwidth, whichever is larger) over Argand's time."""


class Row:
    """One workload: Argand's result, the best peer's, and the ratio between them."""

    def __init__(self, workload: str, found: dict[str, dict[str, Any]]) -> None:
        self.workload = workload
        self.ours = next((found[c] for c in OURS if c in found), None)
        peers = {c: r for c, r in found.items() if not c.startswith("argand")}
        self.best = min(peers, key=lambda c: peers[c]["us"]) if peers else None
        self.peer = peers[self.best] if self.best else None
        self.ratio: Ratio | None = None
        if self.ours and self.peer:
            # With unequal rounds only the best peer's own are comparable.
            lists = [r["rounds"] for r in peers.values()]
            equal = len({len(x) for x in lists}) == 1
            fastest = [min(x) for x in zip(*lists, strict=True)] if equal else self.peer["rounds"]
            self.ratio = ratio(fastest, self.ours["rounds"])

    def target(self) -> str:
        """The target and whether the ratio reaches it."""
        bound = TARGETS.get(self.workload)
        if not bound:
            return "–"
        if not self.ratio:
            return f"{bound:g} not measured"
        verdict = VERDICTS[self.ratio.against(bound)]
        return f"{bound:g} {verdict}" + (" (one round)" if len(self.ratio.each) == 1 else "")

    def line(self, floor: float | None) -> str:
        """The row of the table."""
        frozen = " (freeze)" if self.ours and self.ours.get("frozen") else ""
        constant = " (constants)" if self.peer and self.peer.get("frozen") else ""
        cells = (
            self.workload + frozen,
            time_text(self.ours["us"]) if self.ours else "–",
            time_text(self.peer["us"]) if self.peer else "–",
            f"{self.best}{constant}" if self.best else "–",
            f"{self.ratio.value:.2f}" if self.ratio else "–",
            self.ratio.span if self.ratio else "–",
            self.target(),
            f"{floor / self.ours['us']:.0%}" if floor and self.ours else "–",
        )
        return f"| {' | '.join(cells)} |"


def rows(columns: dict[str, dict[str, Any]]) -> list[Row]:
    """A row for each workload that any column has a figure for."""
    found = {w: measured(columns, w) for w in WORKLOADS}
    return [Row(w, results) for w, results in found.items() if results]


def missing(columns: dict[str, dict[str, Any]], table: list[Row]) -> list[str]:
    """Why Argand has no figure for a workload that a peer has one for."""
    lines = []
    for row in (r for r in table if not r.ours):
        mine = [columns[c]["results"].get(row.workload, {}) for c in OURS if c in columns]
        why = {r["skip"]: None for r in mine if "skip" in r}
        lines.append(f"* {row.workload}: {'; '.join(why) or 'not run'}")
    return lines


def score(table: list[Row]) -> str:
    """In how many workloads Argand is ahead, behind, or neither."""
    said = [row.ratio.against(1.0) for row in table if row.ratio]
    counts = {k: said.count(k) for k in ("above", "below", "noise")}
    return (
        f"Ahead of every peer in {counts['above']} of {len(said)} workloads, behind in "
        f"{counts['below']}, within noise of the best in {counts['noise']}."
    )


def report(columns: dict[str, dict[str, Any]], floors: dict[str, float]) -> list[str]:
    """The whole page."""
    table = rows(columns)
    lines = [*head(columns), "", RULES, ""]
    lines += [
        "| workload | Argand | best peer | which | best / ours | rounds | target | of the floor |",
        "|---|---:|---:|---|---:|---:|---|---:|",
        *(row.line(floors.get(row.workload)) for row in table),
    ]
    lines += ["", score(table), "", "Geometric means of best / ours:", ""]
    lines += means({row.workload: row.ratio for row in table if row.ratio})
    if absent := missing(columns, table):
        lines += ["", "Without a figure of Argand's:", "", *absent]
    return lines


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("floors", type=Path)
    parser.add_argument("--allow-unequal", action="store_true")
    options = parser.parse_args()
    columns = {c: d for c, d in load(options.results).items() if "before" not in c.split()}
    try:
        check_equal(columns)
        print("All columns were measured in the same rounds.\n")
    except UnequalError as error:
        if not options.allow_unequal:
            raise SystemExit(f"{error}\n(--allow-unequal prints them all the same)") from None
        print(f"**Columns are not measured equally often**: {error}\n")
    floors = json.loads(options.floors.read_text())["floor_us"]
    print("\n".join(report(columns, floors)))


if __name__ == "__main__":
    main()
