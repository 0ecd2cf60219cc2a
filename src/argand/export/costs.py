"""What a program costs: its layers with their parameters, bytes and products, and its memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from argand.base.dim import Dim, Extent
from argand.base.shape import numel
from argand.export.program import ExportedProgram
from argand.export.signature import Signature
from argand.ir.program import Node, Program, Value
from argand.ir.sizes import with_sizes


class Layer(NamedTuple):
    """The part of a program that came from one module.

    `parameters` counts the elements and `nbytes` the bytes of the tensors of the state that it is
    the first to read; `multiply_adds` the products that its contractions add up.
    """

    module: str
    ops: tuple[str, ...]
    output: str
    parameters: int
    nbytes: int
    multiply_adds: Extent


class Memory(NamedTuple):
    """The bytes that a call needs: what it is given, what it keeps and gives, and its arena."""

    inputs: int
    state: int
    outputs: int
    arena: int

    @property
    def peak(self) -> int:
        """All of them."""
        return sum(self)


def program_of(signature: Signature, sizes: Mapping[str, int]) -> Program:
    """A signature's program for some sizes of its symbols, which must be in their ranges."""
    if not sizes:
        return signature.program
    signature.check_ranges(sizes)
    return with_sizes(signature.program, sizes)


def layers(program: Program, parameters: Sequence[str] = ()) -> list[Layer]:
    """The modules of a program in the order of their first nodes; `parameters` names the tensors
    of the state that count as such."""
    groups: dict[str, list[Node]] = {}
    for node in program.nodes:
        groups.setdefault(node.module, []).append(node)
    unread = dict.fromkeys(program.state)
    return [_layer(name, nodes, unread, parameters) for name, nodes in groups.items()]


def _layer(
    name: str, nodes: Sequence[Node], unread: dict[Value, None], parameters: Sequence[str]
) -> Layer:
    """One row; what it reads of the state is taken from `unread`."""
    read = [v for v in dict.fromkeys(v for node in nodes for v in node.values) if v in unread]
    for value in read:
        del unread[value]
    products: Any = 0
    for node in nodes:
        params = node.params | ({"regions": node.regions} if node.regions else {})
        products = products + node.op.multiply_adds(node.inputs, node.outputs, params)
    counts: list[Any] = [numel(v.shape) for v in read if v.name in parameters]
    computing = [n for n in nodes if not n.op.is_view] or nodes
    return Layer(
        name,
        tuple(dict.fromkeys(n.op.name for n in computing)),
        str(nodes[-1].outputs[0].type),
        sum(counts),
        sum(v.nbytes for v in read),
        products,
    )


def memory(program: Program) -> Memory | None:
    """The bytes that a call needs; None where the program has sizes that are not known."""
    from argand.backends.cpu.compiler import planned_memory  # brings LLVM's room with it

    plan = planned_memory(program)
    parts = (program.inputs, program.state, program.outputs)
    given, kept, results = [
        sum([v.nbytes for v in part if isinstance(v, Value)], 0) for part in parts
    ]
    if not plan.is_static or any(isinstance(total, Dim) for total in (given, kept, results)):
        return None
    return Memory(given, kept, results, plan.offsets({})[1])


def parameter_names(program: ExportedProgram) -> list[str]:
    """The names of the tensors of the state that are parameters."""
    return [name for name, _ in program.named_parameters()]


__all__ = ["Layer", "Memory", "layers", "memory", "parameter_names", "program_of"]
