"""The tables of docs/compatibility.md say what is pinned, and meet what Argand promises."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import program_table
import pytest
from page import rows, section
from tables import DTYPES, Comparison, Tally, add_options, changes, finish, pinned, sums, table

import programs

PINNED = ("operators", "module samples")
TABLES = (*PINNED, "modules", "files", "distributions", "optimizers")
ENTRIES = 702
"""What PyTorch's database of operators has."""


def compared(name: str) -> Comparison:
    return Comparison.read(pinned(name))


@pytest.mark.parametrize("name", PINNED)
def test_the_page_shows_what_is_pinned(name: str) -> None:
    assert section(name) == table(compared(name))


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_of_the_same_pytorch(name: str) -> None:
    assert f"torch {compared('operators').torch}" in section(name)


def test_95_of_100_operators_are_there() -> None:
    found = compared("operators")
    assert len(found.results) + len(found.missing) == ENTRIES
    assert len(found.results) >= 0.95 * ENTRIES


@pytest.mark.parametrize("name", PINNED)
def test_every_difference_has_a_reason(name: str) -> None:
    found = compared(name).results
    assert not [n for n, tallies in found.items() if any(t.problems for t in tallies.values())]


def test_operators_are_compared_in_every_dtype() -> None:
    totals = sums(compared("operators").results)
    assert set(totals) == {*DTYPES, "errors"}
    del totals["errors"]  # those that are accepted have a reason each
    for dtype, (samples, equal, gradients, equal_gradients, _) in totals.items():
        assert equal >= 0.99 * samples, dtype
        assert equal_gradients >= 0.99 * gradients, dtype


def test_every_sample_is_equal_or_differs_for_a_reason() -> None:
    for name, tallies in compared("operators").results.items():
        for dtype, t in tallies.items():
            different = t.samples - t.equal + t.gradients - t.equal_gradients
            assert different == sum(t.known.values()), f"{name} {dtype}"


def test_every_name_of_a_class_is_there() -> None:
    absent = {row[0]: row[3] for row in rows(section("modules")) if row[1] != row[2]}
    assert set(absent) <= {"`nn.functional`"}
    machinery = r"`(\w+Type|Tensor|assert_int_or_pair|boolean_dispatch|\w*torch_function\w*"
    machinery += r"|(scaled_)?(grouped_)?mm)`"
    assert all(re.fullmatch(machinery, n) for v in absent.values() for n in v.split(", "))


def test_every_optimizer_and_schedule_is_there() -> None:
    found = rows(section("optimizers"))
    assert [r[0] for r in found if r[1] != "yes"] == ["`optim.swap_in_optimizer_params_and_state`"]
    assert not [r for r in found if r[2]]


def test_the_array_api_passes_as_much_as_numpy() -> None:
    name, ours, _, theirs, _ = rows(section("standard"))[-1]
    assert name == "all"
    assert int(ours) >= int(theirs)


def test_tallies_come_back_from_their_file(tmp_path: Path) -> None:
    tally = Tally(3, 2, 1, 0, 0, ["differs"], {"why": 1})
    made = Comparison("0", {"c": "none"}, {"a": {"bool": tally}, "b": {"errors": Tally()}}, {})
    made.write(tmp_path / "a.json")
    assert Comparison.read(tmp_path / "a.json") == made
    assert Comparison.joined([made, made], "cba").results == made.results


def test_changes_are_told() -> None:
    def one(tally: Tally) -> Comparison:
        return Comparison("0", {}, {"a": {"bool": tally}}, {})

    before = one(Tally(2, 1, known={"ties": 1}))
    assert not list(changes(before, before))
    for tally, words in (
        (Tally(2, 2), "gone {'ties'}"),
        (Tally(2, 1, known={"ties": 1}, problems=["new"]), "1 differ: new"),
        (Tally(3, 2, known={"ties": 1}), "3 samples, 2 before"),
    ):
        assert words in " ".join(changes(before, one(tally)))
    assert list(changes(before, Comparison("0", {"a": "no"}, {}, {}))) == ["a is missing"]
    assert "a was missing" in changes(Comparison("0", {"a": "no"}, {}, {}), before)


def test_a_comparison_without_changes_succeeds() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    options = parser.parse_args(["--check"])
    found = compared("module samples")
    assert finish(found, "module samples", options) is None
    name = next(iter(found.results))
    found.results[name]["float64"].problems.append("another")
    assert finish(found, "module samples", options) == f"{name} float64: 1 differ: another"


def test_the_page_shows_the_programs_that_were_run() -> None:
    rows_of = json.loads(programs.KEPT.read_text())
    assert section("programs") == program_table.table(programs.LIST, rows_of)


def test_every_program_that_pytorch_runs_agrees_or_says_why_not() -> None:
    rows_of = json.loads(programs.KEPT.read_text())
    listed = {f"{p['source']}: {p['name']}": p for p in programs.LIST["program"]}
    assert set(rows_of) <= set(listed)
    wrong = [name for name, row in rows_of.items() if programs.complaint(name, row)]
    assert not [name for name in wrong if not {"why", "missing"} & set(listed[name])]


def test_programs_are_compared_number_by_number() -> None:
    ours, theirs = programs.Outcome(), programs.Outcome()
    ours.output, theirs.output = "step 1, loss 2.00001, 3 ms", "step 1, loss 2.0, 17 ms"
    gap, _ = programs.difference(ours, theirs, "output")
    assert 4e-6 < gap < 6e-6
    ours.output = "stop 1, loss 2.0, 3 ms"
    assert programs.difference(ours, theirs, "output")[0] == float("inf")
    ours.runs, theirs.runs = [[1.0, 200.0, float("nan")]], [[1.0, 200.1, float("nan")]]
    assert abs(programs.difference(ours, theirs, "losses")[0] - 5e-4) < 1e-5
    ours.runs = [[1.0]]
    assert programs.difference(ours, theirs, "losses")[0] == float("inf")
    ours.runs, theirs.runs = [[1.0] * 12, [2.0] * 11], [[1.0] * 11 + [9.0], [2.0] * 9 + [2.5, 9.0]]
    gap, of = programs.difference(ours, theirs, "losses")  # the first ten of each stage
    assert (gap, of) == (0.2, "20 of 23 losses")
    theirs.runs[1].append(3.0)
    assert programs.difference(ours, theirs, "losses")[1] == "20 of 24 losses, 23 with Argand"


def test_of_torchvision_all_is_there_but_datasets() -> None:
    absent = {row[0]: row[1] != row[2] for row in rows(section("vision"))}
    assert [name for name, some in absent.items() if some] == ["`datasets`"]
