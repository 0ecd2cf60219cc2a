"""Symbolic indices: forms, and that reshapes simplify to them."""

from __future__ import annotations

import itertools

import pytest

from argand.base.dim import Dim
from argand.lowering.affine import (
    FORMS,
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


def value(form: Affine, at: dict[str, int]) -> int:
    """A form's value for given axes."""
    total = int(form.const)
    for var, c in form.terms:
        if isinstance(var, QuotientVar):
            v = value(var.form, at) // int(var.divisor)
        elif isinstance(var, RemainderVar):
            v = value(var.form, at) % int(var.divisor)
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
    for form in (
        linearised([affine_of(i), affine_of(j)], (5, 12)),
        FORMS.add(FORMS.mul(affine_of(i), 4), 3),
        FORMS.add(FORMS.mul(affine_of(i), 6), affine_of(j)),
    ):
        whole, rest = div(form, divisor), rem(form, divisor)
        for a, b in itertools.product(range(5), range(12)):
            at = {"i": a, "j": b}
            assert value(whole, at) == value(form, at) // divisor
            assert value(rest, at) == value(form, at) % divisor


def test_conditions_that_always_hold() -> None:
    i = affine_of(Axis("i", 8))
    assert always(FORMS.lt(i, 8))
    assert not always(FORMS.lt(i, 7))
    assert always(FORMS.le(0, i))
    assert not always(FORMS.le(0, FORMS.sub(i, 1)))


def test_equal_forms_are_equal_however_they_were_made() -> None:
    i, j = affine_of(Axis("i", 8)), affine_of(Axis("j", 3))
    assert FORMS.add(FORMS.mul(i, 3), j) == FORMS.add(j, FORMS.mul(3, i))
    assert hash(FORMS.sub(i, i)) == hash(Affine())
