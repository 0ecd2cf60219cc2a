"""From a module or a function to the Program that is exported, and the arrays of its state."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from argand.base.errors import ArgumentError, AutogradError
from argand.base.tree import flatten, unflatten
from argand.compile.function import CompiledFunction
from argand.compile.places import Argument, Held, is_leaf
from argand.compile.results import (
    Alias,
    Constant,
    Copied,
    Made,
    MadeObject,
    Measured,
    Number,
    ProgramOutput,
    View,
)
from argand.compile.signature import Signature, TensorSpec, argument_labels
from argand.ir.bind import interpreting
from argand.ir.op import ops
from argand.ir.program import Operand, Program
from argand.ir.record import Recorder
from argand.onnx import dynamic
from argand.onnx.exported import tensor_names
from argand.ops.kept import keeping
from argand.tensor.core import Tensor, wrap
from argand.tensor.views import follow
from argand.transform.mode import no_grad

Given = tuple[tuple[Any, ...], dict[str, Any]]


class Traced(NamedTuple):
    """A program, the arrays of its state by name, which state is an argument, and what else than
    tensors of the state a call changes, by name."""

    program: Program
    state: dict[str, Any]
    arguments: list[str]
    rebound: list[str]


class _Recorded(CompiledFunction):
    """A function whose sizes vary as was declared, for each tensor among its arguments."""

    def __init__(
        self, function: Callable[..., Any], dims: Mapping[int, dynamic.Dims], numbers: set[int]
    ) -> None:
        name = getattr(function, "__name__", type(function).__name__).strip("<>")
        super().__init__(function, backend="reference", dynamic=False, name=name)
        self._dims = dims
        self._constant_numbers = frozenset(numbers)

    def _shapes(self, signature: Signature, given: Given, varying: int) -> list[Any]:
        hints: dict[str, int] = {}
        found: list[Any] = []
        for i, spec in enumerate(signature.specs):
            if not isinstance(spec, TensorSpec) or spec.identity is not None:
                found.append(None)
                continue
            dims = self._dims.get(i, {})
            sizes = enumerate(spec.shape)
            shape = (dynamic.with_hint(dims[d], n, hints) if d in dims else n for d, n in sizes)
            found.append(tuple(shape))
        return found


def traced(
    function: Callable[..., Any],
    given: Given,
    dynamic_shapes: Any = None,
    dynamic_axes: Any = None,
    input_names: Sequence[str] = (),
) -> Traced:
    """The Program of a call, as `ag.compile` records it.

    Tensors and arrays among the arguments are its inputs; everything else is constant.
    """
    function = function.function if isinstance(function, CompiledFunction) else function
    leaves, structure = flatten(given)
    labels = argument_labels(function, given)
    tensors = [i for i, x in enumerate(leaves) if isinstance(x, Tensor | np.ndarray)]
    if not tensors:
        raise ArgumentError("onnx.export: args has no tensor; give the arguments of a call")
    names = [labels[i] for i in tensors]
    dims = dynamic.declared(
        function, given, tensors, names, dynamic_shapes, dynamic_axes, input_names
    )
    numbers = {i for i, x in enumerate(leaves) if isinstance(x, float)}
    while True:
        examples = dynamic.enlarged([_tensor(leaves[i]) for i in tensors], dims)
        found = dict(zip(tensors, examples, strict=True))
        filled = [found.get(i, x) for i, x in enumerate(leaves)]
        recorded = _Recorded(function, dict(zip(tensors, dims, strict=True)), numbers)
        try:
            return _run(recorded, filled, structure)
        except dynamic.TakenError as error:
            if not error.symbol.startswith(dynamic.AUTO):
                raise
            dims = [{d: s for d, s in x.items() if error.symbol not in s.symbols()} for x in dims]


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else wrap(x)


def _run(recorded: _Recorded, leaves: list[Any], structure: Any) -> Traced:
    """Trace without gradients; with them where the function asks for some."""
    plain = [x.detach() if isinstance(x, Tensor) and is_leaf(x) else x for x in leaves]
    try:
        with no_grad(), keeping():
            return _specialised(recorded, unflatten(structure, plain))
    except AutogradError:
        return _specialised(recorded, unflatten(structure, leaves))


def _specialised(recorded: _Recorded, given: Given) -> Traced:
    args, kwargs = given
    recorded.program(*args, **kwargs)
    executable = recorded.specialisations[-1].executable
    dynamic.check_facts(executable.parts.guards.facts, recorded.name)
    parts, leaves = executable.parts, flatten(given)[0]
    places = list(zip(executable.program.state, parts.places, strict=True))
    known = tensor_names(recorded.function)
    for value, place in places:
        name = known.get(id(place.tensor)) if isinstance(place, Held) else None
        if name is not None and name != value.name:
            value.name = executable.program.free_name(name)
    return Traced(
        _with_results(executable.program, parts),
        {value.name: place.find(leaves)._array for value, place in places},
        [value.name for value, place in places if isinstance(place, Argument)],
        [effect.slot.name for effect in parts.effects if _computed(effect.value)],
    )


def _computed(result: Any) -> bool:
    """Whether a program's value is in what a slot holds after a call."""
    if isinstance(result, Made):
        return any(map(_computed, result.parts))
    return isinstance(result, ProgramOutput | View | Number)


def _with_results(program: Program, parts: Any) -> Program:
    """The program with the tensors that the function returns as outputs, in their order."""
    outputs: list[Operand] = []
    with interpreting(Recorder(program)):
        for result in parts.results:
            outputs += _values(result, program, parts)
    if not outputs:
        raise ArgumentError("onnx.export: the function returns no tensor")
    found = Program(program.name, program.inputs, program.state)
    found.nodes, found.outputs, found.writes = program.nodes, outputs, dict(program.writes)
    return found


def _values(result: Any, program: Program, parts: Any) -> Iterator[Operand]:
    """The values that make up a result, left to right."""
    if isinstance(result, ProgramOutput | Number):
        yield program.outputs[result.number]
    elif isinstance(result, View):
        yield follow(program.outputs[result.root.number], result.moves.chain)
    elif isinstance(result, Alias):
        yield follow(_outside(result.place, program, parts), result.moves.chain)
    elif isinstance(result, Measured):
        yield ops.full((), result.dim, "int64")
    elif isinstance(result, Made):
        for part in result.parts:
            yield from _values(part, program, parts)
    elif isinstance(result, MadeObject):
        for part in result.parts.values():
            yield from _values(part, program, parts)
    elif isinstance(result, Constant | Copied):
        yield from _constants(result.value)
    else:
        raise ArgumentError(
            f"onnx.export: the function returns a {type(result).__name__.lower()} that was there "
            "before; return new tensors, in tuples, lists or dicts"
        )


def _constants(value: Any) -> Iterator[Operand]:
    """Numbers are outputs too; None and texts are left out, as PyTorch does."""
    if isinstance(value, bool | int | float):
        dtype = "bool" if isinstance(value, bool) else "int64" if isinstance(value, int) else None
        yield ops.full((), value, dtype or "float32")


def _outside(place: Any, program: Program, parts: Any) -> Any:
    """The value of a tensor that was there before the call."""
    if isinstance(place, Argument):
        for value, source in zip(program.inputs, parts.inputs, strict=True):
            if source.leaf == place.number:
                return value
    for i, other in enumerate(parts.places):
        if other == place:
            return program.writes.get(i, program.state[i])
    raise ArgumentError(
        "onnx.export: the function returns a tensor that it doesn't compute and that is no "
        "argument; return what is computed"
    )


@contextlib.contextmanager
def in_mode(module: Any, training: bool | None) -> Iterator[None]:
    """A module in training or evaluation mode for a while; as it is with None."""
    if training is None or not hasattr(module, "modules"):
        yield
        return
    before = [(m, m.training) for m in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for m, was in before:
            m.training = was


__all__ = ["Given", "Traced", "in_mode", "traced"]
