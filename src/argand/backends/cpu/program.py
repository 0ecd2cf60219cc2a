"""CompiledProgram: the segments of a compiled program, and a call of it.

What a call does in Python is kept to a few hundred nanoseconds: allocate the results, lease an
arena, one native call. The native side reads the addresses out of the NumPy arrays itself.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from argand.backends.cpu.facts import symbols_of
from argand.backends.cpu.failure import fallback_note, naming_sources, raise_failure
from argand.base.dim import Dim, evaluate
from argand.base.errors import ProgramError
from argand.base.forks import lock_held_over_forks
from argand.base.polynomial import linear
from argand.base.settings import settings
from argand.codegen.llvm.arraycall import NOT_CONTIGUOUS
from argand.ir.interpret import run_node, told
from argand.ir.program import Node, Program, Value
from argand.ir.sizes import untold
from argand.passes.layout import CHANNELS_LAST
from argand.passes.memory import ALIGNMENT, MemoryPlan
from argand.runtime.guarded import Fence, fenced, fenced_copy
from argand.runtime.memory import SMALL, empty

if TYPE_CHECKING:
    from argand.codegen.llvm.matchcall import Match, TensorFacts

NativeCall = Callable[..., int]
Layouts = tuple[tuple[int, ...] | None, ...]
Run = Callable[[Sequence[Any], Sequence[Any]], list[Any]]


@dataclasses.dataclass(slots=True)
class Segment:
    """Nodes that run together: by one native call, or (`call` is None) one by one in NumPy."""

    nodes: list[Node]
    call: NativeCall | None


@dataclasses.dataclass(slots=True)
class _Sized:
    """What depends on the sizes of the symbols."""

    sizes: dict[str, int]
    makers: list[Callable[[], Any]]
    arena_bytes: int
    offsets: np.ndarray[Any, Any]
    arenas: list[np.ndarray[Any, Any]]  # of the program: one of larger sizes serves smaller ones
    fences: list[Fence] = dataclasses.field(default_factory=list)

    def lease(self) -> np.ndarray[Any, Any]:
        """An arena that no other call has; the one used last is in the cache. One that is too small
        goes back to the pool."""
        try:
            arena = self.arenas.pop()
        except IndexError:
            return new_arena(self.arena_bytes)
        return arena if arena.nbytes >= self.arena_bytes else new_arena(self.arena_bytes)

    def guard(self, plan: MemoryPlan, outputs: Sequence[Any]) -> None:
        """Put the arena and the results between closed pages; calls then take turns."""
        fence = plan.fence(self.sizes)
        self.fences = [fence]
        self.arenas = [fence.bytes]
        self.makers = [self._between(o) for o in outputs]

    def _between(self, output: Any) -> Callable[[], Any]:
        """A function that gives memory for a result, the same each time."""
        like = _output_maker(output, self.sizes)()
        alignment = ALIGNMENT if like.nbytes >= SMALL else like.itemsize
        fence, memory = fenced(like.nbytes, settings.guard_memory, alignment)
        self.fences.append(fence)
        return lambda: np.ndarray(like.shape, like.dtype, memory, strides=like.strides)


class NativeProgram:
    """A program as machine code.

    `run(inputs, state)` takes NumPy arrays of the program's dtypes and shapes; it returns the
    outputs as new arrays and updates written state in place. Channels-last images are taken by a
    variant of the program compiled for them, whose results are channels-last too; other arrays that
    are not row-major are copied first (and written back). Calls may come from several threads: each
    leases its own arena. Who writes one state from several threads holds a lock of its own.
    """

    def __init__(
        self,
        program: Program,
        plan: MemoryPlan,
        segments: list[Segment],
        check: Callable[[Mapping[str, int]], None] | None = None,
    ) -> None:
        self.program = program
        self._check = check  # what is to hold of the memory, asked for each sizes of the symbols
        # Makes the program for inputs of other layouts; set by `compile_program`.
        self.variant: Callable[[Layouts], NativeProgram] | None = None
        # Makes the programs of a node's regions; set by it too.
        self.compile_region: Callable[[Program], NativeProgram] | None = None
        self._regions: dict[Program, _Region] = {}
        self.plan = plan
        self.segments = segments
        self._operands = [*program.inputs, *program.state]
        self._symbols = _symbol_sources(self._operands, program)
        self._sized: dict[tuple[int, ...], _Sized] = {}
        self._arenas: list[np.ndarray[Any, Any]] = []
        # There is one set of fenced buffers, so calls run one at a time.
        self._fence_lock = lock_held_over_forks("program") if settings.guard_memory else None
        # Of the smallest programs, what `run` does: make the output, call, table of offsets.
        self.direct: tuple[Callable[[], Any], NativeCall, Any] | None = None
        self.run: Run = self._choose_run()

    # -- calling -----------------------------------------------------------------------------------

    def _choose_run(self) -> Run:
        if self._fence_lock is not None:
            return functools.partial(self._fenced_run, self._fence_lock)
        call = self.segments[0].call if len(self.segments) == 1 else None
        if call is None or self._symbols:
            return self._general_run
        sized = self._for_sizes(())
        if not sized.arena_bytes and len(sized.makers) == 1:
            self.direct = sized.makers[0], call, sized.offsets
        return self._single_run(sized, call)

    def _single_run(self, sized: _Sized, call: NativeCall) -> Run:
        """The whole call of a program of one native segment and fixed sizes."""
        makers, arenas, offsets, size = sized.makers, sized.arenas, sized.offsets, sized.arena_bytes

        def run(inputs: Sequence[Any], state: Sequence[Any]) -> list[Any]:
            outputs = [make() for make in makers]
            try:  # as `lease`, but without a call: all arenas here are as large
                arena = arenas.pop()
            except IndexError:
                arena = new_arena(size)
            status = call(*inputs, *state, *outputs, arena, offsets)
            arenas.append(arena)
            if status == 0:
                return outputs
            if status == NOT_CONTIGUOUS:
                return self._run_contiguous(inputs, state)
            self._fail(status, _Call(self, (*inputs, *state), outputs, arena, sized))

        return run

    def _general_run(self, inputs: Sequence[Any], state: Sequence[Any]) -> list[Any]:
        arrays = (*inputs, *state)
        sources = self._symbols.values()
        key = tuple([(arrays[i].shape[d] - plus) // times for i, d, times, plus in sources])
        sized = self._sized.get(key) or self._for_sizes(key)
        outputs = [make() for make in sized.makers]
        arena = sized.lease()
        for fence in sized.fences:
            fence.poison()
        try:
            status = self._run_segments(arrays, outputs, arena, sized, key)
        finally:
            sized.arenas.append(arena)
        for fence in sized.fences:
            fence.check(f"a value of {self.program.name}")
        return outputs if status == 0 else self._run_contiguous(inputs, state)

    def _fenced_run(self, lock: Any, inputs: Sequence[Any], state: Sequence[Any]) -> list[Any]:
        """A call on copies of everything between closed pages; see `runtime/guarded`."""
        side, count = settings.guard_memory or "end", len(inputs)
        with lock:
            copies = [fenced_copy(np.asarray(a), side) for a in (*inputs, *state)]
            given = [a for _, a in copies]
            found = self._general_run(given[:count], given[count:])
            for value, (fence, _) in zip(self._operands, copies, strict=True):
                fence.check(f"{value.name} of {self.program.name}")
            for i in self.program.writes:
                state[i][...] = given[count + i]
        return [np.array(a, order="K") for a in found]

    def _run_segments(
        self,
        arrays: Sequence[Any],
        outputs: list[Any],
        arena: Any,
        sized: _Sized,
        key: tuple[int, ...],
    ) -> int:
        for segment in self.segments:
            if segment.call is None:
                self._run_host(segment, _Call(self, arrays, outputs, arena, sized))
                continue
            status = segment.call(*arrays, *outputs, arena, sized.offsets, *key)
            if status == NOT_CONTIGUOUS:
                return status
            if status:
                self._fail(status, _Call(self, arrays, outputs, arena, sized))
        return 0

    def _fail(self, status: int, call: _Call) -> NoReturn:
        """Raise the error of the node that refused the values that it met."""
        node = self.program.nodes[status - 1]
        with naming_sources(self.program, node):
            raise_failure(node, {v: call.view(v) for v in node.values}, call.sized.sizes)

    def _run_contiguous(self, inputs: Sequence[Any], state: Sequence[Any]) -> list[Any]:
        """The call again with row-major copies; state that is written is copied back."""
        layouts = tuple([channels_last(a) for a in inputs])
        if self.variant is not None and any(layouts):
            pairs = zip(inputs, layouts, strict=True)
            given = [a if order is None else a.transpose(order) for a, order in pairs]
            return self.variant(layouts).run(given, state)
        copies = [np.array(a, order="C") for a in state]
        outputs = self._general_run([np.array(a, order="C") for a in inputs], copies)
        for i in self.program.writes:
            state[i][...] = copies[i]
        return outputs

    def _run_host(self, segment: Segment, call: _Call) -> None:
        for node in segment.nodes:
            env = {v: call.view(v) for v in node.values}
            regions = self._regions_of(node, call.sized.sizes)
            with naming_sources(self.program, node):
                run_node(node, env, call.sized.sizes, False, regions)
            for out in node.outputs:
                call.view(out)[...] = env[out]

    def _regions_of(self, node: Node, sizes: Mapping[str, int]) -> list[Any] | None:
        """A node's regions as native programs, compiled when it first runs."""
        if not node.regions or self.compile_region is None:
            return None
        for region in node.regions:
            if region not in self._regions:
                self._regions[region] = _Region(region, self.compile_region)
        return [self._regions[region].at(sizes) for region in node.regions]

    def _for_sizes(self, key: tuple[int, ...]) -> _Sized:
        sizes = dict(zip(self._symbols, key, strict=True))
        if self._check is not None:
            self._check(sizes)
        makers = [_output_maker(o, sizes) for o in self.program.outputs]
        offsets, total = self.plan.offsets(sizes)
        sized = _Sized(sizes, makers, total, np.array(offsets or [0], np.int64), self._arenas)
        if settings.guard_memory:
            sized.guard(self.plan, self.program.outputs)
        return self._sized.setdefault(key, sized)

    # -- telling -----------------------------------------------------------------------------------

    def guard_entry(self, records: list[Any]) -> Callable[[], bool] | None:
        """A native check of guards on Python values."""
        from argand.codegen.llvm.guardcall import guard_entry

        return guard_entry(records)

    def match_entry(self, cls: type, expected: Sequence[TensorFacts]) -> Match | None:
        """A native check of a call's tensors."""
        from argand.codegen.llvm.matchcall import match_entry

        return match_entry(cls, expected)

    def explain(self) -> list[str]:
        """One line a segment: what runs natively, and what NumPy runs because nothing lowers it."""
        lines = []
        for i, segment in enumerate(self.segments):
            kind = "native" if segment.call is not None else "host"
            what = f"{len(segment.nodes)} nodes"
            if segment.call is None:
                what = fallback_note(segment.nodes)
            lines.append(f"segment {i}: {kind}: {what}")
        return lines

    @property
    def arena_bytes(self) -> int | None:
        """The bytes of memory for intermediate values, or None when it depends on sizes."""
        return self.plan.offsets({})[1] if self.plan.is_static else None


class _Region:
    """A region of a node as native code: one program, or one for each set of the sizes that its
    inputs don't tell."""

    def __init__(self, region: Program, compiled: Callable[[Program], NativeProgram]) -> None:
        self.region = region
        self.names = untold(region)
        self._compile = compiled
        self._made: dict[tuple[int, ...], NativeProgram] = {}

    def at(self, sizes: Mapping[str, int]) -> NativeProgram:
        """The program for these sizes."""
        key = tuple([sizes[name] for name in sorted(self.names)])
        if key not in self._made:
            self._made[key] = self._compile(told(self.region, self.names, sizes))
        return self._made[key]


class _Call:
    """The arrays of one call, from which any value can be viewed."""

    def __init__(
        self,
        compiled: NativeProgram,
        arrays: Sequence[Any],
        outputs: list[Any],
        arena: Any,
        sized: _Sized,
    ) -> None:
        first = len(compiled.program.inputs)
        self.plan = compiled.plan
        self.outputs: Sequence[Any] = compiled.program.outputs
        self.sized = sized
        self.homes: dict[str, Sequence[Any]] = {
            "input": arrays[:first],
            "state": arrays[first:],
            "output": outputs,
        }
        self.arena = arena

    def view(self, v: Value) -> np.ndarray[Any, Any]:
        """The memory of a value as a NumPy array."""
        sizes: Mapping[str, int] = self.sized.sizes
        place = self.plan.places[v]
        kind, i = self.plan.homes[place.root]
        start = evaluate(place.offset, sizes) * v.dtype.itemsize
        if kind == "arena":
            base, start = self.arena, start + int(self.sized.offsets[i])
        else:
            array = self.homes[kind][i]
            layout = self.outputs[i].layout if kind == "output" else None
            base = (array.transpose(layout) if layout else array).reshape(-1).view(np.uint8)
        shape = tuple(evaluate(s, sizes) for s in v.shape)
        strides = tuple(evaluate(s, sizes) * v.dtype.itemsize for s in place.strides)
        if 0 in shape:
            return np.empty(shape, v.dtype.numpy)
        return np.ndarray(shape, v.dtype.numpy, base, start, strides)


def result_maker(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Callable[[], Any]:
    """A function that allocates a result: from the pool when it is large."""
    small = math.prod(shape) * dtype.itemsize < SMALL
    return functools.partial(np.empty if small else empty, shape, dtype)


def channels_last(a: Any) -> tuple[int, ...] | None:
    """The layout of an image stored channels-last; None for any other array."""
    if type(a) is not np.ndarray or a.ndim != 4 or a.flags.c_contiguous:
        return None
    return CHANNELS_LAST if a.transpose(CHANNELS_LAST).flags.c_contiguous else None


def _output_maker(output: Any, sizes: Mapping[str, int]) -> Callable[[], Any]:
    """A function that allocates an output, in memory in the order of its layout."""
    shape = tuple(evaluate(s, sizes) for s in output.shape)
    if not output.layout:
        return result_maker(shape, output.dtype.numpy)
    make = result_maker(tuple(shape[d] for d in output.layout), output.dtype.numpy)
    axes = tuple(map(int, np.argsort(output.layout)))
    return lambda: make().transpose(axes)


def new_arena(nbytes: int) -> np.ndarray[Any, Any]:
    """Memory for intermediate values, aligned for vectors."""
    block = empty((nbytes + ALIGNMENT,), np.dtype(np.uint8))
    skip = -block.ctypes.data % ALIGNMENT
    return block[skip : skip + nbytes]


class _Source(NamedTuple):
    """The operand and the dimension whose size is times * symbol + plus."""

    operand: int
    dimension: int
    times: int
    plus: int


def _symbol_sources(operands: Sequence[Value], program: Program) -> dict[str, _Source]:
    """For each symbol where its value is found, in the order of the slots."""
    found: dict[str, _Source] = {}
    for i, v in enumerate(operands):
        for d, size in enumerate(v.shape):
            part = linear(size) if isinstance(size, Dim) else None
            if part is not None:
                found.setdefault(part.symbol.name, _Source(i, d, part.times, part.plus))
    symbols = symbols_of(program)
    missing = [s for s in symbols if s not in found]
    if missing:
        raise ProgramError(f"{program.name}: no input has a size that {missing[0]} follows from")
    return {s: found[s] for s in symbols}
