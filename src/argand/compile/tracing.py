"""One run of a user's function on symbolic values, from stand-ins to an Executable."""

from __future__ import annotations

import functools
import gc
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from argand.backends.select import compile_program
from argand.base.dim import Dim
from argand.base.dtype import float64
from argand.base.errors import (
    ArgandError,
    ShapeError,
    TraceError,
    noting_errors,
    was_caught_by_user,
)
from argand.base.integer import IntegerRead
from argand.base.settings import settings
from argand.base.size_guards import Guards, collecting_guards
from argand.base.tree import flatten
from argand.compile.backward import BackwardProgram, keep_random_state
from argand.compile.build import ProgramBuilder, holds_traced
from argand.compile.call import Executable, Parts
from argand.compile.constants import Constants, split_constants
from argand.compile.environment import Modes, run_apart, watched_environment
from argand.compile.float_standin import FloatArgumentRead
from argand.compile.higher_order import Origin, Position, key_of
from argand.compile.places import (
    Argument,
    Held,
    has_gradient,
    held_at,
    is_contiguous,
    strides,
    wants_gradient,
)
from argand.compile.results import Alias, Arguments, containers_in, count_leaves, filled
from argand.compile.signature import FloatSpec, Given, Signature, TensorSpec, argument_labels
from argand.compile.slots import Numbers, Slot, Tail, namespace_of
from argand.compile.specialisation import Fact, Specialisation
from argand.compile.standins import ArrayStandIn, IteratorStandIn, check_size, is_iterator
from argand.compile.tracer import Tracer
from argand.ir.bind import interpreting
from argand.ir.program import Program, Value
from argand.tensor.core import Tensor


class Owner(Protocol):
    """What a trace asks of the compiled function that it is for."""

    function: Callable[..., Any]
    name: str
    backend: str
    freeze: bool
    lock: Any
    drop_effects: Callable[[Tracer, Parts], None] | None

    @property
    def derived(self) -> Callable[..., Any]:
        """What makes a function compiled as this one, whose calls change nothing."""


class SlotsRebound(Exception):  # noqa: N818  # a signal, never seen by users
    """The function rebinds slots whose values are not inputs yet."""

    def __init__(self, slots: list[Slot], shared: dict[int, Tensor]) -> None:
        super().__init__("the function rebinds " + ", ".join(slot.name for slot in slots))
        self.slots = slots
        self.shared = shared


def is_of_floats(error: Exception) -> bool:
    """Whether an error is one that taking a float apart, which is a tensor there, may give."""
    kinds = isinstance(error, TypeError | ValueError | AttributeError)
    return kinds and not isinstance(error, ShapeError)


def is_of_sizes(error: Exception) -> bool:
    """Whether an error is one that a symbol in the place of a size may give."""
    return isinstance(error, ArgandError) and not isinstance(error, TraceError)


class CaughtError(Exception):  # a signal, never seen by users
    """The function has caught an error which symbols may be the reason of."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Trace:
    """One run of the function on symbolic values."""

    def __init__(
        self,
        owner: Owner,
        s: Specialisation,
        leaves: list[Any],
        given: Given,
        backend: str | None = None,
    ) -> None:
        self.owner = owner
        self.backend = backend or owner.backend
        self.s = s
        self.leaves = leaves
        self.labels = argument_labels(owner.function, given)
        self.labels += [name for _, name in slot_origins(s.slots)]
        self.given = (given[0], dict(given[1]))
        self.named = dict(zip(self.labels, leaves, strict=True))
        names = s.surroundings.names(self.named)
        self.tracer = Tracer(owner.name, lambda t: names.get(id(t)))
        self.tracer.leaves = leaves
        self.reach = s.surroundings.reach()
        self.reach.add(self.given, Arguments(*self.given), "arguments")
        for slot in s.slots:
            self.reach.add_slot(slot)

    def run(self) -> None:
        """Trace, and note what the program is for; `trace_lock` is held."""
        tracer, guards, failed, modes = self.tracer, Guards(), True, Modes()
        try:
            args, kwargs = self._fill()
            self.reach.start([*self.s.slots, Arguments(*self.given)])
            seen = self.s.surroundings.guards
            with interpreting(tracer), collecting_guards(guards), watched_environment(seen):
                function = functools.partial(self.owner.function, *args, **kwargs)
                with noting_errors() as errors:
                    returned = run_apart(seen.variables, function, self.owner.name)
                self._check_caught(errors)
                if guards.read:
                    raise IntegerRead(guards.read)  # the function may have caught it
                changed = self._changed()
                for set_mode in modes.changes(self.owner.name):
                    tracer.after(set_mode)
                names = self.s.surroundings.names(self.named)
                tracer.name_states(lambda t: names.get(id(t)))
                builder = ProgramBuilder(tracer, self.backend, self.reach)
                parts = builder.build(returned, changed, guards, self.owner.lock)
                self._prepare_higher_orders(parts.backwards, builder.positions)
            if self.owner.drop_effects is not None:
                self.owner.drop_effects(tracer, parts)
            del returned, builder
            self.s.asks_attributes = tracer.asks_attributes
            self.s.arguments = _facts_that_matter(tracer, parts)
            self.s.wanting = [Fact(place, wants_gradient, w) for place, w in tracer.wants_before()]
            self.s.gradients = [
                Fact(tracer.place_of(leaf), has_gradient, there)
                for leaf, there in tracer.grads_read.values()
            ]
            self.s.sources = self._sources(parts)
            failed = False
        finally:
            modes.restore()
            tracer.restore()
            self.reach.restore(failed=failed)
            tracer.forget()
        self.s.surroundings.note_imports()
        s = self.s
        apart = {slot.identity for slot in s.slots}
        inside: set[int] = set()
        for slot in s.slots:
            for container in containers_in(slot.get()).values():
                inside |= {id(container), id(namespace_of(container))}
        s.surroundings.guards.without(apart, inside)
        written = held_at(parts.places[i] for i in tracer.program.writes)
        s.written = {id(tensor._root()) for tensor in written}
        s.surroundings.forget_tensors()  # the trace may have made an optimizer's state
        s.note_surroundings(self.leaves, parts.places)
        self.parts = parts

    def executable(self) -> Executable:
        """What was traced, compiled."""
        program, parts = self.tracer.program, self.parts
        if self.owner.freeze:
            program = self._frozen(program, parts)
        return Executable(program, compile_program(program, self.backend), parts)

    def _check_caught(self, errors: Sequence[Exception]) -> None:
        """Raise again what the function has caught, but would not have met eagerly: a refusal, or
        what stand-ins for sizes and numbers may be the reason of."""
        caught = [error for error in errors if was_caught_by_user(error)]
        refusals = [e for e in caught if isinstance(e, TraceError | FloatArgumentRead)]
        if refusals:
            raise refusals[0].with_traceback(None)
        for error in caught:
            if self._may_be_of_symbols(error):
                raise CaughtError(error.with_traceback(None))

    def _may_be_of_symbols(self, error: Exception) -> bool:
        """Whether an error may come from sizes or numbers of the arguments being symbols."""
        sizes = [size for shape in self.s.shapes if shape for size in shape]
        symbols = [s for size in sizes if isinstance(size, Dim) for s in size.symbols().values()]
        if self.s.integers or not all(s.declared for s in symbols):
            return True
        floats = any(isinstance(spec, FloatSpec) for spec in self.s.signature.specs)
        return floats and is_of_floats(error)

    def _prepare_higher_orders(
        self, backwards: Sequence[BackwardProgram], positions: dict[int, Position]
    ) -> None:
        owner, s, tracer = self.owner, self.s, self.tracer
        random = None
        if backwards and owner.drop_effects is None:  # else an argument sets the generator
            random = keep_random_state(tracer)
        captures = list(tracer.captures.values())
        overwritten = {key_of(c.place) for c in captures if c.written}
        # of what is overwritten the origin looks only at what the gradient needs
        roots = [t._root() for t in held_at(c.place for c in captures if not c.written)]
        for backward in backwards:
            backward.origin = Origin(
                function=owner.function,
                name=owner.name,
                structure=s.signature.structure,
                positions=[positions.get(number) for number in backward.differentiated],
                leaves=backward.leaves,
                overwritten=overwritten,
                roots=roots,
                slots=s.slots,
                is_valid=s.is_valid,
                make=owner.derived,
                random=random,
            )

    def _sources(self, parts: Parts) -> list[tuple[Slot, Tensor]]:
        """The captured tensors that one slot alone leads to, with their slots."""
        found = []
        for tensor in held_at(parts.places):
            roots = self.reach.holders.get(id(tensor), [])
            root = roots[0] if len(roots) == 1 else None
            if root is not None and root.identity != (0, "arguments"):
                found.append((root, tensor))
        return found

    def _fill(self) -> Given:
        """Put the stand-ins of the program's inputs into the arguments and the slots."""
        stand_ins = iter(self._stand_ins())
        for slot in self.reach.arrays:
            array = slot.get()
            if isinstance(array, np.ndarray) and id(array) in self.s.surroundings.arrays:
                slot.set(ArrayStandIn(array, slot.name, self._array_is_read))
        for slot in self.reach.iterators:
            slot.set(IteratorStandIn(slot.name, slot.get()))
        structures = self.s.signature.structure[2]
        args = filled(self.given[0], structures[0], stand_ins)
        kwargs = filled(self.given[1], structures[1], stand_ins)
        for slot, structure in zip(self.s.slots, _slot_structures(self.s.signature), strict=True):
            slot.set(filled(slot.get(), structure, stand_ins))
        return args, kwargs

    def _array_is_read(self, array: Any, name: str) -> None:
        check_size(array, name)
        self.s.surroundings.guards.add(Numbers(array, name))

    def _changed(self) -> list[Slot]:
        """The slots that the function has changed, which are inputs of the program too."""
        drawn = self.reach.drawn()
        if drawn and not settings.debug:
            raise TraceError(
                f"{self.owner.name} draws from {drawn[0]}, Python's or NumPy's generator of random "
                "numbers, which a compiled program can't advance: every call would get the same "
                "numbers. Draw with ag.rand, ag.randn or ag.randint, or pass the number in"
            )
        found = self.reach.changed()
        for slot in list(found):
            if id(getattr(slot, "owner", None)) in self.reach.tables_of_modules:
                raise TraceError(
                    f"{self.owner.name} adds, replaces or removes a submodule ({slot.name}), which "
                    "a compiled function can't do at each call; do it outside"
                )
            if self.reach.is_of_layer(slot) and not holds_traced(slot.get()):
                self.reach.keep(slot)  # a lazy layer has made its parameters
                found.remove(slot)
        known = {slot.identity for slot in self.s.slots} | {(0, "arguments")}
        fresh = [s for s in found if s.identity not in known and not isinstance(s, Tail)]
        for slot in found:
            self._check_rebound(slot)
        if fresh:
            known.update(slot.identity for slot in fresh)
            raise SlotsRebound(fresh, self.reach.shared(known))
        return found

    def _check_rebound(self, slot: Slot) -> None:
        for value in flatten(slot.get())[0]:
            if type(value) is np.ndarray and not self.reach.knows_array(value):
                raise TraceError(
                    f"{slot.name} is set to a NumPy array that {self.owner.name} made, which every "
                    "call would give the numbers of this moment; compute with a tensor instead"
                )

    def _frozen(self, program: Program, parts: Parts) -> Program:
        """The program on constants that are computed once; the places follow."""
        places = parts.places
        fixed = [isinstance(p, Held) and not p.tensor._is_shared() for p in places]
        split = split_constants(program, fixed, self.backend)
        if split is None:
            return program
        parts.constants = Constants(split.once, [places[i] for i in split.sources], self.backend)
        parts.places = [*(places[i] for i in split.kept), *parts.constants.packed]
        return split.rest

    def _stand_ins(self) -> list[Any]:
        """The leaves of the call with stand-ins for the program's inputs."""
        s, tracer = self.s, self.tracer
        items = list(self.leaves)
        stand_ins: dict[int, Tensor] = {}
        for i, (spec, leaf) in enumerate(zip(s.signature.specs, self.leaves, strict=True)):
            if i in s.integers:
                items[i] = tracer.integer_argument(i, s.integers[i], self.labels[i])
            elif isinstance(spec, FloatSpec):
                items[i] = tracer.float_argument(i, Value(float64, (), self.labels[i]))
            elif isinstance(spec, TensorSpec) and spec.identity is None:
                if id(leaf) not in stand_ins:
                    value = Value(spec.dtype, s.shapes[i], self.labels[i])
                    stand_ins[id(leaf)] = tracer.argument(leaf, i, value)
                items[i] = stand_ins[id(leaf)]
            elif is_iterator(leaf):
                items[i] = IteratorStandIn(self.labels[i], leaf)
        # an argument that only a slot leads to has the same stand-in
        return [stand_ins.get(id(item), item) for item in items]

    def report_leaks(self) -> None:
        """Warn of tensors that the function left somewhere."""
        tracer, name = self.tracer, self.owner.name
        if not tracer.leaked():
            return
        gc.collect()  # a tape whose backward has not run holds its tensors in cycles
        lines = sorted({str(at) for at in tracer.leaked() if at is not None})
        if lines:
            warnings.warn(
                f"{name}: tensors made while tracing at {', '.join(lines)} are still held by "
                "something outside the function; they have no value there. Return them instead",
                RuntimeWarning,
                stacklevel=6,
            )


def _facts_that_matter(tracer: Tracer, parts: Parts) -> list[Fact]:
    """What was asked of arguments. Whether they are contiguous tells only where eager code would
    share memory, or where Python asked for strides, which tell only of those that aren't."""
    answers = tracer.answers
    plain = {number: answer for (ask, number), answer in answers.items() if ask is is_contiguous}
    matters = any(ask is strides for ask, _ in answers) or (
        # what copied an argument that is not contiguous would have written one that is
        tracer.program.writes
        or any(isinstance(r, Alias) for r in parts.results)
        or not all(plain.values())
    )
    left_out = {is_contiguous} if not matters else set()
    return [
        Fact(Argument(number), ask, answer)
        for (ask, number), answer in answers.items()
        if ask not in left_out and not (ask is strides and plain[number])
    ]


def _slot_structures(signature: Signature) -> tuple[Any, ...]:
    """The structures of the values of the slots."""
    parts = signature.structure[2]
    return parts[2][2] if len(parts) == 3 else ()


def slot_origins(slots: Sequence[Slot]) -> list[tuple[int | None, str]]:
    """For each leaf of the slots' values what `argument_origins` gives for those of arguments."""
    return [
        (None, slot.name) for slot in slots for _ in range(count_leaves(flatten(slot.get())[1]))
    ]
