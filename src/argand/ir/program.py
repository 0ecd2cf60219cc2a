"""Program: a computation as data. SSA nodes over typed values, in order, with state and regions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from argand.base.dim import Dim, Shape
from argand.base.dtype import DType
from argand.base.shape import numel
from argand.base.userstack import Location
from argand.ir.op import Literal, Op, TensorType
from argand.ir.operators import Operators


class Value(Operators):
    """A tensor that a program computes: dtype, shape, physical layout, and the node that makes it.

    `layout` is the order of the dimensions in memory, outermost first; None is row-major.
    """

    __slots__ = ("dtype", "index", "layout", "name", "node", "shape")

    def __init__(self, dtype: DType, shape: Shape, name: str = "") -> None:
        self.dtype = dtype
        self.shape = shape
        self.layout: tuple[int, ...] | None = None
        self.name = name
        self.node: Node | None = None
        self.index = 0

    def copy(self, name: str) -> Value:
        """A value of the same type and layout, of no node."""
        found = Value(self.dtype, self.shape, name)
        found.layout = self.layout
        return found

    @property
    def type(self) -> TensorType:
        """Dtype and shape."""
        return TensorType(self.dtype, self.shape)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def strides(self) -> Shape:
        """Strides in elements, following the layout."""
        order = self.layout or tuple(range(len(self.shape)))
        strides: list[Any] = [0] * len(self.shape)
        step: Any = 1
        for d in reversed(order):
            strides[d] = step
            step = step * self.shape[d]
        return tuple(strides)

    @property
    def nbytes(self) -> Any:
        """The size in bytes, possibly symbolic."""
        return numel(self.shape) * self.dtype.itemsize

    def __repr__(self) -> str:
        return f"%{self.name}: {self.type}"

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __bool__(self) -> bool:
        raise TypeError("the truth of a program's value is known only when the program runs")


Operand = Value | Literal


class Node:
    """One op applied to values. `values` are the operands that are values, not literals."""

    __slots__ = ("inputs", "location", "module", "op", "outputs", "params", "regions", "values")

    def __init__(
        self,
        op: Op,
        inputs: Sequence[Operand],
        params: dict[str, Any],
        types: Iterable[TensorType],
        location: Location | None = None,
        module: str = "",
        regions: Sequence[Program] = (),
    ) -> None:
        self.op = op
        self.inputs = tuple(inputs)
        self.values = tuple(v for v in self.inputs if isinstance(v, Value))
        self.params = params
        self.outputs = tuple(Value(t.dtype, t.shape) for t in types)
        for i, out in enumerate(self.outputs):
            out.node, out.index = self, i
        self.location = location
        self.module = module
        self.regions = tuple(regions)

    def on(self, inputs: Sequence[Operand]) -> Node:
        """The same node on other inputs of the same types."""
        types = [o.type for o in self.outputs]
        found = Node(self.op, inputs, self.params, types, self.location, self.module, self.regions)
        for new, old in zip(found.outputs, self.outputs, strict=True):
            new.layout = old.layout
        return found

    def __repr__(self) -> str:
        names = ", ".join(f"%{o.name}" for o in self.outputs)
        return f"<node {names} = {self.op.name}>"


def resolved(operand: Operand, env: Mapping[Value, Operand]) -> Operand:
    """The operand that replaces another; literals stay."""
    return env[operand] if isinstance(operand, Value) else operand


def copied_nodes(nodes: Iterable[Node], env: dict[Value, Operand]) -> list[Node]:
    """The nodes again, on what `env` has in the place of values; it learns their outputs."""
    copies = []
    for node in nodes:
        copy = node.on([resolved(i, env) for i in node.inputs])
        env.update(zip(node.outputs, copy.outputs, strict=True))
        copies.append(copy)
    return copies


class Program:
    """Inputs, state, nodes in order, outputs.

    A state value is a hidden input that belongs to a storage (a parameter, a buffer); `writes` maps
    a state's position to the value that it holds afterwards.
    """

    def __init__(
        self,
        name: str,
        inputs: Iterable[Value] = (),
        state: Iterable[Value] = (),
    ) -> None:
        self.name = name
        self.inputs = list(inputs)
        self.state = list(state)
        self.nodes: list[Node] = []
        self.outputs: list[Operand] = []
        self.writes: dict[int, Operand] = {}

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    @property
    def results(self) -> list[Operand]:
        """Everything that must be computed: the outputs, then the written state."""
        return [*self.outputs, *(self.writes[i] for i in sorted(self.writes))]

    def uses(self) -> dict[Value, list[Node]]:
        """The nodes that read each value, in order."""
        found: dict[Value, list[Node]] = {v: [] for v in [*self.inputs, *self.state]}
        for node in self.nodes:
            for v in dict.fromkeys(node.values):
                found.setdefault(v, []).append(node)
            for out in node.outputs:
                found.setdefault(out, [])
        return found

    def symbols(self) -> dict[str, Any]:
        """The symbols in the types of the inputs and the state, by name."""
        found: dict[str, Any] = {}
        for v in [*self.inputs, *self.state]:
            for size in v.shape:
                if isinstance(size, Dim):
                    found |= size.symbols()
        return found

    def free_name(self, name: str) -> str:
        """A name that no input and no state has: this one, or with primes."""
        taken = {v.name for v in [*self.inputs, *self.state]}
        while name in taken:
            name += "'"
        return name

    def number(self) -> Program:
        """Name the unnamed values in order of appearance; returns the program."""
        taken = {v.name for v in [*self.inputs, *self.state]}
        count = 0
        for node in self.nodes:
            for out in node.outputs:
                while str(count) in taken:
                    count += 1
                out.name = str(count)
                count += 1
            for region in node.regions:
                region.number()
        return self

    def __str__(self) -> str:
        return print_program(self)


# -- text ------------------------------------------------------------------------------------------

_WORDS = {"True", "False", "inf", "nan", "complex", "return", "state"}
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def print_program(program: Program) -> str:
    """The text of a program; `ir.text.parse_program` reads it back."""
    return "\n".join(_lines(program.number(), "program " + program.name, ""))


def _lines(program: Program, head: str, indent: str) -> list[str]:
    inputs = ", ".join(f"{value_name(v)}: {type_text(v)}" for v in program.inputs)
    state = ", ".join(f"{value_name(v)}: {type_text(v)}" for v in program.state)
    lines = [f"{indent}{head}({inputs}{'; state ' + state if state else ''}) {{"]
    for node in program.nodes:
        lines += _node_lines(node, indent + "  ")
    results = ", ".join(operand_text(o, None) for o in program.outputs)
    writes = [
        f"{value_name(program.state[i])} <- {operand_text(program.writes[i], None)}"
        for i in sorted(program.writes)
    ]
    lines.append(f"{indent}  return {'; '.join([results, *writes])}".rstrip())
    lines.append(indent + "}")
    return lines


def _node_lines(node: Node, indent: str) -> list[str]:
    outs = ", ".join(f"{value_name(o)}: {type_text(o)}" for o in node.outputs)
    usual = node.values[0].dtype if node.values else None
    operands = ", ".join(operand_text(o, usual) for o in node.inputs)
    line = f"{indent}{outs} = {node.op.name}({operands})"
    if node.params:
        line += " {" + params_text(node.params) + "}"
    where = " · ".join(str(x) for x in (node.location, node.module) if x)
    comment = f"  # {where}" if where else ""
    if not node.regions:
        return [line + comment]
    lines = [line + " with" + comment]
    for region in node.regions:
        lines += _lines(region, region.name, indent + "  ")
    return lines


def type_text(v: Value) -> str:
    """The dtype, shape and layout of a value: ``f32[2, 3]@10``."""
    layout = "@" + "".join(map(str, v.layout)) if v.layout else ""
    return f"{v.type}{layout}"


def value_name(v: Value) -> str:
    """How a value is written: ``%3``, ``x``, or ``"0.weight"``."""
    if v.name.isascii() and v.name.isdigit():
        return f"%{v.name}"
    plain = _PLAIN_NAME.fullmatch(v.name) and v.name not in _WORDS
    return v.name if plain else json.dumps(v.name)


def operand_text(o: Operand, usual: DType | None) -> str:
    """A value's name, or a literal with its dtype where that is not the `usual` one."""
    if isinstance(o, Value):
        return value_name(o)
    value = _number_text(o.value)
    return value if o.dtype is usual else f"{value}:{o.dtype.short}"


def _number_text(value: Any) -> str:
    if isinstance(value, complex):
        return f"complex({value.real!r}, {value.imag!r})"
    return repr(value)


def params_text(params: Mapping[str, Any]) -> str:
    """All static parameters of a node: ``dim=(1,), keepdim=False``."""
    return ", ".join(f"{k}={param_text(v)}" for k, v in params.items())


def param_text(value: Any) -> str:
    """A static parameter: numbers, sizes, strings, dtypes, None, slices, and tuples of them."""
    if isinstance(value, DType):
        return value.short
    if isinstance(value, Dim):
        return str(value)
    if isinstance(value, tuple | list):
        inner = ", ".join(param_text(v) for v in value)
        return f"({inner}{',' if len(value) == 1 else ''})"
    if isinstance(value, str):
        return json.dumps(value)
    return _number_text(value)
