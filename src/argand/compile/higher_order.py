"""Derivatives of higher order through a compiled function.

A compiled function's backward program has no tape. When one is asked for (create_graph=True), the
gradient is computed by another compiled function instead: the user's function and its derivative
in one, traced once. Its results are on the tape as those of any compiled function, so this works
to every order.

    f(x): y    →    f.backward(x, grad y) = autograd.grad(f(x), x, grad y, create_graph=True)

Running the function again must change nothing: what it writes is dropped, and random numbers are
drawn as in the call.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from argand.base.errors import AutogradError
from argand.base.tree import Structure, flatten, unflatten
from argand.compile.places import Held, Place
from argand.compile.slots import Slot
from argand.compile.tracer import Tracer
from argand.ir import bind as crossroads
from argand.ir.program import Program, Value
from argand.ir.rewrite import without_dead_code
from argand.tensor import autograd
from argand.tensor.core import Tensor, wrap
from argand.tensor.generators import default_generator


class RecordedCall(NamedTuple):
    """What a call's arguments and random numbers were."""

    leaves: list[Any]
    versions: list[int]
    random: Tensor | None
    casting: Any


class Position(NamedTuple):
    """Where a differentiated tensor is found among what the function returned."""

    number: int
    of_root: bool = False  # it owns the memory that the tensor there is a view of

    def find(self, returned: Sequence[Any]) -> Tensor:
        """The tensor."""
        x: Tensor = returned[self.number]
        return x._root() if self.of_root else x


@dataclasses.dataclass(slots=True, eq=False)
class Origin:
    """The function behind a backward program, to differentiate it again."""

    function: Callable[..., Any]
    name: str
    structure: Structure
    positions: Sequence[Position | None]  # of the differentiated results among all of them
    leaves: Sequence[Place]
    overwritten: set[Any]  # the keys of the places that a call writes
    roots: list[Tensor]  # of what it only reads
    slots: Sequence[Slot]
    is_valid: Callable[[Sequence[Any]], bool]
    make: Callable[..., Any]
    random: int | None  # the output that has the state of the generator
    derived: Any = None  # the compiled gradient, made when it is first asked for

    def remember(self, leaves: Sequence[Any], outputs: Sequence[Tensor]) -> RecordedCall:
        """What another run of a call needs."""
        random = None if self.random is None else outputs[self.random]
        given = list(leaves), self._versions(leaves), random
        return RecordedCall(*given, crossroads.casting_key())

    def _versions(self, leaves: Sequence[Any]) -> list[int]:
        given = [x._writes for x in leaves if isinstance(x, Tensor)]
        return given + [r._writes for r in self.roots]

    def gradients(
        self, call: RecordedCall, grads: Sequence[Any], results: Sequence[Any]
    ) -> list[Tensor | None]:
        """The gradients of the leaves for the cotangents of the results, on the tape."""
        self._check(call, grads)
        if self.derived is None:
            function = functools.partial(_gradients, self.function, self)
            self.derived = self.make(function, f"{self.name}.backward", self._drop_effects)
        cotangents = [
            wrap(np.zeros(out.shape, out.dtype.numpy)) if g is None else g
            for g, out, position in zip(grads, results, self.positions, strict=True)
            if position is not None
        ]
        found: list[Tensor | None] = list(self.derived(call.leaves, cotangents, call.random))
        return found

    def _check(self, call: RecordedCall, grads: Sequence[Any]) -> None:
        """Refuse where another run could not give what the call gave."""
        pairs = zip(grads, self.positions, strict=True)
        if any(g is not None and position is None for g, position in pairs):
            raise AutogradError(
                f"create_graph=True goes through the compiled function {self.name!r} by a tensor "
                "that it left in a .grad, an attribute or a container; return the tensor from the "
                "function instead"
            )
        if call.casting is not crossroads.casting_key():
            raise AutogradError(
                f"create_graph=True runs the compiled function {self.name!r} again, and it was "
                "called under autocast; use autocast inside the function"
            )
        if self._versions(call.leaves) != call.versions or not self.is_valid(call.leaves):
            raise AutogradError(
                f"create_graph=True runs the compiled function {self.name!r} again, but an "
                "argument or something behind it (a tensor written in place, a mode, a Python "
                "value) has changed since the call; take the higher derivative before the change"
            )

    def _drop_effects(self, tracer: Tracer, parts: Any) -> None:
        """Have calls of the gradient write nothing, and draw what the call drew."""
        program = tracer.program
        program.writes.clear()
        parts.gradients.clear()
        parts.wants.clear()
        parts.after_call.clear()
        parts.effects.clear()
        needed = _read(program)
        for capture in tracer.captures.values():
            if capture.entry in needed and key_of(capture.place) in self.overwritten:
                raise AutogradError(
                    f"create_graph=True goes through the compiled function {self.name!r}, which "
                    f"has overwritten {capture.entry.name}, and its gradient depends on what was "
                    "there before; take the higher derivative inside the compiled function"
                )


def key_of(place: Place) -> Any:
    """What tells whether two places have the same memory."""
    return id(place.tensor._root()) if isinstance(place, Held) else place


def _read(program: Program) -> set[Value]:
    """The inputs and states that the outputs depend on."""
    nodes = without_dead_code(program).nodes
    read = {v for node in nodes for v in node.values}
    return read | {v for v in program.outputs if isinstance(v, Value)}


def _gradients(
    function: Callable[..., Any],
    origin: Origin,
    leaves: list[Any],
    cotangents: list[Tensor],
    random: Tensor | None,
) -> Any:
    """The gradients of a function's leaves: what is traced in place of the function."""
    args, kwargs, *rebound = unflatten(origin.structure, leaves)
    for slot, value in zip(origin.slots, *rebound or [()], strict=True):
        slot.set(value)  # what the call found there
    if random is not None:
        default_generator.set_state(random)
    returned, _ = flatten(function(*args, **kwargs))
    outputs = [position.find(returned) for position in origin.positions if position is not None]
    wanted = [place.find(leaves) for place in origin.leaves]
    return autograd.grad(outputs, wanted, cotangents, create_graph=True, allow_unused=True)


def random_state(tracer: Tracer) -> Value | None:
    """The state of the generator as the program finds it, if the program draws random numbers."""
    capture = tracer.captures.get(id(default_generator.state))
    return capture.entry if capture is not None and capture.written else None
