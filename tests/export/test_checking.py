"""Nodes of a file's program, held against what calls give, at the sizes of each call."""

import contextlib
import random
import re
from collections.abc import Callable, Iterator

import pytest
from calls import calls_of

import argand as ag
from argand.base.errors import ArgandError, ProgramError
from argand.export import checking, export
from argand.export.checking import UNEXPECTED, Checked, check_nodes
from argand.ir.op import registry
from argand.ir.program import Program
from argand.ir.sizes import with_sizes
from argand.ir.text import parse_program
from argand.ir.verify import verify

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


NUMBER = re.compile(r"(?<![\w.%])-?\d+(?![\w.])")
FEW_OPS = ("slice", "reshape", "expand", "pad", "cat", "conv2d", "max_pool2d", "unfold", "irfft")
FEW_OPS += ("matmul", "amax", "index", "arange", "topk", "permute", "add", "diagonal")


def changed(text: str, names: list[str], draw: random.Random) -> str:
    """A program with another number, or another size, in one place."""
    symbols = re.compile(r"\b(" + "|".join(names) + r")\b")
    spots = list((NUMBER if draw.random() < 0.5 else symbols).finditer(text))
    if not spots:
        return text
    at = draw.choice(spots)
    if at.re is NUMBER:
        new = str(int(at.group()) + draw.choice((-2, -1, 1, 2, 7)))
    else:
        new = draw.choice(("{} + 3", "{} - 1", "2*{}", "({})//(2)", "1", "4", *names))
    return text[: at.start()] + new.replace("{}", at.group()) + text[at.end() :]


def refuses(check: Callable[[], None]) -> bool:
    try:
        check()
    except (ArgandError, *UNEXPECTED):
        return True
    return False


def programs_of(name: str) -> Iterator[Program]:
    """An op's first samples, with a symbol for each size."""
    for call in calls_of(registry.get(name))[:2]:
        given = [*map(ag.tensor, call.arrays(registry.get(name).dtypes[0]))]
        every = tuple(dict.fromkeys(range(x.ndim), ag.Dim.AUTO) for x in given)
        with contextlib.suppress(ArgandError):
            exported = export(
                lambda *xs, call=call: call.apply(xs), tuple(given), dynamic_shapes=every
            )
            yield exported.default.program


@pytest.mark.parametrize("name", FEW_OPS)
def test_symbols_are_refused_where_numbers_are(name: str) -> None:
    """A program passes for sizes only where it passes with these sizes as numbers."""
    draw = random.Random(name)
    for program in programs_of(name):
        names = sorted(program.symbols())
        for _ in range(8 if names else 0):
            with contextlib.suppress(ArgandError, ArithmeticError):
                other = parse_program(changed(str(program), names, draw))
                if set(other.symbols()) != set(names):
                    continue
                checked = Checked(other)
                for _ in range(4):
                    sizes = {n: draw.choice((0, 1, 2, 3, 4, 5, 6, 8, 9, 17)) for n in names}
                    plain = refuses(lambda p=other, s=sizes: check_plain(p, s))
                    assert refuses(lambda c=checked, s=sizes: c.check(s)) or not plain, other


def check_plain(program: Program, sizes: dict[str, int]) -> None:
    check_nodes(verify(with_sizes(program, sizes)))
