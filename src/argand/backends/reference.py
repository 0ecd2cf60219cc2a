"""The reference backend: a program run by NumPy, node by node, behind the compiled interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from argand.base.forks import lock_held_over_forks
from argand.ir.interpret import interpret
from argand.ir.program import Node, Program, Value


class ReferenceProgram:
    """A program that `run` interprets; for tests, debugging, and what can't be compiled."""

    direct = None

    def __init__(
        self, program: Program, watch: Callable[[Node, dict[Value, Any]], None] | None = None
    ) -> None:
        self.program = program
        self.watch = watch  # called after each node, with the values so far
        self._lock = lock_held_over_forks("program")

    def run(self, inputs: Sequence[Any], state: Sequence[Any]) -> list[Any]:
        """The outputs as new arrays; written state is updated in place."""
        with self._lock:
            results = interpret(self.program, [*inputs, *state], watch=self.watch)
            split = len(self.program.outputs)
            outputs = [np.array(r) for r in results[:split]]
            written = [np.array(r) for r in results[split:]]  # a result may be a view of a state
            for i, new in zip(sorted(self.program.writes), written, strict=True):
                state[i][...] = new
        return outputs

    def guard_entry(self, records: list[Any]) -> None:
        """Nothing is native, guards neither."""

    def match_entry(self, cls: type, expected: Sequence[Any]) -> None:
        """Nothing is native."""

    def explain(self) -> list[str]:
        """One line: everything runs in NumPy."""
        return [f"segment 0: host: {len(self.program.nodes)} nodes, interpreted"]


def compile_program(program: Program) -> ReferenceProgram:
    """The program behind the interface of a compiled one."""
    return ReferenceProgram(program)
