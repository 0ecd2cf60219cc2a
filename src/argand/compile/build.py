"""From a finished trace to what an Executable needs: outputs, written state, gradients, aliases."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from argand.base.dim import Dim
from argand.base.errors import TraceError
from argand.base.size_guards import Guards
from argand.base.stateful import is_module
from argand.base.tree import flatten, shallow, unflatten
from argand.compile.backward import BackwardProgram, record_backward, separate_graphs
from argand.compile.call import GradEffect, Input, Parts, check_writeable
from argand.compile.higher_order import Position
from argand.compile.integers import Sources
from argand.compile.places import Argument, Held
from argand.compile.reach import Reach, fill_with_plain_keys
from argand.compile.results import (
    Alias,
    Arguments,
    Constant,
    Copied,
    Effect,
    Found,
    Made,
    MadeObject,
    Measured,
    Moves,
    Number,
    ProgramOutput,
    Result,
    Same,
    View,
    containers_in,
)
from argand.compile.returned import check_returned
from argand.compile.sharing import shared_roots
from argand.compile.slots import Slot, namespace_of, parts_of
from argand.compile.standins import ArrayStandIn, IteratorStandIn
from argand.compile.tracer import Capture, Tracer
from argand.compile.values import SCALARS
from argand.compile.whose import is_opaque
from argand.ir.verify import verify
from argand.tensor.core import Tensor
from argand.tensor.views import chain_of, root_of
from argand.transform.tape import LEAF, GradientNode


class ProgramBuilder:
    """Turns what a tracer recorded into an executable."""

    def __init__(self, tracer: Tracer, backend: str, reach: Reach) -> None:
        self.tracer, self.backend, self.reach = tracer, backend, reach
        self.program = tracer.program
        self.differentiable: list[tuple[int, Tensor]] = []
        self.positions: dict[int, Position] = {}  # of these among what the function returned
        self._known: dict[int, Result] = {}
        self._trees: dict[int, tuple[Any, Result]] = {}  # of what effects hold, by their ids
        self._roots: dict[int, Tensor] = {}  # of results that share memory, by their ids
        self._before = {  # containers, by their ids
            id(container): Found(_lasting(slot), path)
            for slot, containers in reach.inside
            for path, container in containers.items()
        }
        self._looked_up: list[Found] = []  # those of them that calls fill or return

    def build(self, returned: Any, changed: Sequence[Slot], guards: Guards, lock: Any) -> Parts:
        """Complete the program of a function that returned `returned` and `changed` some slots;
        what calls need beside."""
        tracer, program = self.tracer, self.program
        left = {id(c) for slot in changed for c in containers_in(slot.get()).values()}
        leaves = flatten(returned)[0]
        whole = self._apart(_with_plain_keys(returned), left | self._before.keys())
        items, structure = flatten(whole)
        held = [x for slot in changed for x in self._tensors(slot.get())]
        graded = tracer.new_gradients()
        gradients_now = [now for _, now in graded if now is not None]
        self._roots = shared_roots([*self._tensors(whole), *held, *gradients_now], tracer)
        results = [self.result(x) for x in items]
        effects = [Effect(_lasting(slot), self._tree(slot.get(), slot.name)) for slot in changed]
        gradients = [self._gradient(leaf, now) for leaf, now in graded]
        backwards = self._backwards(leaves)
        captures = list(tracer.captures.values())
        self._check_writes(captures)
        self._place_written_arguments(captures)
        places = self._states(captures)
        verify(program)
        return Parts(
            inputs=self._inputs(captures),
            places=places,
            structure=structure,
            results=results,
            gradients=gradients,
            wants=tracer.wants_changed(),
            backwards=backwards,
            after_call=tracer.after_call,
            guards=guards,
            lock=lock,
            effects=effects,
            before=self._looked_up,
        )

    def _backwards(self, leaves: Sequence[Any]) -> list[BackwardProgram]:
        """The backward programs of what is differentiable; `leaves` are those returned."""
        numbered = list(enumerate(leaves))
        views = [(i, x) for i, x in numbered if id(x) in self._roots]
        found = {id(self._roots[id(x)]): Position(i, of_root=True) for i, x in views}
        found |= {id(x): Position(i) for i, x in reversed(numbered)}
        self.positions = {n: found[id(x)] for n, x in self.differentiable if id(x) in found}
        groups = separate_graphs(self.differentiable)
        return [record_backward(self.tracer, group, self.backend) for group in groups]

    # -- effects -------------------------------------------------------------------------------

    def _tree(self, value: Any, name: str, around: tuple[int, ...] = ()) -> Result:
        """How a call makes a value of lists, dictionaries, objects and results; `around` are the
        ids of those that contain it."""
        if id(value) in around:
            raise TraceError(
                f"{name} is set to something made while the function is traced that contains "
                "itself, and can't be made again by each call; leave the reference out"
            )
        if id(value) not in self._trees:
            self._trees[id(value)] = value, self._new_tree(value, name, (*around, id(value)))
        return self._trees[id(value)][1]

    def _new_tree(self, value: Any, name: str, around: tuple[int, ...]) -> Result:
        if isinstance(value, ArrayStandIn):
            return Constant(value.array())
        if isinstance(value, dict):
            fill_with_plain_keys(value)
        found = shallow(value)
        if found is not None:
            place = self._before.get(id(value))
            if place is None and self.reach.holds_container(value):
                return Constant(value)  # the object itself; what changed in it is an effect
            structure, inside = found
            parts = tuple([self._tree(p, f"{name}[{k!r}]", around) for _, k, p in inside])
            if place is None:
                return Made(structure, parts)
            self._looked_up.append(place)
            keys = tuple([(is_attribute, key) for is_attribute, key, _ in inside])
            return Same(place, keys, parts)
        if isinstance(value, Tensor | Dim):
            return self.result(value)
        if self.reach.knows(value) or not (holds_traced(value) or _is_lazy(value)):
            return Constant(value)
        attributes = namespace_of(value)
        if attributes is None:
            raise TraceError(
                f"{name} was set to a {type(value).__name__} that holds tensors made while the "
                "function is traced, and can't be made again by each call; store the tensors "
                "themselves, in a list, a dictionary or attributes"
            )
        named = {k: self._tree(v, f"{name}.{k}", around) for k, v in attributes.items()}
        return MadeObject(type(value), named)

    def _tensors(self, value: Any, around: tuple[int, ...] = ()) -> Iterator[Tensor]:
        """The tensors in what a slot holds, as `_tree` finds them."""
        if id(value) in around:
            return
        found = shallow(value.value if isinstance(value, _Apart) else value)
        if found is not None:
            parts: Iterable[Any] = [part for _, _, part in found[1]]
        elif isinstance(value, Tensor):
            yield value
            return
        elif self.reach.knows(value) or not holds_traced(value):
            return
        else:
            parts = (namespace_of(value) or {}).values()
        for part in parts:
            yield from self._tensors(part, (*around, id(value)))

    def _apart(self, value: Any, shared: Collection[int], around: tuple[int, ...] = ()) -> Any:
        """What a function returned, with leaves for the containers that others hold too: the
        `shared` ones (their ids), in slots and arguments, and all that were in reach before."""
        found = shallow(value)
        if found is None or id(value) in around:
            return value
        if id(value) in shared or self.reach.holds_container(value):
            return _Apart(value)
        before = [part for *_, part in found[1]]
        parts = [self._apart(part, shared, (*around, id(value))) for part in before]
        same = all(a is b for a, b in zip(parts, before, strict=True))
        return value if same else unflatten(found[0], parts)

    def _container(self, value: Any) -> Result:
        """How a call gives a container that others hold too."""
        place = self._before.get(id(value))
        if place is not None and self.reach.is_unchanged(value):
            self._looked_up.append(place)
            return place
        return self._tree(value, "a result")

    # -- results -------------------------------------------------------------------------------

    def result(self, x: Any) -> Result:
        """How a call makes one leaf of what the function returned."""
        if isinstance(x, Dim):
            return self._measured(x)
        if isinstance(x, _Apart):
            return self._container(x.value)
        if isinstance(x, IteratorStandIn):
            return Constant(x.iterator)
        if not isinstance(x, Tensor):
            if not any(x is leaf for leaf in self.tracer.leaves):
                check_returned(x, self.program.name)
                if isinstance(x, set | deque | bytearray) and not self.reach.knows(x):
                    return Copied(x)
            return Constant(x)
        if id(x) not in self._known:
            self._known[id(x)] = self._tensor_result(x)
        return self._known[id(x)]

    def _measured(self, x: Dim) -> Result:
        """A size, or an int computed from int arguments."""
        return Measured(Dim(x.terms), self._sources(x.symbols()))

    def _sources(self, names: Iterable[str]) -> Sources:
        """Where a call finds the values of symbols."""
        return tuple([source for source in self.tracer.sources() if source[0] in names])

    def _moves(self, x: Tensor) -> Moves:
        """How a call makes a view."""
        chain = chain_of(x)
        names = {name for _, params in chain for v in params.values() for name in _symbols(v)}
        return Moves(chain, x._node is None, self._sources(names))

    def _tensor_result(self, x: Tensor) -> Result:
        tracer = self.tracer
        if x.weak and (x._array is None or id(x) in tracer.captures):
            self.program.outputs.append(tracer.read(x))
            return Number(len(self.program.outputs) - 1)
        if id(x) in tracer.captures:
            return self._outside(x, tracer.captures[id(x)])
        if x._array is not None:
            return Constant(x)
        root = root_of(x)
        if root is not x and id(root) in tracer.captures:
            return Alias(tracer.captures[id(root)].place, self._moves(x))
        if root is not x and root._array is not None:
            return Alias(Held(root), self._moves(x))
        if id(x) in self._roots:
            owner = self.result(self._roots[id(x)])
            assert isinstance(owner, ProgramOutput)
            return View(owner, self._moves(x))
        self.program.outputs.append(tracer.read(x))
        number = len(self.program.outputs) - 1
        if type(x._node) is GradientNode and x._node.inputs is not None:
            self.differentiable.append((number, x))
        return ProgramOutput(number, type(x), x._node is LEAF)

    def _outside(self, x: Tensor, capture: Capture) -> Result:
        if isinstance(capture.place, Held):
            return Constant(x)
        return Alias(capture.place, Moves((), detached=False))

    def _gradient(self, leaf: Tensor, now: Tensor | None) -> GradEffect:
        tracer = self.tracer
        place = tracer.place_of(leaf)
        real = place.find(self.tracer.leaves)
        before = tracer.touched.get(id(real))
        node = real._node if before is None else before.node
        if now is not None and type(node) is GradientNode:
            raise TraceError(
                f"backward() inside the compiled function reaches {tracer.label(leaf)}, which is "
                "the result of an operation outside of it; call backward() outside, or detach() "
                "the tensor"
            )
        result = Constant(None) if now is None else self.result(now)
        return GradEffect(place, result)

    # -- state ---------------------------------------------------------------------------------

    def _check_writes(self, captures: Sequence[Capture]) -> None:
        """Refuse what eager code can do with memory written in place and a program can't."""
        for capture in captures:
            if not capture.written:
                continue
            if isinstance(capture.place, Held):
                check_writeable(capture.tensor._array)
            if (
                type(capture.tensor._node) is GradientNode
                and capture.tensor._node.inputs is not None
            ):
                raise TraceError(
                    f"{capture.entry.name} is written in place with a value that carries a "
                    "gradient, which would outlive the compiled function; detach() the value, or "
                    "do it under no_grad()"
                )
            mine = _real_root(capture, self.tracer.leaves)
            for other in captures:
                if other is not capture and _real_root(other, self.tracer.leaves) is mine:
                    raise TraceError(
                        f"{capture.entry.name} is written in place, and {other.entry.name} shares "
                        "its memory; pass one of them, and take views of it inside the function"
                    )

    def _place_written_arguments(self, captures: Sequence[Capture]) -> None:
        """An argument that is written becomes a state, bound at every call."""
        for capture in captures:
            if capture.is_argument and capture.written:
                if capture.entry in self.tracer.floats:
                    raise TraceError(f"the float {capture.entry.name} is written in place")
                self.program.inputs.remove(capture.entry)
                self.program.state.append(capture.entry)

    def _states(self, captures: Sequence[Capture]) -> list[Any]:
        by_value = {c.entry: c for c in captures}
        places = []
        for i, value in enumerate(self.program.state):
            capture = by_value[value]
            places.append(capture.place)
            if capture.written and capture.value is not capture.entry:
                self.program.writes[i] = capture.value
        return places

    def _inputs(self, captures: Sequence[Capture]) -> list[Input]:
        by_value = {c.entry: c.place for c in captures}
        slots = []
        for value in self.program.inputs:
            place = by_value[value]
            assert isinstance(place, Argument)
            kind = "float" if value in self.tracer.floats else "tensor"
            kind = "int" if place.number in self.tracer.integers.values() else kind
            slots.append(Input(place.number, kind))
        return slots


def _lasting(slot: Slot) -> Slot:
    """A slot as a program stores it: of the arguments, not those of the call that was traced."""
    return Arguments((), {}) if isinstance(slot, Arguments) else slot


class _Apart:
    """A leaf in what a function returned: a container that others hold too."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _with_plain_keys(value: Any) -> Any:
    """What a function returned, where sizes are keys of its dictionaries with their numbers."""
    if type(value) is dict:
        fill_with_plain_keys(value)
        for part in value.values():
            _with_plain_keys(part)
    elif type(value) in (list, tuple):
        for part in value:
            _with_plain_keys(part)
    return value


def _symbols(param: Any) -> Iterable[str]:
    """The names of the symbols in a parameter."""
    if isinstance(param, tuple):
        return {name for part in param for name in _symbols(part)}
    return param.symbols() if isinstance(param, Dim) else ()


def _real_root(capture: Capture, leaves: Sequence[Any]) -> Any:
    """The tensor that owns the memory of a captured one, outside the trace."""
    if isinstance(capture.place, Argument):
        leaf = leaves[capture.place.number]
        return leaf._root() if isinstance(leaf, Tensor) else leaf
    return capture.tensor._root()


def _is_lazy(value: Any) -> bool:
    """Whether an object may hold what only iterating it would show."""
    return isinstance(value, Iterator)


def holds_traced(value: Any, depth: int = 3) -> bool:
    """Whether an object that is no container leads to tensors that a trace made."""
    if isinstance(value, Tensor):
        return value._array is None
    if isinstance(value, SCALARS) or depth == 0:
        return False
    plain = isinstance(value, dict | list | tuple | set | frozenset | deque)
    if not plain and (isinstance(value, type) or is_module(value) or is_opaque(type(value))):
        return False
    return any(holds_traced(part, depth - 1) for *_, part in parts_of(value))
