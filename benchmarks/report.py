"""The table of docs/performance.md: Argand beside the best peer, the floor, and the target.

    python benchmarks/report.py RESULTS_FOLDER FLOORS.json

RESULTS_FOLDER is what peers/run_all.py wrote, FLOORS.json what floors.py --json wrote.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from common import WORKLOADS

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


def columns(folder: Path) -> dict[str, dict[str, Any]]:
    """The results of each column by name."""
    files = (json.loads(path.read_text()) for path in sorted(folder.glob("results/*.json")))
    return {d["column"]: d["results"] for d in files}


def time_text(us: float) -> str:
    """A time with three digits and its unit."""
    if us < 1000:
        return f"{us:.3g} µs" if us < 100 else f"{us:.0f} µs"
    return f"{us / 1e3:.3g} ms" if us < 1e6 else f"{us / 1e6:.3g} s"


def rows(folder: Path, floors: dict[str, float]) -> list[str]:
    """One line of the table for each workload that Argand has a figure for."""
    found = columns(folder)
    lines = []
    for workload in WORKLOADS:
        times = {c: r.get(workload, {}).get("us") for c, r in found.items()}
        ours = {c: t for c, t in times.items() if c.startswith("argand") and t}
        peers = {c: t for c, t in times.items() if not c.startswith("argand") and t}
        if not ours or not peers:
            continue
        mine = ours.get("argand", next(iter(ours.values())))
        best = min(peers, key=lambda c: peers[c])
        ratio, target = peers[best] / mine, TARGETS.get(workload)
        asked = f"{target:g} {'met' if ratio >= target else '**missed**'}" if target else "–"
        floor = f"{floors[workload] / mine:.0%}" if floors.get(workload) else "–"
        cells = (workload, time_text(mine), time_text(peers[best]), best)
        lines.append(f"| {' | '.join(cells)} | {ratio:.2f} | {asked} | {floor} |")
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("floors", type=Path)
    options = parser.parse_args()
    floors = json.loads(options.floors.read_text())["floor_us"]
    print("| workload | Argand | best peer | which | best / ours | target | of the floor |")
    print("|---|---:|---:|---|---:|---|---:|")
    print("\n".join(rows(options.results, floors)))


if __name__ == "__main__":
    main()
