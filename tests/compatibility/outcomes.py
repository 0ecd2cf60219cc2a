"""A plugin of pytest that writes what becomes of each test to a file, while it happens.

    OUTCOMES=record.txt python -m pytest -p outcomes ...

A run that hangs or crashes so leaves what it had. A line is an outcome, or "begun", and the test;
the last line is "finished".
"""

from __future__ import annotations

import os
import re
from typing import Any

_RANK = {"passed": 0, "skipped": 1, "failed": 2}
_found: dict[str, str] = {}


def _write(outcome: str, test: str) -> None:
    with open(os.environ["OUTCOMES"], "a") as record:
        record.write(f"{outcome} {re.sub('0x[0-9a-f]+', '0x', test)}\n")


def pytest_runtest_logstart(nodeid: str) -> None:
    """Say what runs, in case it never ends."""
    _write("begun", nodeid)


def pytest_runtest_logreport(report: Any) -> None:
    """Keep the worst of setup, call and teardown; write it when the test has ended."""
    outcome = "passed" if hasattr(report, "wasxfail") else report.outcome
    before = _found.get(report.nodeid, "passed")
    _found[report.nodeid] = max(before, outcome, key=_RANK.__getitem__)
    if report.when == "teardown":
        _write(_found[report.nodeid], report.nodeid)


def pytest_collectreport(report: Any) -> None:
    """A file that can't be imported has no tests that could be counted: it counts as one."""
    if report.outcome != "passed" and report.nodeid:
        _write(report.outcome, f"{report.nodeid}::(the file)")


def pytest_sessionfinish() -> None:
    """Nothing has ended the tests before the last."""
    _write("finished", "")
