"""The list of passes."""

from __future__ import annotations

import numpy as np
import pytest

import argand.ops
from argand.base.settings import settings
from argand.ir.interpret import interpret
from argand.ir.program import Program
from argand.ir.text import parse_program
from argand.passes import pipeline
from argand.passes.pipeline import PASSES, run_passes

assert argand.ops  # fills the registry

TEXT = """
    program f(x: f32[4, 8], w: f32[8, 3]) {
      %0: f32[4, 3] = matmul(x, w)
      %1: f32[4, 3] = softmax(%0) {dim=1}
      %2: f32[4, 3] = mul(2.0:f32, %1)
      return %2
    }"""


def test_every_pass_says_what_it_does() -> None:
    assert all(step.__doc__ for step in PASSES)


def test_passes_keep_the_meaning_and_the_given_program() -> None:
    program = parse_program(TEXT)
    before = str(program)
    with settings.using(verify=True):
        result = run_passes(program)
    assert str(program) == before
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(v.shape) for v in program.inputs]
    (want,), (got,) = interpret(program, arrays), interpret(result, arrays)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_an_invalid_pass_is_named() -> None:
    def breaks(program: Program) -> Program:
        program.nodes = program.nodes[1:]
        return program

    with settings.using(verify=True), pytest.raises(Exception, match="before it is defined") as e:
        pipeline.run_passes(parse_program(TEXT), (breaks,))
    assert "after the pass breaks" in e.value.__notes__
