"""Nodes of a file's program, held against what calls give, at the sizes of each call."""

import pytest

from argand.base.errors import ProgramError
from argand.export import checking
from argand.export.checking import Checked
from argand.ir.text import parse_program

# What a call may say where there are 8 columns or more.
SLICED = """program f(x: f32[n, m]) {
  %0: f32[n, 4] = slice(x) {start=(0, 4), stop=(n, 8), step=(1, 1)}
  return %0
}"""


@pytest.fixture
def walks(monkeypatch):
    """The programs whose nodes were held against their ops."""
    seen, real = [], checking.check_nodes
    monkeypatch.setattr(
        checking, "check_nodes", lambda program: (seen.append(program), real(program))
    )
    return seen


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_sizes_that_compare_alike_are_checked_once(walks, rows):
    checked = Checked(parse_program(SLICED))
    for columns in (8, 9, 30, 9):
        checked.check({"n": rows, "m": columns})
    assert len(walks) == 1


@pytest.mark.parametrize("rows", [0, 1, 2, 5])
@pytest.mark.parametrize("columns", [0, 1, 7])
def test_sizes_that_compare_otherwise_are_refused_after_others_passed(rows, columns):
    checked = Checked(parse_program(SLICED))
    for passed in (0, 1, 2, 5):
        checked.check({"n": passed, "m": 8})
    with pytest.raises(ProgramError, match=r"slice"):
        checked.check({"n": rows, "m": columns})


def test_what_holds_for_one_row_says_nothing_of_two():
    """An expansion of n to 1 is right for one row only, and no comparison of other sizes tells."""
    expanded = parse_program(
        "program f(x: f32[n, m]) { %0: f32[1, m] = expand(x) {shape=(1, m)}  return %0 }"
    )
    checked = Checked(expanded)
    checked.check({"n": 1, "m": 4})
    for rows in (0, 2, 3):
        with pytest.raises(ProgramError, match=r"expand"):
            checked.check({"n": rows, "m": 4})


@pytest.mark.parametrize("size", ["n", "2*n + 2"])
def test_frequencies_that_are_not_those_of_the_points(size):
    text = "program f(x: c64[n]) { %0: f32[SIZE] = irfft(x) {size=SIZE, dim=0, norm=N}  return %0 }"
    checked = Checked(parse_program(text.replace("SIZE", size).replace("N}", '"backward"}')))
    with pytest.raises(ProgramError, match=r"irfft.*frequencies"):
        checked.check({"n": 5})
