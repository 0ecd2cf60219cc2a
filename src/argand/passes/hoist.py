"""Hoist slices: where little of a value is read, only that is computed.

A classifier reads one place of the last layer's sequence, a language model's step the last row of
its logits. A slice that takes at most half of what a chain of ops makes goes before the chain, over
ops that compute each of the places taken from places of their own operands: elementwise ops,
normalisation and softmax of other dimensions, rows of matrix products, queries of attention.

First the program is walked backwards, to find which values are only read in part, and whether what
makes them can be narrowed; then it is written again. It stays as it was where no product becomes
smaller, as slices alone cost nothing: lowering reads through them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from argand.base.dim import Extent, Shape, is_natural, same
from argand.base.shape import numel, same_shape
from argand.ir.elementwise import Elementwise
from argand.ir.families import Reduce
from argand.ir.op import Op, ops
from argand.ir.program import Node, Operand, Program, Value
from argand.ir.rewrite import Rewriter
from argand.ops.attention import ScaledDotProductAttention
from argand.ops.contract import Matmul
from argand.ops.move import Contiguous, Expand, Permute, Reshape, Slice, is_one
from argand.ops.norm import LayerNorm
from argand.ops.softmax import LogSoftmax, Softmax


class Range(NamedTuple):
    """The places start, start + step, ... below stop."""

    start: Extent
    stop: Extent
    step: Extent

    @property
    def size(self) -> Extent:
        """How many they are."""
        return (self.stop - self.start + self.step - 1) // self.step


Part = Mapping[int, Range]
"""What is read of a value: some places of these dimensions, all of the others."""

WHOLE: Part = {}


class Narrowed(NamedTuple):
    """How a node makes a part of its result: what it reads of its operands, or of values before
    them, and the function that makes the part from those."""

    reads: list[tuple[Value, Part]]
    make: Callable[[Rewriter, list[Any]], Value]


Rule = Callable[[Node, Part], Narrowed | None]


def hoist_slices(program: Program) -> Program:
    """Only the rows that are read.

    %0 = matmul(x, w)                            %0 = slice(x) {start=(0, 0), stop=(1, 8)}
    %1 = slice(%0) {start=(0, 0), stop=(1, 4)} → %1 = matmul(%0, w)
    """
    plan = _Plan(program)
    return _Hoist(program, plan).run() if plan.pays else program


# -- what is read ----------------------------------------------------------------------------------


class _Plan:
    """What is read of each value, and the nodes that make no more."""

    def __init__(self, program: Program) -> None:
        self.read: dict[Value, Part] = {o: WHOLE for o in program.results if isinstance(o, Value)}
        self.narrowed: dict[Node, Narrowed] = {}
        self.unread: set[Node] = set()  # since those that read them read what is before them
        used = {v for node in program.nodes for v in node.values}
        for node in reversed(program.nodes):
            if all(o not in self.read for o in node.outputs) and not used.isdisjoint(node.outputs):
                self.unread.add(node)
            elif isinstance(node.op, Slice) and _is_few(node):
                self._reads([(node.values[0], _part_of(node))])
            else:
                self._visit(node)
        self.pays = any(map(_is_costly, self.narrowed))

    def _visit(self, node: Node) -> None:
        first, *others = node.outputs
        part = self.read.get(first, WHOLE)
        rule = _rule_of(node.op)
        alone = self.read.keys().isdisjoint(others)
        found = rule(node, part) if part and alone and rule is not None else None
        if found is not None:
            self.narrowed[node] = found
        self._reads([(v, WHOLE) for v in node.values] if found is None else found.reads)

    def _reads(self, reads: Sequence[tuple[Value, Part]]) -> None:
        for value, part in reads:
            before = self.read.get(value)
            self.read[value] = part if before is None or _is_same(before, part) else WHOLE


def _is_costly(node: Node) -> bool:
    """Whether it is worth the slices to make less of a node."""
    return isinstance(node.op, Matmul | ScaledDotProductAttention) or _factors_of(node) is not None


def _part_of(node: Node) -> Part:
    """What a slice takes."""
    ranges = map(Range, *(node.params[n] for n in ("start", "stop", "step")))
    sizes = node.values[0].shape
    return {
        d: r
        for d, (r, size) in enumerate(zip(ranges, sizes, strict=True))
        if not (same(r.start, 0) and same(r.stop, size) and same(r.step, 1))
    }


def _is_few(node: Node) -> bool:
    """Whether a slice surely takes at most half."""
    size = node.values[0].shape
    return any(is_natural(size[d] - 2 * r.size) for d, r in _part_of(node).items())


def _is_same(a: Part, b: Part) -> bool:
    """Whether two parts are the same, without asking a guard."""
    return a.keys() == b.keys() and all(same_shape(a[d], b[d]) for d in a)


def _narrow(shape: Shape, part: Part) -> Shape:
    """The shape of a part."""
    return tuple(part[d].size if d in part else s for d, s in enumerate(shape))


# -- rules -----------------------------------------------------------------------------------------


def _rule_of(op: Op) -> Rule | None:
    if isinstance(op, Elementwise):
        return None if op.can_fail else _elementwise
    return _reduction if isinstance(op, Reduce) else _RULES.get(type(op))


def _again(node: Node, parts: Sequence[Part], **params: Any) -> Narrowed:
    """The node on these parts of its operands."""
    values = iter(parts)
    reads = [(v, next(values)) for v in node.values]

    def make(b: Rewriter, given: list[Any]) -> Value:
        found = iter(given)
        inputs = [next(found) if isinstance(x, Value) else b.resolve(x) for x in node.inputs]
        return b.emit(node.op, inputs, {**node.params, **params})[0]

    return Narrowed(reads, make)


def _elementwise(node: Node, part: Part) -> Narrowed | None:
    shape = node.outputs[0].shape
    if not all(same_shape(v.shape, shape) for v in node.values):
        return None
    return _again(node, [part] * len(node.values))


def _along_others(node: Node, part: Part) -> Narrowed | None:
    """A softmax along a dimension of which all places are read."""
    return None if node.params["dim"] in part else _again(node, [part])


def _reduction(node: Node, part: Part) -> Narrowed | None:
    """A reduction along dimensions of which all places are read."""
    dims = node.params["dim"]
    left = [d for d in range(len(node.values[0].shape)) if d not in dims]
    if node.params["keepdim"]:
        return None if any(d in dims for d in part) else _again(node, [part])
    return _again(node, [{left[d]: r for d, r in part.items()}])


def _layer_norm(node: Node, part: Part) -> Narrowed | None:
    x, *affine = node.values
    if max(part) >= len(x.shape) - len(node.params["normalized_shape"]):
        return None
    return _again(node, [part, *[WHOLE] * len(affine)])


def _permute(node: Node, part: Part) -> Narrowed | None:
    dims = node.params["dims"]
    return _again(node, [{dims[d]: r for d, r in part.items()}])


def _expand(node: Node, part: Part) -> Narrowed | None:
    (x,), shape = node.values, node.params["shape"]
    new = len(shape) - len(x.shape)
    kept = {d - new: r for d, r in part.items() if d >= new and not is_one(x.shape[d - new])}
    return _again(node, [kept], shape=_narrow(shape, part))


def _reshape(node: Node, part: Part) -> Narrowed | None:
    """A reshape of other dimensions than those of which a part is read, or of a product."""
    (x,), shape = node.values, node.params["shape"]
    if all(d < len(x.shape) and same_shape(x.shape[: d + 1], shape[: d + 1]) for d in part):
        return _again(node, [part], shape=_narrow(shape, part))
    factors = _factors_of(node)
    if factors is None or max(part) >= len(shape) - 1:
        return None
    stack, columns = factors

    def make(b: Rewriter, given: list[Any]) -> Value:
        stack, columns = given
        flat = ops.reshape(stack, (numel(stack.shape[:-1]), stack.shape[-1]))
        result: Value = ops.reshape(ops.matmul(flat, columns), _narrow(shape, part))
        return result

    return Narrowed([(stack, part), (columns, WHOLE)], make)


def _factors_of(node: Node) -> tuple[Value, Value] | None:
    """The stack of rows and the matrix that `linear` multiplies, of the reshape that ends it: one
    before the product folds the stack's leading dimensions, this one gives them back."""
    if not isinstance(node.op, Reshape):
        return None
    (x,), shape = node.values, node.params["shape"]
    if x.node is None or not isinstance(x.node.op, Matmul) or len(x.shape) != 2:
        return None
    rows, columns = x.node.values
    if rows.node is None or not isinstance(rows.node.op, Reshape):
        return None
    (stack,) = rows.node.values
    if not len(stack.shape) == len(shape) > 1 or not same_shape(stack.shape[:-1], shape[:-1]):
        return None
    alike = same(stack.shape[-1], rows.shape[-1]) and same(shape[-1], x.shape[-1])
    return (stack, columns) if alike else None


def _matmul(node: Node, part: Part) -> Narrowed | None:
    """Rows of a product, or of each of a stack."""
    rank = len(node.outputs[0].shape)
    if not all(len(v.shape) == rank for v in node.values) or max(part) >= rank - 1:
        return None
    return _again(node, [part, {d: r for d, r in part.items() if d < rank - 2}])


def _attention(node: Node, part: Part) -> Narrowed | None:
    """Some queries, which must see all keys that a mask doesn't hide: of causal attention the last
    ones, since which keys another sees follows from its place."""
    q, k, _v, *masks = node.values
    d = len(q.shape) - 2
    sees_all = set(part) == {d} and (
        not node.params["is_causal"] or same(part[d].start, k.shape[d] - 1)
    )
    if not sees_all:
        return None
    parts: list[Part] = [part, WHOLE, WHOLE]
    for mask in masks:
        at = len(mask.shape) - 2
        parts.append(WHOLE if at < 0 or is_one(mask.shape[at]) else {at: part[d]})
    return _again(node, parts, is_causal=False)


_RULES: dict[type[Op], Rule] = {
    Contiguous: _elementwise,
    Softmax: _along_others,
    LogSoftmax: _along_others,
    LayerNorm: _layer_norm,
    Permute: _permute,
    Expand: _expand,
    Reshape: _reshape,
    Matmul: _matmul,
    ScaledDotProductAttention: _attention,
}


# -- the program again -----------------------------------------------------------------------------


class _Hoist(Rewriter):
    def __init__(self, program: Program, plan: _Plan) -> None:
        super().__init__(program)
        self.plan = plan
        self.parts: dict[Value, list[tuple[Part, Value]]] = {}

    def visit(self, node: Node, inputs: list[Operand]) -> Sequence[Operand]:
        if node in self.plan.unread:
            return inputs[:1] * len(node.outputs)  # anything
        found = self.plan.narrowed.get(node)
        if found is not None:
            made = found.make(self, [self.part(v, part) for v, part in found.reads])
            self.parts[node.outputs[0]] = [(self.plan.read[node.outputs[0]], made)]
            return [made] * len(node.outputs)  # nobody reads the whole
        if isinstance(node.op, Slice) and self.plan.read.get(node.values[0]):
            return (self.part(node.values[0], _part_of(node)),)
        return self.copy(node, inputs)

    def part(self, value: Value, part: Part) -> Operand:
        """What is read of a value: what was made of it, or a slice."""
        if not part:
            return self.resolve(value)
        known = self.parts.setdefault(value, [])
        found = next((made for p, made in known if _is_same(p, part)), None)
        if found is None:
            ranges = [part.get(d, Range(0, s, 1)) for d, s in enumerate(value.shape)]
            found = ops.slice(self.resolve(value), *zip(*ranges, strict=True))
            known.append((part, found))
        return found
