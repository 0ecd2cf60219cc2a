"""From a scheduled program and its memory plan to a NestModule: one entry, one function a kernel.

The entry takes one slot each for: inputs, state, outputs, the arena, the table of the arena's
offsets (when sizes are symbolic), then the symbols' sizes. It works out the address of every buffer
and calls the kernels in order. Kernels get everything as arguments, so equal nodes share one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from argand.backends.cpu.facts import (
    NotLoweredError,
    canonical_text,
    short_name,
    sizes_of,
    symbols_in,
    symbols_of,
)
from argand.base.dim import Extent
from argand.base.errors import ArgandError
from argand.ir.op import Literal
from argand.ir.program import Node, Program, Value, operand_text, param_text
from argand.kernels.match import lower_node
from argand.lowering.context import LoweringContext, StridedBuffer
from argand.nest.builder import (
    I64,
    PTR,
    NestBuilder,
    NestError,
    NestFunction,
    NestModule,
    Param,
    Reg,
)
from argand.nest.target import Target
from argand.passes.memory import ALIGNMENT, MemoryPlan
from argand.runtime.memory import SMALL


@dataclasses.dataclass(slots=True)
class _Kernel:
    """The function of a node, and the symbols that it takes."""

    function: NestFunction
    symbols: tuple[str, ...]


class Lowering:
    """Makes the modules of one program's native segments."""

    def __init__(self, program: Program, plan: MemoryPlan, target: Target) -> None:
        self.program = program
        self.plan = plan
        self.target = target
        self.symbols = symbols_of(program, [plan.places[v].strides for v in program.inputs])
        self.static = plan.offsets({})[0] if plan.is_static else None
        self.kernels: dict[str, _Kernel] = {}

    def module(self, name: str, numbers: Sequence[int]) -> NestModule:
        """The module of the nodes with these numbers, in order."""
        self.kernels = {}
        entry = _Entry(self, name)
        for number in numbers:
            entry.call(number, self.program.nodes[number])
        functions = [k.function for k in self.kernels.values()]
        return NestModule((entry.b.finish(), *functions))

    def kernel(self, node: Node) -> _Kernel:
        """The function that computes a node; equal nodes get the same."""
        key = self._signature(node)
        if key not in self.kernels:
            name = f"k{len(self.kernels)}_{short_name(node)}"
            try:
                self.kernels[key] = self._lower(node, name)
            except (ArgandError, NestError) as e:
                raise NotLoweredError(node, str(e)) from e
        return self.kernels[key]

    def _lower(self, node: Node, name: str) -> _Kernel:
        operands = operands_of(node)
        symbols = tuple(self._symbols_of(node))
        params = [Param(f"p{i}", PTR, align=self.align(v)) for i, v in enumerate(operands)]
        params += [Param("status", I64), *(Param(f"d{i}", I64) for i in range(len(symbols)))]
        b = NestBuilder(name, params)
        pointers = b.params[: len(operands)]
        dims = dict(zip(symbols, b.params[len(operands) + 1 :], strict=True))
        context = LoweringContext({}, dims, self.target, b.params[len(operands)])
        for v, pointer in zip(operands, pointers, strict=True):
            strides = context.shape(b, self.plan.places[v].strides)
            context.buffers[v] = StridedBuffer(pointer, strides, v.dtype)
        lower_node(b, node, context)
        return _Kernel(b.finish(), symbols)

    def align(self, v: Value) -> int:
        """What is known of the address of a value, in bytes."""
        place = self.plan.places[v]
        kind, i = self.plan.homes[place.root]
        element: int = v.dtype.itemsize
        if not isinstance(place.offset, int) or place.offset:
            return element
        if kind == "output":
            size = self.program.outputs[i].nbytes  # type: ignore[union-attr]  # results are values
            return ALIGNMENT if isinstance(size, int) and size >= SMALL else element
        return ALIGNMENT if kind == "arena" else element

    def _signature(self, node: Node) -> str:
        operands = operands_of(node)
        index = {v: i for i, v in enumerate(operands)}
        inputs = [
            operand_text(i, None) if isinstance(i, Literal) else index[i] for i in node.inputs
        ]
        places = [(str(v.type), self.plan.places[v].strides, self.align(v)) for v in operands]
        params = [f"{k}={param_text(p)}" for k, p in node.params.items()]
        regions = [canonical_text(region) for region in node.regions]
        return "\n".join(map(str, (node.op.name, params, inputs, places, *regions)))

    def _symbols_of(self, node: Node) -> dict[str, object]:
        operands = [(v.shape, self.plan.places[v].strides) for v in operands_of(node)]
        return symbols_in([operands, sizes_of(node)])


class _Entry:
    """The entry being built."""

    def __init__(self, lowering: Lowering, name: str) -> None:
        self.lowering = lowering
        program, plan = lowering.program, lowering.plan
        named = [f"in{i}" for i in range(len(program.inputs))]
        named += [f"state{i}" for i in range(len(program.state))]
        named += [f"out{i}" for i in range(len(program.outputs))]
        params = [(n, PTR) for n in [*named, "arena", "offsets"]]
        params += [(f"d{i}", I64) for i in range(len(lowering.symbols))]
        self.b = NestBuilder(name, params)
        regs = dict(zip((n for n, _ in params), self.b.params, strict=True))
        self.arena, self.table = regs["arena"], regs["offsets"]
        self.bases = {
            "input": [regs[f"in{i}"] for i in range(len(program.inputs))],
            "state": [regs[f"state{i}"] for i in range(len(program.state))],
            "output": [regs[f"out{i}"] for i in range(len(program.outputs))],
        }
        dims = {s: regs[f"d{i}"] for i, s in enumerate(lowering.symbols)}
        self.context = LoweringContext({}, dims, lowering.target)
        self.plan = plan

    def call(self, number: int, node: Node) -> None:
        """Call the kernel of a node; when it fails, the status is the node's number plus 1."""
        kernel = self.lowering.kernel(node)
        pointers = [self.address(v) for v in operands_of(node)]
        dims = [self.context.dims[s] for s in kernel.symbols]
        self.b.call(kernel.function, *pointers, number + 1, *dims)

    def address(self, v: Value) -> Reg:
        """The address of a value's first element."""
        place = self.plan.places[v]
        kind, i = self.plan.homes[place.root]
        base = self.block(i) if kind == "arena" else self.bases[kind][i]
        return self.b.offset(base, self.size(place.offset), v.dtype.name)

    def block(self, i: int) -> Reg:
        """The address of a block of the arena."""
        if self.lowering.static is not None:
            offset: int | Reg = self.lowering.static[i]
        else:
            offset = self.b.load(self.table, i, I64)
        return self.b.offset(self.arena, offset, "int8")

    def size(self, size: Extent) -> int | Reg:
        """A size as a number or a register."""
        return self.context.size(self.b, size)


def operands_of(node: Node) -> list[Value]:
    """The values that a node's kernel reads and writes: distinct inputs, then outputs."""
    return [*dict.fromkeys(node.values), *node.outputs]
