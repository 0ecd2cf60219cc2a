"""Runs programs kernel by kernel, each node through `lower_node`, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

import argand.ops  # noqa: F401 - fills the registry
from argand.base.dtype import from_numpy
from argand.codegen.llvm.target import named_target
from argand.ir.fusion import fusion_node
from argand.ir.interpret import interpret
from argand.ir.op import Literal, TensorType
from argand.ir.program import Node, Program, Value
from argand.ir.record import record
from argand.kernels.match import lower_node
from argand.lowering.context import LoweringContext, StridedBuffer
from argand.nest.builder import PTR, NestBuilder, Param
from nestrun import entry

KINDS = {"float16": "f2"}


class Kernel:
    """One node as machine code, for arrays of fixed strides."""

    def __init__(self, node: Node, arrays: dict[Value, np.ndarray], target: str = "host") -> None:
        values = [*dict.fromkeys(node.values), *node.outputs]
        params = [Param(f"p{i}", PTR) for i in range(len(values))]
        b = NestBuilder("kernel", params)
        context = LoweringContext({}, {}, named_target(target), 7)
        for v, pointer in zip(values, b.params, strict=True):
            array = arrays[v]
            strides = tuple(s // array.itemsize for s in array.strides)
            context.buffers[v] = StridedBuffer(pointer, strides, v.dtype)
        lower_node(b, node, context)
        self.function = b.finish()
        self.values = values
        self._call = entry(self.function, named_target(target))

    def __call__(self, arrays: dict[Value, np.ndarray]) -> int:
        return self._call(*(arrays[v] for v in self.values))


def program_of(function: Callable, arrays: Sequence[np.ndarray]) -> Program:
    """The recorded program of a function of ops."""
    types = [TensorType(from_numpy(a.dtype), a.shape) for a in arrays]
    return record(function, types)


def fused(program: Program, kind: str = "loop") -> Program:
    """The program as one fusion of all its nodes."""
    outputs = [o for o in program.outputs if isinstance(o, Value)]
    node, _ = fusion_node(kind, program.nodes, list(dict.fromkeys(outputs)))
    program.nodes = [node]
    program.outputs = [
        dict(zip(dict.fromkeys(outputs), node.outputs, strict=True))[o] for o in outputs
    ]
    return program


def run(program: Program, arrays: Sequence[np.ndarray], target: str = "host") -> list[np.ndarray]:
    """Run node by node; outputs start as garbage, so that nothing unwritten looks right."""
    context: dict[Value, np.ndarray] = dict(zip(program.inputs, arrays, strict=True))
    for node in program.nodes:
        for out in node.outputs:
            context[out] = garbage(out)
        status = Kernel(node, context, target)(context)
        assert status == 0, status
    return [context[o] for o in program.outputs if not isinstance(o, Literal)]


def garbage(v: Value) -> np.ndarray:
    """Memory for a value, in its layout, filled with what is surely wrong."""
    order = v.layout or tuple(range(len(v.shape)))
    shape = [int(v.shape[d]) for d in order]
    array = np.empty(shape, v.dtype.numpy)
    array.view(np.uint8 if array.ndim else array.dtype)[...] = 0x5B
    if v.dtype.name == "bool":
        array[...] = True
    return array.transpose(np.argsort(order))


def check(
    function: Callable,
    arrays: Sequence[np.ndarray],
    *,
    kind: str = "loop",
    whole: bool = True,
    target: str = "host",
    rtol: float = 1e-5,
    atol: float = 1e-6,
) -> list[np.ndarray]:
    """Lower a function of ops - as one kernel, or op by op - and compare with float64 NumPy."""
    program = program_of(function, arrays)
    wants = interpret(program, arrays, wide=True)
    if whole:
        program = fused(program, kind)
    gots = run(program, arrays, target)
    for got, want in zip(gots, wants, strict=True):
        np.testing.assert_allclose(
            got.astype(want.dtype), want, rtol=rtol, atol=atol, equal_nan=True
        )
    return gots
