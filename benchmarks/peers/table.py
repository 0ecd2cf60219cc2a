"""Writes RESULTS.md: every column side by side, and Argand against the best of the others."""

import os

from columns import BEFORE, COMPILE, OURS, RSS
from common import GROUPS, WORKLOADS, cpu_model

# Batch-1 steps whose arithmetic still fills the machine.
RATED_B1 = ("resnet50_infer_b1", "mobilenetv2_infer_b1")


def fmt(us):
    """Microseconds with three digits, in the unit that suits."""
    if us < 1000:
        return f"{us:.3g} µs" if us < 100 else f"{us:.0f} µs"
    ms = us / 1000
    return f"{ms:.{2 if ms < 10 else 1 if ms < 100 else 0}f} ms"


def mark(r):
    """What to doubt about a figure: ~ disturbed or not repeatable, ' measured in one round only."""
    rounds = r.get("rounds", [])
    disturbed = r.get("foreign_cpu", 0) >= 0.03 or r["us"] > 1.4 * r["min_us"]
    shaky = disturbed or (rounds and max(rounds) > 1.3 * min(rounds))
    return ("~" if shaky else "") + ("'" if len(rounds) < 2 else "")


def line(first, cells):
    return f"| {first} | {' | '.join(cells)} |"


def header(first, cells):
    return [line(first, cells), "|---|" + "---:|" * len(cells)]


def medians(files, workload):
    """Column -> median in µs, for the columns that have one."""
    us = {c: d["results"].get(workload, {}).get("us") for c, d in files.items()}
    return {c: v for c, v in us.items() if v}


def best_of(have, ours):
    """(column, µs) of the fastest of ours, or of the others; None where there is none."""
    side = {c: v for c, v in have.items() if c.startswith(OURS) == ours and c not in BEFORE}
    return min(side.items(), key=lambda cv: cv[1]) if side else None


def workloads_table(files):
    cols = list(files)
    out = header("workload", [*cols, "best", "GF/s"])
    for i, w in WORKLOADS.items():
        have = medians(files, i)
        if not have:
            continue
        best = min(have, key=have.get)
        cells = []
        for c in cols:
            text = fmt(have[c]) if c in have else "–"
            text = f"**{text}**" if c == best else text
            cells.append(text + (mark(files[c]["results"][i]) if c in have else ""))
        rated = w["flops"] and (not i.endswith("_b1") or i in RATED_B1)
        rate = f"{w['flops'] / have[best] / 1e3:.0f}" if rated else ""
        out.append(line(i, [*cells, best, rate]))
    return out


def ratio_table(files):
    """Best peer's time over ours: above 1 Argand is the faster."""
    out = header("workload", ["best peer", "its time", "Argand", "peer / Argand"])
    rows = 0
    for i in WORKLOADS:
        have = medians(files, i)
        peer, ours = best_of(have, False), best_of(have, True)
        if peer and ours:
            cells = [peer[0], fmt(peer[1]), fmt(ours[1]), f"{peer[1] / ours[1]:.2f}"]
            out.append(line(i, cells))
            rows += 1
    return ["## Argand against the best peer", "", *out, ""] if rows else []


EXTRA_ROWS = [
    ("python start + import (s)", "import_s", ".2f"),
    ("python start alone (s)", "python_start_s", ".3f"),
    ("python start + import + first op (s)", "first_op_s", ".2f"),
    ("installed size with dependencies (MB)", "disk_mb", ".0f"),
    *(
        (f"setup + first call of {w}, empty cache (s)", f"first_call_cold_{w}_s", ".1f")
        for w in COMPILE
    ),
    *(
        (f"the same, second process, warm cache (s) {w}", f"first_call_warm_{w}_s", ".1f")
        for w in COMPILE
    ),
    *((f"peak memory of {w} (MB)", f"peak_rss_mb_{w}", ".0f") for w in RSS),
]


def extras_table(files):
    out = header("what", list(files))
    for label, key, form in EXTRA_ROWS:
        vals = {c: d.get("extra", {}).get(key) for c, d in files.items()}
        have = {c: v for c, v in vals.items() if v is not None}
        if have:
            best = min(have, key=have.get) if key != "python_start_s" else None
            text = {c: f"**{v:{form}}**" if c == best else f"{v:{form}}" for c, v in have.items()}
            out.append(line(label, [text.get(c, "–") for c in files]))
    return out if len(out) > 2 else []


def skipped(files):
    out = []
    for c, d in files.items():
        by = {}
        for i, r in d["results"].items():
            if "us" not in r:
                by.setdefault(r.get("skip", "?"), []).append(i)
        out += [f"- {c}: {why} ({', '.join(ids)})" for why, ids in by.items()]
    return out


def rounds_table(files):
    out = header("column", GROUPS)
    for c, d in files.items():
        n = dict.fromkeys(GROUPS, 0)
        for i, r in d["results"].items():
            g = WORKLOADS[i]["group"]
            n[g] = max(n[g], len(r.get("rounds", [])))
        out.append(line(c, [str(n[g]) for g in GROUPS]))
    return out


INTRO = """\
# Peer frameworks, measured

Machine: {cpu}, {cores} cores, {isa}; float32, default threads. Median of many runs; the best of
the rounds. Lower is better, best in bold.

`~`: rounds differ by more than 1.3 times, or others used 3 % or more of the machine, or the median
is over 1.4 times the fastest run. `'`: one round only. The number of rounds is not the same
everywhere (see the end); more rounds favour a column where figures are shaky, so leads of less than
about 1.3 times decide nothing.

`GF/s` is the best column's rate on the workloads whose arithmetic is counted; `../floors.py` tells
the machine's peak. Written by run_all.py; the definitions are in README.md.
"""


def merge(store):
    """Writes RESULTS.md from the figures of every column in the store's folder."""
    files = store.everything()
    m = cpu_model()
    intro = INTRO.format(cpu=m["cpu"], cores=m["cores"], isa=", ".join(m["isa"]))
    out = [*intro.split("\n"), *workloads_table(files), "", *ratio_table(files)]
    if extra := extras_table(files):
        out += ["## Start-up, size, compile time, memory", "", *extra, ""]
    out += ["## Skipped or failed", "", *skipped(files), ""]
    out += ["## Rounds per group", "", *rounds_table(files), "", "## Versions", ""]
    out += [f"- {c}: {d.get('versions')}, Python {d.get('python')}" for c, d in files.items()]
    with open(os.path.join(store.folder, "RESULTS.md"), "w") as f:
        f.write("\n".join(out) + "\n")
