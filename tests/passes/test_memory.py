"""The memory plan: nothing that lives overlaps, and little memory is used."""

from __future__ import annotations

import random
import textwrap

import pytest

import argand.ops
from argand.base.strides import expanded_strides, reshaped_strides
from argand.ir.text import parse_program
from argand.passes.memcheck import check_plan
from argand.passes.memory import ALIGNMENT, ArenaBlock, MemoryPlan, assign, plan_memory
from argand.passes.views import places

assert argand.ops  # fills the registry of ops


def planned(text: str) -> MemoryPlan:
    """The plan of a program, which is checked."""
    program = parse_program(textwrap.dedent(text))
    plan = plan_memory(program)
    check_plan(program, plan)
    return plan


def test_a_chain_runs_in_place() -> None:
    plan = planned(
        """
        program f(x: f32[1000]) {
          %0: f32[1000] = exp(x)
          %1: f32[1000] = sin(%0)
          %2: f32[1000] = cos(%1)
          %3: f32[1000] = exp(%2)
          return %3
        }"""
    )
    assert plan.offsets({})[1] == 4032


def test_moves_never_run_in_place() -> None:
    plan = planned(
        """
        program f(x: f32[16]) {
          %0: f32[16] = exp(x)
          %1: f32[16] = flip(%0) {dims=(0,)}
          %2: f32[16] = exp(%1)
          return %2
        }"""
    )
    assert plan.offsets({})[1] == 128


def home(plan: MemoryPlan, name: str) -> tuple[str, int]:
    """Where the value of a name is stored; of a program that names its values."""
    return next(h for v, h in plan.homes.items() if v.name == name)


def test_a_result_does_not_take_memory_that_another_nest_of_the_kernel_reads_later() -> None:
    """relu(x) is stored by a nest of its own, before the other one reads s."""
    text = """
        program f(x: f32[4, 4]) {
          %0: f32[4, 4] = exp(x)
          %1: f32[4, 4], %2: f32[4, 4] = fusion(x, %0) {kind="loop"} with
            loop(x0: f32[4, 4], x1: f32[4, 4]) {
              %0: f32[4, 4] = relu(x0)
              %1: f32[4, 4] = sin(x1)
              return ORDER
            }
          %3: f32[4, 4] = permute(%1) {dims=(1, 0)}
          %4: f32[4, 4] = mul(%3, %2)
          return %4
        }"""
    plan = planned(text.replace("ORDER", "%0, %1"))
    assert home(plan, "1") != home(plan, "0") == home(plan, "2")
    plan = planned(text.replace("ORDER", "%1, %0"))
    assert home(plan, "1") == home(plan, "0") != home(plan, "2")


def test_results_of_one_nest_take_over_what_it_reads_at_their_own_index() -> None:
    plan = planned(
        """
        program f(x: f32[4, 4]) {
          %0: f32[4, 4] = exp(x)
          %1: f32[4, 4], %2: f32[4, 4] = fusion(x, %0) {kind="loop"} with
            loop(x0: f32[4, 4], x1: f32[4, 4]) {
              %0: f32[4, 4] = mul(x0, x1)
              %1: f32[4, 4] = sin(x1)
              return %0, %1
            }
          %3: f32[4, 4] = permute(%1) {dims=(1, 0)}
          %4: f32[4, 4] = mul(%3, %2)
          return %4
        }"""
    )
    assert home(plan, "1") == home(plan, "0") != home(plan, "2")


def test_what_is_read_at_two_indices_is_not_taken_over() -> None:
    plan = planned(
        """
        program f(x: f32[4, 4]) {
          %0: f32[4, 4] = exp(x)
          %1: f32[4, 4] = fusion(%0) {kind="loop"} with
            loop(x0: f32[4, 4]) {
              %0: f32[4, 4] = permute(x0) {dims=(1, 0)}
              %1: f32[4, 4] = mul(x0, %0)
              return %1
            }
          %2: f32[4, 4] = sin(%1)
          return %2
        }"""
    )
    assert home(plan, "1") != home(plan, "0")


def test_a_column_read_after_the_rows_is_not_taken_over_by_a_row() -> None:
    text = """
        program f(x: f32[4, 4], y: f32[4]) {
          %0: f32[4] = exp(y)
          %1: f32[4], %2: f32[4] = fusion(x, %0) {kind="rows"} with
            rows(x0: f32[4, 4], x1: f32[4]) {
              %0: f32[4] = sum(x0) {dim=(1,), keepdim=False}
              %1: f32[4] = mul(%0, x1)
              %2: f32[4] = sum(x0) {dim=(0,), keepdim=False}
              %3: f32[4] = mul(%2, x1)
              return ORDER
            }
          %3: f32[4] = mul(%1, %2)
          return %3
        }"""
    for order, column in (("%1, %3", "2"), ("%3, %1", "1")):
        plan = planned(text.replace("ORDER", order))
        assert home(plan, column) == home(plan, "0")


def test_a_product_takes_over_what_its_epilogue_adds_but_not_its_operands() -> None:
    text = """
        program f(x: f32[4, 4], y: f32[4, 4]) {
          %0: f32[4, 4] = exp(y)
          %1: f32[4, 4] = fusion(x, %0) {kind="contract"} with
            contract(x0: f32[4, 4], x1: f32[4, 4]) {
              %0: f32[4, 4] = matmul(x0, FACTOR)
              %1: f32[4, 4] = add(%0, x1)
              return %1
            }
          %2: f32[4, 4] = sin(%1)
          return %2
        }"""
    plan = planned(text.replace("FACTOR", "x0"))
    assert home(plan, "1") == home(plan, "0")
    plan = planned(text.replace("FACTOR", "x1"))
    assert home(plan, "1") != home(plan, "0")


def test_a_value_of_a_row_that_a_later_walk_reads_is_not_taken_over() -> None:
    """%1 is stored before the row's second walk, %2 after it, and both need x1."""
    plan = planned(
        """
        program f(x: f32[4, 8], y: f32[4]) {
          %0: f32[4] = exp(y)
          %1: f32[4], %2: f32[4] = fusion(x, %0) {kind="rows"} with
            rows(x0: f32[4, 8], x1: f32[4]) {
              %0: f32[4, 1] = amax(x0) {dim=(1,), keepdim=True}
              %1: f32[4] = reshape(%0) {shape=(4,)}
              %2: f32[4] = add(%1, x1)
              %3: f32[4, 8] = expand(%0) {shape=(4, 8)}
              %4: f32[4, 8] = sub(x0, %3)
              %5: f32[4, 8] = exp(%4)
              %6: f32[4] = sum(%5) {dim=(1,), keepdim=False}
              %7: f32[4] = mul(%6, x1)
              return %2, %7
            }
          %3: f32[4] = mul(%1, %2)
          return %3
        }"""
    )
    assert home(plan, "1") != home(plan, "0") == home(plan, "2")


def test_what_is_read_later_is_not_taken_over() -> None:
    plan = planned(
        """
        program f(x: f32[16]) {
          %0: f32[16] = exp(x)
          %1: f32[16] = sin(%0)
          %2: f32[16] = mul(%0, %1)
          %3: f32[16] = cos(%2)
          return %3
        }"""
    )
    assert home(plan, "1") != home(plan, "0")
    assert home(plan, "2") in (home(plan, "0"), home(plan, "1"))


def test_two_results_never_take_over_the_same_memory() -> None:
    """The first one is read by nobody, so its memory is free again at once."""
    plan = planned(
        """
        program f(x: f32[4, 4]) {
          %0: f32[4, 4] = exp(x)
          %1: f32[4, 4], %2: f32[4, 4] = fusion(%0) {kind="loop"} with
            loop(x0: f32[4, 4]) {
              %0: f32[4, 4] = relu(x0)
              %1: f32[4, 4] = sin(x0)
              return %0, %1
            }
          %3: f32[4, 4] = cos(%2)
          return %3
        }"""
    )
    assert home(plan, "1") != home(plan, "2")


def test_views_need_no_memory_and_keep_their_root_alive() -> None:
    plan = planned(
        """
        program f(x: f32[4, 8]) {
          %0: f32[4, 8] = exp(x)
          %1: f32[8, 4] = permute(%0) {dims=(1, 0)}
          %2: f32[4] = slice(%0) {start=(1, 0), stop=(2, 8), step=(1, 2)}
          %3: f32[8, 4] = sin(x)
          %4: f32[8, 4] = add(%1, %3)
          return %4
        }""".replace("%2: f32[4] =", "%2: f32[1, 4] =").replace(
            "sin(x)", "reshape(x) {shape=(8, 4)}"
        )
    )
    assert len(plan.blocks) == 1
    assert plan.blocks[0].end == 4


def test_symbolic_sizes_are_placed_at_the_call() -> None:
    plan = planned(
        """
        program f(x: f32[N, 8]) {
          %0: f32[N, 8] = exp(x)
          %1: f32[N] = sum(%0) {dim=(1,), keepdim=False}
          %2: f32[N] = exp(%1)
          return %2
        }"""
    )
    assert not plan.is_static
    assert plan.offsets({"N": 2})[1] == 128
    assert plan.offsets({"N": 1000})[1] == 32000 + 4032


@pytest.mark.parametrize("seed", range(20))
def test_living_blocks_never_overlap(seed: int) -> None:
    rng = random.Random(seed)
    blocks = []
    for _ in range(60):
        start = rng.randrange(50)
        blocks.append(
            ArenaBlock(rng.choice((0, 4, 64, 100, 4096)), start, start + rng.randrange(12))
        )
    sizes = [b.size for b in blocks if isinstance(b.size, int)]
    offsets, total = assign(sizes, blocks)
    for i, a in enumerate(blocks):
        assert offsets[i] % ALIGNMENT == 0
        assert offsets[i] + sizes[i] <= total
        for j in range(i):
            b = blocks[j]
            if a.start <= b.end and b.start <= a.end:
                apart = offsets[i] + sizes[i] <= offsets[j] or offsets[j] + sizes[j] <= offsets[i]
                assert apart or 0 in (sizes[i], sizes[j])


def test_strides_of_views() -> None:
    assert reshaped_strides((4, 6), (6, 1), (2, 2, 3, 2)) == (12, 6, 2, 1)
    assert reshaped_strides((4, 6), (1, 4), (24,)) is None
    assert reshaped_strides((4, 6), (1, 4), (4, 2, 3)) == (1, 12, 4)
    assert reshaped_strides((1, 6), (100, 2), (6, 1)) == (2, 2)
    assert reshaped_strides((), (), (1, 1)) == (0, 0)
    assert expanded_strides((3, 1), (1, 1), (2, 3, 4)) == (0, 1, 0)


def test_where_views_lie() -> None:
    program = parse_program(
        textwrap.dedent(
            """
            program f(x: f32[4, 6]) {
              %0: f32[6, 4] = permute(x) {dims=(1, 0)}
              %1: f32[2, 2] = slice(x) {start=(1, 2), stop=(4, 6), step=(2, 2)}
              %2: f32[2, 2] = permute(%1) {dims=(1, 0)}
              %3: f32[5, 4, 6] = expand(x) {shape=(5, 4, 6)}
              %4: f32[24] = reshape(x) {shape=(24,)}
              return %0, %1, %2, %3, %4
            }"""
        )
    )
    found = places(program)
    views = [found[node.outputs[0]] for node in program.nodes]
    assert all(place.root is program.inputs[0] for place in views)
    assert [(place.offset, place.strides) for place in views] == [
        (0, (1, 6)),
        (8, (12, 2)),
        (8, (2, 12)),
        (0, (0, 6, 1)),
        (0, (1,)),
    ]
