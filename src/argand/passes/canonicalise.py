"""Canonicalise: one spelling for each meaning, so that later passes see fewer cases.

Only rewrites that are exact for every value, NaN, infinities and signed zeros included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from argand.base.dim import Shape, same
from argand.base.dtype import DType
from argand.base.shape import numel, same_shape
from argand.ir.bind import bind
from argand.ir.elementwise import Elementwise
from argand.ir.op import Literal, Op, ops, registry
from argand.ir.program import Node, Operand, Program, Value
from argand.ir.rewrite import Rewriter
from argand.ops.arithmetic import Add, Cast, Mul, Neg, Pow, Square, Sub
from argand.ops.compare import Where
from argand.ops.move import Cat, Contiguous, Expand, Flip, Pad, Permute, Reshape, Slice
from argand.ops.reduce import Amax, Amin, Prod, Sum

# How many bits of an integer a floating-point type holds exactly.
_MANTISSA = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}


def canonicalise(program: Program) -> Program:
    """Literals to the right, neutral elements and double moves away.

    %0 = mul(2.0, x)                      %0 = mul(x, 2.0)
    %1 = permute(%0) {dims=(1, 0)}   →
    %2 = permute(%1) {dims=(1, 0)}        %1 = sub(%0, y)
    %3 = neg(y)
    %4 = add(%2, %3)
    """
    return _Canonicalise(program).run()


class _Canonicalise(Rewriter):
    def visit(self, node: Node, inputs: list[Operand]) -> Sequence[Operand]:
        op = node.op
        if isinstance(op, Elementwise) and op.swapped and isinstance(inputs[0], Literal):
            op, inputs = registry.get(op.swapped), inputs[::-1]
        found = _by_algebra(op, inputs) if isinstance(op, Elementwise) else None
        rule = _RULES.get(type(op))
        if found is None and rule is not None:
            found = rule(inputs, node)
        if found is None and isinstance(op, Elementwise):
            found = _before_reshape(op, inputs, node)
        if isinstance(found, Value) and found.dtype is not node.outputs[0].dtype:
            found = None  # a float32 operand beside 16-bit floats
        if found is not None:
            return found if isinstance(found, tuple) else (found,)
        if op is not node.op or inputs != [self.resolve(i) for i in node.inputs]:
            return self.emit(op, inputs, node.params)
        return self.copy(node, inputs)


Rule = Callable[[list[Any], Node], Any]
_RULES: dict[type[Op], Rule] = {}


def _rule(*classes: type[Op]) -> Callable[[Rule], Rule]:
    def add(function: Rule) -> Rule:
        _RULES.update(dict.fromkeys(classes, function))
        return function

    return add


def made_by(operand: Any, cls: type[Op]) -> Node | None:
    """The node that makes an operand, if it is of that op."""
    node = operand.node if isinstance(operand, Value) else None
    return node if node is not None and isinstance(node.op, cls) else None


def is_literal(operand: Any, value: float, dtype_kinds: str = "iufc") -> bool:
    """Whether an operand is this number (and, for zero, this sign)."""
    if not isinstance(operand, Literal) or operand.dtype.kind not in dtype_kinds:
        return False
    return bool(operand.value == value) and (value != 0 or str(operand.value)[0] == str(value)[0])


# -- arithmetic ------------------------------------------------------------------------------------


def _by_algebra(op: Elementwise, inputs: list[Any]) -> Any:
    """What the op says of itself: neutral numbers, and what is its own inverse."""
    *others, last = inputs
    if len(others) == 1:
        neutral = op.neutral(last.dtype)
        return others[0] if neutral is not None and is_literal(last, neutral) else None
    inner = made_by(last, type(op)) if op.involution else None
    return inner.inputs[0] if inner is not None else None


@_rule(Add)
def _add(inputs: list[Any], node: Node) -> Any:
    x, y = inputs
    if x.dtype.kind not in "if":
        return None
    negated = made_by(y, Neg)
    if negated is not None:
        return ops.sub(x, negated.inputs[0])
    negated = made_by(x, Neg)
    if negated is not None and isinstance(y, Value):
        return ops.sub(y, negated.inputs[0])
    return None


@_rule(Sub)
def _sub(inputs: list[Any], node: Node) -> Any:
    x, y = inputs
    negated = made_by(y, Neg)
    return ops.add(x, negated.inputs[0]) if negated is not None and isinstance(x, Value) else None


@_rule(Mul)
def _mul(inputs: list[Any], node: Node) -> Any:
    x, y = inputs
    return ops.neg(x) if is_literal(y, -1, "if") else None


@_rule(Pow)
def _pow(inputs: list[Any], node: Node) -> Any:
    x, y = inputs
    return ops.mul(x, x) if is_literal(y, 2) else None


@_rule(Square)
def _square(inputs: list[Any], node: Node) -> Any:
    return ops.mul(inputs[0], inputs[0])


@_rule(Where)
def _where(inputs: list[Any], node: Node) -> Any:
    condition, x, y = inputs
    if x is y and isinstance(x, Value):
        return x
    if isinstance(condition, Literal):
        chosen = x if condition.value else y
        return chosen if isinstance(chosen, Value) else None
    return None


@_rule(Cast)
def _cast(inputs: list[Any], node: Node) -> Any:
    (x,) = inputs
    wanted: DType = node.params["dtype"]
    if x.dtype is wanted:
        return x
    inner = made_by(x, Cast)
    if inner is not None and holds_exactly(inner.inputs[0].dtype, x.dtype):
        return ops.cast(inner.inputs[0], wanted)
    return None


def holds_exactly(small: DType, big: DType) -> bool:
    """Whether every value of `small` is a value of `big`."""
    if small is big or small.kind == "b":
        return True
    sizes: tuple[int, int] = small.itemsize, big.itemsize
    if small.kind in "iu":
        bits = 8 * sizes[0] - (small.kind == "i")
        if big.kind in "iu":
            room = 8 * sizes[1] - (big.kind == "i")
            return room >= bits and (small.kind == "u" or big.kind == "i")
        return bits <= _MANTISSA.get(big.name, 0)
    return small.kind == "f" and big.kind == "f" and sizes[1] > sizes[0]


# -- movement --------------------------------------------------------------------------------------


@_rule(Reshape, Expand)
def _reshape(inputs: list[Any], node: Node) -> Any:
    inner = made_by(inputs[0], type(node.op))
    x = inputs[0] if inner is None else inner.values[0]
    shape = node.params["shape"]
    if same_shape(x.shape, shape):
        return x
    if inner is None or (isinstance(node.op, Reshape) and not same(numel(x.shape), numel(shape))):
        return (
            None  # there is none, or the sizes fit by a guard of the trace, which isn't asked here
        )
    return bind(node.op, (x,), {"shape": shape})


@_rule(Permute)
def _permute(inputs: list[Any], node: Node) -> Any:
    (x,) = inputs
    dims = tuple(node.params["dims"])
    if dims == tuple(range(len(dims))):
        return x
    inner = made_by(x, Permute)
    if inner is None:
        return None
    before = inner.params["dims"]
    return ops.permute(inner.inputs[0], tuple(before[d] for d in dims))


@_rule(Slice)
def _slice(inputs: list[Any], node: Node) -> Any:
    (x,) = inputs
    start, step = node.params["start"], node.params["step"]
    if same_shape(x.shape, node.outputs[0].shape) and not any(start) and set(step) <= {1}:
        return x
    return None


@_rule(Pad)
def _pad(inputs: list[Any], node: Node) -> Any:
    edges = [edge for pair in node.params["padding"] for edge in pair]
    return inputs[0] if all(isinstance(e, int) and e == 0 for e in edges) else None


@_rule(Flip)
def _flip(inputs: list[Any], node: Node) -> Any:
    return inputs[0] if not node.params["dims"] else None


@_rule(Cat)
def _cat(inputs: list[Any], node: Node) -> Any:
    return inputs[0] if len(inputs) == 1 else None


@_rule(Contiguous)
def _contiguous(inputs: list[Any], node: Node) -> Any:
    # A copy means something only to memory; `own_results` adds the copies that results need.
    return inputs[0]


def _before_reshape(op: Op, inputs: Sequence[Any], node: Node) -> Any:
    """An elementwise op on reshapes of values of one shape: computed first, reshaped then.

    A product of a batch by a matrix stays a matrix so, and what follows can join its kernel.

    %0 = reshape(x) {shape=(2, 3, 4)}      %0 = relu(x)
    %1 = relu(%0)                     →    %1 = reshape(%0) {shape=(2, 3, 4)}
    """
    reshapes = [made_by(i, Reshape) for i in inputs]
    shape = next((r.values[0].shape for r in reshapes if r is not None), None)
    if shape is None:
        return None
    sources = [_source_in(i, shape) for i in inputs]
    if any(s is None for s in sources):
        return None
    values = tuple(s if isinstance(s, Literal) else _expanded(s, shape) for s in sources)
    (result,) = bind(op, values, node.params)
    return ops.reshape(result, node.outputs[0].shape)


def _expanded(x: Value, shape: Shape) -> Value:
    value: Value = x if same_shape(x.shape, shape) else ops.expand(x, shape)
    return value


def _source_in(operand: Any, shape: Shape) -> Any:
    """What becomes the operand when it is expanded to `shape` and reshaped; None when nothing does
    that is there already."""
    if isinstance(operand, Literal):
        return operand
    reshape, expand = made_by(operand, Reshape), made_by(operand, Expand)
    if reshape is not None and same_shape(reshape.values[0].shape, shape):
        return reshape.values[0]
    if expand is not None:
        (x,) = expand.values
        rank = len(x.shape)
        if rank == 0 or same_shape(shape[-rank:], operand.shape[-rank:]):
            return x
    return None


# -- reductions ------------------------------------------------------------------------------------


@_rule(Sum, Prod, Amax, Amin)
def _reduce(inputs: list[Any], node: Node) -> Any:
    """Over no dimension, or over dimensions of size 1: the input itself."""
    (x,) = inputs
    sizes = [x.shape[d] for d in node.params["dim"]]
    if all(isinstance(s, int) and s == 1 for s in sizes):
        return ops.reshape(x, node.outputs[0].shape)
    return None
