"""Recording: the interpreter that writes nodes into a Program instead of computing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from argand.base.dim import Dim
from argand.base.errors import ProgramError
from argand.base.size_guards import relied_on, unnoted
from argand.base.userstack import Location, call_location
from argand.ir.bind import Interpreter, bind, interpreting
from argand.ir.op import Literal, Op, TensorType
from argand.ir.program import Node, Operand, Program, Value


class Recorder(Interpreter):
    """Appends a node to `program` for every bind; inputs are Values and Literals.

    `module` tells the path of the module being run (``encoder.layers.3``), for the node's comment.
    """

    def __init__(self, program: Program, module: Callable[[], str] = lambda: "") -> None:
        self.program = program
        self.module = module
        self.location: Location | None = None  # when set, nodes get it instead of the user's line

    def bind(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, ...]:
        return self.add(op, inputs, params).outputs

    def add(self, op: Op, inputs: Sequence[Operand], params: dict[str, Any]) -> Node:
        """Append a node; its types come from the op's shape rule."""
        regions = params.get("regions", ())
        types = op.infer(*[_type(x) for x in inputs], **params)
        static = {k: v for k, v in params.items() if k != "regions"}
        location = self.location or call_location()
        node = Node(op, inputs, static, types, location, self.module(), regions)
        self.program.nodes.append(node)
        return node


def _type(x: Any) -> Any:
    if isinstance(x, Value):
        return x.type
    if isinstance(x, Literal):
        return x
    raise ProgramError(f"a recorded op takes program values, got {type(x).__name__}")


def record(
    function: Callable[..., Any],
    types: Sequence[TensorType],
    name: str = "program",
    names: Sequence[str] = (),
) -> Program:
    """The Program of a function of ops, called with values of the given types.

    >>> from argand.base.dtype import float32
    >>> from argand.ir.op import ops
    >>> import argand.ops
    >>> program = record(lambda x: ops.exp(x) + 1, [TensorType(float32, (2,))])
    >>> [node.op.name for node in program]
    ['exp', 'add']
    """
    labels = list(names) or [f"x{i}" for i in range(len(types))]
    inputs = [Value(t.dtype, t.shape, n) for t, n in zip(types, labels, strict=True)]
    program = Program(name, inputs)
    with interpreting(Recorder(program)):
        outputs = function(*inputs)
    program.outputs = list(outputs) if isinstance(outputs, tuple | list) else [outputs]
    return program


def record_body(op: Any, types: Sequence[TensorType], params: dict[str, Any]) -> Program:
    """The Program of a composite's body; cached by op, types and parameters."""
    given = op, tuple(types), tuple(params.items())
    cached = _decided_body(*given, tuple(_told(given)))
    return _body(*given) if cached is None else cached


@lru_cache(maxsize=1024)
def _decided_body(
    op: Any,
    types: tuple[TensorType, ...],
    params: tuple[Any, ...],
    told: tuple[tuple[Any, ...], ...],
) -> Program | None:
    """The body that all calls share; None where it depends on the sizes of the call at hand.

    What depends on them is recorded for each call, whose trace is to collect the facts. The sizes
    in a body are those of a trace, by which later comparisons go: symbols of which another trace
    tells something else are of another body, though sizes of equal names are equal.
    """
    before = relied_on()
    program = _body(op, types, params)
    return program if relied_on() == before else None


def _told(values: Any) -> Iterator[tuple[Any, ...]]:
    """What the trace at hand tells of each symbol in nested tuples."""
    for value in values:
        if isinstance(value, Dim):
            for s in value.symbols().values():
                yield s.name, s.hint, s.declared, s.least, s.most
        elif isinstance(value, tuple):
            yield from _told(value)


def _body(op: Any, types: tuple[TensorType, ...], params: tuple[Any, ...]) -> Program:
    with unnoted():  # programs for 0 and 1 make the bodies of their nodes themselves
        program = record(lambda *xs: op.apply_body(xs, dict(params)), types, op.name)
    for node in program:
        node.location = None  # it is the body of many calls
    return program


def replay(
    program: Program,
    operands: Sequence[Any],
    transform: Callable[[Node, list[Any]], Any] | None = None,
) -> list[Any]:
    """Bind every node of `program` again, on other operands, through the current interpreter.

    `operands` replace the inputs and the state. `transform(node, inputs)` may give the outputs of
    a node itself, or None to bind it as it is. Returns what replaces the program's results.
    """
    env: dict[Any, Any] = dict(zip([*program.inputs, *program.state], operands, strict=True))
    for node in program.nodes:
        inputs = [env[i] if isinstance(i, Value) else i for i in node.inputs]
        outputs = transform(node, inputs) if transform is not None else None
        if outputs is None:
            from_regions = {"regions": node.regions} if node.regions else {}
            outputs = bind(node.op, tuple(inputs), {**node.params, **from_regions})
        env.update(zip(node.outputs, outputs, strict=True))
    return [env[o] if isinstance(o, Value) else o for o in program.results]
