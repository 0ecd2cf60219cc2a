"""`argand check`: run the samples of an exported program again."""

from __future__ import annotations

import argparse
import json
from typing import Any

from argand.cli.models import print_table
from argand.export.archive import load
from argand.export.program import ExportedProgram
from argand.export.samples import Compared, Sample, compared


def run(options: argparse.Namespace) -> int:
    """The exit status is 1 where an output is further off than the tolerance."""
    program = load(options.file)
    found = [row for i, s in enumerate(program.samples) for row in _rows(program, s, i, options)]
    fits = all(row["fits"] for row in found)
    if options.json:
        print(json.dumps({"file": options.file, "fits": fits, "outputs": found}))
        return 0 if fits else 1
    if not found:
        print(f"{options.file}: the file is whole; it has no samples to run")
        return 0
    heads = ("sample", "signature", "output", "largest difference", "relative", "")
    print_table(heads, map(_cells, found))
    said = "every output is the same, bit for bit"
    if not all(row["equal"] for row in found):
        said = "every output is as it should be" if fits else "outputs are NOT as they should be"
    print(f"{options.file}: {said}")
    return 0 if fits else 1


def _rows(
    program: ExportedProgram, sample: Sample, number: int, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """What is said of each output of a sample; of one that can't be run, the error."""
    head = {"sample": number, "signature": sample.signature}
    try:
        found = compared(program, sample)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        return [{**head, "output": "", "fits": False, "equal": False, "error": str(error)}]
    return [{**head, **_facts(c, options.tolerance)} for c in found]


def _facts(c: Compared, tolerance: float | None) -> dict[str, Any]:
    return {
        "output": c.output,
        "equal": c.is_equal,
        "largest": c.largest,
        "relative": c.relative,
        "tolerance": c.tolerance if tolerance is None else tolerance,
        "fits": c.fits(tolerance),
    }


def _cells(row: dict[str, Any]) -> list[Any]:
    head = [row["sample"], row["signature"], row["output"]]
    if "error" in row:
        return [*head, "", "", row["error"]]
    if row["equal"]:
        return [*head, "0", "0", "the same bits"]
    verdict = "within" if row["fits"] else "BEYOND"
    numbers = [f"{row['largest']:.3g}", f"{row['relative']:.2g}"]
    return [*head, *numbers, f"{verdict} the tolerance {row['tolerance']:g}"]
