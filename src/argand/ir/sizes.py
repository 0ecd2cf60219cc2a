"""Programs for given sizes: numbers, or other symbols, in the place of a program's symbols."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from argand.base.dim import Dim, Extent, Shape, substitute
from argand.base.polynomial import linear
from argand.ir.op import Literal, TensorType
from argand.ir.program import Node, Operand, Program, Value


def with_sizes(program: Program, sizes: Mapping[str, Extent]) -> Program:
    """The program whose symbols have these sizes; symbols that `sizes` lacks stay.

    >>> from argand.ir.text import parse_program
    >>> p = parse_program("program f(x: f32[n, 3]) { %0: f32[n, 3] = mul(x, 2.0)  return %0 }")
    >>> print(with_sizes(p, {"n": 1}))
    program f(x: f32[1, 3]) {
      %0: f32[1, 3] = mul(x, 2.0)
      return %0
    }
    """
    made = Program(program.name)
    env: dict[Value, Value] = {}
    made.inputs = [_declared(v, sizes, env) for v in program.inputs]
    made.state = [_declared(v, sizes, env) for v in program.state]
    for node in program.nodes:
        made.nodes.append(_node(node, sizes, env))
    made.outputs = [_operand(o, sizes, env) for o in program.outputs]
    made.writes = {i: _operand(o, sizes, env) for i, o in program.writes.items()}
    return made


def _declared(value: Value, sizes: Mapping[str, Extent], env: dict[Value, Value]) -> Value:
    made = env[value] = Value(value.dtype, _shape(value.shape, sizes), value.name)
    made.layout = value.layout
    return made


def _shape(shape: Shape, sizes: Mapping[str, Extent]) -> Shape:
    return tuple(substitute(size, sizes) for size in shape)


def _operand(o: Operand, sizes: Mapping[str, Extent], env: Mapping[Value, Value]) -> Operand:
    if isinstance(o, Value):
        return env[o]
    return Literal(o.dtype, _param(o.value, sizes))


def _param(value: Any, sizes: Mapping[str, Extent]) -> Any:
    if isinstance(value, tuple):
        return tuple(_param(v, sizes) for v in value)
    return substitute(value, sizes) if isinstance(value, Dim) else value


def _node(node: Node, sizes: Mapping[str, Extent], env: dict[Value, Value]) -> Node:
    made = Node(
        node.op,
        [_operand(i, sizes, env) for i in node.inputs],
        {name: _param(value, sizes) for name, value in node.params.items()},
        [TensorType(o.dtype, _shape(o.shape, sizes)) for o in node.outputs],
        node.location,
        node.module,
        [with_sizes(region, sizes) for region in node.regions],
    )
    for new, old in zip(made.outputs, node.outputs, strict=True):
        new.layout = old.layout
        env[old] = new
    return made


def found_sizes(shapes: Iterable[Shape], given: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """The sizes of the symbols for which shapes are those given: of each symbol the first one that
    a multiple of it and a number make. Others need not fit, which callers see by `substitute`.

    >>> from argand.base.dim import Dim
    >>> n, m = Dim("n"), Dim("m")
    >>> found_sizes([(2 * n + 1, n), (m,)], [(7, 3), (4,)])
    {'n': 3, 'm': 4}
    """
    sizes: dict[str, Any] = {}
    for shape, real in zip(shapes, given, strict=True):
        for expected, size in zip(shape, real, strict=True):
            found = linear(expected) if isinstance(expected, Dim) else None
            if found is not None:
                least = max(size - found.plus, 0) // found.times
                sizes.setdefault(found.symbol.name, least)
    return sizes


def untold(program: Program) -> frozenset[str]:
    """The symbols that a program mentions, and that are the size of none of its inputs."""
    own = {str(size) for v in (*program.inputs, *program.state) for size in v.shape}
    return frozenset(_mentioned(program) - own)


def _mentioned(program: Program) -> set[str]:
    found = _symbols([v.shape for v in program.inputs])
    for node in program.nodes:
        found |= _symbols([o.shape for o in node.outputs])
        found |= _symbols([*node.params.values()])
        found |= _symbols([i.value for i in node.inputs if isinstance(i, Literal)])
        for region in node.regions:
            found |= _mentioned(region)
    return found


def _symbols(values: Any) -> set[str]:
    if isinstance(values, Dim):
        return set(values.symbols())
    if isinstance(values, tuple | list):
        return {name for value in values for name in _symbols(value)}
    return set()


__all__ = ["found_sizes", "untold", "with_sizes"]
