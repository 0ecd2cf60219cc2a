"""Kernels that are wrong in memory, each in one way, to put in the place of one of a program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from argand.backends.cpu import lowering
from argand.lowering.context import LoweringContext
from argand.nest.builder import F32, NestBuilder, Ty

CHAIN = """
    program f(x: f32[4, 4]) {
      %0: f32[4, 4] = exp(x)
      %1: f32[4, 4] = permute(%0) {dims=(1, 0)}
      %2: f32[4, 4] = matmul(%0, %1)
      return %2
    }"""
"""Its first node gets the wrong kernel."""

Emit = Callable[[NestBuilder, Any, Any], None]


def put_in_place(patch: pytest.MonkeyPatch, emit: Emit) -> None:
    """Until the patch is undone, `emit` writes the kernels of all `exp`."""

    def replaced(b: NestBuilder, node: Any, context: LoweringContext) -> None:
        if node.op.name != "exp":
            LOWER(b, node, context)
            return
        buffers = [context.buffers[v] for v in (*node.values, *node.outputs)]
        emit(b, *(buffer.pointer for buffer in buffers))

    patch.setattr(lowering, "lower_node", replaced)


LOWER = lowering.lower_node


def right(b: NestBuilder, source: Any, to: Any) -> None:
    """out = exp(x), for 16 elements: the right kernel of the first node."""
    for i in range(0, 16, 4):
        b.store(to, i, b.load(source, i, Ty("float32", 4)))


def reads_far(b: NestBuilder, source: Any, to: Any) -> None:
    right(b, source, to)
    b.store(to, 0, b.load(source, 16, F32))


def reads_before(b: NestBuilder, source: Any, to: Any) -> None:
    right(b, source, to)
    b.store(to, 0, b.load(source, -1, F32))


def writes_far(b: NestBuilder, source: Any, to: Any) -> None:
    right(b, source, to)
    b.store(to, 13, b.load(source, 0, Ty("float32", 4)))


def writes_its_operand(b: NestBuilder, source: Any, to: Any) -> None:
    right(b, source, to)
    b.store(source, 3, b.const(F32, 0))


def reads_what_it_has_not_written(b: NestBuilder, source: Any, to: Any) -> None:
    b.store(to, 0, b.load(to, 5, F32))
    right(b, source, to)


def leaves_a_hole(b: NestBuilder, source: Any, to: Any) -> None:
    for i in range(0, 12, 4):
        b.store(to, i, b.load(source, i, Ty("float32", 4)))


def reads_another_chunk(b: NestBuilder, source: Any, to: Any) -> None:
    with b.parallel(4) as chunk:
        b.store(to, b.mul(chunk, 4), b.load(source, b.mul(chunk, 4), Ty("float32", 4)))
        b.load(to, 0, F32)


def writes_into_another_chunk(b: NestBuilder, source: Any, to: Any) -> None:
    with b.parallel(4) as chunk:
        b.store(to, b.mul(chunk, 4), b.load(source, b.mul(chunk, 4), Ty("float32", 4)))
        b.store(to, 15, b.const(F32, 0))


def shares_scratch_memory(b: NestBuilder, source: Any, to: Any) -> None:
    right(b, source, to)
    shared = b.scratch(16)
    with b.parallel(4) as chunk:
        b.load(shared, 0, F32)
        b.store(shared, chunk, b.const(F32, 0))


def writes_beside(b: NestBuilder, source: Any, to: Any) -> None:
    """Into the gap that alignment leaves behind 16 of 24 elements."""
    right(b, source, to)
    b.store(to, 24, b.const(F32, 0))
