"""One program of a compiled function, ready to be called.

It knows where inputs and state come from, what a call writes, and what the caller gets back.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from argand.backends.interface import CompiledProgram
from argand.base import epoch
from argand.base.dim import Dim
from argand.base.forks import lock_held_over_forks
from argand.base.size_guards import Guards
from argand.base.tree import LEAF_SPEC, Structure, unflatten
from argand.compile.backward import BackwardProgram
from argand.compile.constants import Constants
from argand.compile.effects import Container, Effect, Maker, apply, places_in
from argand.compile.integers import Sources, carrier, sizes_of
from argand.compile.places import Place
from argand.compile.slots import Item
from argand.ir.interpret import concrete
from argand.ir.op import Op
from argand.ir.program import Program
from argand.tensor.core import Tensor, wrap
from argand.tensor.views import follow
from argand.transform.mode import no_grad
from argand.transform.tape import LEAF

# Until a trace ends, real tensors have other gradients, versions and places on the tape, and slots
# hold stand-ins. No call may see that, or write what is put back at the end, so a trace holds this
# lock, and so does a call: throughout where it reads slots or gradients (what it writes depends on
# what it found), and else once its program has run, where it writes or puts results on the tape.
# A call that only reads the memory of tensors, which no trace changes, takes no lock. The lock of
# the function (`Parts.lock`), by which its calls that write take turns, is always taken first.
trace_lock = lock_held_over_forks("trace")


class ProgramOutput(NamedTuple):
    """A result that the program computes."""

    number: int
    kind: type[Tensor] = Tensor
    leaf: bool = False  # wants a gradient, as a Parameter does


class Number(NamedTuple):
    """A result that the program computes and that is a Python number, not a tensor."""

    number: int


class Measured(NamedTuple):
    """A result that is an int computed from sizes and int arguments."""

    dim: Dim
    sources: Sources

    def find(self, leaves: Sequence[Any]) -> int:
        """The int of a call."""
        return self.dim.evaluate(sizes_of(self.sources, leaves))


class Moves(NamedTuple):
    """The moves that lead from a tensor to a view of it."""

    chain: tuple[tuple[Op, dict[str, Any]], ...]
    detached: bool
    sources: Sources = ()  # of the symbols in the chain

    def follow(self, tensor: Tensor, leaves: Sequence[Any]) -> Tensor:
        """The view, as eager code makes it."""
        chain = self.chain
        if self.sources:
            sizes = sizes_of(self.sources, leaves)
            chain = tuple(
                (op, {k: concrete(v, sizes) for k, v in params.items()}) for op, params in chain
            )
        if not self.detached:
            return follow(tensor, chain)  # type: ignore[no-any-return]
        with no_grad():
            return follow(tensor.detach(), chain)  # type: ignore[no-any-return]


class Alias(NamedTuple):
    """A result that is a tensor from outside, or a view of one."""

    place: Place
    moves: Moves

    def find(self, leaves: Sequence[Any]) -> Tensor:
        """The tensor or the view."""
        return self.moves.follow(self.place.find(leaves), leaves)


class View(NamedTuple):
    """A result that is a view of another tensor that the program computes."""

    root: ProgramOutput
    moves: Moves


class Constant(NamedTuple):
    """A result that is the same Python object at every call."""

    value: Any


class Copied(NamedTuple):
    """A set, say, that the function made: each call gives one of its own."""

    value: Any


Result = ProgramOutput | Number | Measured | Alias | View | Container | Constant | Copied


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
    constants: Constants | None = None


def check_writeable(array: Any) -> None:
    """Refuse to write into memory that is read-only, as eager code does."""
    if not array.flags.writeable:
        raise RuntimeError("this tensor's memory is read-only; clone() it before writing")


class Executable:
    """A compiled program bound to its state: call it with the leaves of the arguments."""

    def __init__(self, program: Program, compiled: CompiledProgram, parts: Parts) -> None:
        self.program = program
        self.compiled = compiled
        self.parts = parts
        self.places = parts.places
        self._cleared = [
            g.leaf.find(()) for g in parts.gradients if g.leaf.fixed and g.result == Constant(None)
        ]
        self.moving = [i for i, p in enumerate(self.places) if not p.fixed]
        self.gradients = [
            g for g in parts.gradients if not (g.leaf.fixed and g.result == Constant(None))
        ]
        self.backwards = parts.backwards
        self.constants = parts.constants
        self.effects = parts.effects
        self._moves_modules = any(_is_attribute_of_module(e) for e in parts.effects)
        first = parts.results[0] if parts.structure is LEAF_SPEC else None
        self.single = isinstance(first, ProgramOutput) and first == ProgramOutput(first.number)
        writes = program.writes or parts.gradients or parts.effects or parts.wants
        self.pure = not writes and not parts.after_call
        made = (ProgramOutput, Number, Measured, View, Constant, Copied)
        self._results_are_new = not self.backwards and all(
            isinstance(r, made) for r in parts.results
        )
        written = [self.places[i] for i in sorted(program.writes)]
        self._written_roots = [p.find(())._root() for p in written if p.fixed]
        self._written_moving = [p for p in written if not p.fixed]
        trees = [*(e.value for e in parts.effects), *parts.results]
        self._before = [place for tree in trees for place in places_in(tree)]
        self._lock = parts.lock
        self._epoch = -1
        self._state: list[Any] = []

    @property
    def plain(self) -> bool:
        """Whether a call only reads inputs and state, and gives one tensor that is off the tape."""
        return self.pure and self.single and not self.backwards

    @property
    def bare(self) -> bool:
        """Whether a call is nothing but inputs to one output."""
        return self.plain and not self.places

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
        with self._lock:
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
        constants = self.constants
        if constants is not None and (self._epoch != epoch.current or constants.moved()):
            with trace_lock:  # the versions are read
                constants.compute()
            self._epoch = -1
        if self._epoch != epoch.current:
            now = epoch.current
            self._state = [p.find(leaves)._array for p in self.places]
            self._epoch = now
        if not self.moving:
            return self._state
        arrays = list(self._state)
        for i in self.moving:
            arrays[i] = self.places[i].find(leaves)._array
            if i in self.program.writes:
                check_writeable(arrays[i])
        return arrays

    def results(self, outputs: Sequence[Any], leaves: Sequence[Any], given: Any = None) -> Any:
        """What the caller gets for the program's outputs, gradients set on the way."""
        tensors = [wrap(a) for a in outputs[: len(self.program.outputs)]]
        for backward in self.backwards:
            backward.attach(tensors, leaves)
        if self.single and not self.effects and not self.gradients:
            return tensors[0]
        make = functools.partial(_made, tensors, leaves, {})
        for place, result in self.gradients:
            place.find(leaves)._cold_part().grad = make(result)
        if self.single and not self.effects:
            return tensors[0]
        if self.effects or self._before:
            maker = Maker(make, self._before, given)
            apply(self.effects, maker, self._moves_modules)
            return unflatten(self.parts.structure, [maker(r) for r in self.parts.results])
        return unflatten(self.parts.structure, [make(r) for r in self.parts.results])


def _made(
    tensors: Sequence[Tensor], leaves: Sequence[Any], known: dict[Any, Any], result: Any
) -> Any:
    """What a result is for a call; `known` has those that are made."""
    if isinstance(result, Constant):
        return result.value
    key = result if isinstance(result, ProgramOutput) else id(result)
    if key not in known:
        if isinstance(result, ProgramOutput):
            known[key] = _of_kind(tensors[result.number], result)
        elif isinstance(result, Number):
            known[key] = tensors[result.number]._array.item()
        elif isinstance(result, View):
            root = _made(tensors, leaves, known, result.root)
            known[key] = result.moves.follow(root, leaves)
        elif isinstance(result, Copied):
            known[key] = copy.copy(result.value)
        else:
            known[key] = result.find(leaves)
    return known[key]


def _of_kind(tensor: Tensor, result: ProgramOutput) -> Tensor:
    """A tensor of the class that the function made, which wants a gradient where that did."""
    if result.kind is not Tensor:
        plain, tensor = tensor, object.__new__(result.kind)
        tensor._array, tensor._node = plain._array, plain._node
        tensor._view, tensor._cold = plain._view, plain._cold
        tensor._index = plain._index if plain._node is not None else 0
    if result.leaf:
        tensor._node, tensor._index = LEAF, 0
    return tensor


def _is_attribute_of_module(effect: Effect) -> bool:
    """Whether an effect sets an attribute that other programs may have looked at."""
    return isinstance(effect.slot, Item) and effect.slot.of_module
