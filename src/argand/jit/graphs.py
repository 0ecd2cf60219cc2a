"""A program through the methods of TorchScript's graphs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from argand.ir.op import Literal
from argand.ir.program import Node as ProgramNode
from argand.ir.program import Program, print_program, value_name

_KINDS = {"cond": "prim::If", "while_loop": "prim::Loop", "full": "prim::Constant"}


class Listed(tuple[Any, ...]):
    """Items in order, as an attribute and as a method: `graph.nodes`, `graph.nodes()`."""

    def __call__(self) -> Iterator[Any]:
        return iter(self)


class Graph:
    """A program with TorchScript's names: `nodes()`, `inputs()`, `outputs()`; it prints as the
    program.

    >>> graph = ag.jit.trace(lambda x: (x * 2).exp(), ag.ones(2)).graph
    >>> [node.kind() for node in graph.nodes()]
    ['aten::mul', 'aten::exp']
    >>> [value.debugName() for value in graph.inputs()]
    ['x']
    """

    def __init__(self, program: Program) -> None:
        self.program = program.number()

    @property
    def nodes(self) -> Listed:
        """The nodes in order."""
        return Listed(Node(node) for node in self.program.nodes)

    @property
    def inputs(self) -> Listed:
        """The arguments, then the tensors of the module that the program reads."""
        return Listed(Value(v) for v in (*self.program.inputs, *self.program.state))

    @property
    def outputs(self) -> Listed:
        """The results."""
        return Listed(Value(v) for v in self.program.outputs)

    def findAllNodes(self, kind: str, recurse: bool = True) -> list[Node]:  # noqa: N802  # PyTorch's
        """The nodes of a kind, those of branches and loops too (`recurse`)."""
        return [node for node in _walk(self.nodes, recurse) if node.kind() == kind]

    def findNode(self, kind: str, recurse: bool = True) -> Node | None:  # noqa: N802  # PyTorch's
        """The first node of a kind."""
        return next(iter(self.findAllNodes(kind, recurse)), None)

    def __str__(self) -> str:
        return print_program(self.program)

    __repr__ = __str__


class Node:
    """One operation of a graph."""

    def __init__(self, node: ProgramNode) -> None:
        self.node = node

    def kind(self) -> str:
        """Its name: ``aten::relu``, ``prim::If``."""
        return _KINDS.get(self.node.op.name, f"aten::{self.node.op.name}")

    @property
    def inputs(self) -> Listed:
        """Its operands."""
        return Listed(Value(v) for v in self.node.inputs)

    @property
    def outputs(self) -> Listed:
        """Its results."""
        return Listed(Value(v) for v in self.node.outputs)

    def output(self) -> Value:
        """Its only result."""
        (found,) = self.outputs
        return found  # type: ignore[no-any-return]  # a Value

    def inputsSize(self) -> int:  # noqa: N802  # PyTorch's
        """How many operands it has."""
        return len(self.inputs)

    def outputsSize(self) -> int:  # noqa: N802  # PyTorch's
        """How many results it has."""
        return len(self.outputs)

    def blocks(self) -> Iterator[Graph]:
        """Its branches, or the condition and the body of a loop."""
        return iter([Graph(region) for region in self.node.regions])

    def attributeNames(self) -> list[str]:  # noqa: N802  # PyTorch's
        """The names of its parameters."""
        return list(self.node.params)

    def scopeName(self) -> str:  # noqa: N802  # PyTorch's
        """The path of the module that it belongs to."""
        return self.node.module

    def sourceRange(self) -> str:  # noqa: N802  # PyTorch's
        """The line of the user's code."""
        return str(self.node.location or "")

    @property
    def op(self) -> Any:
        """The op."""
        return self.node.op

    @property
    def params(self) -> Any:
        """Its parameters."""
        return self.node.params

    @property
    def location(self) -> Any:
        """The place in the user's code."""
        return self.node.location

    def __repr__(self) -> str:
        return f"{', '.join(map(repr, self.outputs))} = {self.kind()}{self.inputs!r}"


class Value:
    """An operand or a result."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def debugName(self) -> str:  # noqa: N802  # PyTorch's
        """Its name in the text."""
        literal = isinstance(self.value, Literal)
        return repr(self.value.value) if literal else value_name(self.value).removeprefix("%")

    def type(self) -> str:
        """Its dtype and shape."""
        return self.value.dtype.short if isinstance(self.value, Literal) else str(self.value.type)

    def node(self) -> Node | None:
        """What computes it; None of an input."""
        made = getattr(self.value, "node", None)
        return None if made is None else Node(made)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)

    def __repr__(self) -> str:
        return self.debugName()


def _walk(nodes: Sequence[Node], recurse: bool) -> Iterator[Node]:
    for node in nodes:
        yield node
        for block in node.blocks() if recurse else ():
            yield from _walk(block.nodes, recurse)


__all__ = ["Graph", "Node", "Value"]
