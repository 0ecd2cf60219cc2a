"""compile_program: passes, schedule, memory plan, kernels, object, CompiledProgram; and the cache.

The cache key is the canonical text of the program *before* passes, with the target and the versions
of all that decides the code. An entry has the final program as text beside the objects, so a hit
skips the passes and code generation; the memory plan follows from the final program alone. So the
rooms that make code (passes, kernels, lowering) are imported where a program is made: a process
that finds all of its programs starts without them, in a third of the time.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from argand.backends.cpu.facts import NotLoweredError, canonical_text, pointers_of, symbols_of
from argand.backends.cpu.native import load_entry, settle_entry
from argand.backends.cpu.program import Layouts, NativeProgram, Segment
from argand.backends.cpu.store import NOT_KEPT, Store
from argand.base.dim import Dim, Shape
from argand.base.events import emit
from argand.base.forks import lock_held_over_forks
from argand.base.settings import settings
from argand.base.size_guards import relied_on
from argand.codegen.llvm.arraycall import array_entry
from argand.codegen.llvm.target import named_target
from argand.ir import fusion as _fusion  # noqa: F401  # programs that are kept have this op
from argand.ir.program import Node, Program, Value
from argand.ir.rewrite import Rewriter
from argand.ir.text import parse_program
from argand.nest.target import Target
from argand.nest.types import NestModule
from argand.passes.memory import MemoryPlan, Takeovers, plan_memory
from argand.passes.views import StridedView, is_view

LONG_BYTES = 256 << 10

_lock = lock_held_over_forks("compile")


@dataclasses.dataclass(slots=True)
class Final:
    """A program after the passes and in its final order, and which of its nodes have a kernel."""

    program: Program
    native: list[bool]
    takeovers: Takeovers | None = None  # of its memory plan, once that was made


def compile_program(program: Program, target: Target | None = None) -> NativeProgram:
    """The program compiled for the host, or for a narrower `target` that the host can run."""
    target = target or named_target(settings.target)
    start = time.perf_counter()
    with _lock:
        final, key, hit = _final(program, target)
        compiled = _assemble_or_host(final, target, key)
        if not hit:
            Store(target).save(key, _to_entry(final, program))
    compiled.variant = functools.cache(
        lambda layouts: compile_program(with_layouts(program, layouts), target)
    )
    compiled.compile_region = functools.partial(compile_program, target=target)
    emit("compiled", program=program.name, seconds=time.perf_counter() - start, cached=hit)
    return compiled


def _final(program: Program, target: Target, more: str = "") -> tuple[Final, str, bool]:
    """A program after the passes, the name of its entry, and whether it was stored.

    A program whose passes relied on the sizes of the call at hand is right for these alone: its
    name is that of what they made of it, and it isn't stored.
    """
    store = Store(target)
    key = store.key(canonical_text(program) + more, program)
    final = _cached(store, key, program)
    if final is not None:
        return final, key, True
    before = relied_on()
    final = optimise(program)
    if relied_on() != before:
        key = NOT_KEPT + store.key(canonical_text(final.program) + more, program)
    return final, key, False


def _assemble_or_host(final: Final, target: Target, key: str) -> NativeProgram:
    """Assemble; a node whose kernel can't be made after all runs in NumPy, and `explain` lists it.

    With `settings.verify` that is an error.
    """
    while True:
        try:
            return assemble(final, target, key)
        except NotLoweredError as e:
            if settings.verify:
                raise
            emit("not_lowered", program=final.program.name, reason=str(e))
            final.native[final.program.nodes.index(e.node)] = False


def planned_memory(program: Program) -> MemoryPlan:
    """Where the values of a program are stored when it runs; nothing is compiled."""
    return plan_memory(optimise(program).program)


def with_layouts(program: Program, layouts: Layouts) -> Program:
    """A copy of a program whose inputs lie in memory in these orders."""
    copy = Rewriter(program).run()
    for value, order in zip(copy.inputs, layouts, strict=True):
        value.layout = order
    return copy


@dataclasses.dataclass(slots=True)
class LoadedKernel:
    """A program that is one native call: `call(*inputs, *outputs, arena, offsets, *sizes)`.

    The sizes come in the order of `symbols`. The code at `address` takes the same in slots.
    """

    key: str
    address: int
    call: Callable[..., int]
    symbols: list[str]
    plan: MemoryPlan

    def settle(self) -> None:
        """See to it that calls run optimised code from now on."""
        settle_entry(self.key)


def compile_kernel(program: Program, strides: Mapping[int, Shape]) -> LoadedKernel | None:
    """The kernel of a program without state, with inputs of these strides; None when a part of it
    has none. The strides may be symbols of their own. It is optimised while it runs already."""
    target = named_target(settings.target)
    with _lock:
        final, key, hit = _final(program, target, repr(strides))
        if not hit:
            Store(target).save(key, _to_entry(final, program))
        plan = plan_memory(final.program, strides)
        if settings.verify:
            from argand.passes.memcheck import check_plan

            check_plan(final.program, plan)
        parts = list(split(final, plan))
        if [native for native, _ in parts] != [True]:
            return None
        given = [plan.places[v].strides for v in final.program.inputs]
        symbols = symbols_of(final.program, given)
        key = f"{key}-0"
        make = functools.partial(_module, final.program, plan, target, parts[0][1])
        entry = load_entry(key, make, target, tiered=True)
        arrays = pointers_of(final.program)
        call = array_entry(entry, 0, arrays, len(symbols), release=True)
    return LoadedKernel(key, entry, call, symbols, plan)


def optimise(program: Program) -> Final:
    """The passes and the schedule."""
    from argand.passes.pipeline import run_passes
    from argand.passes.schedule import schedule

    known: dict[Node, bool] = {}

    def native(node: Node) -> bool:
        if node not in known:
            known[node] = is_native(node)
        return known[node]

    ordered = schedule(run_passes(program), native)
    return Final(ordered, [native(node) for node in ordered.nodes])


def is_native(node: Node) -> bool:
    """Whether a node gets a kernel; the others run in NumPy."""
    from argand.kernels.match import plan_of

    return plan_of(node) is not None


def assemble(final: Final, target: Target, key: str, each: bool = False) -> NativeProgram:
    """The segments of a final program, with their machine code loaded.

    With `each`, every node is a segment of its own, to be watched.
    """
    plan = plan_memory(final.program, takeovers=final.takeovers)
    final.takeovers = plan.takeovers
    parts = list(split(final, plan, each))
    check = _memory_check(final.program, plan, target, parts) if settings.verify else None
    symbols = symbols_of(final.program)
    segments = []
    for native, numbers in parts:
        call = None
        if native:
            make = functools.partial(_module, final.program, plan, target, numbers)
            entry = load_entry(f"{key}-{numbers[0]}-{numbers[-1]}-{len(numbers)}", make, target)
            arrays, long = pointers_of(final.program), _is_long(final.program)
            operands = len(final.program.inputs) + len(final.program.state)
            call = array_entry(entry, operands, arrays, len(symbols), release=long)
        segments.append(Segment([final.program.nodes[n] for n in numbers], call))
    return NativeProgram(final.program, plan, segments, check)


def _module(
    program: Program, plan: MemoryPlan, target: Target, numbers: Sequence[int]
) -> NestModule:
    """The loop nests of the nodes with these numbers."""
    from argand.backends.cpu.lowering import Lowering

    return Lowering(program, plan, target).module("entry", numbers)


def _memory_check(
    program: Program, plan: MemoryPlan, target: Target, parts: list[tuple[bool, list[int]]]
) -> Callable[[Mapping[str, int]], None]:
    from argand.backends.cpu.checking import memory_check

    return memory_check(program, plan, target, parts)


def split(final: Final, plan: MemoryPlan, each: bool = False) -> Iterator[tuple[bool, list[int]]]:
    """The program's segments: whether native, and the numbers of the nodes. Views take no part."""
    numbers: list[int] = []
    current = True
    for i, node in enumerate(final.program.nodes):
        if computes_nothing(node, plan.places):
            continue
        if numbers and (each or final.native[i] is not current):
            yield current, numbers
            numbers = []
        current = final.native[i]
        numbers.append(i)
    if numbers:
        yield current, numbers


def computes_nothing(node: Node, places: dict[Value, StridedView]) -> bool:
    """Whether a node's results are views."""
    return is_view(node, places)


def _is_long(program: Program) -> bool:
    """Whether a call takes long enough for other Python threads to run meanwhile."""
    values = [v for node in program.nodes for v in node.values]
    return any(isinstance(v.nbytes, Dim) or v.nbytes >= LONG_BYTES for v in values)


# -- the cache -------------------------------------------------------------------------------------


def _to_entry(final: Final, program: Program) -> dict[str, Any]:
    """A cache entry. `origins` names for each node, regions included, the number of a
    node before the passes with the same line and module."""
    number = {(n.location, n.module): i for i, n in enumerate(program.nodes)}
    origins = [number.get((n.location, n.module), -1) for n in all_nodes(final.program)]
    return {
        "program": canonical_text(final.program),
        "native": final.native,
        "origins": origins,
        "takeovers": final.takeovers,
    }


def _cached(store: Store, key: str, program: Program) -> Final | None:
    entry = store.load(key)
    if entry is None:
        return None
    try:
        takeovers = entry["takeovers"]
        final = Final(parse_program(entry["program"]), list(entry["native"]))
        if takeovers is not None:
            final.takeovers = [(int(at), int(o), int(v)) for at, o, v in takeovers]
        nodes = list(all_nodes(final.program))
        for node, origin in zip(nodes, entry["origins"], strict=True):
            if origin >= 0:
                source = program.nodes[origin]
                node.location, node.module = source.location, source.module
    except (KeyError, ValueError, TypeError, IndexError):
        return None  # a damaged entry is made again
    if len(final.native) != len(final.program.nodes):
        return None
    return final


def all_nodes(program: Program) -> Iterator[Node]:
    """The nodes of a program and of its regions, in the order of the text."""
    for node in program.nodes:
        yield node
        for region in node.regions:
            yield from all_nodes(region)
