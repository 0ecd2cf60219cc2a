"""Unfusing: a fusion that no kernel takes becomes its nodes again."""

from __future__ import annotations

import textwrap

import argand.ops
from argand.ir.text import parse_program
from argand.ir.verify import verify
from argand.passes.unfuse import unfuse

assert argand.ops  # fills the registry


def unfused(text: str) -> str:
    result = str(verify(unfuse(verify(parse_program(textwrap.dedent(text))))))
    return "\n".join(line.strip() for line in result.splitlines()[1:-1])


def test_what_a_kernel_takes_stays() -> None:
    text = """
        program f(x: f32[3]) {
          %0: f32[3] = fusion(x) {kind="loop"} with
            loop(x0: f32[3]) {
              %0: f32[3] = exp(x0)
              %1: f32[3] = neg(%0)
              return %1
            }
          return %0
        }"""
    program = verify(parse_program(textwrap.dedent(text)))
    assert str(unfuse(program)) == str(program)


def test_what_no_kernel_takes_is_nodes_again() -> None:
    # an inverse runs in NumPy, so no kernel holds it
    assert unfused(
        """
        program f(x: f32[3, 3]) {
          %0: f32[3, 3] = fusion(x) {kind="contract"} with
            contract(x0: f32[3, 3]) {
              %0: f32[3, 3] = linalg_inv(x0)
              %1: f32[3, 3] = neg(%0)
              return %1
            }
          %1: f32[3, 3] = exp(%0)
          return %1
        }"""
    ) == textwrap.dedent(
        """\
        %0: f32[3, 3] = linalg_inv(x)
        %1: f32[3, 3] = neg(%0)
        %2: f32[3, 3] = exp(%1)
        return %2"""
    )
