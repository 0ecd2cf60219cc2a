"""A specialisation: one program of a compiled function, and the calls that it serves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from argand.base import epoch
from argand.base.dim import Dim
from argand.base.integer import Integer
from argand.compile.call import Executable
from argand.compile.places import Place, held_at
from argand.compile.signature import Signature, difference, sizes_that_fit
from argand.compile.slots import Slot
from argand.compile.snapshot import Entry, Snapshot
from argand.compile.surroundings import Surroundings
from argand.tensor.core import Tensor

_REMEMBERED = 1024  # shapes of inputs that are known to fit


class Fact(NamedTuple):
    """What a trace found out about a tensor, and its program takes for given."""

    place: Place
    ask: Callable[[Tensor], Any]
    answer: Any

    def holds(self, leaves: Sequence[Any]) -> bool:
        """Whether the answer is the same for a call."""
        return bool(self.ask(self.place.find(leaves)) == self.answer)


@dataclasses.dataclass(eq=False)
class Specialisation:
    """One program, and the calls that it serves."""

    signature: Signature
    shapes: list[Any]  # of the tensor leaves, with symbols; None for other leaves
    why: list[str]
    integers: Mapping[int, Integer]  # the int leaves that are symbols
    surroundings: Surroundings
    slots: tuple[Slot, ...]  # whose values come after the arguments' leaves
    arguments: list[Fact] = dataclasses.field(default_factory=list)  # layouts, whether leaves
    gradients: list[Fact] = dataclasses.field(default_factory=list)  # whether `.grad` is there
    wanting: list[Fact] = dataclasses.field(default_factory=list)  # whether gradients are wanted
    asks_attributes: bool = False  # of arguments, which a user may set
    written: set[int] = dataclasses.field(default_factory=set)  # ids of captured tensors
    accepted: set[tuple[Any, ...]] = dataclasses.field(default_factory=set)  # shapes that fit
    held: list[Tensor] = dataclasses.field(default_factory=list)  # what the program is for
    # of captured tensors: the slot that alone leads there
    sources: list[tuple[Slot, Tensor]] = dataclasses.field(default_factory=list)
    checked_epoch: int = -1
    calls: int = 0  # how many it served; without a GIL, threads may lose some
    bound: Callable[..., Any] | None = None  # its call of plain arguments
    debugged: Executable | None = None

    def __post_init__(self) -> None:
        sizes = [size for shape in self.shapes if shape for size in shape]
        self.symbolic = bool(self.integers) or any(isinstance(size, Dim) for size in sizes)
        self.executable: Executable
        self.snapshot: Snapshot

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
        if not all(fact.holds(leaves) for fact in self.arguments):
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
        return self.has_gradients(leaves) and all(fact.holds(leaves) for fact in self.wanting)

    def has_gradients(self, leaves: Sequence[Any]) -> bool:
        """Whether gradients are there, or not, as they were in the trace that read them."""
        return all(fact.holds(leaves) for fact in self.gradients)

    def note_surroundings(self, leaves: Sequence[Any], places: Sequence[Place]) -> None:
        """Remember what is behind the function as a trace has found it; `places` are its state."""
        self.held = held_at(places)
        epoch.watched.update(map(id, self.held))
        self.snapshot = self._look(leaves)
        self.checked_epoch = epoch.current

    def _look(self, leaves: Sequence[Any]) -> Snapshot:
        """What the program depends on behind the function, as it is now."""
        owners = self.surroundings.modules(list(leaves))
        return Snapshot(owners, self.held, {slot.identity for slot in self.slots})

    def differs(self, leaves: Sequence[Any]) -> list[Entry]:
        """What changed behind the function, apart from what the guards look at."""
        return self.snapshot.differs(self._look(leaves))

    def changes(self, signature: Signature, leaves: Sequence[Any]) -> list[str]:
        """Why a call can't run the program."""
        found = difference(self.signature, signature)
        if found:
            return found
        found += self.surroundings.guards.changes()
        changed = dict.fromkeys(entry.name for entry in self.differs(leaves))
        if changed:
            found.append(f"changed: {', '.join(list(changed)[:4])}")
        moved = [fact.answer for fact in self.gradients if not fact.holds(leaves)]
        found += [f"a gradient {'is gone' if there else 'is there now'}" for there in moved[:1]]
        return found or ["the layout of an argument"]
