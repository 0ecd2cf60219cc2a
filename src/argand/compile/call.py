"""One program of a compiled function, ready to be called.

It knows where inputs and state come from, what a call writes, and what the caller gets back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from argand.backends.interface import CompiledProgram
from argand.base import epoch
from argand.base.forks import lock_held_over_forks
from argand.base.size_guards import Guards
from argand.base.tree import LEAF_SPEC, Structure, unflatten
from argand.compile.backward import BackwardProgram
from argand.compile.constants import Constants
from argand.compile.integers import carrier
from argand.compile.places import Held, Place, held_at
from argand.compile.results import (
    Constant,
    Copied,
    Effect,
    Found,
    Maker,
    Measured,
    Number,
    ProgramOutput,
    Result,
    View,
    apply,
)
from argand.ir.program import Program
from argand.tensor.core import Tensor, wrap
from argand.tensor.meta import stored_array

# Until a trace ends, real tensors have other gradients, versions and places on the tape, and slots
# hold stand-ins. No call may see that, or write what is put back at the end, so a trace holds this
# lock, and so does a call: throughout where it reads slots or gradients (what it writes depends on
# what it found), and else once its program has run, where it writes or puts results on the tape.
# A call that only reads the memory of tensors, which no trace changes, takes no lock. The lock of
# the function (`Parts.lock`), by which its calls that write take turns, is always taken first.
trace_lock = lock_held_over_forks("trace")


class Input(NamedTuple):
    """Where an input of the program comes from."""

    leaf: int
    kind: str  # "tensor", "float" or "int"

    def array(self, leaves: Sequence[Any]) -> Any:
        """This call's array."""
        leaf = leaves[self.leaf]
        if self.kind == "tensor":
            return leaf._array
        return np.array(leaf, np.float64) if self.kind == "float" else carrier(leaf)


class GradEffect(NamedTuple):
    """What a call leaves in a leaf's `.grad`."""

    leaf: Place
    result: Result


@dataclasses.dataclass(slots=True)
class Parts:
    """What a trace found out, beside the program itself."""

    inputs: list[Input]
    places: list[Place]  # of each state
    structure: Structure
    results: list[Result]
    gradients: list[GradEffect]
    wants: list[tuple[Place, bool]]  # what starts to want a gradient, or no longer wants one
    backwards: list[BackwardProgram]
    after_call: list[Callable[[], None]]
    guards: Guards
    lock: Any  # held by a call that writes state; shared by all programs of the function
    effects: list[Effect]
    before: list[Found]  # the containers in effects and results that are there before a call
    constants: Constants | None = None


def check_writeable(array: Any) -> None:
    """Refuse to write into memory that is read-only, as eager code does."""
    if not array.flags.writeable:
        raise RuntimeError("this tensor's memory is read-only; clone() it before writing")


def _is_list_of_outputs(parts: Parts, count: int) -> bool:
    """Whether a call does nothing but return a list of all that the program computes."""
    plain = [ProgramOutput(i) for i in range(count)]
    return (
        not parts.effects
        and parts.structure == (list, None, (LEAF_SPEC,) * count)
        and all(isinstance(r, ProgramOutput) for r in parts.results)
        and list(parts.results) == plain
    )


class Executable:
    """A compiled program bound to its state: call it with the leaves of the arguments."""

    def __init__(self, program: Program, compiled: CompiledProgram, parts: Parts) -> None:
        self.program = program
        self.compiled = compiled
        self.parts = parts
        self.moving = [i for i, p in enumerate(parts.places) if not isinstance(p, Held)]
        self.gradients: list[GradEffect] = []
        self._cleared: list[Tensor] = []
        for effect in parts.gradients:
            if isinstance(effect.leaf, Held) and effect.result == Constant(None):
                self._cleared.append(effect.leaf.tensor)
            else:
                self.gradients.append(effect)
        first = parts.results[0] if parts.structure is LEAF_SPEC else None
        self.single = isinstance(first, ProgramOutput) and first == ProgramOutput(first.number)
        self._is_list = _is_list_of_outputs(parts, len(program.outputs)) and not self.gradients
        writes = program.writes or parts.gradients or parts.effects or parts.wants
        self.pure = not writes and not parts.after_call
        made = (ProgramOutput, Number, Measured, View, Constant, Copied)
        self._results_are_new = not parts.backwards and all(
            isinstance(r, made) for r in parts.results
        )
        written = [parts.places[i] for i in sorted(program.writes)]
        self._written_roots = [tensor._root() for tensor in held_at(written)]
        self._written_moving = [p for p in written if not isinstance(p, Held)]
        self._epoch = -1
        self._state: list[Any] = []

    @property
    def plain(self) -> bool:
        """Whether a call only reads inputs and state, and gives one tensor that is off the tape."""
        return self.pure and self.single and not self.parts.backwards

    @property
    def bare(self) -> bool:
        """Whether a call is nothing but inputs to one output."""
        return self.plain and not self.parts.places

    @property
    def direct(self) -> Any:
        """How to make the output and run the program, where a call is one native call; see
        `CompiledProgram.direct`."""
        return self.compiled.direct if self.bare else None

    def __call__(self, leaves: Sequence[Any], given: Any = None) -> Any:
        """Run on the leaves of the arguments: what the user's function returns. `given` are the
        arguments themselves, whose containers an effect may fill."""
        return self.run([x.array(leaves) for x in self.parts.inputs], leaves, given)

    def run(self, arrays: Sequence[Any], leaves: Sequence[Any], given: Any = None) -> Any:
        """Run on the arrays of the inputs."""
        if self.pure:
            outputs = self.compiled.run(arrays, self.state_arrays(leaves))
            if self._results_are_new:
                return self.results(outputs, leaves, given)
            with trace_lock:
                return self.results(outputs, leaves, given)
        with self.parts.lock:
            outputs = self.compiled.run(arrays, self.state_arrays(leaves))
            with trace_lock:
                results = self._write(outputs, leaves, given)
        for callback in self.parts.after_call:
            callback()
        return results

    def _write(self, outputs: Sequence[Any], leaves: Sequence[Any], given: Any) -> Any:
        """Leave in tensors and objects what the call does, beside the memory that the program
        wrote; what the caller gets."""
        self._count_writes(leaves)
        for leaf in self._cleared:
            if leaf._cold is not None:
                leaf._cold.grad = None
        results = self.results(outputs, leaves, given)
        for place, wanted in self.parts.wants:
            place.find(leaves).requires_grad_(wanted)
        return results

    def _count_writes(self, leaves: Sequence[Any]) -> None:
        """Count the writes to each memory that the program wrote."""
        moving = [place.find(leaves)._root() for place in self._written_moving]
        for root in (*self._written_roots, *moving):
            root._cold_part().version += 1

    def state_arrays(self, leaves: Sequence[Any]) -> list[Any]:
        """The arrays of the state; those of captured tensors change only when the epoch moves."""
        constants = self.parts.constants
        if constants is not None and (
            constants.moved() or (self._epoch != epoch.current and constants.replaced())
        ):
            with trace_lock:  # the versions are read
                constants.compute()
            self._epoch = -1
        if self._epoch != epoch.current:
            now = epoch.current
            self._state = [stored_array(p.find(leaves)) for p in self.parts.places]
            self._epoch = now
        if not self.moving:
            return self._state
        arrays = list(self._state)
        for i in self.moving:
            arrays[i] = stored_array(self.parts.places[i].find(leaves))
            if i in self.program.writes:
                check_writeable(arrays[i])
        return arrays

    def results(self, outputs: Sequence[Any], leaves: Sequence[Any], given: Any = None) -> Any:
        """What the caller gets for the program's outputs, gradients set on the way."""
        tensors = [wrap(a) for a in outputs[: len(self.program.outputs)]]
        for backward in self.parts.backwards:
            backward.attach(tensors, leaves)
        if self.single and not self.parts.effects and not self.gradients:
            return tensors[0]
        if self._is_list:  # and nothing is to be made of them
            return tensors
        make = Maker(tensors, leaves, given, self.parts.before)
        for place, result in self.gradients:
            place.find(leaves)._cold_part().grad = make(result)
        if self.single and not self.parts.effects:
            return tensors[0]
        apply(self.parts.effects, make)
        return unflatten(self.parts.structure, list(map(make, self.parts.results)))
