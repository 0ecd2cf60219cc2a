"""The schedule: written state is updated in place, or copied in the end."""

from __future__ import annotations

import textwrap

import argand.ops
from argand.ir.program import Program
from argand.ir.text import parse_program
from argand.ir.verify import verify
from argand.passes.schedule import schedule

assert argand.ops  # fills the registry


def scheduled(text: str, host: str = "") -> list[str]:
    """The lines of the body after scheduling; ops named `host` have no kernel."""
    program = verify(parse_program(textwrap.dedent(text)))
    result: Program = verify(schedule(program, lambda node: node.op.name != host))
    return [line.strip() for line in str(result).splitlines()[1:-1]]


def test_readers_come_before_the_write() -> None:
    lines = scheduled(
        """
        program f(x: f32[3], g: f32[3]; state w: f32[3]) {
          %0: f32[3] = add(w, g)
          %1: f32[3] = mul(w, x)
          return %1; w <- %0
        }"""
    )
    assert lines == [
        "%0: f32[3] = mul(w, x)",
        "%1: f32[3] = add(w, g)",
        "return %0; w <- %1",
    ]


def test_a_view_of_a_state_is_a_reader() -> None:
    lines = scheduled(
        """
        program f(g: f32[3]; state w: f32[3]) {
          %0: f32[3] = add(w, g)
          %1: f32[3, 1] = reshape(w) {shape=(3, 1)}
          %2: f32[3, 1] = exp(%1)
          return %2; w <- %0
        }"""
    )
    assert lines[-2:] == ["%2: f32[3] = add(w, g)", "return %1; w <- %2"]


def test_an_old_value_needed_after_the_new_one_means_a_copy() -> None:
    lines = scheduled(
        """
        program f(g: f32[3]; state w: f32[3]) {
          %0: f32[3] = add(w, g)
          %1: f32[3] = mul(w, %0)
          return %1; w <- %0
        }"""
    )
    assert lines == [
        "%0: f32[3] = add(w, g)",
        "%1: f32[3] = mul(w, %0)",
        "%2: f32[3] = contiguous(%0)",
        "return %1; w <- %2",
    ]


def test_a_write_that_reads_other_elements_means_a_copy() -> None:
    lines = scheduled(
        """
        program f(; state w: f32[3]) {
          %0: f32[3] = flip(w) {dims=(0,)}
          return %0; w <- %0
        }""".replace("return %0;", "return ;")
    )
    assert lines[1] == "%1: f32[3] = contiguous(%0)"


def test_states_that_are_swapped() -> None:
    lines = scheduled(
        """
        program f(; state u: f32[3], w: f32[3]) {
          %0: f32[3] = exp(w)
          %1: f32[3] = exp(u)
          return ; u <- %0, w <- %1
        }"""
    )
    assert sum("contiguous" in line for line in lines) == 1


def test_what_can_fail_comes_first() -> None:
    lines = scheduled(
        """
        program f(i: i64[4]; state w: f32[3], t: f32[5, 2]) {
          %0: f32[3] = exp(w)
          %1: f32[4, 2] = embedding(t, i)
          return %1; w <- %0
        }"""
    )
    assert lines[0] == "%0: f32[4, 2] = embedding(t, i)"


def test_host_nodes_are_gathered() -> None:
    lines = scheduled(
        """
        program f(x: f32[3]) {
          %0: f32[3] = sin(x)
          %1: f32[3] = exp(x)
          %2: f32[3] = sin(%1)
          %3: f32[3] = exp(%0)
          %4: f32[3] = add(%2, %3)
          return %4
        }""",
        host="sin",
    )
    kinds = ["sin" in line for line in lines[:-1]]
    assert kinds == [False, True, True, False, False]


def test_a_new_value_that_is_stored_before_the_old_one_is_read_means_a_copy() -> None:
    text = """
        program f(x: f32[3]; state w: f32[3]) {
          %0: f32[3], %1: f32[3] = fusion(x, w) {kind="loop"} with
            loop(x0: f32[3], x1: f32[3]) {
              %0: f32[3] = exp(x0)
              %1: f32[3] = sin(x1)
              return FIRST, THEN
            }
          return OUT; w <- NEW
        }"""
    old_first = {"FIRST": "%1", "THEN": "%0", "OUT": "%0", "NEW": "%1"}
    new_first = {"FIRST": "%0", "THEN": "%1", "OUT": "%1", "NEW": "%0"}
    for names, copies in ((old_first, 0), (new_first, 1)):
        named = text
        for name, value in names.items():
            named = named.replace(name, value)
        assert sum("contiguous" in line for line in scheduled(named)) == copies


def copies(text: str) -> int:
    """How many new values of states are copied in the end."""
    return sum("contiguous" in line for line in scheduled(text))


def test_states_in_a_ring() -> None:
    """What is required of the first two orders the third."""
    text = """
        program f(; state u: f32[3], v: f32[3], w: f32[3]) {
          %0: f32[3] = exp(v)
          %1: f32[3] = exp(w)
          %2: f32[3] = exp(u)
          return ; u <- %0, v <- %1, w <- %2
        }"""
    assert copies(text) == 1


def test_a_new_value_that_may_not_be_computed_is_copied_in_the_end() -> None:
    text = """
        program f(i: i64[4]; state w: f32[4, 2], t: f32[5, 2]) {
          %0: f32[4, 2] = embedding(t, i)
          return ; w <- %0
        }"""
    assert copies(text) == 1


def test_a_new_value_of_another_layout_is_copied_in_the_end() -> None:
    text = """
        program f(x: f32[1, 2, 3, 3]@0231; state w: f32[1, 2, 3, 3]) {
          %0: f32[1, 2, 3, 3]@0231 = relu(x)
          return ; w <- %0
        }"""
    assert copies(text) == 1
    assert copies(text.replace("@0231", "")) == 0


def test_a_transposed_state_is_not_overwritten() -> None:
    text = """
        program f(x: f32[3, 3]; state w: f32[3, 3]) {
          %0: f32[3, 3] = permute(w) {dims=(1, 0)}
          %1: f32[3, 3] = add(%0, x)
          return ; w <- %1
        }"""
    assert copies(text) == 1
    assert copies(text.replace("(1, 0)", "(0, 1)")) == 0
