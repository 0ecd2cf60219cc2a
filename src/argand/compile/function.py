"""A compiled function: its specialisations, how a call finds the right one, what `explain` says."""

from __future__ import annotations

import copy
import functools
import gc
import itertools
import threading
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import Any

import numpy as np

from argand.backends.select import compile_program
from argand.base import epoch
from argand.base.dim import Dim, Guards, collecting_guards
from argand.base.dtype import float64
from argand.base.errors import ShapeError, TraceError
from argand.base.events import emit, listen
from argand.base.integer import Integer, IntegerRead
from argand.base.settings import settings
from argand.base.tree import flatten
from argand.compile.arrays import ArrayStandIn, check_size
from argand.compile.build import Builder, holds_traced
from argand.compile.constants import Constants, split_constants
from argand.compile.copying import reduced, space_of
from argand.compile.debug import DebugProgram, check_same
from argand.compile.effects import Arguments, containers_in, count_leaves, filled
from argand.compile.executable import Alias, Executable, Parts, trace_lock
from argand.compile.fast import MISS, Fast, fast_path
from argand.compile.higher import Origin
from argand.compile.integers import NO_INTEGERS, carried, varying_integers
from argand.compile.joint import Joint, keep_random_state
from argand.compile.returned import check_function
from argand.compile.signature import (
    FloatSpec,
    Signature,
    TensorSpec,
    argument_labels,
    argument_origins,
    blank,
    describe_call,
    difference,
    generalise,
    sizes_that_fit,
)
from argand.compile.slots import Item, Slot, Tail
from argand.compile.surroundings import Entry, Snapshot, Surroundings
from argand.compile.trace import FloatArgumentRead, Tracer, tracing
from argand.ir import bind as crossroads
from argand.ir.bind import interpreting
from argand.ir.program import Program, Value
from argand.tensor.core import Tensor
from argand.transform.mode import mode


class SlotsRebound(Exception):  # noqa: N818  # a signal, never seen by users
    """The function rebinds slots whose values are not inputs yet."""

    def __init__(self, slots: list[Slot], shared: dict[int, Tensor]) -> None:
        super().__init__("the function rebinds " + ", ".join(slot.name for slot in slots))
        self.slots = slots
        self.shared = shared


_MANY_VALUES = 3  # a number that has changed as often is an input from then on
_REMEMBERED = 1024  # signatures whose specialisation is looked up rather than searched


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
        self.gradients: list[tuple[Any, bool]] = []  # leaves whose `.grad` must (not) be there
        self.written: set[int] = set()  # ids of the captured tensors that are written
        self.accepted: set[tuple[Any, ...]] = set()  # shapes of inputs that fit the symbols
        self.held_kinds: list[Any] = []
        self.sources: list[tuple[Slot, Tensor]] = []  # of captured tensors: what alone leads there
        self.checked_epoch = -1
        self._counter = itertools.count()
        self.count = self._counter.__next__  # one more call; safe from several threads
        self.fast: Fast | None = None
        self.debugged: Executable | None = None

    @property
    def calls(self) -> int:
        """How many calls it served."""
        return int(repr(self._counter)[len("count(") : -1])

    def accept(self, leaves: Sequence[Any]) -> None:
        """Remember that these sizes fit, for the short way of later calls."""
        if self.integers:
            return  # they go the long way
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
        for number, contiguous in self.contiguous.items():
            if leaves[number]._array.flags.c_contiguous != contiguous:
                return False
        return not self.written or not self._overlaps(leaves)

    def _overlaps(self, leaves: Sequence[Any]) -> bool:
        """Whether an argument shares memory with state that the program writes."""
        return any(
            x._cold is not None and id(x._root()) in self.written
            for x in leaves
            if isinstance(x, Tensor)
        )

    def is_valid(self, leaves: Sequence[Any]) -> bool:
        """Whether what is behind the function is what the program was made for."""
        if not self.surroundings.guards.hold():
            return False
        if self.checked_epoch != epoch.current:
            now = epoch.current
            if self.differs(leaves):
                return False
            self.checked_epoch = now
        for place, there in self.gradients:
            cold = place.find(leaves)._cold
            if (cold is not None and cold.grad is not None) != there:
                return False
        return True

    def look(self, leaves: Sequence[Any]) -> tuple[Snapshot, list[Any]]:
        """What the program depends on behind the function, as it is now."""
        held = self.executable.held
        owners = self.surroundings.modules(list(leaves))
        apart = {slot.identity for slot in self.slots}
        tensors = [(t._array.dtype, t._array.shape, t._node is not None) for t in held]
        return Snapshot(owners, set(map(id, held)), apart), tensors

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
        for place, there in self.gradients:
            cold = place.find(leaves)._cold
            if (cold is not None and cold.grad is not None) != there:
                found.append(f"a gradient {'is gone' if there else 'is there now'}")
                break
        return found or ["the layout of an argument"]


_functions: weakref.WeakSet[CompiledFunction] = weakref.WeakSet()


def _forget_short_ways(**_: Any) -> None:
    """The short ways of calls look at no dtype but that of their arguments."""
    for function in list(_functions):
        function._fast = None


listen("default_dtype", _forget_short_ways)


class CompiledFunction:
    """What `ag.compile` returns: call it as the function it was made of.

    The first call with new dtypes, ranks or Python values traces the function into a Program and
    compiles it; later calls run native code.

    >>> @ag.compile
    ... def f(x):
    ...     return x * 2 + 1
    >>> f(ag.tensor([1.0, 2.0]))
    tensor([3., 5.])
    >>> f
    <compiled f, 1 program(s)>
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        backend: str = "cpu",
        dynamic: Mapping[int | str, Any] | bool | None = None,
        name: str | None = None,
        freeze: bool = False,
    ) -> None:
        functools.update_wrapper(self, function, updated=())
        self.function = function
        self.backend = backend
        self.freeze = freeze
        self.name = name or getattr(function, "__name__", type(function).__name__).strip("<>")
        self.dynamic = dynamic
        self.specialisations: list[Specialisation] = []
        self._by_signature: dict[Signature, Specialisation] = {}
        self._constant_numbers: frozenset[int] = frozenset()
        self._reached: dict[int, Tensor] = {}
        self._shared: dict[int, Tensor] = {}  # reached otherwise than through the slots
        self._slots: tuple[Slot, ...] = ()  # what the function rebinds: inputs, and effects
        self._fast: Fast | None = None
        # Set where the function is run again for a derivative: takes what its calls would change.
        self.drop_effects: Callable[[Tracer, Parts], None] | None = None
        self.lock = threading.RLock()
        _functions.add(self)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: a compiled function of its own for each instance."""
        if instance is None:
            return self
        key = f"compiled {self.name}"
        space = space_of(instance, self.name)
        found = space.get(key)
        if found is None or found.function.__self__ is not instance:
            method = MethodType(self.function, instance)
            found = space[key] = CompiledFunction(method, **self._options())
        return found

    def _options(self) -> dict[str, Any]:
        return {
            "backend": self.backend,
            "dynamic": self.dynamic,
            "name": self.name,
            "freeze": self.freeze,
        }

    def derived(
        self, function: Callable[..., Any], name: str, drop_effects: Callable[[Tracer, Parts], None]
    ) -> CompiledFunction:
        """A function compiled as this one, whose calls change nothing."""
        made = CompiledFunction(function, backend=self.backend, name=name)
        made.drop_effects = drop_effects
        return made

    def __copy__(self) -> CompiledFunction:
        """The same function, compiled but not called yet."""
        return type(self)(self.function, **self._options())

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledFunction:
        """The copied function (perhaps a method of a copied model), compiled but not called yet."""
        return type(self)(copy.deepcopy(self.function, memo), **self._options())

    def __reduce__(self) -> str | tuple[Any, ...]:
        """For pickle: by name where its module offers it, else the function and the options."""
        return reduced(self, self._options())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        fast = self._fast
        if fast is not None and not kwargs and not crossroads.pushed:
            result = fast(*args)
            if result is not MISS:
                return result
        if crossroads.pushed and tracing():
            return self.function(*args, **kwargs)  # inside another trace: part of that program
        if self._slots:  # read, computed and written back as one
            with trace_lock:
                return self._run(args, kwargs)
        return self._run(args, kwargs)

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The long way of a call."""
        slots = self._slots
        found, leaves = self._specialisation(args, kwargs)
        if slots is not self._slots:  # found just now: other threads may have changed them since
            return self(*args, **kwargs)
        found.count()
        self._fast = found.fast
        executable = found.executable
        if found.symbolic:
            found.accept(leaves)
        if settings.debug:
            executable = self._debugged(found, args, kwargs)
        if found.gradients or executable.gradients or executable.effects:
            with trace_lock:
                return executable(leaves, (args, kwargs))
        return executable(leaves)

    def _debugged(
        self, found: Specialisation, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Executable:
        """The executable that runs node by node, once a second trace has given the same program."""
        if found.debugged is None:
            signature, leaves = self._describe(args, kwargs)
            again = Specialisation(signature, found.shapes, [], found.integers)
            again.surroundings, again.slots = found.surroundings, found.slots
            with trace_lock:
                _Trace(self, again, leaves, args, kwargs, "reference").run()
            check_same(self.name, found.executable.program, again.executable.program)
            plain = found.executable
            found.debugged = Executable(plain.program, DebugProgram(plain.program), plain.parts)
        return found.debugged

    # -- finding -------------------------------------------------------------------------------

    def _describe(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Signature, list[Any]]:
        rebound = [slot.get() for slot in self._slots]
        known = (self._constant_numbers, self._reached)
        return describe_call(args, kwargs, mode.enabled, *known, rebound, self._shared)

    def _specialisation(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Specialisation, list[Any]]:
        """The specialisation that serves a call, made if there is none, and the call's leaves."""
        signature, leaves = self._describe(args, kwargs)
        found = self._find(signature, leaves)
        if found is not None:
            return found, leaves
        with trace_lock:
            signature, leaves = self._describe(args, kwargs)
            found = self._find(signature, leaves)
            if found is None:
                found, leaves = self._specialise(args, kwargs)
        return found, leaves

    def _find(self, signature: Signature, leaves: list[Any]) -> Specialisation | None:
        known = self._by_signature.get(signature)
        if known is not None and known.serves(signature, leaves) and known.is_valid(leaves):
            return known
        for s in self.specialisations:
            if s.serves(signature, leaves) and s.is_valid(leaves):
                if len(self._by_signature) >= _REMEMBERED:
                    self._by_signature.clear()
                self._by_signature[signature] = s
                return s
        return None

    # -- making --------------------------------------------------------------------------------

    def _specialise(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Specialisation, list[Any]]:
        check_function(self.function, self.name)
        signature, leaves = self._describe(args, kwargs)
        surroundings = Surroundings(self.function, leaves)
        self._reached = self._reached | surroundings.reached
        signature, leaves = self._describe(args, kwargs)
        self._follow_changes(surroundings, leaves)
        signature, leaves = self._describe(args, kwargs)
        why = self._reason(signature, leaves)
        self._check_limit(why)
        varying = 2 * self.dynamic if isinstance(self.dynamic, bool) else 1
        before = self._constant_numbers
        while True:
            shapes = self._shapes(signature, args, kwargs, varying)
            integers = self._integers(signature, leaves, surroundings, varying)
            s = Specialisation(signature, shapes, why, integers)
            s.surroundings, s.slots = surroundings, self._slots
            try:
                trace = _Trace(self, s, leaves, args, kwargs)
                trace.run()
                break
            except SlotsRebound as e:
                self._rebind(e.slots, e.shared)
            except FloatArgumentRead as e:
                self._constant_numbers |= e.numbers
            except IntegerRead as e:
                self._constant_numbers |= {i for i in integers if carried(integers[i]) in e.names}
            except Exception as error:
                if integers:  # perhaps one can't be a symbol there: once more, with constants
                    self._constant_numbers |= integers.keys()
                elif isinstance(error, ShapeError) and varying:
                    # A size that can't vary was a symbol (features, say): once more, with fewer.
                    varying -= 1
                    continue
                elif isinstance(error, TypeError | ValueError) and _floats(signature):
                    # A float that the function takes apart as Python: once more, with constants.
                    self._constant_numbers |= _floats(signature)
                else:
                    self._constant_numbers = before
                    raise
            signature, leaves = self._describe(args, kwargs)
        self._keep(s, leaves)
        emit("specialised", function=self.name, why=why, program=s.executable.program)
        trace.report_leaks()
        return s, leaves

    def _rebind(self, slots: Sequence[Slot], shared: dict[int, Tensor]) -> None:
        """Take the values of slots for inputs from now on. Programs made without are of no use."""
        self._slots = (*self._slots, *slots)
        self._shared = shared
        self.specialisations.clear()
        self._by_signature.clear()
        self._fast = None

    def _follow_changes(self, surroundings: Surroundings, leaves: Sequence[Any]) -> None:
        """Make inputs of what other code keeps changing behind the function: a tensor that was
        replaced, a number that has taken several values."""
        found: dict[tuple[int, Any], Slot] = {}
        for s in self.specialisations:
            for slot, tensor in s.sources:
                if not _leads_to(slot.get(), tensor):
                    found[slot.identity] = slot
        values: dict[tuple[int, Any], list[Any]] = {}
        for s in self.specialisations:
            numbers: list[tuple[Slot, Any]] = [
                (Item(space, key, name), value)
                for space, key, value, name, _ in s.surroundings.guards.changed_numbers()
            ]
            numbers += [(e.slot, e.value) for e in s.differs(leaves) if e.slot is not None]
            for slot, before in numbers:
                now = slot.get()
                if {type(now), type(before)} <= {int, float}:
                    seen = values.setdefault(slot.identity, [])
                    seen += [] if before in seen else [before]
                    if len(seen) >= _MANY_VALUES:
                        found[slot.identity] = slot
        known = {slot.identity for slot in self._slots}
        fresh = [slot for identity, slot in found.items() if identity not in known]
        if fresh:
            self._rebind(fresh, surroundings.reach().shared(known | set(found)))

    def _keep(self, s: Specialisation, leaves: list[Any]) -> None:
        surroundings = s.surroundings
        surroundings.forget_tensors()  # the trace may have made an optimizer's state
        self._reached = self._reached | surroundings.reached
        epoch.watched.update(map(id, s.executable.held))
        s.snapshot, s.held_kinds = s.look(leaves)
        s.checked_epoch = epoch.current
        s.written = {id(p.find(leaves)._root()) for p in s.executable.written if p.fixed}
        self.specialisations.append(s)
        self._by_signature[s.signature] = s
        s.fast = self._fast = fast_path(s)

    def _check_limit(self, why: list[str]) -> None:
        if len(self.specialisations) >= settings.retrace_limit:
            used = (
                " A number that Python needs the value of (by range(n), int(n), as a dict's key, "
                "in a text) has a program for each value."
            )
            raise TraceError(
                f"{self.name} would need more than {settings.retrace_limit} programs "
                f"(settings.retrace_limit). The last call differs in: {'; '.join(why)}. Pass "
                "varying numbers as floats or tensors, and declare varying sizes: "
                "ag.compile(dynamic={0: {0: ag.Dim('n')}})." + used * bool(self._constant_numbers)
            )

    def _reason(self, signature: Signature, leaves: list[Any]) -> list[str]:
        if not self.specialisations:
            return ["the first call"]
        return self.specialisations[-1].changes(signature, leaves)

    def _shapes(
        self, signature: Signature, args: tuple[Any, ...], kwargs: dict[str, Any], varying: int
    ) -> list[Any]:
        """The shapes of the tensor leaves, with symbols for the sizes that vary: all (2), those
        that differed in other calls (1), those that the user declared only (0)."""
        alike = [s for s in self.specialisations if blank(s.signature) == blank(signature)]
        if not varying:
            alike = []
        origins = [*argument_origins(self.function, args, kwargs), *_slot_origins(self._slots)]
        names: dict[Any, Dim] = {}
        shapes: list[Any] = []
        for i, spec in enumerate(signature.specs):
            if not isinstance(spec, TensorSpec) or spec.identity is not None:
                shapes.append(None)
                continue
            seen = [s.shapes[i] for s in alike]
            declared = self._declared(*origins[i], len(spec.shape))
            shapes.append(generalise(spec.shape, seen, names, declared, varying == 2))
        return shapes

    def _integers(
        self, signature: Signature, leaves: list[Any], surroundings: Surroundings, varying: int
    ) -> dict[int, Integer]:
        """The int arguments to be symbols: those that had another value in another call."""
        if not varying or surroundings.asks_types:
            return {}
        alike = [s for s in self.specialisations if blank(s.signature) == blank(signature)]
        seen = [[getattr(spec, "value", None) for spec in s.signature.specs] for s in alike]
        return varying_integers(leaves, seen, self._constant_numbers, varying == 2)

    def _declared(self, position: int | None, name: str, rank: int) -> dict[int, Dim]:
        """The dims that the user declared for an argument."""
        if not isinstance(self.dynamic, Mapping):
            return {}
        given = self.dynamic.get(name, self.dynamic.get(position) if position is not None else None)
        if given is None:
            return {}
        pairs = given.items() if isinstance(given, Mapping) else enumerate(given)
        found = {}
        for d, dim in pairs:
            if dim is not None:
                found[d % rank if rank else d] = Dim(dim) if isinstance(dim, str) else dim
        return found

    # -- telling -------------------------------------------------------------------------------

    @property
    def programs(self) -> list[Program]:
        """The programs made so far.

        >>> f = ag.compile(lambda x: x * 2)
        >>> y = f(ag.ones(3)), f(ag.ones(3, 3))
        >>> len(f.programs)
        2
        """
        return [s.executable.program for s in self.specialisations]

    def program(self, *args: Any, **kwargs: Any) -> Program:
        """The program that a call would run (made if need be); without arguments, the last one.

        >>> f = ag.compile(lambda x: x * 2, name="double")
        >>> print(f.program(ag.ones(3)))
        program double(x: f32[3]) {
          %0: f32[3] = mul(x, 2.0)  # ...
          return %0
        }
        """
        if args or kwargs or not self.specialisations:
            found, _ = self._specialisation(args, kwargs)
            return found.executable.program
        return self.specialisations[-1].executable.program

    def explain(self) -> str:
        """Each specialisation, why it exists, how often it ran, and its segments, as text.

        >>> f = ag.compile(lambda x: x * 2, name="double")
        >>> y = f(ag.ones(3))
        >>> print(f.explain())
        double: 1 program(s)
          0: (f32[3]), 1 call(s)
             because: the first call
             1 nodes, 0 state(s), 0 written
             segment 0: native: 1 nodes
        """
        lines = [f"{self.name}: {len(self.specialisations)} program(s)"]
        for i, s in enumerate(self.specialisations):
            specs = ", ".join(
                f"{spec.dtype.short}[{', '.join(map(str, shape or spec.shape))}]"
                if isinstance(spec, TensorSpec)
                else str(spec)
                for spec, shape in zip(s.signature.specs, s.shapes, strict=True)
            )
            program = s.executable.program
            lines.append(f"  {i}: ({specs}), {s.calls} call(s)")
            lines.append(f"     because: {'; '.join(s.why)}")
            lines.append(
                f"     {len(program.nodes)} nodes, {len(program.state)} state(s), "
                f"{len(program.writes)} written"
            )
            lines += [f"     {line}" for line in s.executable.compiled.explain()]
            if s.executable.constants is not None:
                lines += [f"     {line}" for line in s.executable.constants.explain()]
            if s.executable.joint is not None:
                joint = s.executable.joint
                lines.append(f"     backward: {len(joint.program.nodes)} nodes")
                lines += [f"     {line}" for line in joint.explain()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<compiled {self.name}, {len(self.specialisations)} program(s)>"


class CompiledModule(CompiledFunction):
    """A compiled function made of a module (or another object): offers the object's attributes.

    It is a class of its own because a class with `__getattr__` is slower to call.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "function":
            raise AttributeError(name)
        return getattr(self.function, name)


class _Trace:
    """One run of the function on symbolic values."""

    def __init__(
        self,
        owner: CompiledFunction,
        s: Specialisation,
        leaves: list[Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        backend: str | None = None,
    ) -> None:
        self.owner = owner
        self.backend = backend or owner.backend
        self.s = s
        self.leaves = leaves
        labels = argument_labels(owner.function, args, kwargs)
        labels += [name for _, name in _slot_origins(s.slots)]
        self.labels = labels
        self.given = (args, dict(sorted(kwargs.items())))
        self.named = dict(zip(labels, leaves, strict=True))
        names = s.surroundings.names(self.named)
        self.tracer = Tracer(owner.name, lambda t: names.get(id(t)))
        self.reach = s.surroundings.reach()
        self.reach.add(self.given, Arguments(*self.given), "arguments")
        for slot in s.slots:
            self.reach.add_slot(slot)

    def run(self) -> None:
        """Trace, and compile what came out."""
        tracer, guards, failed = self.tracer, Guards(), True
        try:
            args, kwargs = self._fill()
            self.reach.start()
            with interpreting(tracer), collecting_guards(guards):
                returned = self.owner.function(*args, **kwargs)
                if guards.read:
                    raise IntegerRead(guards.read)  # the function may have caught it
                changed = self._changed()
                names = self.s.surroundings.names(self.named)
                tracer.name_states(lambda t: names.get(id(t)))
                builder = Builder(tracer, self.backend, self.leaves)
                parts = builder.build(returned, guards, self.owner.lock, changed, self.reach)
                if parts.joint is not None:
                    self._prepare_higher_orders(parts.joint, builder.positions)
            if self.owner.drop_effects is not None:
                self.owner.drop_effects(tracer, parts)
            del returned, builder
            self.s.contiguous = _layouts_that_matter(tracer, parts)
            self.s.gradients = [
                (tracer.place_of(leaf), there) for leaf, there in tracer.grads_read.values()
            ]
            self.s.sources = self._sources(parts)
            failed = False
        finally:
            tracer.restore()
            self.reach.restore(failed=failed)
            tracer.forget()
        s = self.s
        apart = {slot.identity for slot in s.slots}
        inside: set[int] = set()
        for slot in s.slots:
            for container in containers_in(slot.get()).values():
                inside |= {id(container), id(getattr(container, "__dict__", None))}
        s.surroundings.guards.without(apart, inside)
        # Compiling takes its time: other threads find all as it was, and run on.
        program = self._frozen(tracer.program, parts) if self.owner.freeze else tracer.program
        compiled = compile_program(program, self.backend)
        self.s.executable = Executable(program, compiled, parts)

    def _prepare_higher_orders(self, joint: Joint, positions: list[int | None]) -> None:
        owner, s = self.owner, self.s
        joint.origin = origin = Origin(
            owner.function,
            owner.name,
            s.signature.structure,
            positions,
            joint.leaves,
            list(self.tracer.captures.values()),
            s.is_valid,
            owner.derived,
        )
        if owner.drop_effects is None:  # else an argument sets the generator
            origin.random = keep_random_state(self.tracer)

    def _sources(self, parts: Parts) -> list[tuple[Slot, Tensor]]:
        """The captured tensors that one slot alone leads to, with their slots."""
        found = []
        for place in parts.places:
            tensor = place.find(()) if place.fixed else None
            roots = self.reach.holders.get(id(tensor), [])
            if tensor is None or len(roots) != 1 or roots[0] is None:
                continue
            if roots[0].identity != (0, "arguments"):
                found.append((roots[0], tensor))
        return found

    def _fill(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Put what stands for the program's inputs into the arguments and the slots."""
        stand_ins = iter(self._stand_ins())
        for slot in self.reach.arrays:
            array = slot.get()
            if isinstance(array, np.ndarray):
                slot.set(ArrayStandIn(array, slot.name, self._array_is_read))
        structures = self.s.signature.structure[2]
        args = filled(self.given[0], structures[0], stand_ins)
        kwargs = filled(self.given[1], structures[1], stand_ins)
        for slot, structure in zip(self.s.slots, _slot_structures(self.s.signature), strict=True):
            slot.set(filled(slot.get(), structure, stand_ins))
        return args, kwargs

    def _array_is_read(self, array: Any, name: str) -> None:
        check_size(array, name)
        self.s.surroundings.guards.add_array(array, name)

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
            if self.reach.is_of_layer(slot) and not holds_traced(slot.get()):
                self.reach.keep(slot)  # a lazy layer has made its parameters
                found.remove(slot)
        known = {slot.identity for slot in self.s.slots} | {(0, "arguments")}
        fresh = [s for s in found if s.identity not in known and not isinstance(s, Tail)]
        if fresh:
            known.update(slot.identity for slot in fresh)
            raise SlotsRebound(fresh, self.reach.shared(known))
        return found

    def _frozen(self, program: Program, parts: Parts) -> Program:
        """The program on constants that are computed once; the places follow."""
        places = parts.places
        split = split_constants(program, [p.fixed and not p.find(())._is_shared() for p in places])
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
        return items

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


def _layouts_that_matter(tracer: Tracer, parts: Parts) -> dict[int, bool]:
    """Whether arguments must be contiguous: it tells only where eager code would share memory."""
    aliases = any(isinstance(r, Alias) for r in parts.results)
    return dict(tracer.contiguous) if tracer.program.writes or aliases else {}


def _floats(signature: Signature) -> set[int]:
    return {i for i, spec in enumerate(signature.specs) if isinstance(spec, FloatSpec)}


def _leads_to(value: Any, tensor: Tensor) -> bool:
    return value is tensor or any(x is tensor for x in flatten(value)[0])


def _slot_structures(signature: Signature) -> tuple[Any, ...]:
    """The structures of the values of the slots."""
    parts = signature.structure[2]
    return parts[2][2] if len(parts) == 3 else ()


def _slot_origins(slots: Sequence[Slot]) -> list[tuple[int | None, str]]:
    """For each leaf of the slots' values what `argument_origins` gives for those of arguments."""
    return [
        (None, slot.name) for slot in slots for _ in range(count_leaves(flatten(slot.get())[1]))
    ]
