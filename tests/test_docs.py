"""The documentation's code runs, and prints what the documentation shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs_blocks import run_blocks

_ROOT = Path(__file__).parent.parent
_PAGES = sorted([_ROOT / "README.md", _ROOT / "CONTRIBUTING.md", *(_ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("path", _PAGES, ids=lambda p: p.name)
def test_code_blocks_run_and_print_what_is_shown(path: Path) -> None:
    for shown in run_blocks(path):
        assert shown.printed == shown.shown, f"{path.name}, line {shown.line}"
