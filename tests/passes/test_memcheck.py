"""The check of memory plans finds what is wrong in them."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

import argand.ops
from argand.base.errors import ProgramError
from argand.ir.program import Program, Value
from argand.ir.text import parse_program
from argand.passes import memory
from argand.passes.memcheck import check_plan, check_sizes
from argand.passes.memory import ArenaBlock, MemoryPlan, plan_memory
from argand.passes.views import StridedView

assert argand.ops  # fills the registry of ops

TEXT = """
    program f(x: f32[N, 8], i: i64[4]; state w: f32[16], t: f32[5, 2]) {
      %0: f32[4, 2] = embedding(t, i)
      %1: f32[N, 8] = exp(x)
      %2: f32[8, N] = permute(%1) {dims=(1, 0)}
      %3: f32[N] = sum(%2) {dim=(0,), keepdim=False}
      %4: f32[N] = sin(%3)
      %5: f32[N, 8] = flip(%1) {dims=(0,)}
      %6: f32[N, 8] = cos(%5)
      %7: f32[16] = mul(w, 2.0)
      %8: f32[16] = add(w, 1.0)
      return %0, %4, %6, %7; w <- %8
    }"""


def planned(text: str = TEXT) -> tuple[Program, MemoryPlan, dict[str, Value]]:
    """A program, its plan, and its values by name."""
    program = parse_program(textwrap.dedent(text))
    plan = plan_memory(program)
    return program, plan, {v.name: v for v in plan.places}


def test_a_right_plan_passes() -> None:
    program, plan, _ = planned()
    check_plan(program, plan)
    for n in (0, 1, 5, 1000):
        check_sizes(program, plan, {"N": n})


Break = Callable[[MemoryPlan, dict[str, Value], Program], None]


def one_block_for_two(plan: MemoryPlan, of: dict[str, Value], program: Program) -> None:
    plan.homes[of["5"]] = plan.homes[of["1"]]
    plan.blocks[plan.homes[of["1"]][1]].end += 1


def a_block_that_ends_early(plan: MemoryPlan, of: dict[str, Value], program: Program) -> None:
    plan.blocks[plan.homes[of["1"]][1]].end -= 1


def a_block_that_begins_late(plan: MemoryPlan, of: dict[str, Value], program: Program) -> None:
    plan.blocks[plan.homes[of["3"]][1]].start += 1


def a_small_block(plan: MemoryPlan, of: dict[str, Value], program: Program) -> None:
    block = plan.blocks[plan.homes[of["3"]][1]]
    block.size = block.size - 4


def a_value_in_an_output(plan: MemoryPlan, of: dict[str, Value], program: Program) -> None:
    plan.homes[of["3"]] = ("output", 1)


def swapped_outputs(plan: MemoryPlan, of: dict[str, Value], program: Program) -> None:
    plan.homes[of["0"]], plan.homes[of["7"]] = plan.homes[of["7"]], plan.homes[of["0"]]


def no_home(plan: MemoryPlan, of: dict[str, Value], program: Program) -> None:
    del plan.homes[of["5"]]


def new_state_elsewhere(plan: MemoryPlan, of: dict[str, Value], program: Program) -> None:
    plan.homes[of["8"]] = ("state", 1)


def a_view_of_another_value(plan: MemoryPlan, of: dict[str, Value], program: Program) -> None:
    plan.places[of["2"]] = dataclasses.replace(plan.places[of["2"]], root=of["x"])


def a_computed_view(plan: MemoryPlan, of: dict[str, Value], program: Program) -> None:
    plan.places[of["5"]] = StridedView(of["1"], 0, plan.places[of["5"]].strides)


def an_old_value_read_too_late(plan: MemoryPlan, of: dict[str, Value], program: Program) -> None:
    program.nodes[-2:] = reversed(program.nodes[-2:])


BROKEN: list[tuple[Break, str]] = [
    (one_block_for_two, "%5 is stored over %1"),
    (a_block_that_ends_early, "%1 lives longer than its block"),
    (a_block_that_begins_late, "%3 lives longer than its block"),
    (a_small_block, "%3 is in a block of .* bytes"),
    (a_value_in_an_output, "%3 is stored in output 1"),
    (swapped_outputs, "is stored in output"),
    (no_home, "%5 has no memory"),
    (new_state_elsewhere, "%8 is stored in state 1"),
    (a_view_of_another_value, "%2 is a view of another value's memory"),
    (a_computed_view, "%5 is a view of another value's memory"),
    (an_old_value_read_too_late, "w and %7 live at the same time in one place"),
]


@pytest.mark.parametrize(("wrong", "message"), BROKEN, ids=[b.__name__ for b, _ in BROKEN])
def test_a_wrong_plan_is_found(wrong: Break, message: str) -> None:
    program, plan, of = planned()
    wrong(plan, of, program)
    with pytest.raises(ProgramError, match=message):
        check_plan(program, plan)


def test_a_failure_after_a_write_is_found() -> None:
    text = """
        program f(i: i64[4]; state w: f32[16], t: f32[5, 2]) {
          %0: f32[16] = add(w, 1.0)
          %1: f32[4, 2] = embedding(t, i)
          return %1; w <- %0
        }"""
    program, plan, _ = planned(text)
    with pytest.raises(ProgramError, match="%1 may fail once %0 is written"):
        check_plan(program, plan)


def test_a_result_over_what_its_kernel_still_reads_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = """
        program f(x: f32[4, 4]) {
          %0: f32[4, 4] = exp(x)
          %1: f32[4, 4] = flip(%0) {dims=(0,)}
          %2: f32[4, 4] = sin(%1)
          return %2
        }"""
    monkeypatch.setattr(memory, "may_overwrite", lambda *_: True)
    program, plan, of = planned(text)
    assert plan.homes[of["1"]] == plan.homes[of["0"]]
    with pytest.raises(ProgramError, match="%1 is stored over %0, which its kernel still reads"):
        check_plan(program, plan)


@pytest.mark.parametrize("n", [1, 5, 1000])
def test_blocks_that_overlap_at_some_sizes_are_found(
    n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, plan, _ = planned()
    check_sizes(program, plan, {"N": n})

    def all_at_the_start(sizes: list[int], blocks: list[ArenaBlock]) -> tuple[list[int], int]:
        return [0] * len(sizes), max(sizes)

    monkeypatch.setattr(memory, "assign", all_at_the_start)
    with pytest.raises(ProgramError, match="live at the same time and share bytes"):
        check_sizes(program, plan, {"N": n})
    check_sizes(program, plan, {"N": 0})


def test_blocks_outside_of_the_arena_or_unaligned_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program, plan, _ = planned()
    right: Any = memory.assign
    for shift, total in ((64, 0), (4, 8)):

        def moved(sizes: list[int], blocks: list[ArenaBlock]) -> tuple[list[int], int]:
            offsets, size = right(sizes, blocks)
            return [o + shift for o in offsets], size + total  # noqa: B023 - used at once

        monkeypatch.setattr(memory, "assign", moved)
        with pytest.raises(ProgramError, match=r"is at .* bytes"):
            check_sizes(program, plan, {"N": 9})
