"""Where the time of a compiled program goes, kernel by kernel."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from argand.backends.cpu.compiler import Final, assemble, is_native
from argand.backends.cpu.facts import canonical_text, short_name
from argand.backends.cpu.program import NativeProgram, Segment
from argand.backends.cpu.store import Store
from argand.base.settings import settings
from argand.codegen.llvm.target import named_target
from argand.ir.program import Node


class Timing(NamedTuple):
    """The median time of one node, and what it is."""

    microseconds: float
    kind: str
    name: str
    node: Node


def profile(
    compiled: NativeProgram, inputs: Sequence[Any], state: Sequence[Any], repeat: int = 15
) -> list[Timing]:
    """The median time of each node, in program order; the program is run `repeat` times.

    Each node is called by itself, so the sum is a little more than the time of a whole call. State
    is updated at each run, as in any call.
    """
    final = Final(compiled.program, [is_native(node) for node in compiled.program.nodes])
    target = named_target(settings.target)
    key = Store(target).key(canonical_text(compiled.program), compiled.program) + "-each"
    apart = assemble(final, target, key, each=True)
    times: list[list[float]] = [[] for _ in apart.segments]
    for segment, found in zip(apart.segments, times, strict=True):
        if segment.call is not None:
            segment.call = _timed(segment.call, found)
    host = apart._run_host

    def timed_host(segment: Segment, call: Any) -> None:
        start = time.perf_counter()
        host(segment, call)
        times[apart.segments.index(segment)].append(time.perf_counter() - start)

    apart._run_host = timed_host  # type: ignore[method-assign]  # this one program is watched
    for _ in range(repeat):
        apart._general_run(inputs, state)
    return [
        Timing(sorted(t)[len(t) // 2] * 1e6, _kind(s), short_name(s.nodes[0]), s.nodes[0])
        for s, t in zip(apart.segments, times, strict=True)
    ]


def report(timings: Sequence[Timing], least: float = 0.01) -> str:
    """The timings as text, slowest first; what takes less than `least` of all is summed up."""
    total = sum(t.microseconds for t in timings)
    lines = [f"{total:10.0f} us in {len(timings)} kernels"]
    shown = sorted(timings, key=lambda t: -t.microseconds)
    for t in shown:
        if t.microseconds < least * total:
            break
        shape = ", ".join(str(o.type) for o in t.node.outputs[:3])
        share = 100 * t.microseconds / total
        lines.append(f"{t.microseconds:10.0f} us {share:4.0f} %  {t.kind:8} {t.name}  {shape}")
    return "\n".join(lines)


def _kind(segment: Segment) -> str:
    if segment.call is None:
        return "host"
    return str(segment.nodes[0].params.get("kind", "op"))


def _timed(call: Callable[..., int], times: list[float]) -> Callable[..., int]:
    def timed(*args: Any) -> int:
        start = time.perf_counter()
        status = call(*args)
        times.append(time.perf_counter() - start)
        return status

    return timed
