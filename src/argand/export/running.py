"""Running an exported program: native code for inference, its ops one by one for gradients."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from argand.backends.select import compile_program
from argand.base.errors import ProgramError, ShapeError
from argand.base.forks import lock_held_over_forks
from argand.base.settings import settings
from argand.base.size_guards import Guards, collecting_guards
from argand.base.tree import LEAF_SPEC
from argand.compile.call import Executable, Input, Parts, trace_lock
from argand.compile.constants import Constants, names_of, split_constants, weights_of_rows
from argand.compile.places import Argument, Held, Place
from argand.compile.results import ProgramOutput
from argand.ir import bind as crossroads
from argand.ir.program import Program
from argand.ir.record import replay
from argand.ir.sizes import with_sizes
from argand.ir.verify import verify
from argand.tensor.core import Tensor, wrap
from argand.tensor.inplace import assign
from argand.transform.mode import mode, no_grad

Sizes = Mapping[str, Any]


class Runner:
    """A program on its state: called with a tensor for each input, it gives its outputs.

    `state` has a tensor for each of the program's states, or the number of the input that it is;
    `contents` names what it holds, where that has a name which is the same in every process.
    """

    def __init__(
        self,
        program: Program,
        state: Sequence[Tensor | int],
        inputs: Sequence[Input],
        contents: Sequence[str | None] = (),
        backend: str = "cpu",
    ) -> None:
        self.program = program
        self.state = list(state)
        self.inputs = list(inputs)
        self.contents = [
            (name, state._array, state._writes)
            if name is not None and isinstance(state, Tensor)
            else None
            for name, state in zip(contents or [None] * len(self.state), self.state, strict=True)
        ]
        self.backend = backend
        self._executables: dict[tuple[tuple[str, int], ...], Executable] = {}
        self._fixes_sizes = False
        self._last: tuple[Sizes, Executable] | None = None
        self._lock = lock_held_over_forks("function")

    def __call__(self, tensors: Sequence[Any], sizes: Sizes) -> list[Tensor]:
        """The outputs. Gradients are recorded where one is wanted; written state is changed."""
        if crossroads.intercepted() or self._wants_grad(tensors):
            return self.replayed(tensors, sizes)
        last = self._last  # calls of the same sizes are given the same dictionary of them
        if last is None or last[0] is not sizes:
            last = self._last = sizes, self._executable(sizes)
        found: list[Tensor] = last[1](tensors)
        return found

    @functools.cached_property
    def _weights_of_rows(self) -> frozenset[int]:
        """Of the program of all sizes, so that its versions for some store them alike."""
        return weights_of_rows(self.program)

    def _wants_grad(self, tensors: Sequence[Any]) -> bool:
        if not mode.enabled:
            return False
        if any(_has_node(self._tensor(i, tensors)) for i in self.program.writes):
            return False  # a training step: it has its own gradients inside
        read = [self._tensor(i, tensors) for i in range(len(self.state))]
        return any(map(_has_node, [*tensors, *read]))

    def _tensor(self, i: int, tensors: Sequence[Any]) -> Any:
        found = self.state[i]
        return tensors[found] if isinstance(found, int) else found

    # -- op by op ------------------------------------------------------------------------------

    def replayed(self, tensors: Sequence[Any], sizes: Sizes) -> list[Tensor]:
        """The outputs through the current interpreter: eagerly, or as part of a trace."""
        program = with_sizes(self.program, sizes) if sizes else self.program
        state = [self._tensor(i, tensors) for i in range(len(self.state))]
        operands = [_as_tensor(tensors[x.leaf]) for x in self.inputs]
        results = replay(program, [*operands, *state])
        outputs, written = results[: len(program.outputs)], results[len(program.outputs) :]
        with no_grad():
            for i, value in zip(sorted(program.writes), written, strict=True):
                assign(state[i], value)
        return outputs

    # -- natively ------------------------------------------------------------------------------

    def _executable(self, sizes: Sizes) -> Executable:
        """The native program for these sizes: one for all, and one each where some are 0 or 1; or
        one for each call's sizes, where their being symbolic leaves a pass undecided."""
        with self._lock:
            fixed = {n: s for n, s in sizes.items() if s < 2 or self._fixes_sizes}
            key = tuple(sorted(fixed.items()))
            if key not in self._executables:
                try:
                    self._executables[key] = self._compiled(fixed)
                except ShapeError:
                    if len(fixed) == len(sizes):
                        raise
                    self._fixes_sizes = True
                    return self._executable(sizes)
                if len(self._executables) > settings.retrace_limit:
                    del self._executables[next(iter(self._executables))]
            return self._executables[key]

    def _compiled(self, sizes: Sizes) -> Executable:
        program = self.program
        if sizes:  # a trace takes those that vary for 2 and more
            program = self._of_sizes(sizes)
        with trace_lock:  # the versions are read
            program, places, constants = self._parted(program)
        outputs = [ProgramOutput(i) for i in range(len(program.outputs))]
        parts = Parts(
            inputs=self.inputs,
            places=places,
            structure=(list, None, (LEAF_SPEC,) * len(outputs)),
            results=list(outputs),
            gradients=[],
            wants=[],
            backwards=[],
            after_call=[],
            guards=Guards(),
            lock=self._lock,
            effects=[],
            before=[],
            constants=constants,
        )
        return Executable(program, compile_program(program, self.backend), parts)

    def _parted(self, program: Program) -> tuple[Program, list[Place], Constants | None]:
        """What is left of a program for every call, where its state is, and what is packed."""
        places: list[Place] = [
            Held(s) if isinstance(s, Tensor) else Argument(s) for s in self.state
        ]
        fixed = [isinstance(p, Held) and not p.tensor._is_shared() for p in places]
        split = split_constants(program, fixed, self.backend, self._weights_of_rows)
        if split is None:
            return program, places, None
        sources = [places[i] for i in split.sources]
        contents = self._contents_of(split.sources)
        names = names_of(split.once, split.sources)
        others = [e.parts.constants for e in self._executables.values() if e.parts.constants]
        constants = Constants(split.once, sources, self.backend, contents, names, others)
        return split.rest, [*(places[i] for i in split.kept), *constants.packed], constants

    def _contents_of(self, numbers: Sequence[int]) -> list[str] | None:
        """The names of what these states hold; None where one was written since it had its name, or
        has other memory."""
        names = []
        for i in numbers:
            known, tensor = self.contents[i], self.state[i]
            if known is None or not isinstance(tensor, Tensor):
                return None
            name, array, writes = known
            if tensor._array is not array or tensor._writes != writes:
                return None
            names.append(name)
        return names

    def _of_sizes(self, sizes: Sizes) -> Program:
        """The program where some sizes are known."""
        guards = Guards()
        try:
            with collecting_guards(guards):
                return verify(with_sizes(self.program, sizes))
        except ProgramError as error:
            given = ", ".join(f"{name} is {size}" for name, size in sizes.items())
            raise ShapeError(f"the program can't run where {given}: {error}") from None

    def explain(self) -> list[str]:
        """The segments of the native programs made so far, one line each."""
        lines = []
        for key, executable in self._executables.items():
            fixed = ", ".join(f"{name} = {size}" for name, size in key)
            lines += [f"for {fixed}:"] if fixed else []
            lines += executable.compiled.explain()
        return lines


def _has_node(tensor: Any) -> bool:
    return getattr(tensor, "_node", None) is not None


def _as_tensor(value: Any) -> Any:
    return value if isinstance(value, Tensor) else wrap(np.array(value, np.float64))


__all__ = ["Runner", "Sizes"]
