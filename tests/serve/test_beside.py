"""Reading versions beside calls: turns are short meanwhile, and as before afterwards."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from served import classifier, engine_of, exported, put, run

from argand.serve.beside import beside, beside_calls, goes_on
from argand.serve.version import ModelVersion


def turns() -> tuple[float, int]:
    """How long a thread keeps the interpreter; when all objects are collected."""
    return sys.getswitchinterval(), gc.get_threshold()[2]


def test_turns_are_short_until_the_last_block_ends() -> None:
    before = turns()
    with beside_calls():
        inside = turns()
        with pytest.raises(ValueError, match="x"), beside_calls():
            raise ValueError("x")
        assert turns() == inside
    assert inside[0] < 0.1 * before[0]
    assert inside[1] > 1000 * before[1]
    assert turns() == before


def test_versions_are_read_and_warmed_with_short_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(exported(classifier()), tmp_path, "digits", 1)
    before, seen = turns(), []
    for name in ("read", "warm"):
        original = getattr(ModelVersion, name)

        def noted(self: Any, original: Any = original) -> None:
            seen.append(turns())
            original(self)

        monkeypatch.setattr(ModelVersion, name, noted)

    async def ask() -> None:
        async with engine_of(tmp_path) as engine:
            assert engine.models["digits"].available == [1]
            assert turns() == before

    run(ask())
    assert len(seen) == 2
    assert max(seconds for seconds, _ in seen) < 0.1 * before[0]


def test_a_function_beside_the_loop_gives_its_result_or_its_error() -> None:
    async def ask() -> None:
        assert await beside(lambda: 3) == 3
        with pytest.raises(ValueError, match="x"):
            await beside(lambda: int("x"))

    run(ask())


def test_no_loop_waits_for_what_is_done_beside_it() -> None:
    may_end, has_ended = threading.Event(), threading.Event()

    def slow() -> None:
        assert may_end.wait(60)
        has_ended.set()

    async def ask() -> None:
        task = asyncio.create_task(beside(slow))
        await asyncio.sleep(0)
        task.cancel()

    run(ask())
    assert goes_on()
    may_end.set()
    assert has_ended.wait(60)
    while goes_on():
        time.sleep(0.001)
