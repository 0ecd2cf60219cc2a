"""A compiled function: its specialisations, how a call finds the right one, what `explain` says."""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MethodType
from typing import Any

from argand.base.dim import Dim
from argand.base.errors import TraceError
from argand.base.events import emit
from argand.base.forks import lock_held_over_forks
from argand.base.integer import Integer, IntegerRead
from argand.base.notices import notice
from argand.base.settings import settings
from argand.base.tree import flatten
from argand.compile.bound import MISS, BoundCall, bound_call, exclusive
from argand.compile.call import Executable, Parts, trace_lock
from argand.compile.copying import reduced, store_method, stored_method
from argand.compile.debug import DebugProgram, check_same
from argand.compile.float_standin import FloatArgumentRead
from argand.compile.integers import carried, varying_integers
from argand.compile.returned import check_function
from argand.compile.signature import (
    FloatSpec,
    Given,
    Signature,
    TensorSpec,
    argument_origins,
    blank,
    describe_call,
    generalise,
    keeps_order,
)
from argand.compile.slots import Slot
from argand.compile.specialisation import Specialisation
from argand.compile.surroundings import Surroundings
from argand.compile.tracer import Tracer
from argand.compile.tracing import (
    CaughtError,
    SlotsRebound,
    Trace,
    is_of_floats,
    is_of_sizes,
    slot_origins,
)
from argand.compile.values import same_value
from argand.ir import bind as crossroads
from argand.ir import overrides
from argand.ir.program import Program
from argand.tensor.core import Tensor, eager
from argand.tensor.meta import NoDataError
from argand.transform.mode import mode

_MANY_VALUES = 3  # a number that has changed as often is an input from then on
_REMEMBERED = 1024  # signatures whose specialisation is looked up rather than searched


_numbers = itertools.count()


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

    is_compiled = True

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        backend: str = "cpu",
        dynamic: Mapping[int | str, Any] | bool | None = None,
        name: str | None = None,
        freeze: bool = False,
        fullgraph: bool = True,
    ) -> None:
        functools.update_wrapper(self, function, updated=())
        self.function = function
        self.backend = backend
        self.freeze = freeze
        self.fullgraph = fullgraph
        self._runs_eagerly = False  # a call could not be traced, and need not be
        self.name = name or getattr(function, "__name__", type(function).__name__).strip("<>")
        self.dynamic = dynamic
        self.specialisations: list[Specialisation] = []
        self._by_signature: dict[Signature, Specialisation] = {}
        self._constant_numbers: frozenset[int] = frozenset()
        self._reached: dict[int, Tensor] = {}
        self._shared: dict[int, Tensor] = {}  # reached otherwise than through the slots
        self._slots: tuple[Slot, ...] = ()  # what the function rebinds: inputs, and effects
        self._bound: BoundCall | None = None  # of the program that ran last
        self._exclusive = False  # whether calls read what traces replace for a while
        # Set where the function is run again for a derivative: takes what its calls would change.
        self.drop_effects: Callable[[Tracer, Parts], None] | None = None
        self.lock = lock_held_over_forks("function")
        self._number = next(_numbers)  # tells methods of one name apart
        self.own_names: frozenset[str] = frozenset()
        self._keeps_order = keeps_order(function)
        self.own_names = frozenset(vars(self))  # other attributes are the user's

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: a compiled function of its own for each instance."""
        if instance is None or isinstance(self.function, staticmethod):
            return self
        key = f"compiled {self.name} {self._number}"
        found = stored_method(instance, key)
        if found is not None:
            method = found.function
            if method.__self__ is instance and method.__func__ is self.function:
                return found
        made = CompiledFunction(MethodType(self.function, instance), **self._options())
        store_method(instance, key, made)
        return made

    def _options(self) -> dict[str, Any]:
        return {
            "backend": self.backend,
            "dynamic": self.dynamic,
            "name": self.name,
            "freeze": self.freeze,
            "fullgraph": self.fullgraph,
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
        bound = self._bound
        if bound is not None and not kwargs and not crossroads.pushed:
            result = bound(*args)
            if result is not MISS:
                return result
        if crossroads.pushed and (
            crossroads.current() is not eager() or overrides.state.modes or mode.saving
        ):
            # inside another trace: part of that program; or watched, op by op
            return self.function(*args, **kwargs)
        if self._exclusive:
            with self.lock, trace_lock:
                return self._run((args, kwargs))
        return self._run((args, kwargs))

    def _run(self, given: Given) -> Any:
        """A call that is described, to find its program."""
        args, kwargs = given
        if self._runs_eagerly:
            return self.function(*args, **kwargs)
        if len(kwargs) > 1 and not self._keeps_order:
            given = args, dict(sorted(kwargs.items()))
        slots, exclusive = self._slots, self._exclusive
        try:
            found, leaves = self._specialisation(given)
        except NoDataError:  # of the device "meta": there is nothing to compute
            return self.function(*args, **kwargs)
        except Exception as error:
            if self.fullgraph:
                raise
            return self._run_eagerly(given, error)
        if slots is not self._slots or exclusive is not self._exclusive:
            return self(*args, **kwargs)  # found just now: another thread may have come between
        found.calls += 1
        self._bound = found.bound
        executable = found.executable
        if found.symbolic:
            found.accept(leaves)
        if settings.debug:
            executable = self._debugged(found, given)
        if crossroads.timer is not None:
            return crossroads.timed(f"compiled {self.name}", lambda: executable(leaves, given))
        return executable(leaves, given)

    def _run_eagerly(self, given: Given, error: Exception) -> Any:
        """A call that could not be traced, which has changed nothing, and all that follow; what is
        wrong with the call itself is raised again."""
        args, kwargs = given
        result = self.function(*args, **kwargs)
        self._runs_eagerly = True
        first = (str(error).splitlines() or [type(error).__name__])[0]
        notice(f"compile: {self.name} runs eagerly, it can't be traced whole: {first}")
        return result

    def _debugged(self, found: Specialisation, given: Given) -> Executable:
        """The executable that runs node by node, once a second trace has given the same program."""
        if found.debugged is None:
            signature, leaves = self._describe(given)
            behind = (found.surroundings, found.slots)
            again = Specialisation(signature, found.shapes, [], found.integers, *behind)
            self._traced(again, leaves, given, "reference")
            check_same(self.name, found.executable.program, again.executable.program)
            plain = found.executable
            found.debugged = Executable(plain.program, DebugProgram(plain.program), plain.parts)
        return found.debugged

    # -- finding -------------------------------------------------------------------------------

    def _describe(self, given: Given) -> tuple[Signature, list[Any]]:
        rebound = [slot.get() for slot in self._slots]
        known = (self._constant_numbers, self._reached)
        return describe_call(given, mode.enabled, *known, rebound, self._shared)

    def _specialisation(self, given: Given) -> tuple[Specialisation, list[Any]]:
        """The specialisation that serves a call, made if there is none, and the call's leaves."""
        signature, leaves = self._describe(given)
        found = self._find(signature, leaves)
        if found is not None:
            return found, leaves
        with self.lock:
            with trace_lock:
                signature, leaves = self._describe(given)
                found = self._find(signature, leaves)
            if found is None:
                found, leaves = self._specialise(given)
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

    def _specialise(self, given: Given) -> tuple[Specialisation, list[Any]]:
        check_function(self.function, self.name)
        with trace_lock:
            surroundings, why = self._look_around(given)
        varying = 2 * self.dynamic if isinstance(self.dynamic, bool) else 1
        before = self._constant_numbers
        while True:
            with trace_lock:
                signature, leaves = self._describe(given)
            shapes = self._shapes(signature, given, varying)
            integers = self._integers(signature, leaves, surroundings, varying)
            s = Specialisation(signature, shapes, why, integers, surroundings, self._slots)
            try:
                trace = self._traced(s, leaves, given)
                break
            except SlotsRebound as e:
                self._rebind(e.slots, e.shared)
            except FloatArgumentRead as e:
                self._constant_numbers |= e.numbers
            except IntegerRead as e:
                self._constant_numbers |= {i for i in integers if carried(integers[i]) in e.names}
            except Exception as raised:
                caught = isinstance(raised, CaughtError)
                error: Exception = getattr(raised, "error", raised)
                if integers:  # perhaps one can't be a symbol there: once more, with constants
                    self._constant_numbers |= integers.keys()
                elif is_of_floats(error) and _floats(signature):
                    # A float that the function takes apart as Python: once more, with constants.
                    self._constant_numbers |= _floats(signature)
                elif varying and (caught or is_of_sizes(error)):
                    # A size that can't vary was a symbol (features, say): once more, with fewer;
                    # what is wrong in any case is then told with numbers, as by eager code.
                    varying -= 1
                else:
                    self._constant_numbers = before
                    if caught:
                        raise error from None
                    raise
        self._add(s)
        emit("specialised", function=self.name, why=why, program=s.executable.program)
        trace.report_leaks()
        return s, leaves

    def _look_around(self, given: Given) -> tuple[Surroundings, list[str]]:
        """What the function can reach now, and why it needs another program."""
        _, leaves = self._describe(given)
        surroundings = Surroundings(self.function, leaves)
        self._reached = self._reached | surroundings.reached
        self._follow_changes(surroundings, self._describe(given)[1])
        why = self._reason(*self._describe(given))
        self._check_limit(why)
        return surroundings, why

    def _traced(
        self,
        s: Specialisation,
        leaves: list[Any],
        given: Given,
        backend: str | None = None,
    ) -> Trace:
        """Trace and compile. Compiling takes its time: other threads trace and run on."""
        with trace_lock:
            trace = Trace(self, s, leaves, given, backend)
            trace.run()
        with crossroads.uncast():
            s.executable = trace.executable()
        return trace

    def _rebind(self, slots: Sequence[Slot], shared: dict[int, Tensor]) -> None:
        """Take the values of slots for inputs from now on. Programs made without are of no use."""
        self._slots = (*self._slots, *slots)
        self._shared = shared
        self.specialisations.clear()
        self._by_signature.clear()
        self._bound = None
        self._exclusive = True

    def _follow_changes(self, surroundings: Surroundings, leaves: Sequence[Any]) -> None:
        """Make inputs of what other code changes again and again behind the function: a tensor that
        was replaced, a number that has taken several values, a list or a dictionary that was
        replaced as often."""
        found: dict[tuple[int, Any], Slot] = {}
        for s in self.specialisations:
            for slot, tensor in s.sources:
                if not _leads_to(slot.get(), tensor):
                    found[slot.identity] = slot
        values: dict[tuple[int, Any], list[Any]] = {}
        for s in self.specialisations:
            changed = s.surroundings.guards.changed_values()
            changed += [(e.slot, e.value) for e in s.differs(leaves) if e.slot is not None]
            for slot, before in changed:
                kinds = {type(slot.get()), type(before)}
                if kinds <= {int, float} or kinds in ({list}, {dict}):
                    seen = values.setdefault(slot.identity, [])
                    again = any(x is before or same_value(x, before) for x in seen)
                    seen += [] if again else [before]
                    if len(seen) >= _MANY_VALUES:
                        found[slot.identity] = slot
        known = {slot.identity for slot in self._slots}
        fresh = [slot for identity, slot in found.items() if identity not in known]
        if fresh:
            self._rebind(fresh, surroundings.reach().shared(known | set(found)))

    def _add(self, s: Specialisation) -> None:
        self._reached = self._reached | s.surroundings.reached
        s.bound = bound_call(s) if s.signature.casting is None else None
        if s.slots or s.gradients:
            self._exclusive = True
            s.bound = None if s.bound is None else exclusive(s, s.bound, self.lock)
        self.specialisations.append(s)
        self._by_signature[s.signature] = s
        self._bound = s.bound

    def _check_limit(self, why: list[str]) -> None:
        if len(self.specialisations) >= settings.retrace_limit:
            used = (
                " A number that Python needs the value of (by range(n), int(n), as a dict's key, "
                "in a text, as an option of an operation, as eps= is) has a program for each value."
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

    def _alike(self, signature: Signature) -> list[Specialisation]:
        """Those for calls that one program may serve, with a program for this one."""
        return [s for s in self.specialisations if blank(s.signature) == blank(signature)]

    def _shapes(self, signature: Signature, given: Given, varying: int) -> list[Any]:
        """The shapes of the tensor leaves, with symbols for the sizes that vary: all (2), those
        that differed in other calls (1), those that the user declared only (0)."""
        alike = self._alike(signature) if varying else []
        origins = [*argument_origins(self.function, given), *slot_origins(self._slots)]
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
        alike = [s.signature.specs for s in self._alike(signature)]
        seen = [[getattr(spec, "value", None) for spec in specs] for specs in alike]
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
            found, _ = self._specialisation((args, kwargs))
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
            if s.executable.parts.constants is not None:
                lines += [f"     {line}" for line in s.executable.parts.constants.explain()]
            for backward in s.executable.parts.backwards:
                lines.append(f"     backward: {len(backward.program.nodes)} nodes")
                lines += [f"     {line}" for line in backward.explain()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<compiled {self.name}, {len(self.specialisations)} program(s)>"


class CompiledModule(CompiledFunction):
    """A compiled function made of a module (or another object): offers the object's attributes.

    It passes for an object of that class, so a module that has it as an attribute knows its
    parameters; what is set on it is set on the object. It is a class of its own because a class
    with `__getattr__` is slower to call.
    """

    function: Any

    @property
    def __class__(self) -> type:
        found = vars(self).get("function")
        return CompiledModule if found is None else type(found)

    @__class__.setter
    def __class__(self, kind: type) -> None:
        raise TypeError("the class of a compiled module can't be changed")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "function":
            raise AttributeError(name)
        return getattr(self.function, name)

    def __setattr__(self, name: str, value: Any) -> None:
        own = vars(self).get("own_names")
        if not own or name in own:
            object.__setattr__(self, name, value)
        else:
            setattr(self.function, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.function, name)

    def __bool__(self) -> bool:
        return bool(self.function)

    def __len__(self) -> int:
        return len(self.function)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.function)

    def __getitem__(self, key: Any) -> Any:
        return self.function[key]

    def __contains__(self, item: Any) -> bool:
        return item in self.function


def _floats(signature: Signature) -> set[int]:
    return {i for i, spec in enumerate(signature.specs) if isinstance(spec, FloatSpec)}


def _leads_to(value: Any, tensor: Tensor) -> bool:
    return value is tensor or any(x is tensor for x in flatten(value)[0])
