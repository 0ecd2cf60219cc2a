"""Derivatives of Programs held against central differences in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from calls import Call

from argand.ir.interpret import interpret
from argand.ir.program import Program
from argand.transform.graph import vjp

STEP = 1e-5


def float_inputs(program: Program) -> list[int]:
    """The positions of the inputs that have gradients."""
    return [n for n, v in enumerate(program.inputs) if v.dtype.is_floating_point]


def float_outputs(program: Program) -> list[int]:
    """The positions of the outputs that cotangents come from."""
    return [n for n, v in enumerate(program.outputs) if v.dtype.is_floating_point]


def differentiable(calls: Sequence[Call], dtype: str) -> list[Call]:
    """The calls that have a gradient in this dtype."""
    usable = (c for c in calls if c.op.differentiable and dtype in c.op.dtypes)
    programs = ((c, c.program(dtype)) for c in usable)
    return [c for c, p in programs if float_inputs(p) and float_outputs(p)]


def gradient_program(program: Program) -> Program:
    """From inputs and cotangents to the cotangents of the inputs."""
    return vjp(program, float_inputs(program), float_outputs(program))


def check_gradient(
    program: Program,
    arrays: Sequence[np.ndarray],
    seed: int = 0,
    symmetric: Sequence[int] = (),
    tol: float = 2e-6,
    directions: int = 4,
) -> tuple[Program, list[np.ndarray]]:
    """Compare <gradient, v> with a central difference along v, for random directions v.

    Inputs in `symmetric` move along symmetric matrices. Returns the gradient's Program and the
    arrays that it was run on, so that it can be checked in turn.
    """
    rng = np.random.default_rng(seed)
    outputs = float_outputs(program)
    gradient = gradient_program(program)
    cotangents = [rng.uniform(-1, 1, program.outputs[n].shape) for n in outputs]
    operands = [*arrays, *cotangents]
    grads = interpret(gradient, operands)
    wrt = float_inputs(program)
    for g, n in zip(grads, wrt, strict=True):
        assert g.shape == arrays[n].shape
    for _ in range(directions):
        moves = {n: _direction(rng, arrays[n], n in symmetric) for n in wrt}
        expected = _difference(program, arrays, moves, outputs, cotangents)
        pairs = zip(grads, moves.values(), strict=True)
        actual = float(sum(np.vdot(v, g) for g, v in pairs))
        scale = max(1.0, abs(expected), *(float(np.abs(g).max(initial=0)) for g in grads))
        assert abs(actual - expected) <= tol * scale, f"{actual} against {expected}"
    return gradient, operands


def _direction(rng: np.random.Generator, like: np.ndarray, symmetric: bool) -> np.ndarray:
    v = rng.uniform(-1, 1, like.shape)
    return (v + v.swapaxes(-1, -2)) / 2 if symmetric else v


def _difference(
    program: Program,
    arrays: Sequence[np.ndarray],
    moves: dict[int, np.ndarray],
    outputs: Sequence[int],
    cotangents: Sequence[np.ndarray],
) -> float:
    sides: list[Any] = []
    for sign in (1, -1):
        moved = [a + sign * STEP * moves[n] if n in moves else a for n, a in enumerate(arrays)]
        results = interpret(program, moved)
        parts = zip(outputs, cotangents, strict=True)
        sides.append(sum(np.vdot(c, results[n]) for n, c in parts))
    return float((sides[0] - sides[1]) / (2 * STEP))
