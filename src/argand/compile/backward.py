"""The backward of a compiled function whose result is differentiated outside of it.

The trace's tape is run in reverse right after the function, into the same Program; the nodes that
this adds become a second Program. What it reads of the first is saved at every call: inputs and
state as they are, intermediate values as further outputs. A call then puts one node on the tape.

    f(x; w): y = tanh(x @ w)    →    f:          y, y' = tanh(x @ w) ..., y
                                     f.backward: (x, w, y', grad y) ↦ (grad x, grad w)

Results with separate graphs get a backward program each, so that one may run without the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.backends.interface import CompiledProgram
from argand.backends.select import compile_program
from argand.base.dim import Dim
from argand.base.errors import AutogradError
from argand.base.forks import lock_held_over_forks
from argand.base.integer import is_integer
from argand.compile.higher_order import Origin, random_state
from argand.compile.integers import carrier
from argand.compile.places import Place
from argand.compile.tracer import Tracer, traced_tensor
from argand.ir.bind import interpreting
from argand.ir.op import Op, Params, Saves, Tensors, Wants, ops
from argand.ir.program import Node, Operand, Program, Value, copied_nodes, resolved
from argand.ir.rewrite import without_dead_code
from argand.tensor.core import Tensor, wrap
from argand.transform import tape
from argand.transform.mode import mode


@dataclasses.dataclass(eq=False)
class BackwardProgram:
    """The backward program of an executable, compiled when it is first needed."""

    program: Program
    backend: str
    differentiated: Sequence[int]  # numbers of outputs
    leaves: Sequence[Place] = ()  # whose gradients the program gives, in order
    saved: Sequence[Place | int] = ()  # its first inputs: from outside, or numbers of outputs
    error: AutogradError | None = None  # why there is no backward; raised by who asks for it
    origin: Origin | None = None  # the function itself, for derivatives of higher order

    def __post_init__(self) -> None:
        self._compiled: CompiledProgram | None = None
        self._lock = lock_held_over_forks("backward")

    @property
    def compiled(self) -> CompiledProgram:
        """The backward program, ready to run."""
        with self._lock:
            if self._compiled is None:
                self._compiled = compile_program(self.program, self.backend)
            return self._compiled

    def explain(self) -> list[str]:
        """The segments of the backward program; none before it is first needed."""
        return [] if self._compiled is None else self._compiled.explain()

    def attach(self, outputs: Sequence[Tensor], leaves: Sequence[Any]) -> None:
        """Put a call's outputs on the tape."""
        saved = [
            outputs[s].shadow() if isinstance(s, int) else _tensor(s.find(leaves))
            for s in self.saved
        ]
        edges = tuple([tape.edge_of(place.find(leaves)) for place in self.leaves])
        results = [outputs[i] for i in self.differentiated]
        op: Any = _BackwardOp(self)
        node = tape.GradientNode(op, {}, saved, edges, results)
        if self.origin is not None:
            assert node.inputs is not None  # freed with the saved values
            node.inputs = [*node.inputs, self.origin.remember(leaves, outputs)]
        for i, out in enumerate(results):
            out._node, out._index = node, i


def _tensor(x: Any) -> Tensor:
    """A saved argument; a number becomes a tensor."""
    if isinstance(x, Tensor):
        return x
    return wrap(carrier(x) if is_integer(x) else np.array(x, np.float64))


class _BackwardOp(tape.Stand):
    """What a tape node asks of its op."""

    def __init__(self, backward: BackwardProgram) -> None:
        self.backward = backward
        self.name = backward.program.name.removesuffix(".backward")

    def saves_for(self, wants: Wants, params: Params) -> Saves:
        """All the inputs, no outputs."""
        return range(len(self.backward.saved)), ()

    def adjoint_for(
        self, wants: Wants, grads: Tensors, inputs: Tensors, outputs: Tensors, params: Params
    ) -> Sequence[Tensor | None]:
        """The gradients of the leaves."""
        if self.backward.error is not None:
            raise AutogradError(*self.backward.error.args)
        origin = self.backward.origin
        if mode.enabled and origin is not None:
            return origin.gradients(inputs[-1], grads, outputs)
        if not self.backward.leaves:
            return []
        arrays = [x._array for x in inputs[: len(self.backward.saved)]]
        for g, out in zip(grads, outputs, strict=True):
            arrays.append(np.zeros(out.shape, out.dtype.numpy) if g is None else g._array)
        return [wrap(a) for a in self.backward.compiled.run(arrays, ())]


def separate_graphs(outputs: Sequence[tuple[int, Tensor]]) -> list[list[tuple[int, Tensor]]]:
    """Outputs (with their numbers) in groups that share nodes of the tape."""
    group_of: dict[int, int] = {}  # by the id of a node
    merged_into = list(range(len(outputs)))

    def group(i: int) -> int:
        while merged_into[i] != i:
            i = merged_into[i]
        return i

    for i, (_, out) in enumerate(outputs):
        waiting = [out._node]
        while waiting:
            node = waiting.pop()
            if id(node) in group_of:
                first, second = sorted((group(i), group(group_of[id(node)])))
                merged_into[second] = first
            else:
                group_of[id(node)] = i
                waiting += [target for target, _ in node.edges if type(target) is tape.GradientNode]
    groups: dict[int, list[tuple[int, Tensor]]] = {}
    for i, output in enumerate(outputs):
        groups.setdefault(group(i), []).append(output)
    return list(groups.values())


def record_backward(
    tracer: Tracer,
    outputs: Sequence[tuple[int, Tensor]],
    backend: str,
) -> BackwardProgram:
    """The backward of some outputs (with their numbers).

    The saved values become further outputs of the tracer's program.
    """
    program = tracer.program
    first, first_state = len(program.nodes), len(program.state)
    numbers = [number for number, _ in outputs]
    empty = Program(f"{program.name}.backward")
    error: AutogradError | None = None
    try:
        cotangents, gradients = _run_tape(tracer, outputs)
    except AutogradError as e:
        error = e.with_traceback(None)
    nodes = program.nodes[first:]
    del program.nodes[first:]
    if error is not None:
        del program.state[first_state:]
        wanting = [c.place for c in tracer.captures.values() if c.tensor._node is not None]
        return BackwardProgram(empty, backend, numbers, wanting, error=error)
    if not gradients:  # it wants a gradient, which leads nowhere: of what is rounded, say
        return BackwardProgram(empty, backend, numbers)
    wanted = [tracer.read(g) for _, g in gradients]
    backward = _separate(program, nodes, wanted, cotangents)
    del program.state[first_state:]
    saved = [_place(tracer, v) for v in backward.inputs[: -len(cotangents)]]
    leaves = [tracer.place_of(leaf) for leaf, _ in gradients]
    return BackwardProgram(_closed(backward), backend, numbers, leaves, saved)


def _run_tape(
    tracer: Tracer, outputs: Sequence[tuple[int, Tensor]]
) -> tuple[list[Value], list[tuple[Tensor, Any]]]:
    cotangents = [Value(t.dtype, tuple(t.shape), f"grad.{i}") for i, (_, t) in enumerate(outputs)]
    gradients: list[tuple[Tensor, Any]] = []
    roots = [
        (tape.edge_of(t), traced_tensor(c)) for (_, t), c in zip(outputs, cotangents, strict=True)
    ]
    with interpreting(tracer):
        tape.backward(
            roots,
            lambda leaf, g: gradients.append((leaf, g)),
            retain_graph=True,
            create_graph=False,
        )
    return cotangents, gradients


def _separate(
    program: Program, nodes: list[Node], wanted: list[Value], cotangents: list[Value]
) -> Program:
    """The nodes as a program of their own; its first inputs are what it reads of `program`."""
    part = Program(f"{program.name}.backward")
    part.nodes, part.outputs = nodes, list(wanted)
    nodes = without_dead_code(part).nodes
    inside = {o for n in nodes for o in n.outputs} | set(cotangents)
    reads = dict.fromkeys(v for n in nodes for v in n.values if v not in inside)
    reads |= dict.fromkeys(v for v in wanted if v not in inside)
    known = {s for v in [*reads, *cotangents] for s in _own_symbols(v)}
    for v in [*program.inputs, *program.state]:
        if not set(_own_symbols(v)) <= known and v not in reads:
            reads[v] = None  # for the sake of a size
            known |= set(_own_symbols(v))
    part.inputs = [*reads, *cotangents]
    return part


def _own_symbols(v: Value) -> list[str]:
    return [str(s) for s in v.shape if isinstance(s, Dim) and str(s) in s.symbols()]


def _closed(part: Program) -> Program:
    """The program with inputs and nodes of its own."""
    closed = Program(part.name)
    for i, v in enumerate(part.inputs):
        name = v.name if v.name and not v.name.isdigit() else f"saved.{i}"
        closed.inputs.append(v.copy(closed.free_name(name)))
    env: dict[Value, Operand] = dict(zip(part.inputs, closed.inputs, strict=True))
    closed.nodes = copied_nodes(part.nodes, env)
    closed.outputs = [resolved(o, env) for o in part.outputs]
    return closed


def _place(tracer: Tracer, value: Value) -> Place | int:
    """Where a call finds a saved value: outside, or at a number of the program's outputs."""
    program = tracer.program
    for capture in tracer.captures.values():
        if capture.entry is value:
            if not capture.written:
                place: Place = capture.place
                return place
            value = _kept(program, value)
            break
    for number, output in enumerate(program.outputs):
        if output is value:
            return number
    program.outputs.append(value)
    return len(program.outputs) - 1


def keep_random_state(tracer: Tracer) -> int | None:
    """The number of the output that is the generator's state from before the call."""
    state = random_state(tracer)
    if state is None:
        return None
    tracer.program.outputs.append(_kept(tracer.program, state))
    return len(tracer.program.outputs) - 1


def _kept(program: Program, value: Value) -> Value:
    """A copy of a state from before it is overwritten."""
    contiguous: Any = ops.contiguous
    op: Op = contiguous
    node = Node(op, [value], {}, [value.type])
    program.nodes.insert(0, node)
    return node.outputs[0]
