"""What ever went wrong: on every target and number of threads, and after each pass."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from checks import HERE, THREADS, native_fault, pass_fault
from judging import Judge
from keeping import Kept, load_all

from argand.base.settings import settings

KEPT = load_all()
NAMES = [kept.name for kept in KEPT]


@pytest.fixture(autouse=True)
def checked() -> Iterator[None]:
    with settings.using(verify=True, cache=False):
        yield


def judges(kept: Kept) -> list[Judge]:
    return [Judge(kept.program, arrays) for arrays in kept.calls]


@pytest.mark.parametrize("kept", KEPT, ids=NAMES)
def test_native(kept: Kept) -> None:
    for target in HERE:
        for threads in THREADS if target == "host" else (1,):
            wrong = native_fault(kept.program, kept.calls, judges(kept), target, threads)
            assert wrong is None, kept.why


@pytest.mark.parametrize("kept", KEPT, ids=NAMES)
def test_passes(kept: Kept) -> None:
    assert pass_fault(kept.program, kept.calls, judges(kept)) is None, kept.why


def test_the_corpus_is_there() -> None:
    assert len(KEPT) >= 8
