"""The backend suite of `onnx`, at its own tolerances."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx")

import onnx_suite
from page import rows, section

NAMES = list(onnx_suite.cases())
KNOWN = onnx_suite.reasons()
SPREAD = [n for n in NAMES[::16] if n not in KNOWN and not n.startswith("real/")]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SPREAD)
def test_some_cases(name: str) -> None:
    onnx_suite.check(name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_all_cases() -> None:
    failed = {n: e for n in NAMES if (e := onnx_suite.outcome(n)) is not None}
    assert not {n: e for n, e in failed.items() if n not in KNOWN}
    assert len(NAMES) - len(failed) >= 2000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_all_cases_traced() -> None:
    failed = {n: e for n in NAMES if (e := onnx_suite.outcome(n, compiled=True)) is not None}
    assert not {n: e for n, e in failed.items() if n not in KNOWN}


def test_the_page_shows_what_is_pinned() -> None:
    shown = sum(int(row[2]) for row in rows(section("onnx suite")))
    assert shown >= 2000
    assert all(name in NAMES for name in KNOWN)
