"""Damaged text of a program is refused with the line or the value, never with a raw error."""

from __future__ import annotations

import random
import textwrap

import pytest

import argand.ops
from argand.base.errors import ProgramError
from argand.ir.text import parse_program
from argand.ir.verify import verify

assert argand.ops  # fills the registry

TEXT = textwrap.dedent(
    """\
    program step(x: f32[N, 4]; state w: f32[4], t: f32[4]) {
      %0: f32[N, 4] = expand(w) {shape=(N, 4)}
      %1: f32[N, 4] = mul(x, %0)
      %2: f32[4] = sum(%1) {dim=(0,), keepdim=False}
      %3: f32[4] = add(w, %2)
      %4: f32[4] = mul(t, 2.0)
      return %1; w <- %3, t <- %4
    }"""
)
SIGNS = "(){}[],:;=%xwtf0123N<-. \n\"'"


def damaged(rng: random.Random) -> str:
    letters = list(TEXT)
    for _ in range(rng.randint(1, 3)):
        at, other, kind = rng.randrange(len(letters)), rng.randrange(len(letters)), rng.randrange(4)
        if kind == 0:
            letters[at] = rng.choice(SIGNS)
        elif kind == 1:
            del letters[at : at + rng.randint(1, 12)]
        elif kind == 2:
            letters.insert(at, rng.choice(SIGNS))
        else:
            letters[at : at + 3], letters[other : other + 3] = (
                letters[other : other + 3],
                letters[at : at + 3],
            )
    return "".join(letters)


@pytest.mark.parametrize("seed", range(10))
def test_random_damage_is_an_error_or_harmless(seed: int) -> None:
    rng = random.Random(seed)
    refused = 0
    for _ in range(100):
        try:
            verify(parse_program(damaged(rng)))
        except ProgramError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("mul(x", "mull(x", "line 3: .*mull.*did you mean mul"),
        ("{shape=(N, 4)}", "", "%0: expand doesn't take these operands or parameters"),
        ("{shape=(N, 4)}", "{shape=(N, 5)}", "%0"),
        ("keepdim=False", "keepdi=False", "%2: sum"),
        ("mul(x, %0)", "mul(x, %9)", "line 3"),
        ("t <- %4", "x <- %4", "not part of a valid program"),
        ("f32[4] = add", "f64[4] = add", "%3 is f64"),
    ],
)
def test_the_place_is_named(before: str, after: str, says: str) -> None:
    with pytest.raises(ProgramError, match=says):
        verify(parse_program(TEXT.replace(before, after)))
