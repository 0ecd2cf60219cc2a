"""A signature whose program is traced when it is called: of what can run without having one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from argand.base.dim import Dim
from argand.base.dtype import DType
from argand.base.errors import (
    ArgandError,
    ArgumentError,
    DTypeError,
    ProgramError,
    ShapeError,
    TraceError,
)
from argand.base.forks import lock_held_over_forks
from argand.base.settings import settings
from argand.base.shape import shape_text
from argand.export.arguments import by_order_and_name, recording
from argand.export.capture import Captured, capture, check_effects
from argand.export.signature import Signature, SizeRange, signature_of, tensor_of
from argand.ir import bind as crossroads
from argand.tensor.core import Tensor, wrap

Keep = Callable[[Captured], list[str | int]]
"""Names the state that a trace has found."""


Values = tuple[tuple[str, str], ...]
"""Names of inputs, and their values as text."""


Run = Callable[[list[Any]], list[Any]]
Body = Callable[[Mapping[str, Tensor]], Run]
"""Gives the function of the inputs that runs on some state."""


class Declared(NamedTuple):
    """What is known of an input or an output before it is there: None for what is not. A size is a
    number, a name, or None."""

    name: str
    dtype: DType | None
    shape: tuple[Any, ...] | None
    optional: bool = False

    def __str__(self) -> str:
        dtype = "?" if self.dtype is None else self.dtype.short
        if self.shape is None:
            return f"{self.name}: {dtype}(...)"
        sizes = ", ".join("?" if s is None else str(s) for s in self.shape)
        return f"{self.name}: {dtype}({sizes}{',' if len(self.shape) == 1 else ''})"


class TracedSignature:
    """Calls a function of tensors, and of a state by name, as its declared inputs say.

    The first call traces it for its sizes, the first with others with a symbol for each size that
    was not declared to be a number; a call that no program fits traces once more. What can't be
    traced, since sizes depend on values, has a program for each value of its small integer inputs
    (a rate, a shape) if that is enough; otherwise it runs op by op. `reason` says why.
    """

    def __init__(
        self,
        name: str,
        body: Body,
        inputs: Sequence[Declared],
        outputs: Sequence[Declared],
        *,
        convert: Callable[[Any], Any] = tensor_of,
    ) -> None:
        self.name = name
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.reason: str | None = None
        self._failed: str | None = None
        self.traced: list[Signature] = []
        self.parts: dict[Values, TracedSignature] = {}  # of the other inputs, for values of some
        self._body = body
        self._run: Run = _unbound
        self._convert = convert
        self._keep: Keep | None = None
        self.state: Mapping[str, Tensor] = {}
        self._lock = lock_held_over_forks("function")

    def bind_state(self, state: Mapping[str, Tensor], keep: Keep) -> TracedSignature:
        """Let calls read and write these tensors; `keep` is told of those that a trace finds."""
        self.state, self._keep, self._run = state, keep, self._body(state)
        for signature in self.traced:
            signature.bind_state(state)
        for part in self.parts.values():
            part.bind_state(state, keep)
        return self

    def copy(self) -> TracedSignature:
        """The same signature, not traced yet."""
        return TracedSignature(
            self.name, self._body, self.inputs, self.outputs, convert=self._convert
        )

    # -- calling -------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        optional = {x.name for x in self.inputs if x.optional}
        values = by_order_and_name(self.name, self.inputs, args, kwargs, optional)
        given = [self._checked(i, v) for i, v in enumerate(values)]
        with recording(values):
            found = self.flat(given)
        return _returned(found)

    def flat(self, values: Sequence[Any]) -> list[Any]:
        """The outputs for a value of each input, in order."""
        if crossroads.intercepted() or not all(isinstance(v, Tensor) for v in values):
            return self._run(list(values))
        signature = self._fitting(values) if self.reason is None else None
        if signature is not None:
            found = signature(*values)
            return list(found) if isinstance(found, tuple) else [found]
        small = [i for i, v in enumerate(values) if _is_small(v)]
        part = self._part(values, small)
        if part is None:
            results = self._run(list(values))
        else:
            results = part.flat([v for i, v in enumerate(values) if i not in small])
        self.reason, self._failed = self.reason or self._failed, None
        return results

    def _part(self, values: Sequence[Any], small: Sequence[int]) -> TracedSignature | None:
        """The signature of the other inputs, where some have the values that they have here."""
        key = tuple([(self.inputs[i].name, str(values[i].tolist())) for i in small])
        with self._lock:
            if small and key not in self.parts and len(self.parts) < settings.retrace_limit:
                given = {i: values[i].detach().numpy().copy() for i in small}
                self.parts[key] = self._with_values(given)
            found = self.parts.get(key)
        return None if found is None or found.reason is not None else found

    def _with_values(self, given: Mapping[int, np.ndarray[Any, Any]]) -> TracedSignature:
        def body(state: Mapping[str, Tensor]) -> Run:
            run = self._body(state)

            def of_the_others(values: list[Any]) -> list[Any]:
                left = iter(values)
                return run([given[i] if i in given else next(left) for i in range(count)])

            return of_the_others

        count = len(self.inputs)
        inputs = [x for i, x in enumerate(self.inputs) if i not in given]
        made = TracedSignature(self.name, body, inputs, self.outputs, convert=self._convert)
        assert self._keep is not None
        return made.bind_state(self.state, self._keep)

    def _checked(self, i: int, value: Any) -> Any:
        """An argument as the value of an input, of its dtype and of the sizes that are declared."""
        info = self.inputs[i]
        value = value if isinstance(value, Tensor) else self._convert(value)
        if info.dtype is not None and isinstance(value, Tensor) and value.dtype is not info.dtype:
            raise DTypeError(
                f"{self.name}: the input {info.name!r} is {info.dtype.name}, got "
                f"{value.dtype.name}; convert it first"
            )
        if info.shape is not None and isinstance(value, Tensor | np.ndarray):
            declared, shape = info.shape, tuple(value.shape)
            fits = len(declared) == len(shape) and all(
                not isinstance(d, int) or isinstance(d, Dim) or isinstance(s, Dim) or d == s
                for d, s in zip(declared, shape, strict=True)
            )
            if not fits:
                raise ShapeError(f"{self.name}: the input {info} got {shape_text(shape)}")
        return value

    # -- tracing -------------------------------------------------------------------------------

    def _fitting(self, values: Sequence[Any]) -> Signature | None:
        """A traced program for these sizes, made if there is none; None where there can't be."""
        found = self._known(values)
        if found is not None:
            return found
        with self._lock:
            found = self._known(values)
            if found is None and self.reason is None:
                found = self._trace(values, varying=bool(self.traced))
        return found

    def _known(self, values: Sequence[Any]) -> Signature | None:
        for signature in self.traced:
            try:
                sizes = signature.sizes(values)
            except (ShapeError, ValueError):
                continue
            if all(size > 1 for size in sizes.values()):
                return signature
        return None

    def _trace(self, values: Sequence[Any], varying: bool) -> Signature | None:
        """A program for these sizes alone, or for all where they vary."""
        if len(self.traced) >= settings.retrace_limit:
            self.reason = (
                f"there are {len(self.traced)} programs for other sizes (settings.retrace_limit)"
            )
            return None
        try:
            found = self._captured(values, varying)
            check_effects(found)
        except TraceError as error:
            self.reason = str(error).splitlines()[0]
            return None
        except ArgandError as error:
            self._failed = str(error).splitlines()[0]  # the call's fault, or the trace's
            return None
        assert self._keep is not None
        signature = signature_of(
            self.name,
            found,
            self._keep(found),
            [x.name for x in self.inputs],
            input_names=[x.name for x in self.inputs],
            output_names=self._output_names(found),
        )
        self.traced.append(signature.bind_state(self.state))
        return signature

    def _captured(self, values: Sequence[Any], varying: bool) -> Captured:
        """A trace for all sizes that vary, for those of batches, or where there is none, for these
        alone."""

        def run(*tensors: Any) -> Any:
            return _returned(self._run(list(tensors)))

        shapes = [
            self._varying(x, tuple(v.shape)) if varying else None
            for x, v in zip(self.inputs, values, strict=True)
        ]
        given: Any = (tuple(v.detach() for v in values), {})
        batches = [{0: dims[0]} if dims and 0 in dims else None for dims in shapes]
        for wanted in (shapes, batches) if shapes != batches else (shapes,):
            with contextlib.suppress(ShapeError, ProgramError, TraceError):
                found = capture(run, given, wanted, self.name)
                if found.symbols or not any(wanted):
                    return found
        return capture(run, given, [None] * len(shapes), self.name)

    def _varying(self, info: Declared, shape: Sequence[Any]) -> dict[int, Any] | None:
        """The dimensions that vary: not those declared as numbers, nor those of 0 or 1 elements,
        for which shapes may be computed otherwise."""
        declared = info.shape if info.shape is not None else [None] * len(shape)
        return {
            d: Dim.AUTO
            for d, (size, name) in enumerate(zip(shape, declared, strict=True))
            if size > 1 and not (isinstance(name, int) and not isinstance(name, Dim))
        }

    def _output_names(self, found: Captured) -> list[str]:
        """Names for the program's outputs: those declared, where there is one of each."""
        names = [x.name for x in self.outputs]
        numbers = [r.value for r in found.results]
        if len(found.program.outputs) == len(names) == len(set(numbers)):
            return [names[numbers.index(i)] for i in range(len(names))]
        return []

    # -- as a signature with a program ---------------------------------------------------------

    @property
    def settled(self) -> Signature:
        """A program for a file: one whose sizes vary, if there can be one; ArgumentError where no
        call has been traced."""
        if not self.traced:
            why = f"it runs op by op: {self.reason}" if self.reason else "call it once before"
            if any(part.traced for part in self.parts.values()):
                names = ", ".join(name for name, _ in next(iter(self.parts)))
                why = f"there is one for each value of {names}: {self.reason}"
            raise ArgumentError(f"{self.name} has no program yet; {why}")
        first = self.traced[0]
        found = next((s for s in self.traced if s.ranges), None)
        if found is None and any(
            self._varying(x, y.shape) for x, y in zip(self.inputs, first.inputs, strict=True)
        ):
            example = [wrap(np.zeros(x.shape, x.dtype.numpy)) for x in first.inputs]
            found = self._trace(example, varying=True)
        return found or first

    @property
    def ranges(self) -> dict[str, SizeRange]:
        """The sizes that the symbols of the program may have."""
        return self.settled.ranges if self.traced else {}

    @property
    def program(self) -> Any:
        """The first program traced."""
        return self.settled.program

    def explain(self) -> list[str]:
        """What runs, one line each."""
        lines = []
        for key, part in self.parts.items():
            if part.traced:
                lines.append(f"where {', '.join(f'{name} is {value}' for name, value in key)}:")
                lines += [f"  {line}" for line in part.explain()]
        if self.reason is not None:
            others = "for other values it " * bool(lines)
            lines.append(f"{others}runs op by op: {self.reason}")
        for signature in self.traced:
            lines += [repr(signature), *(f"  {line}" for line in signature.explain())]
        return lines or ["not called yet"]

    def __repr__(self) -> str:
        inputs, outputs = (", ".join(map(str, xs)) for xs in (self.inputs, self.outputs))
        return f"<signature {self.name}({inputs}) -> ({outputs})>"


def _is_small(value: Tensor) -> bool:
    """Whether a value may be one that decides about sizes or branches: a number, or a shape."""
    return not value.dtype.is_inexact and value.ndim < 2 and value.shape.numel() <= 8


def _unbound(values: list[Any]) -> list[Any]:
    raise ArgumentError("the signature has no state yet")


def _returned(found: Sequence[Any]) -> Any:
    """What a call gives: the one output, or all of them."""
    return found[0] if len(found) == 1 else tuple(found)


__all__ = ["Body", "Declared", "Run", "TracedSignature"]
