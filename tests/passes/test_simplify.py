"""Canonicalise, fold, cse, dead code, inline, results: text in, text out."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest

import argand.ops
from argand.ir.program import Program
from argand.ir.text import parse_program
from argand.ir.verify import verify
from argand.passes import inline
from argand.passes.canonicalise import canonicalise
from argand.passes.cse import cse, dead_code
from argand.passes.fold import fold
from argand.passes.inline import inline_composites
from argand.passes.results import own_results

assert argand.ops  # fills the registry

Pass = Callable[[Program], Program]


def check(step: Pass | tuple[Pass, ...], before: str, after: str) -> None:
    """The body `before` becomes the body `after`; the first line declares the inputs."""
    program = verify(parse_program(textwrap.dedent(before)))
    text = str(program)
    result = program
    for one in step if isinstance(step, tuple) else (step,):
        result = verify(one(result))
    lines = [line.split("  # ")[0] for line in str(result).splitlines()]
    assert lines == textwrap.dedent(after).strip().splitlines()
    assert step is dead_code or str(program) == text, "the pass changed its input"


def test_literals_go_right() -> None:
    check(
        canonicalise,
        """
        program f(x: f32[3]) {
          %0: f32[3] = add(2.0:f32, x)
          %1: bool[3] = lt(2.0:f32, %0)
          return %1
        }""",
        """
        program f(x: f32[3]) {
          %0: f32[3] = add(x, 2.0)
          %1: bool[3] = gt(%0, 2.0)
          return %1
        }""",
    )


@pytest.mark.parametrize(
    ("node", "result"),
    [
        ("add(x, -0.0)", None),
        ("sub(x, 0.0)", None),
        ("mul(x, 1.0)", None),
        ("div(x, 1.0)", None),
        ("pow(x, 1.0)", None),
        ("add(x, 0.0)", "add(x, 0.0)"),  # -0.0 + 0.0 is 0.0
        ("sub(x, -0.0)", "sub(x, -0.0)"),
        ("mul(x, 0.0)", "mul(x, 0.0)"),  # NaN and infinity
        ("mul(x, -1.0)", "neg(x)"),
        ("pow(x, 2.0)", "mul(x, x)"),
        ("cast(x) {dtype=f32}", None),
        ("reshape(x) {shape=(3,)}", None),
        ("permute(x) {dims=(0,)}", None),
        ("expand(x) {shape=(3,)}", None),
        ("slice(x) {start=(0,), stop=(3,), step=(1,)}", None),
        ("pad(x) {padding=((0, 0),), value=0.0}", None),
        ("flip(x) {dims=()}", None),
        ("cat(x) {dim=0}", None),
        ("contiguous(x)", None),
    ],
)
def test_neutral_elements(node: str, result: str | None) -> None:
    head = "program f(x: f32[3]) {\n"
    before = f"{head}  %0: f32[3] = {node}\n  return %0\n}}"
    if result is None:
        check((canonicalise, dead_code), before, f"{head}  return x\n}}")
    else:
        check(canonicalise, before, f"{head}  %0: f32[3] = {result}\n  return %0\n}}")


def test_double_moves_merge() -> None:
    check(
        (canonicalise, dead_code),
        """
        program f(x: f32[2, 3, 4]) {
          %0: f32[4, 2, 3] = permute(x) {dims=(2, 0, 1)}
          %1: f32[3, 2, 4] = permute(%0) {dims=(2, 1, 0)}
          %2: f32[6, 4] = reshape(x) {shape=(6, 4)}
          %3: f32[24] = reshape(%2) {shape=(24,)}
          return %1, %3
        }""",
        """
        program f(x: f32[2, 3, 4]) {
          %0: f32[3, 2, 4] = permute(x) {dims=(1, 0, 2)}
          %1: f32[24] = reshape(x) {shape=(24,)}
          return %0, %1
        }""",
    )


def test_elementwise_ops_come_before_reshapes() -> None:
    check(
        (canonicalise, dead_code),
        """
        program f(x: f32[4*N, 8], g: f32[4*N, 8], bias: f32[8], scale: f32[]) {
          %0: f32[N, 4, 8] = reshape(x) {shape=(N, 4, 8)}
          %1: f32[N, 4, 8] = expand(bias) {shape=(N, 4, 8)}
          %2: f32[N, 4, 8] = add(%0, %1)
          %3: f32[N, 4, 8] = relu(%2)
          %4: f32[N, 4, 8] = expand(scale) {shape=(N, 4, 8)}
          %5: f32[N, 4, 8] = mul(%4, %3)
          %6: f32[N, 4, 8] = reshape(g) {shape=(N, 4, 8)}
          %7: f32[N, 4, 8] = sub(%5, %6)
          %8: f32[4*N, 8] = reshape(%7) {shape=(4*N, 8)}
          return %8
        }""",
        """
        program f(x: f32[4*N, 8], g: f32[4*N, 8], bias: f32[8], scale: f32[]) {
          %0: f32[4*N, 8] = expand(bias) {shape=(4*N, 8)}
          %1: f32[4*N, 8] = add(x, %0)
          %2: f32[4*N, 8] = relu(%1)
          %3: f32[4*N, 8] = expand(scale) {shape=(4*N, 8)}
          %4: f32[4*N, 8] = mul(%3, %2)
          %5: f32[4*N, 8] = sub(%4, g)
          return %5
        }""",
    )


@pytest.mark.parametrize(
    "other",
    [
        "expand(y) {shape=(2, 3, 4)}",  # of its middle dimension, which the reshape makes
        "reshape(z) {shape=(2, 3, 4)}",  # of another shape
        "exp(w)",
    ],
)
def test_reshapes_stay_where_another_operand_has_only_the_new_shape(other: str) -> None:
    text = f"""
        program f(x: f32[6, 4], y: f32[3, 1], z: f32[24], w: f32[2, 3, 4]) {{
          %0: f32[2, 3, 4] = reshape(x) {{shape=(2, 3, 4)}}
          %1: f32[2, 3, 4] = {other}
          %2: f32[2, 3, 4] = add(%0, %1)
          return %2
        }}"""
    check(canonicalise, text, text)


def test_casts_merge_only_when_exact() -> None:
    check(
        (canonicalise, dead_code),
        """
        program f(x: f32[3], i: i64[3]) {
          %0: f64[3] = cast(x) {dtype=f64}
          %1: f32[3] = cast(%0) {dtype=f32}
          %2: f32[3] = cast(i) {dtype=f32}
          %3: i64[3] = cast(%2) {dtype=i64}
          return %1, %3
        }""",
        """
        program f(x: f32[3], i: i64[3]) {
          %0: f32[3] = cast(i) {dtype=f32}
          %1: i64[3] = cast(%0) {dtype=i64}
          return x, %1
        }""",
    )


def test_negations() -> None:
    check(
        (canonicalise, dead_code),
        """
        program f(x: f32[3], y: f32[3]) {
          %0: f32[3] = neg(y)
          %1: f32[3] = add(x, %0)
          %2: f32[3] = sub(%1, %0)
          %3: f32[3] = neg(%0)
          return %2, %3
        }""",
        """
        program f(x: f32[3], y: f32[3]) {
          %0: f32[3] = sub(x, y)
          %1: f32[3] = add(%0, y)
          return %1, y
        }""",
    )


def test_fold_passes_constants_on() -> None:
    check(
        (fold, dead_code),
        """
        program f(x: f32[2, 3]) {
          %0: f32[3] = full() {shape=(3,), value=2.0, dtype=f32}
          %1: f32[3] = mul(%0, %0)
          %2: f32[2, 3] = expand(%1) {shape=(2, 3)}
          %3: f32[2, 3] = add(x, %2)
          return %3
        }""",
        """
        program f(x: f32[2, 3]) {
          %0: f32[2, 3] = add(x, 4.0)
          return %0
        }""",
    )


def test_cse_merges_equal_nodes_and_keeps_signed_zeros_apart() -> None:
    check(
        cse,
        """
        program f(x: f32[3]) {
          %0: f32[3] = add(x, 0.0)
          %1: f32[3] = add(x, -0.0)
          %2: f32[3] = add(x, 0.0)
          return %0, %1, %2
        }""",
        """
        program f(x: f32[3]) {
          %0: f32[3] = add(x, 0.0)
          %1: f32[3] = add(x, -0.0)
          return %0, %1, %0
        }""",
    )


def test_cse_keeps_other_parameters_and_draws_apart() -> None:
    text = """
        program f(x: f32[3, 3]; state r: i64[2]) {
          %0: f32[3] = sum(x) {dim=(0,), keepdim=False}
          %1: f32[3] = sum(x) {dim=(1,), keepdim=False}
          %2: f32[3] = uniform(r) {shape=(3,), dtype=f32}
          %3: f32[3] = uniform(r) {shape=(3,), dtype=f32}
          return %0, %1, %2, %3
        }"""
    check(cse, text, text)


def test_dead_code_goes_but_written_state_stays() -> None:
    check(
        dead_code,
        """
        program f(x: f32[3]; state w: f32[3]) {
          %0: f32[3] = add(x, w)
          %1: f32[3] = exp(x)
          return x; w <- %0
        }""",
        """
        program f(x: f32[3]; state w: f32[3]) {
          %0: f32[3] = add(x, w)
          return x; w <- %0
        }""",
    )


def test_results_own_their_memory() -> None:
    check(
        own_results,
        """
        program f(x: f32[3]; state w: f32[3], u: f32[3]) {
          %0: f32[3] = exp(x)
          %1: f32[1, 3] = reshape(%0) {shape=(1, 3)}
          return x, %0, %0, %1, 2.0:f32; w <- %0, u <- u
        }""",
        """
        program f(x: f32[3]; state w: f32[3], u: f32[3]) {
          %0: f32[3] = exp(x)
          %1: f32[1, 3] = reshape(%0) {shape=(1, 3)}
          %2: f32[3] = contiguous(x)
          %3: f32[3] = contiguous(%0)
          %4: f32[3] = contiguous(%0)
          %5: f32[1, 3] = contiguous(%1)
          %6: f32[] = full() {shape=(), value=2.0, dtype=f32}
          return %2, %3, %4, %5, %6; w <- %0
        }""",
    )


def test_composites_become_their_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    program = parse_program(
        "program f(x: f32[2, 3]) {\n  %0: f32[2, 3] = softmax(x) {dim=1}\n  return %0\n}"
    )
    result = verify(inline_composites(program))
    assert len(result.nodes) > 3
    monkeypatch.setattr(inline, "has_kernel", lambda node: True)
    kept = verify(inline_composites(program))
    assert [n.op.name for n in kept.nodes] == ["softmax"]


def test_values_without_elements_are_not_computed() -> None:
    check(
        (fold, dead_code),
        """
        program f(x: f32[3, 0], y: f32[0, 4], i: i64[0]) {
          %0: f32[3, 0] = exp(x)
          %1: f32[3, 0] = add(%0, x)
          %2: f32[3, 4] = matmul(%1, y)
          %3: f32[0, 4] = embedding(y, i) {padding_idx=None}
          return %1, %2, %3
        }""",
        """
        program f(x: f32[3, 0], y: f32[0, 4], i: i64[0]) {
          %0: f32[3, 0] = full() {shape=(3, 0), value=0.0, dtype=f32}
          %1: f32[3, 4] = matmul(%0, y)
          %2: f32[0, 4] = embedding(y, i) {padding_idx=None}
          return %0, %1, %2
        }""",
    )
