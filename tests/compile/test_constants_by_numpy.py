"""Constants that NumPy computes have the bits that kernels give them, and kernels take over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.backends.select import compile_program
from argand.compile import constants
from argand.compile.by_numpy import Packing, packing
from argand.ir.program import Program
from argand.ir.text import parse_program


def made_by(model: Any, x: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Program, list[Any]]:
    """The program of a model's constants, and what it is run on."""
    found: list[tuple[Program, list[Any]]] = []
    before = constants.Constants._note

    def note(self: Any) -> None:
        before(self)
        found.append((self.program, self._read))

    monkeypatch.setattr(constants.Constants, "_note", note)
    ag.compile(model, freeze=True)(x)
    return found[0]


def network() -> nn.Module:
    ag.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(3, 37, 3),
        nn.BatchNorm2d(37),
        nn.ReLU(),
        nn.Conv2d(37, 37, 3, groups=37),
        nn.BatchNorm2d(37, eps=1e-3),
        nn.ConvTranspose2d(37, 5, 2, stride=2),
        nn.Flatten(),
        nn.Linear(5 * 64, 11),
    ).eval()
    for m in model:
        if isinstance(m, nn.BatchNorm2d):
            assert m.running_mean is not None and m.running_var is not None
            m.running_mean.uniform_(-1, 1)
            m.running_var.uniform_(0.001, 3)
    return model


def test_the_bits_are_those_of_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    with ag.no_grad():
        program, state = made_by(network(), ag.rand(1, 3, 8, 8), monkeypatch)
    by_numpy = packing(program)
    assert by_numpy is not None
    found = by_numpy.run((), state)
    expected = compile_program(program).run((), state)
    assert len(found) == len(expected) >= 8
    for a, b in zip(found, expected, strict=True):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        assert a.flags.c_contiguous


@pytest.mark.parametrize("op", ["exp(w)", "sum(w) {dim=(0,), keepdim=False}"])
def test_what_is_not_exact_is_left_to_kernels(op: str) -> None:
    shape = "[4]" if op.startswith("sum") else "[3, 4]"
    text = f"program f(; state w: f32[3, 4]) {{\n  %0: f32{shape} = {op}\n  return %0\n}}"
    assert packing(parse_program(text)) is None


def test_half_floats_are_left_to_kernels() -> None:
    text = "program f(; state w: bf16[3]) {\n  %0: bf16[3] = mul(w, w)\n  return %0\n}"
    assert packing(parse_program(text)) is None
    moved = "program f(; state w: bf16[3, 2]) {\n  %0: bf16[2, 3] = permute(w) {dims=(1, 0)}\n"
    assert isinstance(packing(parse_program(moved + "  return %0\n}")), Packing)


def test_large_values_are_left_to_kernels() -> None:
    text = "program f(; state w: f32[9000, 9000]) {\n  %0: f32[9000, 9000] = contiguous(w)\n"
    assert packing(parse_program(text + "  return %0\n}")) is None


def test_kernels_take_over_when_weights_move() -> None:
    model = nn.Linear(3, 4)
    x = ag.rand(2, 3)
    function = ag.compile(model, freeze=True)
    with ag.no_grad():
        for round in range(3):
            assert np.array_equal(function(x).numpy(), model(x).numpy())
            assert ("by NumPy" in function.explain()) is (round == 0)
            model.weight.mul_(2)
