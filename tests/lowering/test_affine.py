"""Symbolic indices: forms, and that reshapes simplify to them."""

from __future__ import annotations

import itertools

import pytest

from argand.base.dim import Dim
from argand.lowering.affine import (
    AFFINE,
    Affine,
    Axis,
    QuotientVar,
    RemainderVar,
    affine_of,
    always,
    div,
    linearised,
    rem,
)


def value(affine: Affine, at: dict[str, int]) -> int:
    """The value of an expression for given axes."""
    total = int(affine.const)
    for var, c in affine.terms:
        if isinstance(var, QuotientVar):
            v = value(var.dividend, at) // int(var.divisor)
        elif isinstance(var, RemainderVar):
            v = value(var.dividend, at) % int(var.divisor)
        else:
            v = at[var.key]
        total += v * int(c)
    return total


def test_a_reshape_of_whole_dimensions_leaves_no_division() -> None:
    i, j, k = Axis("i", 4), Axis("j", 5), Axis("k", 6)
    flat = linearised([affine_of(a) for a in (i, j, k)], (4, 5, 6))
    assert str(rem(flat, 6)) == "k"
    assert str(rem(div(flat, 6), 5)) == "j"
    assert str(div(div(flat, 6), 5)) == "i"


def test_a_symbolic_size_is_divided_out() -> None:
    n, c = Dim.symbol("N"), Dim.symbol("C")
    i, j = Axis("i", n), Axis("j", c)
    flat = linearised([affine_of(i), affine_of(j)], (n, c))
    assert str(rem(flat, c)) == "j"
    assert str(div(flat, c)) == "i"


@pytest.mark.parametrize("divisor", [1, 2, 3, 4, 5, 7, 12, 60])
def test_quotient_and_remainder_are_those_of_integers(divisor: int) -> None:
    i, j = Axis("i", 5), Axis("j", 12)
    for affine in (
        linearised([affine_of(i), affine_of(j)], (5, 12)),
        AFFINE.add(AFFINE.mul(affine_of(i), 4), 3),
        AFFINE.add(AFFINE.mul(affine_of(i), 6), affine_of(j)),
    ):
        whole, rest = div(affine, divisor), rem(affine, divisor)
        for a, b in itertools.product(range(5), range(12)):
            at = {"i": a, "j": b}
            assert value(whole, at) == value(affine, at) // divisor
            assert value(rest, at) == value(affine, at) % divisor


def test_conditions_that_always_hold() -> None:
    i = affine_of(Axis("i", 8))
    assert always(AFFINE.lt(i, 8))
    assert not always(AFFINE.lt(i, 7))
    assert always(AFFINE.le(0, i))
    assert not always(AFFINE.le(0, AFFINE.sub(i, 1)))


def test_equal_forms_are_equal_however_they_were_made() -> None:
    i, j = affine_of(Axis("i", 8)), affine_of(Axis("j", 3))
    assert AFFINE.add(AFFINE.mul(i, 3), j) == AFFINE.add(j, AFFINE.mul(3, i))
    assert hash(AFFINE.sub(i, i)) == hash(Affine())


def test_a_size_that_is_a_sum_is_divided_out() -> None:
    """Nearest pixels, twice each, of an image whose sizes are what a stride left of others."""
    n, m = Dim.symbol("N") // 2 + 1, Dim.symbol("M") // 2 + 1
    h, w = Axis("h", n), Axis("w", m)
    p, q = Axis("p", 2), Axis("q", 2)
    flat = linearised([affine_of(a) for a in (h, p, w, q)], (n, 2, m, 2))
    column, row = rem(flat, 2 * m), div(flat, 2 * m)
    assert (str(rem(column, 2)), str(div(column, 2))) == ("q", "w")
    assert (str(rem(row, 2)), str(div(row, 2))) == ("p", "h")


def test_what_may_be_negative_is_not_taken_for_a_number() -> None:
    n, m = Dim.symbol("N"), Dim.symbol("M")
    i, j = Axis("i", n), Axis("j", m)
    flat = linearised([affine_of(i), affine_of(j)], (n, m))
    later = AFFINE.add(flat, 18 - n * m)  # within a condition that it is not negative
    assert str(div(later, m)) == f"({later})//M"
    assert not always(AFFINE.le(n * m - 18, flat))
    assert not always(AFFINE.lt(AFFINE.mul(affine_of(i), n - m), n))
