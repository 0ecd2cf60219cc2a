"""Argand's array API namespace against the standard's own tests, beside NumPy's.

    python tests/compatibility/standard.py TESTS --write       # the table in docs/compatibility.md

TESTS is a checkout of github.com/data-apis/array-api-tests with its submodule. The interpreter
needs Argand, NumPy, pytest, hypothesis, pytest-json-report and ndindex. Both run the same examples:
three a test, derived from the tests alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from page import put

VERSION = "2024.12"
EXAMPLES = 3
MODULES = {"Argand": "argand.array_api", "NumPy": "numpy"}

Outcomes = dict[str, str]


def outcomes(tests: Path, module: str) -> Outcomes:
    """What became of each test of the suite with a module."""
    environment = os.environ | {
        "ARRAY_API_TESTS_MODULE": module,
        "ARRAY_API_TESTS_VERSION": VERSION,
    }
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        words = ["-m", "pytest", "array_api_tests", "-q", "-p", "no:warnings", "--json-report"]
        words += [f"--json-report-file={report}", f"--max-examples={EXAMPLES}"]
        words += ["--disable-deadline", "--derandomize"]
        subprocess.run([sys.executable, *words], cwd=tests, env=environment, check=False)
        found = json.loads(report.read_text())["tests"]
    return {t["nodeid"].partition("/")[2]: t["outcome"] for t in found}


def table(found: dict[str, Outcomes]) -> str:
    """Tests and those that pass, file by file, in Markdown."""
    files = sorted({name.partition("::")[0] for tests in found.values() for name in tests})
    lines = [
        f"| tests | {' | '.join(f'{n}: passed | of' for n in found)} |",
        f"|---|{'---:|---:|' * len(found)}",
    ]
    for file in (*files, ""):
        counts = []
        for tests in found.values():
            chosen = Counter(o for n, o in tests.items() if n.startswith(f"{file}::") or not file)
            counts += [str(chosen["passed"]), str(sum(chosen.values()))]
        lines.append(f"| {f'`{file}`' if file else 'all'} | {' | '.join(counts)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table and what fails, and write the table if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tests", type=Path)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    options = parser.parse_args()
    found = {name: outcomes(options.tests, module) for name, module in MODULES.items()}
    ours, theirs = found.values()
    failed = sorted(n for n, o in ours.items() if o == "failed")
    alone = [n for n in failed if theirs.get(n) == "passed"]
    text = f"Version {VERSION} of the standard, {EXAMPLES} examples a test.\n\n{table(found)}"
    print(text)
    print("\nFailed:", *failed, "\nFailed, where NumPy passes:", *alone, sep="\n  ")
    if options.write:
        put("standard", text)


if __name__ == "__main__":
    main()
