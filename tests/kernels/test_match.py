"""The list of kernels: what plans say, and that a kernel in the list is all that a kernel needs."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest

import argand.ops  # noqa: F401 - fills the registry
from argand.backends.cpu import compile_program
from argand.base.settings import settings
from argand.ir.families import Scan
from argand.ir.op import registry
from argand.ir.program import Program
from argand.ir.text import parse_program
from argand.kernels import match as kernels
from argand.kernels.match import plan_of
from argand.kernels.plan import Cost, Plan
from argand.lowering.context import LoweringContext
from argand.lowering.region import Region
from argand.nest.builder import F32, NestBuilder
from argand.passes.fuse import fuse


def parsed(text: str) -> Program:
    return parse_program(textwrap.dedent(text))


# what plans say -----------------------------------------------------------------------------------


def plans(text: str) -> list[str]:
    return [str(plan_of(node)) for node in fuse(parsed(text)).nodes]


def test_a_plan_says_which_kernel_and_how() -> None:
    text = """
        program f(x: f32[20, 33], w: f32[7, 33], i: i64[2, 7]) {
          %0: f32[33, 7] = permute(w) {dims=(1, 0)}
          %1: f32[20, 7] = matmul(x, %0)
          %2: f32[20, 7] = relu(%1)
          %3: f32[20, 7] = cumsum(%2) {dim=1}
          %4: f32[20, 7] = scatter_add(%2, i, %3) {dim=0}
          %5: f32[20, 1] = amax(%4) {dim=(1,), keepdim=True}
          %6: f32[20, 7] = expand(%5) {shape=(20, 7)}
          %7: f32[20, 7] = sub(%4, %6)
          %8: f32[5, 11] = full() {shape=(5, 11), value=1.0, dtype=f32}
          return %7, %8
        }"""
    assert sorted(plans(text)) == [
        "contraction: matmul of f32[20, 33] and f32[33, 7] through permute, then relu",
        "loop: full over 5 x 11",
        "rows: amax expand sub, by 20 rows of 7 in 2 passes",
        "scan: cumsum along 1",
        "scatter: scatter_add of (2, 7)",
    ]


def test_a_cost_says_what_is_lost() -> None:
    assert Cost().pays
    assert str(Cost()) == "nothing lost"
    assert not Cost(nests=2).pays
    lost = Cost(2, ("exp is repeated",))
    assert str(lost) == "2 nests, exp is repeated"


def test_what_has_no_kernel_has_no_plan() -> None:
    text = """
        program f(x: f32[3, 3], z: c64[3]) {
          %0: f32[3, 3] = linalg_inv(x)
          %1: c64[3] = neg(z)
          return %0, %1
        }"""
    assert [plan_of(node) for node in parsed(text).nodes] == [None, None]


# a kernel from outside ----------------------------------------------------------------------------

TEXT = """
    program f(x: f32[37]) {
      %0: f32[37] = cumsum(x) {dim=0}
      %1: f32[37] = neg(%0)
      return %1
    }"""


class RunningNegative(Plan):
    """-cumsum(x) of a vector, in one loop."""

    kind = "running_negative"

    def emit(self, b: NestBuilder, context: LoweringContext) -> None:
        region = self.region
        source = region.places(context)[region.inputs[0]]
        (target,) = region.targets(context, region.outputs[0])
        with b.loop(0, context.size(b, region.inputs[0].shape[0]), 1, [b.const(F32, 0.0)]) as loop:
            place = b.mul(loop.index, source.strides[0])
            total = b.apply("add", loop.carry[0], b.load(source.pointer, place, F32))
            b.store(target.pointer, b.mul(loop.index, target.strides[0]), b.apply("neg", total))
            b.yield_(total)

    def __str__(self) -> str:
        return f"running negative: of {self.region.inputs[0].shape}"


def match_running_negative(region: Region) -> Plan | None:
    if len(region.nodes) != 2:
        return None
    scan, negation = region.nodes
    fits = isinstance(scan.op, Scan) and negation.op is registry.get("neg")
    vector = len(scan.outputs[0].shape) == 1 and scan.outputs[0].dtype.name == "float32"
    return (
        RunningNegative(region) if fits and vector and region.outputs == negation.outputs else None
    )


def test_a_kernel_in_the_list_is_fused_for_and_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line in the list, and nothing else, makes fusion and compilation use a kernel."""
    assert plans(TEXT) == ["scan: cumsum along 0", "loop: neg over 37"]
    monkeypatch.setattr(kernels, "KERNELS", [match_running_negative, *kernels.KERNELS])
    (node,) = fuse(parsed(TEXT)).nodes
    assert node.params == {"kind": "running_negative"}
    assert str(plan_of(node)) == "running negative: of (37,)"
    x = np.arange(37, dtype=np.float32)
    with settings.using(cache=False, verify=True):
        (y,) = compile_program(parsed(TEXT)).run([x], [])
    np.testing.assert_array_equal(y, -np.cumsum(x))


def test_the_first_kernel_of_the_list_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "KERNELS", [*kernels.KERNELS, match_running_negative])
    (node,) = fuse(parsed(TEXT)).nodes  # no other kernel computes both
    assert str(plan_of(node)) == "running negative: of (37,)"
    monkeypatch.setattr(kernels, "KERNELS", kernels.KERNELS[:-1])
    assert kernels.match(plan_of(node).region) is None  # type: ignore[union-attr]
