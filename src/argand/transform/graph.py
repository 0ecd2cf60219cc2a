"""Derivatives of whole Programs: a Program in, the Program of its gradient out.

    program f(x: f32[3]) {          program f_grad(x: f32[3]) {
      %0 = exp(x)              →      %0 = exp(x); %1 = full() {value=1.0}
      %1 = sum(%0)                    %2 = expand(%1); %3 = mul(%2, %0)
      return %1                       return %3
    }                               }

Composites without an adjoint of their own are opened on the way.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from argand.base.errors import AutogradError
from argand.ir.bind import interpreting
from argand.ir.families import Composite, Control
from argand.ir.op import Op, ops
from argand.ir.program import Node, Program, Value
from argand.ir.record import Recorder, replay
from argand.ir.rewrite import without_dead_code


class _Opening(Recorder):
    """Records the bodies of composites that have no adjoint in their place."""

    def bind(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, ...]:
        if isinstance(op, Composite) and not op.own_adjoint:
            return op.apply_body(inputs, params)
        return super().bind(op, inputs, params)


def differentiate(
    program: Program, wrt: Sequence[int], output: int = 0, *, keep: bool = False
) -> Program:
    """The gradient of the sum of an output's elements.

    `wrt` counts the inputs, then the state. The new Program takes what the old one takes and gives
    one gradient for each of `wrt`; with `keep` the old outputs and writes come first.
    """
    new, recorder, values = _opened(program, f"{program.name}_grad")
    with interpreting(recorder):
        results = replay(program, values, _placing(recorder))
        outputs, writes = _split(program, results)
        target = outputs[output]
        seed = ops.full(target.shape, 1, target.dtype)
        found = _pull(recorder, values, wrt, {target: seed})
    new.outputs = [*outputs, *found] if keep else found
    new.writes = writes if keep else {}
    return without_dead_code(new)


def vjp(program: Program, wrt: Sequence[int], outputs: Sequence[int]) -> Program:
    """The Program of a Program's inputs and the cotangents of `outputs`, to those of `wrt`."""
    new, recorder, values = _opened(program, f"{program.name}_vjp")
    with interpreting(recorder):
        results = replay(program, values, _placing(recorder))
        seeds: dict[Value, Any] = {}
        for n in outputs:
            value = results[n]
            cotangent = Value(value.dtype, value.shape, new.free_name(f"ct{n}"))
            new.inputs.append(cotangent)
            if isinstance(value, Value):
                seeds[value] = _sum(seeds.get(value), cotangent)
        new.outputs = _pull(recorder, values, wrt, seeds)
    return without_dead_code(new)


def _opened(program: Program, name: str) -> tuple[Program, Recorder, list[Value]]:
    """An empty Program with the same inputs and state, its recorder, and the values of both."""
    inputs, state = (
        [Value(v.dtype, v.shape, v.name) for v in vs] for vs in (program.inputs, program.state)
    )
    new = Program(name, inputs, state)
    return new, _Opening(new), [*inputs, *state]


def _placing(recorder: Recorder) -> Any:
    """Copies the user's line and module of each replayed node."""

    def place(node: Node, inputs: list[Any]) -> None:
        recorder.location = node.location
        recorder.module = lambda: node.module

    return place


def _split(program: Program, results: list[Any]) -> tuple[list[Any], dict[int, Any]]:
    count = len(program.outputs)
    return results[:count], dict(zip(sorted(program.writes), results[count:], strict=True))


def _pull(
    recorder: Recorder, values: Sequence[Value], wrt: Sequence[int], seeds: dict[Value, Any]
) -> list[Any]:
    """Reverse over the recorded nodes: the cotangents of `values[n]` for n in `wrt`."""
    wanted = [values[n] for n in wrt]
    for v in wanted:
        if not v.dtype.is_inexact:
            raise AutogradError(f"{v.name} is {v.type}: only floating-point values have gradients")
    nodes = list(recorder.program.nodes)
    reached = _reached(nodes, wanted)
    cotangents = dict(seeds)
    for node in reversed(nodes):
        grads = [cotangents.get(o) for o in node.outputs]
        if not any(o in reached for o in node.outputs) or all(g is None for g in grads):
            continue
        if not node.op.differentiable:
            continue
        recorder.location = node.location
        recorder.module = functools.partial(getattr, node, "module")
        params = {**node.params, "regions": node.regions} if node.regions else node.params
        wants = tuple(isinstance(x, Value) and x in reached for x in node.inputs)
        parts = node.op.adjoint_for(wants, grads, node.inputs, node.outputs, params)
        for x, part in zip(node.inputs, parts, strict=True):
            if part is not None and isinstance(x, Value) and x in reached:
                cotangents[x] = _sum(cotangents.get(x), part)
    return [_or_zeros(cotangents.get(v), v) for v in wanted]


def _reached(nodes: Sequence[Node], wanted: Sequence[Value]) -> set[Value]:
    """The floating-point values that depend on the wanted ones."""
    reached = set(wanted)
    for node in nodes:
        if any(v in reached for v in node.values):
            reached.update(o for o in node.outputs if o.dtype.is_inexact)
    return reached


def _sum(a: Any, b: Any) -> Any:
    return b if a is None else ops.add(a, b)


def _or_zeros(g: Any, v: Value) -> Any:
    return ops.full(v.shape, 0, v.dtype) if g is None else g


Control.vjp = staticmethod(vjp)
