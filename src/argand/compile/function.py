"""A compiled function: its specialisations, how a call finds the right one, and what `explain` says."""

from __future__ import annotations

import functools
import gc
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from argand.backends.select import compile_program
from argand.base import epoch
from argand.base.dim import Dim, Guards, collecting_guards
from argand.base.errors import TraceError
from argand.base.events import emit
from argand.base.settings import settings
from argand.base.tree import flatten, unflatten
from argand.compile.executable import Executable, GradEffect, Result, StateSource
from argand.compile.signature import (
    FloatSpec,
    Signature,
    TensorSpec,
    as_input,
    describe_call,
    difference,
    generalise,
)
from argand.compile.surroundings import Surroundings, snapshot
from argand.compile.trace import FloatArgumentRead, Tracer
from argand.ir import bind as crossroads
from argand.ir.bind import interpreting
from argand.ir.program import Program, Value
from argand.tensor.core import Tensor
from argand.transform.mode import mode

_MISS = object()


class Specialisation:
    """One program, and the calls that it serves."""

    def __init__(self, signature: Signature, shapes: Sequence[Any], why: list[str]) -> None:
        self.signature = signature
        self.shapes = shapes  # of the tensor leaves, with symbols; None for other leaves
        self.why = why
        self.executable: Executable
        self.snapshot: tuple[Any, ...] = ()
        self.grad_guards: list[tuple[Tensor, bool]] = []
        self.checked_epoch = -1
        self.calls = 0

    @property
    def symbolic(self) -> bool:
        """Whether some sizes are symbols."""
        return any(isinstance(s, Dim) for shape in self.shapes if shape for s in shape)

    def accepts(self, signature: Signature) -> bool:
        """Whether a call with this signature can run the program."""
        mine = self.signature
        if mine is signature or mine == signature:
            return True
        if not self.symbolic or mine._replace(specs=()) != signature._replace(specs=()):
            return False
        sizes: dict[str, int] = {}
        for spec, shape, other in zip(mine.specs, self.shapes, signature.specs, strict=True):
            if not isinstance(spec, TensorSpec):
                if spec != other:
                    return False
            elif not isinstance(other, TensorSpec) or not _fits(spec, shape, other, sizes):
                return False
        return self.executable.guards.hold(sizes)

    def gradients_fit(self) -> bool:
        """Whether the gradients that the program reads are there (or absent) as they were."""
        return all((leaf.grad is not None) == there for leaf, there in self.grad_guards)


def _fits(spec: TensorSpec, shape: Any, other: TensorSpec, sizes: dict[str, int]) -> bool:
    if spec.dtype is not other.dtype or spec.requires_grad != other.requires_grad:
        return False
    if len(shape) != len(other.shape):
        return False
    for size, actual in zip(shape, other.shape, strict=True):
        if isinstance(size, Dim):
            if not isinstance(actual, int) or actual < 2:
                return False
            if sizes.setdefault(str(size), actual) != actual:
                return False
        elif size != actual:
            return False
    return True


class CompiledFunction:
    """What `ag.compile` returns: call it as the function it was made of.

    The first call with new dtypes, ranks or Python values traces the function into a Program and
    compiles it; later calls run native code.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        backend: str = "cpu",
        dynamic: Mapping[int | str, Any] | bool | None = None,
        name: str | None = None,
    ) -> None:
        functools.update_wrapper(self, function, updated=())
        self.function = function
        self.backend = backend
        self.name = name or getattr(function, "__name__", type(function).__name__).strip("<>")
        self.dynamic = dynamic
        self.specialisations: list[Specialisation] = []
        self._by_signature: dict[Signature, Specialisation] = {}
        self._surroundings: Surroundings | None = None
        self._constant_floats: frozenset[int] = frozenset()
        self._lock = threading.RLock()
        self._fast: Callable[[tuple[Any, ...]], Any] | None = None

    def __get__(self, instance: Any, owner: type) -> Any:
        """As a method: bound like a function."""
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._fast is not None and not kwargs and not crossroads.pushed:
            result = self._fast(args)
            if result is not _MISS:
                return result
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if crossroads.pushed:
            return self.function(*args, **kwargs)  # inside another trace: part of that program
        signature, leaves = describe_call(args, kwargs, self._constant_floats, mode.enabled)
        found = self._find(signature, leaves)
        if found is None:
            with self._lock:
                found = self._find(signature, leaves)
                if found is None:
                    found = self._specialise(signature, leaves, args, kwargs)
                    if found is None:
                        return self._call(args, kwargs)
        found.calls += 1
        return found.executable([x._array for x in _inputs(found.signature, leaves)])

    # -- finding -------------------------------------------------------------------------------

    def _find(self, signature: Signature, leaves: list[Any]) -> Specialisation | None:
        if self._surroundings is None:
            return None
        if not all(g.holds() for g in self._surroundings.guards):
            self._forget()
            return None
        known = self._by_signature.get(signature)
        if known is not None and self._valid(known, leaves):
            return known
        for s in self.specialisations:
            if s.accepts(signature) and self._valid(s, leaves):
                self._by_signature[signature] = s
                return s
        return None

    def _valid(self, s: Specialisation, leaves: list[Any]) -> bool:
        """Whether the state behind the function is what the program was made for."""
        if s.checked_epoch != epoch.current:
            assert self._surroundings is not None
            if snapshot(self._surroundings.modules(leaves)) != s.snapshot:
                return False
            s.checked_epoch = epoch.current
        return s.gradients_fit()

    def _forget(self) -> None:
        """A global or closure variable changed: look at the surroundings again."""
        self._surroundings = None
        self._by_signature.clear()
        self.specialisations.clear()
        self._fast = None

    # -- making --------------------------------------------------------------------------------

    def _specialise(
        self, signature: Signature, leaves: list[Any], args: Any, kwargs: Any
    ) -> Specialisation | None:
        why = self._reason(signature)
        if len(self.specialisations) >= settings.retrace_limit:
            raise TraceError(
                f"{self.name} would need more than {settings.retrace_limit} programs "
                f"(settings.retrace_limit); the last call differs in: {'; '.join(why)}. Pass "
                "varying numbers as floats or tensors, or declare varying sizes with ag.Dim"
            )
        if self._surroundings is None:
            self._surroundings = Surroundings(self.function)
        s = Specialisation(signature, self._shapes(signature), why)
        try:
            self._trace(s, leaves, args, kwargs)
        except FloatArgumentRead as e:
            self._constant_floats |= {e.number}
            return None
        s.snapshot = snapshot(self._surroundings.modules(leaves))
        s.checked_epoch = epoch.current
        self.specialisations.append(s)
        self._by_signature[signature] = s
        self._fast = _fast_path(s, self._surroundings)
        emit("specialised", function=self.name, why=why, program=s.executable.program)
        return s

    def _reason(self, signature: Signature) -> list[str]:
        if not self.specialisations:
            return ["the first call"]
        return difference(self.specialisations[-1].signature, signature)

    def _shapes(self, signature: Signature) -> list[Any]:
        names: dict[int, Dim] = {}
        shapes: list[Any] = []
        tensors = 0
        for i, spec in enumerate(signature.specs):
            if not isinstance(spec, TensorSpec):
                shapes.append(None)
                continue
            seen = [s.shapes[i] for s in self._like(signature)] if self.dynamic is not False else []
            shapes.append(generalise(spec.shape, seen, names, self._declared(tensors)))
            tensors += 1
        return shapes

    def _like(self, signature: Signature) -> list[Specialisation]:
        """The specialisations that differ from a call in sizes only."""

        def blank(s: Signature) -> Any:
            specs = tuple(
                (x.dtype, len(x.shape), x.requires_grad) if isinstance(x, TensorSpec) else x
                for x in s.specs
            )
            return s._replace(specs=specs)  # type: ignore[arg-type]  # compared, never used

        return [s for s in self.specialisations if blank(s.signature) == blank(signature)]

    def _declared(self, number: int) -> Mapping[int, Dim]:
        if not isinstance(self.dynamic, Mapping):
            return {}
        dims = self.dynamic.get(number, {})
        return dims if isinstance(dims, Mapping) else dict(enumerate(dims))

    def _trace(self, s: Specialisation, leaves: list[Any], args: Any, kwargs: Any) -> None:
        assert self._surroundings is not None
        names = self._surroundings.names(leaves)
        tracer = Tracer(self.name, lambda t: names.get(id(t)))
        inputs = list(leaves)
        labels = _argument_labels(self.function, leaves, args, kwargs)
        for i, (spec, leaf) in enumerate(zip(s.signature.specs, leaves, strict=True)):
            tensor = as_input(spec, leaf)
            if tensor is not None:
                shape = s.shapes[i] if isinstance(spec, TensorSpec) else ()
                tracer.add_argument(tensor, Value(tensor.dtype, shape, labels[i]))
                if isinstance(spec, FloatSpec):
                    tracer.floats[id(tensor)] = i
                inputs[i] = tensor
        call_args, call_kwargs = unflatten(s.signature.structure, inputs)
        guards = Guards()
        try:
            with interpreting(tracer), collecting_guards(guards):
                returned = self.function(*call_args, **call_kwargs)
                s.executable = self._finish(tracer, returned, guards, s)
        finally:
            tracer.restore()
        del returned
        self._report_leaks(tracer)

    def _finish(
        self, tracer: Tracer, returned: Any, guards: Guards, s: Specialisation
    ) -> Executable:
        program = tracer.program
        leaves, structure = flatten(returned)
        results = [_result(x, tracer, program) for x in leaves]
        effects = _grad_effects(tracer, program)
        s.grad_guards = [
            (log.leaf, log.before is not None) for log in tracer.grads.values() if log.was_read
        ]
        states = [c for c in tracer.captures.values() if not c.is_argument]
        sources = [StateSource(c.tensor, c.leaf) for c in states]
        for i, capture in enumerate(states):
            if capture.written and capture.value is not capture.entry:
                program.writes[i] = capture.value
        _write_arguments(tracer, program, sources)
        compiled = compile_program(program, self.backend)
        return Executable(program, compiled, sources, structure, results, effects, guards)

    def _report_leaks(self, tracer: Tracer) -> None:
        if not tracer.leaked(set()):
            return
        gc.collect()
        lines = sorted({str(at) for at in tracer.leaked(set()) if at is not None})
        if lines:
            warnings.warn(
                f"{self.name}: tensors made while tracing at {', '.join(lines)} are still held by "
                "something outside the function; they have no value there. Return them instead",
                RuntimeWarning,
                stacklevel=4,
            )

    # -- telling -------------------------------------------------------------------------------

    @property
    def programs(self) -> list[Program]:
        """The programs made so far."""
        return [s.executable.program for s in self.specialisations]

    def program(self, *args: Any, **kwargs: Any) -> Program:
        """The program that a call would run (made if need be); without arguments, the last one."""
        if not args and not kwargs:
            if not self.specialisations:
                raise TraceError(f"{self.name} has not been called yet, so it has no program")
            return self.specialisations[-1].executable.program
        signature, leaves = describe_call(args, kwargs, self._constant_floats, mode.enabled)
        found = self._find(signature, leaves)
        while found is None:
            found = self._specialise(signature, leaves, args, kwargs)
            signature, leaves = describe_call(args, kwargs, self._constant_floats, mode.enabled)
        return found.executable.program

    def explain(self) -> str:
        """Each specialisation, why it exists, how often it ran, and its segments."""
        lines = [f"{self.name}: {len(self.specialisations)} program(s)"]
        for i, s in enumerate(self.specialisations):
            specs = ", ".join(
                f"{spec.dtype.short}[{', '.join(map(str, shape))}]"
                if isinstance(spec, TensorSpec)
                else str(spec)
                for spec, shape in zip(s.signature.specs, s.shapes, strict=True)
            )
            lines.append(f"  {i}: ({specs}), {s.calls} call(s)")
            lines.append(f"     because: {'; '.join(s.why)}")
            lines += [f"     {line}" for line in s.executable.compiled.explain()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<compiled {self.name}, {len(self.specialisations)} program(s)>"


def _inputs(signature: Signature, leaves: Sequence[Any]) -> list[Tensor]:
    found = [as_input(s, x) for s, x in zip(signature.specs, leaves, strict=True)]
    return [x for x in found if x is not None]


def _result(x: Any, tracer: Tracer, program: Program) -> Result:
    if not isinstance(x, Tensor):
        return Result(None, x)
    capture = tracer.captures.get(id(x))
    if capture is not None and not capture.is_argument:
        return Result(None, x)  # the state itself, as in eager code
    if capture is not None and capture.value is capture.entry and x._array is not None:
        program.outputs.append(capture.value)
        return Result(len(program.outputs) - 1, None)
    program.outputs.append(tracer.read(x))
    return Result(len(program.outputs) - 1, None)


def _grad_effects(tracer: Tracer, program: Program) -> list[GradEffect]:
    """The gradients that are reachable when the function returns."""
    effects = []
    for leaf, before, _ in tracer.grads.values():
        now = None if leaf._cold is None else leaf._cold.grad
        if now is None or now._array is not None:
            if now is not before:
                effects.append(GradEffect(leaf, None, now))
            continue
        program.outputs.append(tracer.read(now))
        effects.append(GradEffect(leaf, len(program.outputs) - 1, None))
    return effects


def _write_arguments(tracer: Tracer, program: Program, sources: list[StateSource]) -> None:
    for capture in tracer.captures.values():
        if capture.is_argument and capture.written:
            raise TraceError(
                f"the argument {capture.entry.name!r} is written in place inside the compiled "
                "function; write into a tensor that the function captures, or return the result"
            )


def _argument_labels(function: Any, leaves: list[Any], args: Any, kwargs: Any) -> list[str]:
    """A name for every leaf of the arguments: the parameter's, with a number when it has several."""
    code = getattr(function, "__code__", None)
    names = list(code.co_varnames[: code.co_argcount]) if code is not None else []
    if hasattr(function, "__self__"):
        names = names[1:]
    labels: list[str] = []
    for i, value in enumerate(args):
        base = names[i] if i < len(names) else f"arg{i}"
        count = len(flatten(value)[0])
        labels += [base] if count == 1 else [f"{base}_{n}" for n in range(count)]
    for name, value in kwargs.items():
        count = len(flatten(value)[0])
        labels += [name] if count == 1 else [f"{name}_{n}" for n in range(count)]
    return labels


def _fast_path(
    s: Specialisation, surroundings: Surroundings
) -> Callable[[tuple[Any, ...]], Any] | None:
    """A short way for plain calls: a few tensors of fixed shapes, nothing captured."""
    executable, specs = s.executable, s.signature.specs
    plain = all(isinstance(x, TensorSpec) and not x.requires_grad for x in specs)
    flat = s.signature.structure[2][0][2] if plain else ()
    if not plain or not executable.bare or s.symbolic or surroundings.guards:
        return None
    if any(isinstance(part, tuple) for part in flat) or len(flat) != len(specs):
        return None
    expected = [(x.dtype.numpy, x.shape) for x in specs if isinstance(x, TensorSpec)]
    count = len(expected)
    if s.signature.aliases != tuple(range(count)):
        return None

    def fast(args: tuple[Any, ...]) -> Any:
        if len(args) != count:
            return _MISS
        arrays = []
        for t, (dtype, shape) in zip(args, expected, strict=True):
            if type(t) is not Tensor or t._node is not None or t._cold is not None:
                return _MISS
            array = t._array
            if array.dtype is not dtype or array.shape != shape:
                return _MISS
            arrays.append(array)
        s.calls += 1
        return executable(arrays)

    return fast
