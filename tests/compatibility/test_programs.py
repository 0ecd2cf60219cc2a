"""Published programs on Argand, beside the numbers of PyTorch that `programs.py` kept.

    export ARGAND_PROGRAMS=CHECKOUTS ARGAND_PROGRAMS_DATA=DATA
    python -m pytest -m slow tests/compatibility/test_programs.py

The folders are those of `programs.py`; `ARGAND_PROGRAMS_PYTHON` names the interpreter in which
`torch` is Argand, if it is there already.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import pytest
from environment import NotInstalledError, for_programs

import programs

KEPT: dict[str, Any] = json.loads(programs.KEPT.read_text())
LISTED = {f"{p['source']}: {p['name']}": p for p in programs.LIST["program"]}
RUN = [
    n for n in LISTED if n in KEPT and "reference" in KEPT[n] and not programs.complaint(n, KEPT[n])
]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def options() -> argparse.Namespace:
    """Those of `programs.py`, from the environment."""
    sources = os.environ.get("ARGAND_PROGRAMS")
    if not sources:
        pytest.skip("ARGAND_PROGRAMS doesn't name the folder of the checkouts")
    data = os.environ.get("ARGAND_PROGRAMS_DATA", sources)
    folders = {"sources": Path(sources).resolve(), "data": Path(data).resolve()}
    return argparse.Namespace(**folders, threads=1, limit=1800, details=False)


@pytest.fixture(scope="module")
def python() -> str:
    """The interpreter in which `torch` is Argand."""
    try:
        return os.environ.get("ARGAND_PROGRAMS_PYTHON") or str(
            for_programs(programs.LIST["libraries"], programs.LIST["torchvision"], alias=True)
        )
    except NotInstalledError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", RUN)
def test_the_numbers_of_pytorch(
    name: str, options: argparse.Namespace, python: str, tmp_path: Path
) -> None:
    program, row = LISTED[name], KEPT[name]
    if not (options.sources / program["source"]).is_dir():
        pytest.skip(f"there is no checkout of {program['source']}")
    ours = programs.Runner(python, tmp_path, options).run(program)
    assert not ours.error
    assert ours.problems.keys() <= row["torch"].get("problems", {}).keys()
    theirs = programs.Outcome(**row["reference"])
    gap, of = programs.difference(ours, theirs, row["compared"])
    if programs.is_close(row["difference"]):  # what else differs does so for a reason in the table
        assert gap <= programs.CLOSE, of
