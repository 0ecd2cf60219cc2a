"""The replay of kernels: who wrote this element last."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import wrong_kernels
from maker import random_program
from small_pieces import cut_small
from wrong_kernels import CHAIN, Emit, put_in_place

import argand as ag
from argand.backends.cpu import checking, compile_program, lowering
from argand.backends.cpu.compiler import Final, optimise, split
from argand.backends.cpu.lowering import Lowering
from argand.backends.cpu.replay import ReplayError, TooLongError, replay
from argand.base.errors import ProgramError
from argand.base.events import listen
from argand.base.settings import settings
from argand.codegen.llvm.target import named_target
from argand.ir.interpret import bind_sizes
from argand.ir.program import Program
from argand.ir.text import parse_program
from argand.lowering.context import LoweringContext
from argand.nest.builder import F32, NestBuilder
from argand.nest.python import StatusError
from argand.passes import memory
from argand.passes.memcheck import check_plan, check_sizes
from argand.passes.memory import plan_memory
from argand.passes.schedule import can_fail
from machines import FORCED

WHOLE = None


def followed(
    program: Program, arrays: Sequence[Any], target: str = "host", most: int | None = WHOLE
) -> int:
    """Check the plan of a program and replay it; how many accesses there were."""
    return followed_as_it_is(optimise(program), arrays, target, most)


def followed_as_it_is(
    final: Final, arrays: Sequence[Any], target: str = "host", most: int | None = WHOLE
) -> int:
    plan = plan_memory(final.program)
    sizes = bind_sizes([*final.program.inputs, *final.program.state], arrays)
    check_plan(final.program, plan)
    check_sizes(final.program, plan, sizes)
    parts = list(split(final, plan))
    return replay(final.program, plan, named_target(target), parts, arrays, sizes, most)


def followed_calls(seed: int, target: str = "host") -> None:
    """Replay the calls of a random program."""
    drawn = random_program(seed)
    for arrays in drawn.calls:
        try:
            followed(drawn.program, arrays, target)
        except StatusError:
            assert any(can_fail(node) for node in drawn.program.nodes)


@pytest.mark.parametrize("start", range(0, 60, 20))
def test_random_programs(start: int) -> None:
    for seed in range(start, start + 20):
        followed_calls(seed)


@pytest.mark.parametrize("start", range(60, 100, 20))
def test_random_programs_in_small_pieces(start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks for threads, blocks and splits of K, which larger programs have."""
    cut_small(monkeypatch)
    for seed in range(start, start + 20):
        followed_calls(seed)


@pytest.mark.parametrize("target", FORCED)
def test_random_programs_for_other_widths(target: str) -> None:
    for seed in range(100, 112):
        followed_calls(seed, target)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 3000, 100))
def test_many_random_programs(start: int) -> None:
    for seed in range(start, start + 100):
        followed_calls(seed)
        with pytest.MonkeyPatch.context() as patch:
            cut_small(patch)
            followed_calls(seed)


# -- what it finds in plans ------------------------------------------------------------------------


def always(*_: Any) -> bool:
    return True


def test_the_miscompile_of_a_dying_value_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One result of a kernel took over memory that another one still reads."""
    function = ag.compile(lambda a, b: (a @ b.relu(), (s := b.softmax(1)) / s.sum(0)), name="f")
    arrays = [np.ones((1, 2), np.float32), np.ones((2, 2), np.float32)]
    function(*map(ag.tensor, arrays))
    assert followed(function.program(), arrays)
    monkeypatch.setattr(memory, "may_overwrite", always)
    final = optimise(function.program())
    plan = plan_memory(final.program)
    parts = list(split(final, plan))
    with pytest.raises(ReplayError, match="reads element 0 of %0, which %2 has overwritten"):
        replay(final.program, plan, named_target("host"), parts, arrays, {})
    with pytest.raises(ProgramError, match="%2 is stored over %0, which its kernel still reads"):
        check_plan(final.program, plan)


def test_a_nest_reads_for_all_its_results_before_it_stores_one() -> None:
    """%1 lies where %0 lies, which the second result needs too."""
    program = parse_program(
        textwrap.dedent(
            """
            program f(x: f32[4, 4]) {
              %0: f32[4, 4] = exp(x)
              %1: f32[4, 4], %2: f32[4, 4] = fusion(x, %0) {kind="loop"} with
                loop(x0: f32[4, 4], x1: f32[4, 4]) {
                  %0: f32[4, 4] = mul(x0, 2.0)
                  %1: f32[4, 4] = add(x0, x1)
                  %2: f32[4, 4] = sin(x1)
                  return %1, %2
                }
              %3: f32[4, 4] = permute(%1) {dims=(1, 0)}
              %4: f32[4, 4] = mul(%3, %2)
              return %4
            }"""
        )
    )
    final = Final(program, [True] * 4)
    plan = plan_memory(program)
    first, second = (v for v in plan.homes if v.name in ("0", "1"))
    assert plan.homes[first] == plan.homes[second]
    assert followed_as_it_is(final, [np.ones((4, 4), np.float32)])


def test_chunks_of_column_sums_have_memory_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    cut_small(monkeypatch)
    program = parse_program(
        textwrap.dedent(
            """
            program f(x: f32[64, 8]) {
              %0: f32[8] = sum(x) {dim=(0,), keepdim=False}
              return %0
            }"""
        )
    )
    final = optimise(program)
    nest = Lowering(final.program, plan_memory(final.program), named_target("host"))
    assert "parallel" in str(nest.module("entry", [0]))
    assert followed(program, [np.ones((64, 8), np.float32)])


def test_verify_replays_every_compiled_program(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    stop = listen("replayed", lambda accesses, **_: seen.append(accesses))
    function = ag.compile(lambda x: x.softmax(1) / x.sum(0), dynamic=True)
    with settings.using(verify=True):
        function(ag.rand(3, 4))
        once = len(seen)
        function(ag.rand(5, 4)), function(ag.rand(3, 4))
    stop()
    assert once == 1 and len(seen) == 2 and min(seen) > 0


def test_a_wrong_plan_is_an_error_under_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "may_overwrite", always)
    monkeypatch.setattr(checking, "check_plan", always)
    function = ag.compile(lambda a, b: (a @ b.relu(), (s := b.softmax(1)) / s.sum(0)))
    with settings.using(verify=True), pytest.raises(ReplayError, match="has overwritten"):
        function(ag.rand(1, 2), ag.rand(2, 2))


# -- what it finds in kernels ----------------------------------------------------------------------

WRONG: list[tuple[Emit, str]] = [
    (wrong_kernels.reads_far, r"bytes 64 to 68 of x, which has 64"),
    (wrong_kernels.reads_before, r"bytes -4 to 0 of x, which has 64"),
    (wrong_kernels.writes_far, r"bytes 52 to 68 of %0, which has 64"),
    (wrong_kernels.writes_its_operand, r"writes x, an operand"),
    (
        wrong_kernels.reads_what_it_has_not_written,
        r"reads element 5 of %0, which nobody has written",
    ),
    (wrong_kernels.leaves_a_hole, r"does not write element 12 of %0, which nobody has written"),
    (wrong_kernels.reads_another_chunk, r"a chunk reads element 0 of %0, another one writes it"),
    (
        wrong_kernels.writes_into_another_chunk,
        r"a chunk writes element 15 of %0, another one writes it",
    ),
    (
        wrong_kernels.shares_scratch_memory,
        r"a chunk reads byte 0 of its scratch memory, another one writes it",
    ),
]


@pytest.mark.parametrize(("emit", "message"), WRONG, ids=[e.__name__ for e, _ in WRONG])
def test_a_wrong_kernel_is_found(emit: Emit, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = parse_program(textwrap.dedent(CHAIN))
    arrays = [np.ones((4, 4), np.float32)]
    put_in_place(monkeypatch, wrong_kernels.right)
    assert followed(program, arrays)
    put_in_place(monkeypatch, emit)
    with pytest.raises(ReplayError, match=message):
        followed(program, arrays)


def test_an_element_outside_of_a_view_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    program = parse_program(
        textwrap.dedent(
            """
            program f(x: f32[4, 4]) {
              %0: f32[4, 2] = slice(x) {start=(0, 2), stop=(4, 4), step=(1, 1)}
              %1: f32[4, 2] = exp(%0)
              return %1
            }"""
        )
    )
    final = Final(program, [True, True])
    arrays = [np.ones((4, 4), np.float32)]
    assert followed_as_it_is(final, arrays)

    def dense(b: NestBuilder, node: Any, context: LoweringContext) -> None:
        source, to = (context.buffers[v].pointer for v in (*node.values, *node.outputs))
        for i in range(8):
            b.store(to, i, b.load(source, i, F32))

    monkeypatch.setattr(lowering, "lower_node", dense)
    with pytest.raises(ReplayError, match="no element of it"):
        followed_as_it_is(final, arrays)


def test_a_buffer_at_a_wrong_address_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    program = parse_program(textwrap.dedent(CHAIN))
    right = lowering._Entry.block
    monkeypatch.setattr(
        lowering._Entry, "block", lambda self, i: self.b.offset(right(self, i), 64, "int8")
    )
    with pytest.raises(ReplayError, match="%0 is handed over at another place than it has"):
        followed(program, [np.ones((4, 4), np.float32)])


def test_long_replays_are_given_up() -> None:
    program = parse_program(textwrap.dedent(CHAIN))
    with pytest.raises(TooLongError):
        followed(program, [np.ones((4, 4), np.float32)], most=3)


def test_a_program_compiled_under_verify_runs(tmp_path: Any) -> None:
    with settings.using(verify=True, cache_dir=tmp_path):
        compiled = compile_program(parse_program(textwrap.dedent(CHAIN)))
    x = np.random.default_rng(0).random((4, 4)).astype(np.float32)
    np.testing.assert_allclose(compiled.run([x], ())[0], np.exp(x) @ np.exp(x).T, rtol=1e-5)
