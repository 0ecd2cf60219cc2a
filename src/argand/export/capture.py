"""From a function and example arguments to a Program: one trace, and what a file can hold of it."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from argand.base.dim import Dim, DimHint, Extent, Shape, evaluate, substitute
from argand.base.errors import AutogradError, ShapeError, TraceError
from argand.base.polynomial import Linear, Monomial, Polynomial, Symbol, linear
from argand.base.size_guards import Guards, collecting_guards, holds
from argand.base.tree import Structure, flatten, unflatten
from argand.compile.call import Executable, Input, Parts
from argand.compile.function import CompiledFunction
from argand.compile.places import Argument, Held, Place
from argand.compile.results import (
    Alias,
    Constant,
    Made,
    MadeObject,
    Measured,
    Moves,
    Number,
    ProgramOutput,
    View,
)
from argand.compile.signature import Given, Signature, TensorSpec, argument_labels
from argand.export.buffers import writing_buffers
from argand.export.declared import Shapes
from argand.ir.bind import interpreting
from argand.ir.op import Literal
from argand.ir.program import Operand, Program, Value
from argand.ir.record import Recorder
from argand.ir.rewrite import without_dead_code
from argand.ir.sizes import found_sizes, with_sizes
from argand.ir.verify import verify
from argand.ops.kept import keeping
from argand.tensor.core import Tensor, wrap
from argand.tensor.views import follow
from argand.transform.mode import no_grad

Fact = tuple[Polynomial, str, bool]
"""A polynomial compared with 0, and what came out: the trace went on from there."""


class Captured(NamedTuple):
    """What one trace found: the program, and what belongs to its inputs, state and results.

    `inputs` has the number of the argument's leaf that each input of the program is, and `state`
    the tensor, or the leaf of an argument that is written. `results` has an output's number, or the
    Python value that every call gives; `effects` are what it changes in Python objects.
    """

    program: Program
    leaves: list[Any]
    labels: list[str]
    structure: Structure
    inputs: list[Input]
    state: list[Tensor | int]
    returned: Structure
    results: list[Result]
    symbols: dict[str, Symbol]
    facts: list[Fact]
    effects: list[Effect]


class Result(NamedTuple):
    """A leaf of what is returned: an output of the program, a size, the same value always, or the
    results that an object is made of."""

    kind: str  # "tensor", "number", "size", "value" or "parts"
    value: Any


class Effect(NamedTuple):
    """What a call changes in Python objects, and whether to what the program computes."""

    name: str
    computed: bool


def capture(
    function: Callable[..., Any],
    given: Given,
    shapes: Shapes,
    name: str,
    *,
    for_format: bool = False,
) -> Captured:
    """Trace a call. Gradients are followed only if the function asks for some.

    The program's name is `name`, as an identifier. For another format (`for_format`) functions
    that it may have an operator for stay one node, and floats are constants.

    Raises TraceError where the result depends on the values of tensors, and ShapeError where the
    function takes a size that is to vary for a number.
    """
    given = _apart(given)
    name = "".join(c if c.isalnum() or c == "_" else "_" for c in name) or "program"
    numbers = [i for i, x in enumerate(flatten(given)[0]) if for_format and type(x) is float]
    function = writing_buffers(function)

    def traced(shapes: Shapes) -> Captured:
        constants, example = set(numbers), _with_symbolic_sizes(given, shapes)
        while True:
            exported = _ExportedFunction(function, name, shapes, constants)
            found, leaves = exported._specialisation(example)
            tested = found.executable.parts.guards.tested_floats
            if tested <= constants:
                return _captured(exported, example, found.executable, leaves)
            constants |= tested  # what Python decided by is the example's

    def captured(shapes: Shapes) -> Captured:
        try:
            with no_grad(), keeping() if for_format else contextlib.nullcontext():
                return traced(shapes)
        except AutogradError:
            return traced(shapes)

    fixed = _without_small_auto(given, shapes)
    if fixed == list(shapes):
        return captured(shapes)
    with contextlib.suppress(ShapeError):
        found = captured(shapes)
        if _takes(found, given):
            return found
    return captured(fixed)


class _ExportedFunction(CompiledFunction):
    """A function that is traced once, with the symbols that the user declared."""

    def __init__(
        self, function: Callable[..., Any], name: str, shapes: Shapes, constants: Iterable[int]
    ) -> None:
        super().__init__(function, backend="reference", name=name, dynamic=True)
        self._declared_shapes = shapes
        self._constant_numbers = frozenset(constants)
        self.symbols: dict[str, Symbol] = {}

    def _integers(self, *given: Any) -> dict[int, Any]:
        """None: ints are constants of the program."""
        return {}

    def _shapes(self, signature: Signature, given: Given, varying: int) -> list[Any]:
        """The shapes of the tensor leaves, with a symbol for each size that was told to vary: of
        its own (2), shared by all sizes that are equal (1), or none for `Dim.AUTO` (0)."""
        self.symbols = {}
        shapes = [*self._declared_shapes, *[None] * len(signature.specs)]  # and slots
        return [
            self._shape(spec.shape, declared or {}, varying)
            if isinstance(spec, TensorSpec) and spec.identity is None
            else None
            for spec, declared in zip(signature.specs, shapes, strict=False)
        ]

    def _shape(self, shape: Shape, declared: Mapping[int, Any], varying: int) -> Shape:
        found: list[Any] = list(shape)
        for d, dim in declared.items():
            if not isinstance(dim, DimHint):
                found[d] = self._declared_dim(dim, found[d])
            elif varying or dim is DimHint.DYNAMIC:
                alike = [n for n, s in self.symbols.items() if s.hint == found[d]]
                name = alike[0] if alike and varying < 2 else f"s{len(self.symbols)}"
                found[d] = self._symbol(name, found[d], None)
        return tuple(found)

    def _declared_dim(self, dim: Dim | str, size: int) -> Any:
        declared, times, plus = _linear(_dim(dim))
        hint, rest = divmod(size - plus, times)
        if rest:
            raise ShapeError(f"dynamic_shapes: a size was declared to be {dim}, and is {size}")
        name = declared.name
        known = self.symbols.get(name)
        if known is not None and known.hint != hint:
            raise ShapeError(
                f"the dim {name!r} is {known.hint} in one argument and {hint} in another"
            )
        return times * self._symbol(name, hint, declared) + plus

    def _symbol(self, name: str, size: int, declared: Symbol | None) -> Dim:
        if name not in self.symbols:
            made = Symbol(name, size, declared=declared is not None and declared.declared)
            if declared is not None:
                made.least, made.most = declared.least, declared.most
            self.symbols[name] = made
        return Dim({(self.symbols[name],): 1})


def _dim(declared: Dim | str) -> Dim:
    """What was declared of a size as a dim."""
    return Dim(declared) if isinstance(declared, str) else declared


def _linear(dim: Dim) -> Linear:
    found = linear(dim)
    if found is None:
        raise ShapeError(
            f"dynamic_shapes: a size that varies is a Dim, or a multiple of one plus a number; "
            f"{dim} is not"
        )
    return found


def _apart(given: Given) -> Given:
    """The example with a tensor of its own for each input: a trace would take one tensor, or views
    of one, for one input, and each call gives others."""
    leaves, structure = flatten(given)
    seen: set[int] = set()
    for i, leaf in enumerate(leaves):
        if isinstance(leaf, Tensor):
            root = id(leaf._root())
            if root in seen:
                leaves[i] = leaf.detach().clone().requires_grad_(leaf.requires_grad)
            seen.add(root)
    args, kwargs = unflatten(structure, leaves)
    return args, kwargs


def _with_symbolic_sizes(given: Given, shapes: Shapes) -> Given:
    """The example with sizes for which symbols are at least 2: they stand for no less, and programs
    for 0 and 1 are made of the one for all others. A trace looks at sizes, not at elements."""
    leaves, structure = flatten(given)
    taken = {n for leaf in leaves if isinstance(leaf, Tensor) for n in leaf.shape}
    apart = [n for n in range(2, 4 + len(taken)) if n not in taken]
    for i, declared in enumerate(shapes):
        if not declared or not isinstance(leaves[i], Tensor):
            continue
        array = leaves[i].detach()._array
        pairs = enumerate(array.shape)
        shape = tuple([_traced(declared[d], n, apart) if d in declared else n for d, n in pairs])
        if shape != array.shape:
            leaves[i] = wrap(np.resize(array, shape))
    args, kwargs = unflatten(structure, leaves)
    return args, kwargs


def _traced(dim: Any, size: int, apart: Sequence[int]) -> int:
    """The size that a trace has for what varies so: where a hint is all that is said of it, one
    that no other size of the example is equal to."""
    if isinstance(dim, DimHint):
        return size if size > 1 else apart[1 - size]
    _, times, plus = _linear(_dim(dim))
    return max(2 * times + plus, size)


def _without_small_auto(given: Given, shapes: Shapes) -> list[Mapping[int, Any] | None]:
    """What was declared of sizes, but for `Dim.AUTO` of those that are 0 or 1 in the example."""
    found: list[Mapping[int, Any] | None] = []
    for leaf, declared in zip(flatten(given)[0], shapes, strict=False):
        small = {
            d
            for d, dim in (declared or {}).items()
            if dim is DimHint.AUTO and isinstance(leaf, Tensor) and leaf.shape[d] < 2
        }
        left = {d: dim for d, dim in (declared or {}).items() if d not in small}
        found.append(left if small else declared)
    return found


def _takes(found: Captured, given: Given) -> bool:
    """Whether a program takes the sizes of the example, where it was traced for others."""
    leaves = flatten(given)[0]
    inputs = zip(found.inputs, found.program.inputs, strict=True)
    pairs = [(v.shape, x.shape) for i, v in inputs if isinstance(x := leaves[i.leaf], Tensor)]
    sizes = found_sizes(*zip(*pairs, strict=True)) if pairs else {}
    return all(
        evaluate(expected, sizes) == size
        for shape, real in pairs
        for expected, size in zip(shape, real, strict=True)
    ) and all(holds(fact, sizes) for fact in found.facts)


# -- what the trace found --------------------------------------------------------------------------


def _captured(
    function: _ExportedFunction, given: Given, executable: Executable, leaves: list[Any]
) -> Captured:
    parts = executable.parts
    reader = _Reader(executable.program, parts)
    with interpreting(Recorder(reader.program)), collecting_guards(Guards()):  # known to the trace
        results = [reader.result(r) for r in parts.results]
    program = reader.finished()
    kept = {id(v) for node in program for v in node.values} | {id(o) for o in program.results}
    needed = [i for i, v in enumerate(program.state) if id(v) in kept or i in program.writes]
    program.writes = {needed.index(i): o for i, o in program.writes.items()}
    program.state = [program.state[i] for i in needed]
    guards = executable.parts.guards
    facts = [*guards.facts, *filter(_is_of_more, guards.decided.values())]
    solved, facts = _solved([*facts, *map(_fixed, guards.tested.values())])
    program = with_sizes(program, solved)
    with collecting_guards(Guards()):  # likewise
        verify(program)
    captured = Captured(
        program=program,
        leaves=leaves,
        labels=argument_labels(function.function, given),
        structure=flatten(given)[1],
        inputs=list(parts.inputs),
        state=[_state(reader.places[i]) for i in needed],
        returned=parts.structure,
        results=[_solved_result(r, solved) for r in results],
        symbols=_read_symbols(program, function.symbols),
        facts=facts,
        effects=_effects(executable.program, parts),
    )
    _check_varying(captured, function._declared_shapes)
    return captured


def _fixed(symbol: Symbol) -> Fact:
    """That a size is that of the example, where Python read a number that was made of it."""
    if symbol.declared:
        raise ShapeError(
            f"the function reads a number that it computes of the size {symbol.name}, which was "
            "declared to take any size in its range; compute it with whole numbers (//), or leave "
            "the size fixed"
        )
    size = Dim({(symbol,): 1})
    return Dim((size - (symbol.hint or 0)).terms), "==", True


_MOST_SYMBOLS = 6  # whose sizes are tried in all combinations


def _is_of_more(fact: Fact) -> bool:
    """Whether a comparison that a trace made of sizes of 2 and more comes out otherwise where some
    are 0 or 1. A program is of one trace, so it is only for the sizes that agree with it."""
    symbols = fact[0].symbols()
    choices = [[n for n in (0, 1, s.hint or 2) if n >= (s.least or 0)] for s in symbols.values()]
    return len(symbols) > _MOST_SYMBOLS or any(
        not holds(fact, dict(zip(symbols, sizes, strict=True)))
        for sizes in itertools.product(*choices)
    )


def _solved_result(result: Result, solved: Mapping[str, Extent]) -> Result:
    if result.kind == "parts":
        return Result("parts", [_solved_result(r, solved) for r in result.value])
    return Result("size", substitute(result.value, solved)) if result.kind == "size" else result


def _check_varying(found: Captured, shapes: Shapes) -> None:
    """ShapeError where a size that was told to vary is a number, but for `Dim.AUTO`."""
    values = {x.leaf: v for x, v in zip(found.inputs, found.program.inputs, strict=True)}
    for leaf, declared in enumerate(shapes):
        shape = values[leaf].shape if leaf in values else ()
        for d, dim in (declared or {}).items() if shape else ():
            if dim is not DimHint.AUTO and not isinstance(shape[d], Dim):
                size = f"dimension {d}" if isinstance(dim, DimHint) else f"the size {dim}"
                raise ShapeError(
                    f"{found.program.name} takes {size} of {found.labels[leaf]} to be "
                    f"{shape[d]}; leave it fixed, or let the function do without its value"
                )


def _solved(facts: Sequence[Fact]) -> tuple[dict[str, Extent], list[Fact]]:
    """The sizes that equations among the facts determine, by other sizes or as numbers; and the
    facts that are left."""
    solved: dict[str, Extent] = {}
    left = list(facts)
    while True:
        found = next((s for fact in left if (s := _solution(fact)) is not None), None)
        if found is None:
            return solved, left
        name, size = found
        solved = {k: substitute(v, {name: size}) for k, v in solved.items()} | {name: size}
        again = [(substitute(Dim(p.terms), {name: size}), op, outcome) for p, op, outcome in left]
        left = [(p, op, outcome) for p, op, outcome in again if isinstance(p, Dim)]


def _solution(fact: Fact) -> tuple[str, Extent] | None:
    """A symbol, and what a fact says that it is."""
    if not _is_equation(fact):
        return None
    terms = _reduced(fact[0].terms)
    for monomial, c in terms.items():
        if len(monomial) == 1 and isinstance(monomial[0], Symbol) and abs(c) == 1:
            name = monomial[0].name
            rest = {m: -c * k for m, k in terms.items() if m != monomial}
            if name not in Dim(rest).symbols():
                return name, Dim(rest) + 0
    return None


def _reduced(terms: Mapping[Monomial, int]) -> dict[Monomial, int]:
    """What is 0 without the factors that all terms have; symbols are not 0."""
    divisor = math.gcd(*terms.values()) or 1
    found = {m: c // divisor for m, c in terms.items()}
    for atom in dict.fromkeys(a for m in terms for a in m if isinstance(a, Symbol)):
        while all(atom in m for m in found):
            found = {_without(m, atom): c for m, c in found.items()}
    return found


def _without(monomial: Monomial, atom: Any) -> Monomial:
    at = monomial.index(atom)
    return (*monomial[:at], *monomial[at + 1 :])


def _is_equation(fact: Fact) -> bool:
    return fact[1] == "==" and fact[2]


def _read_symbols(program: Program, symbols: Mapping[str, Symbol]) -> dict[str, Symbol]:
    used = program.symbols()
    return {name: symbol for name, symbol in symbols.items() if name in used}


def _effects(program: Program, parts: Parts) -> list[Effect]:
    """What a call would leave in Python objects: but for the gradients of what an optimizer has
    updated, which have done their work."""
    found = [Effect(effect.slot.name, _is_computed(effect.value)) for effect in parts.effects]
    if parts.after_call:
        found.append(Effect("a callback of the optimizer or the schedule", False))
    updated = [parts.places[i] for i in program.writes]
    graded = [place for place, result in parts.gradients if result != Constant(None)]
    if any(not any(_same_place(place, p) for p in updated) for place in graded):
        found.append(Effect("the .grad of a parameter", False))
    return found


def _is_computed(result: Any) -> bool:
    """Whether a program's value is in what a slot holds after a call."""
    if isinstance(result, Made):
        return any(map(_is_computed, result.parts))
    return isinstance(result, ProgramOutput | View | Number)


def check_effects(found: Captured) -> None:
    """Refuse what a call would leave in Python objects, which a program lacks."""
    if found.effects:
        changed = dict.fromkeys(effect.name for effect in found.effects)
        raise TraceError(
            f"{found.program.name} changes {', '.join(changed)}, which an exported program can't: "
            "it has no Python objects. Keep what changes in tensors of one shape and write them in "
            "place (buffer.copy_(...), buffer[i] = ...), or return it"
        )


def _state(place: Place) -> Tensor | int:
    """The tensor of a place, or the number of the argument's leaf."""
    if isinstance(place, Held):
        return place.tensor
    if isinstance(place, Argument):
        return place.number
    raise TraceError(
        "the function reads the .grad of a tensor as it was before the call; clear it first "
        "(zero_grad), or pass it as an argument"
    )


class _Reader:
    """Makes everything that a function returns an output of its program."""

    def __init__(self, program: Program, parts: Parts) -> None:
        self.program = Program(program.name, program.inputs, program.state)
        self.program.nodes = list(program.nodes)
        self.program.writes = dict(program.writes)
        self.old = program
        self.parts = parts
        self.places: list[Place] = list(parts.places)
        self._numbers: dict[int, int] = {}  # of the outputs, by the ids of their values

    def result(self, result: Any) -> Result:
        """How a call of the exported program gives one result."""
        if isinstance(result, ProgramOutput):
            return self._output(self.old.outputs[result.number])
        if isinstance(result, Number):
            return Result("number", self._output(self.old.outputs[result.number]).value)
        if isinstance(result, View):
            root = self.old.outputs[result.root.number]
            return self._output(self._along(root, result.moves))
        if isinstance(result, Alias):
            return self._output(self._along(self._now(result.place), result.moves))
        if isinstance(result, Measured):
            return Result("size", result.dim)
        if isinstance(result, Made | MadeObject):
            parts = result.parts.values() if isinstance(result, MadeObject) else result.parts
            return Result("parts", [self.result(part) for part in parts])
        value = getattr(result, "value", result)
        if isinstance(value, Tensor):
            return self._output(self._now(Held(value)))
        return Result("value", value)

    def _output(self, value: Operand) -> Result:
        if isinstance(value, Literal):
            raise TraceError(f"{self.program.name} returns a constant that is no tensor")
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self.program.outputs)
            self.program.outputs.append(value)
        return Result("tensor", self._numbers[id(value)])

    def _along(self, value: Operand, moves: Moves) -> Any:
        return follow(value, moves.chain)

    def _now(self, place: Place) -> Operand:
        """What a tensor from outside holds when the call ends."""
        for i, known in enumerate(self.places):
            if _same_place(known, place):
                return self.program.writes.get(i, self.program.state[i])
        if isinstance(place, Argument):
            for value, source in zip(self.program.inputs, self.parts.inputs, strict=True):
                if source.leaf == place.number:
                    return value
        assert isinstance(place, Held)
        tensor = place.tensor
        value = Value(tensor.dtype, tuple(tensor.shape), self.program.free_name("constant"))
        self.program.state.append(value)
        self.places.append(place)
        return value

    def finished(self) -> Program:
        """The program, without what only gradients of the results would have needed."""
        return without_dead_code(self.program)


def _same_place(a: Place, b: Place) -> bool:
    if isinstance(a, Held) and isinstance(b, Held):
        return a.tensor is b.tensor
    return isinstance(a, Argument) and isinstance(b, Argument) and a.number == b.number
