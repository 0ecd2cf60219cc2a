"""One program of a compiled function, ready to be called: where its inputs come from, what it writes,
and what the caller gets back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from argand.backends.interface import CompiledProgram
from argand.base.dim import Guards
from argand.base.tree import Structure, unflatten
from argand.ir.program import Program
from argand.tensor.core import Tensor, wrap


class StateSource(NamedTuple):
    """Where a state of the program lives: a tensor, or the `.grad` of a leaf."""

    tensor: Tensor
    leaf: Tensor | None

    def current(self) -> Tensor:
        """The tensor that holds the state now."""
        if self.leaf is None:
            return self.tensor
        gradient = self.leaf.grad
        assert gradient is not None  # a guard of the specialisation
        return gradient


class GradEffect(NamedTuple):
    """What a call leaves in a leaf's `.grad`: an output, a tensor, or None."""

    leaf: Tensor
    output: int | None
    tensor: Tensor | None


class Result(NamedTuple):
    """One leaf of what the function returns: an output, or a Python object."""

    output: int | None
    value: Any


class Executable:
    """A compiled program bound to its state."""

    def __init__(
        self,
        program: Program,
        compiled: CompiledProgram,
        sources: Sequence[StateSource],
        structure: Structure,
        results: Sequence[Result],
        gradients: Sequence[GradEffect],
        guards: Guards,
    ) -> None:
        self.program = program
        self.compiled = compiled
        self.sources = list(sources)
        self.structure = structure
        self.results = list(results)
        self.gradients = list(gradients)
        self.guards = guards
        self.written = [self.sources[i] for i in sorted(program.writes) if i < len(self.sources)]
        self.lock = threading.Lock() if program.writes else None
        self.on_call: list[Callable[[], None]] = []
        # The one-tensor result of most functions is wrapped without walking a tree.
        self.single = len(self.results) == 1 and self.results[0].output == 0
        self.bare = self.single and not self.gradients and not self.sources and not self.on_call

    def __call__(self, inputs: Sequence[Any]) -> Any:
        """Run on input arrays: what the user's function returns."""
        if self.bare:
            (array,) = self.compiled.run(inputs, ())
            return wrap(array) if self.structure_is_leaf else self._build([array])
        if self.lock is None:
            return self._call(inputs)
        with self.lock:
            return self._call(inputs)

    @property
    def structure_is_leaf(self) -> bool:
        """Whether the function returns one tensor by itself."""
        return not isinstance(self.structure, tuple)

    def _call(self, inputs: Sequence[Any]) -> Any:
        holders = [s.current() for s in self.sources]
        arrays = self.compiled.run(inputs, [t._array for t in holders])
        for source in self.written:
            source.current()._wrote()
        for leaf, output, tensor in self.gradients:
            leaf._cold_part().grad = wrap(arrays[output]) if output is not None else tensor
        for callback in self.on_call:
            callback()
        return self._build(arrays)

    def _build(self, arrays: Sequence[Any]) -> Any:
        leaves = [
            wrap(arrays[r.output]) if r.output is not None else r.value for r in self.results
        ]
        return unflatten(self.structure, leaves)
