"""Keras' own tests with its torch backend, under Argand and under PyTorch.

    python tests/compatibility/keras_tests.py RUNS --run Argand alias/bin/python
    python tests/compatibility/keras_tests.py RUNS --run PyTorch torch/bin/python --part 0/4
    python tests/compatibility/keras_tests.py RUNS --losses     # what only PyTorch passes
    python tests/compatibility/keras_tests.py RUNS --write      # the table in docs/

The one interpreter is that of an environment with Argand and `argand as-torch`, the other has torch
2.13 (CPU); both have the same keras, whose wheel carries its tests, pytest and what the tests
import: tensorflow-cpu, jax, grain, scikit-learn, pandas, pillow. A process runs a dozen files;
those behind a hang or a crash get another one. What has run is kept in the folder RUNS, and not run
again unless `--only` names it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import defaultdict
from datetime import date
from pathlib import Path

from own_tests import FileRun, Runs, add, losses, read, run_files
from page import put

ENVIRONMENT = {"KERAS_BACKEND": "torch", "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
TOGETHER = 12
"""How many files a process runs."""
WORDS = ("-p", "keras_plugin", "--timeout=120")
VERSIONS = (
    "import importlib.metadata as m, keras, os; "
    "print(os.path.dirname(keras.__file__), m.version('keras'))"
)
OURS, THEIRS = "Argand", "PyTorch"


def find(python: Path) -> tuple[Path, str]:
    """The folder of an interpreter's Keras, and its version."""
    words = [str(python), "-c", VERSIONS]
    env = {**ENVIRONMENT, "PATH": "/usr/bin"}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=env)
    folder, version = done.stdout.split()[-2:]
    return Path(folder), version


def run(kept: Path, who: str, python: Path, part: str, only: list[str]) -> None:
    """Run the files of a part that have not run yet, or those whose path has a word of `only`."""
    folder, _ = find(python)
    first, count = map(int, part.split("/"))
    found = (str(path.relative_to(folder)) for path in folder.rglob("*_test.py"))
    files = sorted(found, key=lambda file: ("applications" in file, file))[
        first::count
    ]  # longest last
    done = read(kept, who)
    if only:
        files = [file for file in files if any(word in file for word in only)]
    else:
        files = [file for file in files if file not in done]
    while files:
        runs = run_files(python, folder, files[:TOGETHER], ENVIRONMENT, WORDS)
        for file, result in runs.items():
            add(kept, who, file, result)
            counts = [result.count(outcome) for outcome in ("passed", "failed", "skipped")]
            print(file, *counts, result.ended, f"{result.seconds} s", flush=True)
        files = [file for file in files if file not in runs]


def table(ours: Runs, theirs: Runs) -> str:
    """The counts of each folder, in Markdown."""
    head = f"| tests of `keras/src` | files | {THEIRS}: passed | of | {OURS}: passed | of | lost |"
    groups: dict[str, list[str]] = defaultdict(list)
    for file in sorted({*ours, *theirs}):
        groups[file.split("/")[1]].append(file)
    lines = [head, "|---|---:|---:|---:|---:|---:|---:|"]
    for name, files in [*groups.items(), ("all", sorted({*ours, *theirs}))]:
        cells = [len(files), *_counts(theirs, files), *_counts(ours, files)]
        lost = sum(len(losses(ours.get(f, FileRun()), theirs.get(f, FileRun()))) for f in files)
        label = f"`{name}`" if name != "all" else name
        lines.append(f"| {label} | {' | '.join(map(str, [*cells, lost]))} |")
    return "\n".join(lines)


def _counts(runs: Runs, files: list[str]) -> tuple[int, int]:
    """The tests that pass, and those that aren't skipped."""
    found = [runs[file] for file in files if file in runs]
    passed = sum(run.count("passed") for run in found)
    return passed, passed + sum(run.count("failed") for run in found)


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kept", type=Path, help="the folder of runs")
    parser.add_argument("--run", nargs=2, metavar=("NAME", "PYTHON"))
    parser.add_argument("--part", default="0/1", help="I/N: every N-th file, from the I-th on")
    parser.add_argument("--only", nargs="+", default=[], help="parts of paths, to run again")
    parser.add_argument("--losses", action="store_true", help="print what only PyTorch passes")
    parser.add_argument("--version", default="", help="Keras' version, for --write")
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    options = parser.parse_args()
    if options.run:
        who, python = options.run
        run(options.kept, who, Path(python), options.part, options.only)
        return
    kept = [read(options.kept, who) for who in (OURS, THEIRS)]
    both = set(kept[0]) & set(kept[1])
    ours, theirs = ({f: run for f, run in runs.items() if f in both} for runs in kept)
    if options.losses:
        for file, reference in theirs.items():
            found = ours.get(file, FileRun())
            for name in losses(found, reference):
                print(f"{file}::{name}", found.outcomes.get(name, found.ended or "absent"))
        return
    some = f" {len(both)} of 277 files." if len(both) < 277 else ""
    text = f"Keras {options.version}, {date.today()}.{some}\n\n{table(ours, theirs)}"
    print(text)
    if options.write:
        put("keras", text)


if __name__ == "__main__":
    sys.exit(main())
