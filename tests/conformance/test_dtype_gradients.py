"""Gradients in 16-bit floats and of complex numbers, eagerly and compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bounds import EPS
from calls import ALL_OPS, Call
from derivatives import STEP
from dtypes import GROUPS, REFUSED, assert_gradient_place, calls_in
from linalg_references import without_phases

import argand as ag
from argand.backends.select import compile_program
from argand.ir.families import Control
from argand.ir.interpret import interpret
from argand.ir.op import Op
from argand.ir.program import Program
from argand.transform.graph import vjp

Arrays = list[np.ndarray]
# A difference quotient needs these.
WIDE = ("float64", "complex128")


def inexact(values: Any) -> list[int]:
    """The positions of the values that have gradients."""
    return [n for n, v in enumerate(values) if v.dtype.is_inexact]


def takers(dtype: str) -> list[Op]:
    """The ops that have gradients in a dtype."""
    return [
        op
        for op in ALL_OPS
        if op.differentiable and dtype not in REFUSED.get(op.name, ()) and calls_in(op, dtype)
    ]


def gradient(call: Call, dtype: str) -> tuple[Program, Arrays, Program, Arrays] | None:
    """A call and its operands, and its gradient's program with the cotangents; None without."""
    program, arrays = call.program(dtype), call.arrays(dtype)
    wrt, given = inexact(program.inputs), inexact(program.outputs)
    if not wrt or not given:
        return None
    rng = np.random.default_rng(1)
    seeds = []
    for n in given:
        out = program.outputs[n]
        seed = rng.uniform(-1, 1, out.shape) + 1j * rng.uniform(-1, 1, out.shape)
        seed = seed if out.dtype.is_complex else seed.real
        seeds.append(np.asarray(seed).astype(out.dtype.numpy))
    if dtype == "complex128":
        seeds = without_phases(call.op.name, interpret(program, arrays), seeds)
    return program, arrays, vjp(program, wrt, given), seeds


def eager(call: Call, program: Program, arrays: Arrays, seeds: Arrays) -> Arrays | None:
    """The gradients by the tape; None when nothing is on it."""
    operands = [ag.from_numpy(a) for a in arrays]
    wrt = [operands[n].requires_grad_() for n in inexact(program.inputs)]
    found = call.apply(operands)
    found = found if isinstance(found, tuple) else (found,)
    given = [found[n] for n in inexact(program.outputs)]
    pairs = [(y, ag.from_numpy(s)) for y, s in zip(given, seeds, strict=True) if y.requires_grad]
    if not pairs:
        return None
    roots, cotangents = zip(*pairs, strict=True)
    slopes = ag.autograd.grad(roots, wrt, cotangents, allow_unused=True)
    return [
        (ag.zeros_like(x) if g is None else g).numpy() for g, x in zip(slopes, wrt, strict=True)
    ]


def compiled(call: Call, slope: Program, operands: Arrays) -> Arrays:
    made: Any = compile_program(slope)
    if not any(v.dtype.is_complex for v in [*slope.inputs, *slope.outputs]):
        assert_gradient_place(call, made)
    return list(made.run(operands, []))


def check_half(op: Op, dtype: str, count: int | None) -> None:
    """Both ways within a few times what NumPy's own roundings in the dtype cost."""
    for call in calls_in(op, dtype)[:count]:
        parts = gradient(call, dtype)
        if parts is None:
            continue
        _, arrays, slope, seeds = parts
        operands = [*arrays, *seeds]
        narrow, wide = interpret(slope, operands), interpret(slope, operands, wide=True)
        for found in (compiled(call, slope, operands), eager_or_zero(call, parts, narrow)):
            for y, n, w in zip(found, narrow, wide, strict=True):
                assert_near_half(y, n, w, EPS[dtype], str(call))


def assert_near_half(found: Any, narrow: Any, wide: Any, eps: float, what: str) -> None:
    """Within 8 times NumPy's own error, and a rounding, of the exact gradient, as `assert_near`."""
    assert (found.dtype, found.shape) == (narrow.dtype, wide.shape), what
    if not found.size:
        return
    found, narrow = found.astype(np.float64), narrow.astype(np.float64)
    rounding = eps / 2 * max(1.0, np.abs(wide).max())
    allowed = 8 * (np.abs(narrow - wide).max() + rounding)
    error = np.abs(found - wide).max()
    assert error <= allowed, f"off by {error}, allowed {allowed}: {what}"


def eager_or_zero(call: Call, parts: Any, like: Arrays) -> Arrays:
    program, arrays, _, seeds = parts
    if isinstance(call.op, Control):
        return like  # its functions are recorded
    found = eager(call, program, arrays, seeds)
    return [np.zeros_like(y) for y in like] if found is None else found


HALF = takers("float16")
each_half = pytest.mark.parametrize("op", HALF, ids=lambda op: op.name)


@each_half
def test_half_gradients(op: Op) -> None:
    check_half(op, "float16", 1)


@pytest.mark.slow
@each_half
def test_half_gradients_of_all_samples(op: Op) -> None:
    for dtype in GROUPS["half"]:
        check_half(op, dtype, None)


def difference(run: Callable[[Arrays], Arrays], arrays: Arrays, move: dict[int, Any]) -> list[Any]:
    """The outputs' change along a direction, by a central difference."""
    sides = [
        run([a + sign * STEP * move[n] if n in move else a for n, a in enumerate(arrays)])
        for sign in (1, -1)
    ]
    return [(up - down) / (2 * STEP) for up, down in zip(*sides, strict=True)]


@pytest.mark.parametrize("op", takers("complex128"), ids=lambda op: op.name)
def test_complex_gradients_against_differences(op: Op) -> None:
    """The gradient g of a real loss L is such that dL = Re(conj(g) dx)."""
    rng = np.random.default_rng(2)
    for call in calls_in(op, "complex128"):
        parts = gradient(call, "complex128")
        if parts is None or any(v.dtype.name not in WIDE for v in parts[0].outputs):
            continue
        program, arrays, slope, seeds = parts
        operands = [*arrays, *seeds]
        slopes = interpret(slope, operands)
        for way in (compiled(call, slope, operands), eager_or_zero(call, parts, slopes)):
            for y, e in zip(way, slopes, strict=True):
                np.testing.assert_allclose(y, e, rtol=1e-13, atol=1e-13, err_msg=str(call))
        for _ in range(4):
            move = {n: rng.uniform(-1, 1, arrays[n].shape) for n in inexact(program.inputs)}
            move = {
                n: v + 1j * rng.uniform(-1, 1, v.shape) if arrays[n].dtype.kind == "c" else v
                for n, v in move.items()
            }
            for n, t in enumerate(call.tensors):
                if t.definite:  # stays Hermitian
                    move[n] = move[n] + np.conj(move[n].swapaxes(-1, -2))
            change = difference(lambda xs, p=program: interpret(p, xs), arrays, move)
            given = [change[n] for n in inexact(program.outputs)]
            expected = sum(np.vdot(s, d).real for s, d in zip(seeds, given, strict=True))
            actual = sum(np.vdot(g, v).real for g, v in zip(slopes, move.values(), strict=True))
            scale = max(1.0, abs(expected), *(float(np.abs(g).max(initial=0)) for g in slopes))
            assert abs(actual - expected) <= 2e-6 * scale, f"{call}: {actual}, not {expected}"
