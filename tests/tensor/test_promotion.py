"""The dtypes of results against PyTorch's table of them, `tests/compatibility/promotion.txt`."""

from __future__ import annotations

import warnings

import promotion
import pytest

import argand as ag
from suites import first

TABLE = promotion.read()
REFUSED = {promotion.REFUSED, promotion.UNWRITTEN}
NOT_COMPUTED = (
    "a * b", "a ** b", "pow", "mul_", "pow_", "addcmul_", "outer", "kron", "norm", "vector_norm",
    "sort", "cumsum",
)  # fmt: skip
"""Where PyTorch computes with 8-bit floats, if only in a case: Argand refuses to."""
ONE_DTYPE = ("isin", "searchsorted")
"""Argand promotes the operands, so it refuses a wide unsigned one beside another dtype."""
COMPUTED = ("ldexp",)
"""Where PyTorch refuses a complex operand beside a wide unsigned one, Argand does not."""
QUICK = ("a + b", "a / b", "where", "add_", *promotion.UNARY)
NAMES = first(len(QUICK), sorted(TABLE, key=lambda name: name not in QUICK))


def _is_refused(name: str, mine: str, its: str) -> bool:
    """Whether both refuse the operands, or one of them for a reason that is stated above."""
    if mine == promotion.UNWRITTEN:
        return its in REFUSED or name in NOT_COMPUTED
    if mine == promotion.REFUSED:
        return its in REFUSED or name in ONE_DTYPE
    return its in REFUSED and name in COMPUTED


@pytest.mark.parametrize("name", NAMES)
def test_every_pair_of_operands_gives_what_pytorch_gives(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = promotion.table(ag, name)
    wanted = TABLE[name]
    assert len(found) == len(wanted)
    for row, (ours, theirs) in enumerate(zip(found, wanted, strict=True)):
        pairs = zip(ours.split(), theirs.split(), strict=True)
        wrong = [
            (promotion.OPERANDS[column], mine, its)
            for column, (mine, its) in enumerate(pairs)
            if mine != its and its != promotion.UNWRITTEN and not _is_refused(name, mine, its)
        ]
        assert not wrong, f"{name}, left operand {row}: (right operand, ours, PyTorch's) {wrong}"
