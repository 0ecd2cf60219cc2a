"""`ag.set_num_threads` reaches the pool that runs native code."""

from __future__ import annotations

import pytest

import argand as ag
from argand.runtime import threads


def test_the_public_switch_reaches_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(threads, "_set_pool", None)
    before = ag.get_num_threads()
    threads.attach(told.append)
    try:
        ag.set_num_threads(3)
        assert ag.get_num_threads() == 3
    finally:
        ag.set_num_threads(before)
    assert told == [before, 3, before]
    with pytest.raises(ValueError, match="at least 1"):
        ag.set_num_threads(0)
