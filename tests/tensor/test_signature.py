"""What `help` and `inspect.signature` show of functions and methods that are ops."""

import inspect
from typing import Any

import pytest

import argand as ag


@pytest.mark.parametrize(
    ("function", "shown"),
    [
        (ag.add, "(input, other, *, alpha=1, out=None)"),
        (ag.subtract, "(input, other, *, alpha=1, out=None)"),
        (ag.clamp, "(input, min=None, max=None, *, out=None)"),
        (ag.exp, "(input, *, out=None)"),
        (ag.hypot, "(input: 'Any', other: 'Any', *, out=None) -> 'Any'"),
        (ag.lerp, "(input, end, weight, *, out=None)"),
        (ag.Tensor.pow, "(input, other, *, out=None)"),
        (ag.ones(2).add, "(other, *, alpha=1, out=None)"),
        (ag.ones(2).mul_, "(other, *, out=None)"),
    ],
)
def test_a_function_of_an_op_shows_its_arguments(function: Any, shown: str) -> None:
    assert str(inspect.signature(function)) == shown


def test_the_arguments_shown_are_taken_by_name() -> None:
    x, y = ag.tensor([1.0, 2.0]), ag.tensor([3.0, 5.0])
    assert ag.add(input=x, other=y, alpha=2).tolist() == [7.0, 12.0]
    assert ag.lerp(input=x, end=y, weight=0.5).tolist() == [2.0, 3.5]
    assert x.add(other=y).tolist() == [4.0, 7.0]


def test_an_unknown_argument_is_told_of_the_nearest() -> None:
    with pytest.raises(TypeError, match="did you mean min"):
        ag.clamp(ag.ones(2), mim=2)
