"""A specialisation: one program of a compiled function, and the calls that it serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from argand.base import epoch
from argand.base.dim import Dim
from argand.base.integer import Integer
from argand.compile.call import Executable
from argand.compile.integers import NO_INTEGERS
from argand.compile.places import Place, gradient_of
from argand.compile.signature import Signature, difference, sizes_that_fit
from argand.compile.slots import Slot
from argand.compile.snapshot import Entry, Snapshot, hooks_of_tensor
from argand.compile.surroundings import Surroundings
from argand.compile.tracer import is_leaf
from argand.tensor.core import Tensor

_REMEMBERED = 1024  # shapes of inputs that are known to fit


class Specialisation:
    """One program, and the calls that it serves."""

    def __init__(
        self,
        signature: Signature,
        shapes: list[Any],
        why: list[str],
        integers: Mapping[int, Integer] = NO_INTEGERS,
    ) -> None:
        self.signature = signature
        self.shapes = shapes  # of the tensor leaves, with symbols; None for other leaves
        self.why = why
        self.integers = dict(integers)  # the int leaves that are symbols
        self.symbolic = bool(integers) or any(
            isinstance(s, Dim) for shape in shapes if shape for s in shape
        )
        self.executable: Executable
        self.surroundings: Surroundings
        self.slots: tuple[Slot, ...] = ()  # whose values come after the arguments' leaves
        self.snapshot: Snapshot
        self.contiguous: dict[int, bool] = {}
        self.strides: dict[int, tuple[int, ...]] = {}  # of arguments that are not contiguous
        self.asks_attributes = False  # of arguments, which a user may set
        self.leafness: dict[int, bool] = {}  # arguments that must be leaves, or must not be
        self.gradients: list[tuple[Any, bool]] = []  # leaves whose `.grad` must (not) be there
        self.wanting: list[tuple[Any, bool]] = []  # tensors that must (not) want a gradient
        self.written: set[int] = set()  # ids of the captured tensors that are written
        self.accepted: set[tuple[Any, ...]] = set()  # shapes of inputs that fit the symbols
        self.held: list[Tensor] = []  # the captured tensors that the program is for
        self.held_kinds: list[Any] = []
        self.sources: list[tuple[Slot, Tensor]] = []  # of captured tensors: what alone leads there
        self.checked_epoch = -1
        self.calls = 0  # how many it served; without a GIL, threads may lose some
        self.bound: Callable[..., Any] | None = None  # its call of plain arguments
        self.debugged: Executable | None = None

    def accept(self, leaves: Sequence[Any]) -> None:
        """Remember that these sizes fit, for bound calls."""
        if self.integers:
            return  # calls with them are described
        if len(self.accepted) >= _REMEMBERED:
            self.accepted.clear()
        self.accepted.add(
            tuple(
                leaves[x.leaf]._array.shape if x.kind == "tensor" else ()
                for x in self.executable.parts.inputs
            )
        )

    def serves(self, signature: Signature, leaves: Sequence[Any]) -> bool:
        """Whether a call with this signature can run the program, as far as arguments go."""
        if self.signature != signature:
            if not self.symbolic:
                return False
            sizes = sizes_that_fit(self.signature, self.shapes, signature, self.integers)
            if sizes is None or not self.executable.parts.guards.hold(sizes):
                return False
        if not all(test(leaves) for test in self.executable.parts.guards.tests):
            return False
        for number, strides in self.strides.items():
            if leaves[number]._array.strides != strides:
                return False
        for number, contiguous in self.contiguous.items():
            if leaves[number]._array.flags.c_contiguous != contiguous:
                return False
        for number, leafness in self.leafness.items():
            if is_leaf(leaves[number]) is not leafness:
                return False
        return not self.written or not self.overlaps(leaves)

    def overlaps(self, leaves: Sequence[Any]) -> bool:
        """Whether an argument shares memory with state that the program writes."""
        return any(id(x._root()) in self.written for x in leaves if isinstance(x, Tensor))

    def is_valid(self, leaves: Sequence[Any], strictly: bool = False) -> bool:
        """Whether what is behind the function is what the program was made for; `strictly` where
        native code has found that it isn't, or may not be."""
        guards = self.surroundings.guards
        if not (guards.hold_strictly() if strictly else guards.hold()):
            return False
        if self.checked_epoch != epoch.current:
            now = epoch.current
            if self.differs(leaves):
                return False
            self.checked_epoch = now
            guards.expect_epoch(now)
        return self.has_gradients(leaves) and all(
            (p.find(leaves)._node is not None) is wanted for p, wanted in self.wanting
        )

    def has_gradients(self, leaves: Sequence[Any]) -> bool:
        """Whether gradients are there, or not, as they were in the trace that read them."""
        return not self._changed_gradients(leaves)

    def _changed_gradients(self, leaves: Sequence[Any]) -> list[str]:
        """What became of gradients, for messages."""
        return [
            f"a gradient {'is gone' if there else 'is there now'}"
            for place, there in self.gradients
            if (gradient_of(place.find(leaves)) is not None) is not there
        ]

    def note_surroundings(self, leaves: Sequence[Any], places: Sequence[Place]) -> None:
        """Remember what is behind the function as a trace has found it; `places` are its state."""
        self.held = [place.find(()) for place in places if place.fixed]
        epoch.watched.update(map(id, self.held))
        self.snapshot, self.held_kinds = self.look(leaves)
        self.checked_epoch = epoch.current

    def look(self, leaves: Sequence[Any]) -> tuple[Snapshot, list[Any]]:
        """What the program depends on behind the function, as it is now."""
        owners = self.surroundings.modules(list(leaves))
        apart = {slot.identity for slot in self.slots}
        snapshot = Snapshot(owners, set(map(id, self.held)), apart)
        return snapshot, list(map(_kind_of, self.held))

    def differs(self, leaves: Sequence[Any]) -> list[Entry]:
        """What changed behind the function, apart from what the guards look at."""
        now, tensors = self.look(leaves)
        found = self.snapshot.differs(now)
        return found or ([Entry("captured memory", None)] if tensors != self.held_kinds else [])

    def changes(self, signature: Signature, leaves: Sequence[Any]) -> list[str]:
        """Why a call can't run the program."""
        found = difference(self.signature, signature)
        if found:
            return found
        found += self.surroundings.guards.changes()
        changed = dict.fromkeys(entry.name for entry in self.differs(leaves))
        if changed:
            found.append(f"changed: {', '.join(list(changed)[:4])}")
        found += self._changed_gradients(leaves)[:1]
        return found or ["the layout of an argument"]


def _kind_of(t: Tensor) -> tuple[Any, ...]:
    """What a program takes for given of a captured tensor."""
    array = t._array
    return array.dtype, array.shape, array.strides, t._node is not None, hooks_of_tensor(t)
