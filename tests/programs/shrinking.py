"""A failing program made small: fewer results, nodes, operands, smaller sizes, simpler numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from runs import widened

from argand.base.dim import Dim
from argand.base.errors import ArgandError
from argand.base.shape import same_shape
from argand.ir.bind import bind, interpreting
from argand.ir.interpret import bind_sizes, interpret, run_node
from argand.ir.op import Literal
from argand.ir.program import Node, Operand, Program, Value
from argand.ir.record import Recorder
from argand.ir.rewrite import Rewriter, without_dead_code


class Case(NamedTuple):
    """A program and one call of it: arrays for the inputs, then for the state."""

    program: Program
    arrays: list[np.ndarray]

    @property
    def weight(self) -> tuple[int, ...]:
        """What shrinking makes smaller."""
        program = self.program
        operands = [*program.inputs, *program.state]
        return (
            len(program.nodes),
            len(program.results),
            len(operands),
            len(program.state),
            len(program.symbols()),
            sum(a.size for a in self.arrays),
            sum(int(np.count_nonzero(a != np.rint(a.real))) for a in map(widened, self.arrays)),
            sum(int(np.count_nonzero(widened(a))) for a in self.arrays),
        )


Fails = Callable[[Case], bool]


def shrink(case: Case, fails: Fails, tries: int = 600) -> Case:
    """The smallest case found that still fails, after at most `tries` runs.

    `fails` tells whether a case shows the fault; one that can't even be interpreted doesn't.
    """
    progress = True
    while progress and tries > 0:
        progress = False
        for candidate in _candidates(case):
            if candidate.weight >= case.weight:
                continue
            tries -= 1
            if fails(candidate):
                case, progress = candidate, True
                break
            if tries <= 0:
                break
    return case


def _candidates(case: Case) -> Iterator[Case]:
    """Smaller cases, the much smaller ones first."""
    for change in (
        _parts,
        _fewer_results,
        _earlier_results,
        _cut,
        _bypassed,
        _without_state,
        _without_symbols,
        _smaller_sizes,
        _simpler_numbers,
    ):
        yield from _possible(change(case))


def _possible(cases: Iterator[Case | None]) -> Iterator[Case]:
    for case in cases:
        if case is not None:
            yield case


def _parts(case: Case) -> Iterator[Case]:
    """The program's first nodes alone, or its last ones on what the first have made."""
    program = case.program
    count = len(program.nodes)
    values = _values(case)
    for at in dict.fromkeys((count // 2, count // 4, 3 * count // 4)):
        first, last = program.nodes[:at], program.nodes[at:]
        if not first or not last:
            continue
        read = {v for node in last for v in node.values} | set(program.results)
        live = [o for node in first for o in node.outputs if o in read]
        yield _on_values(case, first, values)
        yield _with_results(case, live, {})


def _fewer_results(case: Case) -> Iterator[Case]:
    program = case.program
    count = len(program.outputs)
    keep = [[i] for i in range(count)] if count + len(program.writes) > 1 else []
    keep += [list(range(count // 2)), list(range(count // 2, count))] if count > 2 else []
    keep += [[j for j in range(count) if j != i] for i in range(count)]
    for kept in keep:
        for writes in ({}, program.writes) if program.writes else ({},):
            if kept or writes:
                yield _with_results(case, [program.outputs[i] for i in kept], writes)
    for i in program.writes:
        writes = {k: v for k, v in program.writes.items() if k != i}
        if writes or program.outputs:
            yield _with_results(case, program.outputs, writes)


def _earlier_results(case: Case) -> Iterator[Case]:
    """What a result is made of, in its place."""
    outputs = case.program.outputs
    for i, v in enumerate(outputs):
        if isinstance(v, Value) and v.node is not None:
            made_of = [*outputs[:i], *v.node.values, *outputs[i + 1 :]]
            yield _with_results(case, made_of, case.program.writes)


def _with_results(case: Case, outputs: Sequence[Operand], writes: dict[int, Operand]) -> Case:
    program = case.program
    changed = Program(program.name, program.inputs, program.state)
    changed.nodes = list(program.nodes)
    changed.outputs, changed.writes = list(outputs), dict(writes)
    return _tidied(changed, case.arrays)


def _tidied(program: Program, arrays: Sequence[Any]) -> Case:
    """A copy without dead nodes, unread inputs and untouched state."""
    program = without_dead_code(Rewriter(program).run())
    read = {v for node in program.nodes for v in node.values} | set(program.results)
    count = len(program.inputs)
    inputs = [i for i, v in enumerate(program.inputs) if v in read]
    state = [i for i, v in enumerate(program.state) if v in read or i in program.writes]
    kept = [arrays[i] for i in inputs] + [arrays[count + i] for i in state]
    program.writes = {state.index(i): v for i, v in program.writes.items()}
    program.inputs = [program.inputs[i] for i in inputs]
    program.state = [program.state[i] for i in state]
    return Case(program, kept)


def _cut(case: Case) -> Iterator[Case]:
    """A node's results become inputs; what made them goes."""
    values = _values(case)
    for node in reversed(case.program.nodes):
        yield _on_values(case, [node], values)


def _on_values(case: Case, nodes: Sequence[Node], values: dict[Value, np.ndarray]) -> Case:
    """The case with the results of nodes given as inputs."""
    made = [o for node in nodes for o in node.outputs]
    arrays = list(case.arrays)
    count = len(case.program.inputs)
    arrays[count:count] = [values[o] for o in made]
    return _tidied(_Replacing(case.program, made).run(), arrays)


class _Replacing(Rewriter):
    """Copies a program with some nodes' outputs as new inputs."""

    def __init__(self, program: Program, made: Sequence[Value]) -> None:
        super().__init__(program)
        taken = {v.name for v in [*program.inputs, *program.state]}
        names = (f"x{i}" for i in range(10_000) if f"x{i}" not in taken)
        self.made = {o: o.copy(next(names)) for o in made}
        self.new.inputs += self.made.values()

    def visit(self, node: Node, inputs: list[Operand]) -> Sequence[Operand]:
        if all(o in self.made for o in node.outputs):
            return [self.made[o] for o in node.outputs]
        return self.copy(node, inputs)


def _bypassed(case: Case) -> Iterator[Case]:
    """An operand of the same type in the place of a node's result."""
    for node in reversed(case.program.nodes):
        for i, v in enumerate(node.inputs):
            out = node.outputs[0]
            same = v.dtype is out.dtype and same_shape(v.shape, out.shape)
            if isinstance(v, Value) and same and len(node.outputs) == 1:
                yield _tidied(_Bypassing(case.program, node, i).run(), case.arrays)


class _Bypassing(Rewriter):
    def __init__(self, program: Program, target: Node, operand: int) -> None:
        super().__init__(program)
        self.target, self.operand = target, operand

    def visit(self, node: Node, inputs: list[Operand]) -> Sequence[Operand]:
        return (inputs[self.operand],) if node is self.target else self.copy(node, inputs)


def _values(case: Case) -> dict[Value, np.ndarray]:
    """Every value of a call."""
    operands = [*case.program.inputs, *case.program.state]
    sizes = bind_sizes(operands, case.arrays)
    env: dict[Value, Any] = dict(zip(operands, case.arrays, strict=True))
    with np.errstate(all="ignore"):
        for node in case.program.nodes:
            run_node(node, env, sizes, False)
    return env


def _without_state(case: Case) -> Iterator[Case]:
    """State that isn't written becomes an input."""
    program = case.program
    for i in range(len(program.state)):
        if i in program.writes:
            continue
        changed = Program(program.name, [*program.inputs, program.state[i]])
        changed.state = [v for k, v in enumerate(program.state) if k != i]
        changed.nodes, changed.outputs = list(program.nodes), list(program.outputs)
        changed.writes = {k - (k > i): v for k, v in program.writes.items()}
        count = len(program.inputs)
        arrays = list(case.arrays)
        arrays.insert(count, arrays.pop(count + i))
        yield _tidied(changed, arrays)


def _without_symbols(case: Case) -> Iterator[Case | None]:
    """The call's sizes in the place of the symbols."""
    if case.program.symbols():
        sizes = bind_sizes([*case.program.inputs, *case.program.state], case.arrays)
        yield _resized(case, lambda s: s.evaluate(sizes) if isinstance(s, Dim) else s, None)


def _smaller_sizes(case: Case) -> Iterator[Case | None]:
    sizes = sorted({s for a in case.arrays for s in a.shape if s > 1}, reverse=True)
    for size in sizes:
        for new in dict.fromkeys((1, 2, size // 2, size - 1)):
            if 0 < new < size:
                yield _resized(case, _Swapped(size, new), (size, new))


class _Swapped(NamedTuple):
    """One size in the place of another; symbols stay."""

    old: int
    new: int

    def __call__(self, size: Any) -> Any:
        return self.new if type(size) is int and size == self.old else size


def _resized(
    case: Case, change: Callable[[Any], Any], sizes: tuple[int, int] | None
) -> Case | None:
    """The case with other sizes; None where its ops don't take them."""
    old = case.program
    new = Program(old.name)
    new.inputs, new.state = (
        [Value(v.dtype, tuple(change(s) for s in v.shape), v.name) for v in values]
        for values in (old.inputs, old.state)
    )
    env: dict[Value, Operand] = dict(
        zip([*old.inputs, *old.state], [*new.inputs, *new.state], strict=True)
    )
    try:
        with interpreting(Recorder(new)):
            for node in old.nodes:
                params = {k: _changed(v, change) for k, v in node.params.items()}
                if node.regions:
                    params["regions"] = node.regions
                inputs = tuple(env[i] if isinstance(i, Value) else i for i in node.inputs)
                env.update(zip(node.outputs, bind(node.op, inputs, params), strict=True))
    except (ArgandError, ValueError, TypeError, IndexError, KeyError):
        return None
    new.outputs = [o if isinstance(o, Literal) else env[o] for o in old.outputs]
    new.writes = {i: o if isinstance(o, Literal) else env[o] for i, o in old.writes.items()}
    arrays = [_cropped(a, sizes) for a in case.arrays] if sizes else list(case.arrays)
    return Case(new, arrays)


def _changed(param: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(param, tuple):
        return tuple(_changed(p, change) for p in param)
    return change(param) if isinstance(param, Dim) or type(param) is int else param


def _cropped(a: np.ndarray, sizes: tuple[int, int]) -> np.ndarray:
    """The first elements along what was shortened; indices stay in range."""
    old, new = sizes
    part = a[tuple(slice(new) if s == old else slice(None) for s in a.shape)]
    return np.minimum(part, new - 1) if a.dtype.kind == "i" and part.max(initial=0) >= new else part


def _simpler_numbers(case: Case) -> Iterator[Case]:
    for i, a in enumerate(case.arrays):
        for simpler in (np.zeros_like(a), np.ones_like(a), _rounded(a)):
            yield Case(case.program, [*case.arrays[:i], simpler, *case.arrays[i + 1 :]])


def _rounded(a: np.ndarray) -> np.ndarray:
    return np.rint(a.astype(np.float64) * 2).astype(a.dtype) if a.dtype.kind in "fV" else a


def meaningful(case: Case) -> bool:
    """Whether the interpreter can run a case."""
    try:
        with np.errstate(all="ignore"):
            interpret(case.program, case.arrays)
    except Exception:  # any error of the reference itself
        return False
    return True
