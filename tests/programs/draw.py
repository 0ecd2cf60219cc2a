"""Draw random programs from the command line, in several processes.

    PYTHONPATH=src:tests python tests/programs/draw.py 0:20000 --processes 2 --passes --keep DIR

Each program of the seeds runs natively, every seed with its own target and number of threads, and
is compared with the reference runs (`judging`). With `--passes` each pass's result is interpreted
too. What fails is shrunk and printed; with `--keep` it is also written there as a file of the
corpus. Ends with how many ran and how many disagreed; the status is 1 when any did.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [p for p in (str(FOLDER), str(FOLDER.parent)) if p not in sys.path]

from checks import machine_of, native_fault, pass_fault
from judging import Judge
from keeping import text_of
from maker import Drawn, random_program
from shrinking import Case, shrink

from argand.base.settings import settings


def judges_of(drawn: Drawn) -> list[Judge]:
    """The references of a program's calls."""
    return [Judge(drawn.program, arrays) for arrays in drawn.calls]


def fault_of(drawn: Drawn, judges: list[Judge], native: bool, passes: bool) -> str | None:
    """What is wrong with a program, natively or after a pass."""
    wrong = None
    if passes:
        wrong = pass_fault(drawn.program, drawn.calls, judges)
    if native and wrong is None:
        wrong = native_fault(drawn.program, drawn.calls, judges, *machine_of(drawn.seed))
    return wrong


def shrunk(drawn: Drawn, native: bool, passes: bool, tries: int = 400) -> Case:
    """The smallest failing case made of a failing program."""

    def fails(case: Case) -> bool:
        candidate = Drawn(drawn.seed, case.program, [case.arrays])
        try:
            judges = judges_of(candidate)
        except Exception:  # the reference can't run it: it shows nothing
            return False
        return fault_of(candidate, judges, native, passes) is not None

    cases = [Case(drawn.program, arrays) for arrays in drawn.calls]
    failing = next((case for case in cases if fails(case)), None)
    if failing is None:  # only several calls, one after the other, show it
        return cases[0]
    return shrink(failing, fails, tries)


def draw(seeds: Iterable[int], native: bool, passes: bool) -> Iterator[dict[str, Any]]:
    """For each seed what was counted, and for a failing one what is wrong and its text."""
    for seed in seeds:
        drawn = random_program(seed)
        judges = judges_of(drawn)
        wrong = fault_of(drawn, judges, native, passes)
        text = ""
        if wrong is not None:
            small = shrunk(drawn, native, passes)
            try:
                text = text_of(f"seed {seed} {wrong}", small.program, [small.arrays])
            except ValueError:
                text = str(small.program)
        yield {
            "seed": seed,
            "wrong": wrong,
            "text": text,
            "results": sum(j.checked for j in judges),
            "unclear": sum(j.unclear for j in judges),
            "coarse": sum(j.coarse for j in judges),
        }


def seeds_of(text: str) -> range:
    """``3:7`` as the seeds 3, 4, 5, 6; ``3`` as the seed 3."""
    first, _, last = text.partition(":")
    return range(int(first), int(last)) if last else range(int(first), int(first) + 1)


def drawn_in_processes(
    seeds: range, processes: int, options: list[str]
) -> Iterator[dict[str, Any]]:
    """What `draw` yields, from processes that share the seeds."""
    script = [sys.executable, __file__, "--json", *options]
    count = max(1, min(processes, len(seeds)))
    bounds = [seeds.start + len(seeds) * i // count for i in range(count + 1)]
    parts = [f"{a}:{b}" for a, b in itertools.pairwise(bounds)]
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in parts]
        running = [
            stack.enter_context(subprocess.Popen([*script, part], stdout=file))
            for part, file in zip(parts, files, strict=True)
        ]
        for process, file in zip(running, files, strict=True):
            if process.wait():
                raise RuntimeError(f"a process that draws ended with {process.returncode}")
            file.seek(0)
            yield from map(json.loads, file)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("seeds", type=seeds_of, help="FIRST:LAST, without the last")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--passes", action="store_true", help="interpret each pass's result")
    parser.add_argument("--no-native", action="store_true", help="don't run machine code")
    parser.add_argument("--keep", type=Path, help="a folder for what fails")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each seed")
    chosen = parser.parse_args(arguments)
    options = ["--passes"] * chosen.passes + ["--no-native"] * chosen.no_native
    if chosen.processes > 1:
        found = drawn_in_processes(chosen.seeds, chosen.processes, options)
    else:
        found = draw(chosen.seeds, not chosen.no_native, chosen.passes)
    totals = dict.fromkeys(("programs", "disagree", "results", "unclear", "coarse"), 0)
    for one in found:
        if chosen.json:
            print(json.dumps(one), flush=True)
            continue
        totals["programs"] += 1
        for name in ("results", "unclear", "coarse"):
            totals[name] += one[name]
        if one["wrong"] is not None:
            totals["disagree"] += 1
            print(f"seed {one['seed']}: {one['wrong']}\n{one['text']}", flush=True)
            if chosen.keep is not None:
                chosen.keep.mkdir(parents=True, exist_ok=True)
                (chosen.keep / f"seed_{one['seed']}.txt").write_text(one["text"])
    if not chosen.json:
        print(", ".join(f"{count} {name}" for name, count in totals.items()))
    return int(totals["disagree"] > 0)


if __name__ == "__main__":
    warnings.simplefilter("error")
    with settings.using(verify=True, cache=False):
        sys.exit(main(sys.argv[1:]))
