"""From what is exported to its Program, and the arrays of its state."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from argand.base.errors import ArgumentError
from argand.base.tree import flatten, tree_map
from argand.compile.function import CompiledFunction
from argand.export.capture import Captured, Result, capture
from argand.export.program import AnySignature
from argand.export.signature import Signature, as_tensor
from argand.ir.bind import interpreting
from argand.ir.op import ops
from argand.ir.program import Operand, Program
from argand.ir.record import Recorder
from argand.onnx import dynamic
from argand.tensor.core import Tensor


class Traced(NamedTuple):
    """A program, the arrays of its state by name, which state is an argument, and what else than
    tensors of the state a call changes, by name."""

    program: Program
    state: dict[str, Any]
    arguments: list[str]
    rebound: list[str]


def traced(
    function: Callable[..., Any],
    given: dynamic.Given,
    dynamic_shapes: Any = None,
    dynamic_axes: Any = None,
    input_names: Sequence[str] = (),
) -> Traced:
    """The Program of a call.

    Tensors and arrays among the arguments are its inputs; everything else is constant.
    """
    function = function.function if isinstance(function, CompiledFunction) else function
    given = tree_map(as_tensor, given)
    if not any(isinstance(x, Tensor) for x in flatten(given)[0]):
        raise ArgumentError("onnx.export: args has no tensor; give the arguments of a call")
    shapes = dynamic.declared(function, given, dynamic_shapes, dynamic_axes, input_names)
    name = getattr(function, "__name__", type(function).__name__).strip("<>")
    found = capture(function, given, shapes, name, for_format=True)
    program = _with_results(found)
    named = function.state if isinstance(function, AnySignature) else {}
    known = {id(tensor): name for name, tensor in named.items()}
    state, arguments = {}, []
    for value, held in zip(program.state, found.state, strict=True):
        if isinstance(held, int):
            arguments.append(value.name)
            held = found.leaves[held]
        elif known.get(id(held), value.name) != value.name:
            value.name = program.free_name(known[id(held)])
        state[value.name] = held._array
    return Traced(program, state, arguments, [e.name for e in found.effects if e.computed])


def recorded(signature: Signature) -> Traced:
    """The Program that a signature has."""
    state = {name: tensor.numpy_array() for name, tensor in signature.state.items()}
    named = zip(signature.program.state, signature.state_names, strict=True)
    arguments = [value.name for value, name in named if isinstance(name, int)]
    return Traced(signature.program, state, arguments, [])


def _with_results(found: Captured) -> Program:
    """The program with all tensors and numbers that are returned as outputs, left to right."""
    program = found.program
    with interpreting(Recorder(program)):
        outputs = [o for r in found.results for o in _operands(r, program)]
    if not outputs:
        raise ArgumentError("onnx.export: the function returns no tensor")
    program.outputs = outputs
    return program


def _operands(result: Result, program: Program) -> Iterator[Operand]:
    """The values that make up a result; None and texts are left out, as PyTorch does."""
    kind, value = result
    if kind in ("tensor", "number"):
        yield program.outputs[value]
    elif kind == "parts":
        for part in value:
            yield from _operands(part, program)
    elif kind == "size":
        yield ops.full((), value, "int64")
    elif isinstance(value, bool | int | float):
        dtype = "bool" if isinstance(value, bool) else "int64" if isinstance(value, int) else None
        yield ops.full((), value, dtype or "float32")


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


__all__ = ["Traced", "in_mode", "recorded", "traced"]
