"""Random programs (tests/programs), exported and run by ONNX Runtime at all sizes of a call."""

from __future__ import annotations

import numpy as np
import pytest
from draw import judges_of
from maker import Drawn, random_program
from onnxrun import run

from argand.onnx.exporting import OnnxExporterError, program_to_model

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

CHUNK = 25


def fault(drawn: Drawn, opset: int) -> str | None:
    """What is wrong with an exported program; OnnxExporterError for one that can't be exported."""
    program = drawn.program
    every = [v.name for v in program.state]
    model = program_to_model(program, {}, opset=opset, state_as_inputs=every)
    onnx.checker.check_model(model, full_check=True)
    for judge, arrays in zip(judges_of(drawn), drawn.calls, strict=True):
        found = run(model, [np.asarray(a) for a in arrays])
        wrong = None if found is None else judge.disagreement(found)
        if wrong is not None:
            return wrong
    return None


def compared(seeds: range) -> int:
    """How many of some programs could be exported and agreed."""
    count = 0
    for seed in seeds:
        dtype = ("float32", "float32", "float64", "float16")[seed % 4]
        drawn = random_program(seed, dtype=dtype)
        try:
            wrong = fault(drawn, (17, 18, 20, 23)[seed // 4 % 4])
        except OnnxExporterError:
            continue
        assert wrong is None, f"seed {seed}: {wrong}\n{drawn.program}"
        count += 1
    return count


@pytest.mark.parametrize("start", range(0, 100, CHUNK))
def test_random_programs_agree(start: int) -> None:
    assert compared(range(start, start + CHUNK)) > CHUNK // 3


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 6000, 200))
def test_thousands_of_random_programs_agree(start: int) -> None:
    assert compared(range(start, start + 200)) > 60
