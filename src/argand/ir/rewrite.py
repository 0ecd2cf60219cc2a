"""Helpers for passes: they build a new Program and leave the old one as it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from argand.ir.bind import interpreting
from argand.ir.op import Op
from argand.ir.program import Node, Operand, Program, Value, resolved
from argand.ir.record import Recorder


class Rewriter:
    """Copies a program node by node; `visit` may emit other nodes in a node's place.

    A pass derives from it and overrides `visit`, which returns the operands that replace the
    node's outputs. `self.emit(op, inputs, params)` and plain ops (``ops.exp(x)``) append nodes,
    which have the user's line and module of the node they replace.
    """

    def __init__(self, program: Program) -> None:
        self.old = program
        self.new = Program(program.name)
        self.env: dict[Value, Operand] = {}
        self.recorder = Recorder(self.new)
        self.node: Node | None = None
        self.new.inputs = [self._declare(v) for v in program.inputs]
        self.new.state = [self._declare(v) for v in program.state]

    def _declare(self, v: Value) -> Value:
        copy = self.env[v] = v.copy(v.name)
        return copy

    def visit(self, node: Node, inputs: list[Operand]) -> Sequence[Operand]:
        """What replaces the outputs of `node`; by default those of a copy."""
        return self.copy(node, inputs)

    def copy(self, node: Node, inputs: Sequence[Operand]) -> Sequence[Operand]:
        """The node again, on new inputs."""
        copy = node.on(inputs)
        self.new.nodes.append(copy)
        return copy.outputs

    def emit(self, op: Op, inputs: Sequence[Any], params: dict[str, Any]) -> Sequence[Value]:
        """A new node."""
        return self.recorder.add(op, inputs, params).outputs

    def resolve(self, operand: Operand) -> Operand:
        """What an operand of the old program has become."""
        return resolved(operand, self.env)

    def _module(self) -> str:
        """The path of the module that the visited node is from."""
        return "" if self.node is None else self.node.module

    def run(self) -> Program:
        """The rewritten program."""
        self.recorder.module = self._module
        with interpreting(self.recorder):
            for node in self.old.nodes:
                self.node = node
                self.recorder.location = node.location
                outputs = self.visit(node, [self.resolve(i) for i in node.inputs])
                self.env.update(zip(node.outputs, outputs, strict=True))
        self.new.outputs = [self.resolve(o) for o in self.old.outputs]
        self.new.writes = {i: self.resolve(o) for i, o in self.old.writes.items()}
        return self.new


def without_dead_code(program: Program, keep: Callable[[Node], bool] = lambda n: False) -> Program:
    """The program without the nodes whose outputs nobody reads."""
    live = {o for o in program.results if isinstance(o, Value)}
    nodes = []
    for node in reversed(program.nodes):
        if keep(node) or any(o in live for o in node.outputs):
            live.update(node.values)
            nodes.append(node)
    program.nodes = nodes[::-1]
    return program
