"""Exported programs as graphs of calls: `ExportedProgram.graph_module`, and `make_fx`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from argand.base.dim import Dim
from argand.base.tree import unflatten
from argand.fx.graph import Graph
from argand.fx.graph_module import GraphModule
from argand.fx.node import Node, map_aggregate
from argand.ir.op import Literal, Op
from argand.library import ops as library_ops
from argand.nn.module import Module


class SizeOf:
    """A formula of symbolic sizes, as the target of a node: called with the sizes."""

    def __init__(self, dim: Dim, names: Sequence[str]) -> None:
        self.dim, self.names = dim, list(names)
        self.__name__ = "size"
        self.__module__ = "argand.fx.programs"

    def __call__(self, *sizes: int) -> Any:
        return self.dim.evaluate(dict(zip(self.names, sizes, strict=True)))

    def __repr__(self) -> str:
        return str(self.dim)


def lifted(exported: Any) -> GraphModule:
    """The default signature as a graph whose inputs are parameters, buffers, constants, then what
    a call gives; its outputs are what a call changes, then what it returns."""
    signature = exported.default.settled
    specs = exported.graph_signature
    graph = Graph()
    inputs = {s.arg.name: graph.placeholder(s.arg.name) for s in specs.input_specs}
    of_state = {s.target: inputs[s.arg.name] for s in specs.input_specs if s.target is not None}
    given = [inputs[name] for name in specs.user_inputs]
    state = [
        of_state[name] if isinstance(name, str) else given[name] for name in signature.state_names
    ]
    return _module(signature.program, graph, [*given, *state], {})


def whole(exported: Any) -> GraphModule:
    """The default signature as a graph of what a call gives; other tensors are its attributes."""
    signature = exported.default.settled
    graph = Graph()
    tensors: dict[str, Any] = {}
    given = [graph.placeholder(x.name) for x in signature.inputs]
    state: list[Node] = []
    for name in signature.state_names:
        if isinstance(name, str):
            title = f"_tensor_constant{len(tensors)}"
            tensors[title] = exported.state[name]
            state.append(graph.get_attr(title))
        else:
            state.append(given[name])

    def nested(outputs: tuple[Any, ...]) -> Any:
        known = [outputs[x.value] if x.kind == "tensor" else x.value for x in signature.results]
        return unflatten(signature.returned, known)

    return _module(signature.program, graph, [*given, *state], tensors, nested)


def _module(
    program: Any,
    graph: Graph,
    operands: Sequence[Node],
    tensors: dict[str, Any],
    nested: Callable[[tuple[Any, ...]], Any] = tuple,
) -> GraphModule:
    root = Module()
    for name, tensor in tensors.items():
        setattr(root, name, tensor)
    translation = _Translation(graph, root, program, operands)
    written, outputs = translation.run()
    graph.output((*written, *outputs) if nested is tuple else nested(outputs))
    return GraphModule(root, graph)


class _Translation:
    """The nodes of a program as those of a graph; regions become submodules of `root`."""

    def __init__(self, graph: Graph, root: Module, program: Any, operands: Sequence[Node]) -> None:
        self.graph, self.root, self.program = graph, root, program
        values = [*program.inputs, *program.state]
        self.env: dict[Any, Any] = dict(zip(values, operands, strict=True))
        self.sizes: dict[str, Node] = {}
        self.formulas: dict[str, Node] = {}
        for value, node in self.env.items():
            _describe(node, value)
        self.regions = 0

    def run(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """All nodes; the new values of what is written, and the results."""
        for node in self.program.nodes:
            self._add(node)
        written = [self.program.writes[i] for i in sorted(self.program.writes)]
        found = tuple(map(self._operand, written)), tuple(map(self._operand, self.program.outputs))
        return found

    def _add(self, node: Any) -> None:
        target, args, kwargs = self._call(node)
        made = self.graph.call_function(target, args, kwargs, name=node.op.name.replace(".", "_"))
        made.stack_trace = _trace_text(node)
        made.meta["nn_module_stack"] = {node.module: (node.module, None)} if node.module else {}
        if len(node.outputs) == 1 and not node.regions:
            _describe(made, node.outputs[0])
            self.env[node.outputs[0]] = made
            return
        for i, value in enumerate(node.outputs):
            item = self.graph.call_function(operator.getitem, (made, i))
            _describe(item, value)
            self.env[value] = item

    def _call(self, node: Any) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        """What a node calls, with what."""
        if node.regions:
            return self._control(node)
        inputs = [self._operand(x) for x in node.inputs]
        found = node.op.as_call(node.inputs, dict(node.params))
        if found is None:
            return node.op, tuple(inputs), self._with_sizes(dict(node.params))
        args, kwargs = found
        known = {id(x): y for x, y in zip(node.inputs, inputs, strict=True)}
        args = tuple(_replaced(x, known) for x in args)
        target = node.op if kwargs or len(args) != len(inputs) else _aten(node.op, args)
        return target, self._with_sizes(args), self._with_sizes(dict(kwargs))

    def _control(self, node: Any) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        """A `cond` or a `while_loop`, by PyTorch's arguments."""
        parts = []
        for kind, region in zip(_REGIONS.get(node.op.name, ()), node.regions, strict=False):
            name = f"{kind}_graph_{self.regions}"
            setattr(self.root, name, _region(region))
            parts.append(self.graph.get_attr(name))
        self.regions += 1
        inputs = [self._operand(x) for x in node.inputs]
        if node.op.name == "cond":
            return library_ops.higher_order.cond, (inputs[0], *parts, tuple(inputs[1:])), {}
        if node.op.name == "while_loop":
            count = node.params["carried"]
            carried, read = tuple(inputs[:count]), tuple(inputs[count:])
            return library_ops.higher_order.while_loop, (*parts, carried, read), {}
        raise NotImplementedError(f"{node.op.name} has no form as a node of a graph")

    def _operand(self, x: Any) -> Any:
        return self._with_sizes(x.value) if isinstance(x, Literal) else self.env[x]

    def _with_sizes(self, args: Any) -> Any:
        return map_aggregate(args, lambda x: self._size(x) if isinstance(x, Dim) else x)

    def _size(self, dim: Dim) -> Node:
        """The node of a symbolic size: of an input, or computed from such."""
        names = sorted(dim.symbols())
        for name in names:
            if name not in self.sizes:
                self.sizes[name] = self._size_of_input(name)
        if names == [str(dim)]:
            return self.sizes[names[0]]
        if str(dim) not in self.formulas:
            args = tuple(self.sizes[name] for name in names)
            self.formulas[str(dim)] = self.graph.call_function(SizeOf(dim, names), args)
        return self.formulas[str(dim)]

    def _size_of_input(self, name: str) -> Node:
        for value in (*self.program.inputs, *self.program.state):
            for d, extent in enumerate(value.shape):
                if str(extent) == name:
                    target = library_ops.aten.sym_size.int
                    return self.graph.call_function(target, (self.env[value], d), name="sym_size")
        raise KeyError(name)


_REGIONS = {"cond": ("true", "false"), "while_loop": ("cond", "body")}


def _region(program: Any) -> GraphModule:
    graph = Graph()
    operands = [graph.placeholder(v.name) for v in program.inputs]
    return _module(program, graph, operands, {})


def _aten(op: Op, args: Sequence[Any]) -> Callable[..., Any]:
    """The op of `torch.ops.aten` that takes the same operands, if there is one."""
    try:
        found = getattr(library_ops.aten, op.name)
    except AttributeError:
        return op
    if op.name in _OVERLOADED:
        scalar = op.name in _COMPARISONS and not isinstance(args[-1], Node)
        return found.Scalar if scalar else found.Tensor  # type: ignore[no-any-return]  # an op
    return found.default  # type: ignore[no-any-return]  # an op


_COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge"}
_OVERLOADED = {"add", "sub", "mul", "div", "remainder", *_COMPARISONS}
"""Ops that PyTorch has for tensors and for numbers, and none of its own."""


def _replaced(arg: Any, known: dict[int, Any]) -> Any:
    """An argument with the nodes of the values in it."""
    if id(arg) in known or isinstance(arg, Literal):
        return known.get(id(arg), getattr(arg, "value", arg))
    if isinstance(arg, tuple | list):
        return type(arg)(_replaced(x, known) for x in arg)
    return arg


def _describe(node: Node, value: Any) -> None:
    node.meta.setdefault("val", value.type)
    node.meta.setdefault("tensor_meta", value.type)


def _trace_text(node: Any) -> str | None:
    at = node.location
    return None if at is None else f'  File "{at.file}", line {at.line}, in {at.call or "?"}'


__all__ = ["SizeOf", "lifted", "whole"]
