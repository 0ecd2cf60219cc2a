"""Schedule: the final order of the nodes, and written state updated in place.

A program's *donated* state is overwritten: the node that computes the new value stores it into
the state's memory. That is right when all other readers of the old value run before, when the
node itself reads the old value only at the index that it writes, and when whatever may still fail
(an index out of range) has been computed, so that a failed call changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from argand.base.dim import same
from argand.base.shape import same_shape
from argand.ir.elementwise import Elementwise
from argand.ir.op import registry
from argand.ir.program import Node, Program, Value
from argand.passes.order import in_order
from argand.passes.views import StridedView, is_view, places

Test = Callable[[Node], bool]


def schedule(program: Program, native: Test = lambda node: True) -> Program:
    """Readers of a state before the node that overwrites it; nodes of one kind one after another.

        %0 = add(w, g)                    %1 = mul(w, x)
        %1 = mul(w, x)              →     %0 = add(w, g)
        return %1; w <- %0                return %1; w <- %0

    Where no order is right, the new value gets memory of its own and is copied in the end:

        %0 = add(w, g)                    %0 = add(w, g)
        %1 = mul(w, %0)             →     %1 = mul(w, %0)
                                          %2 = contiguous(%0)
        return %1; w <- %0                return %1; w <- %2

    `native` tells the nodes that get a kernel from those that run on the host.
    """
    order = _Order(program)
    copied = order.donate()
    nodes = [program.nodes[i] for i in order.sorted(native)]
    result = Program(program.name)
    result.inputs, result.state = program.inputs, program.state
    result.nodes, result.outputs = nodes, list(program.outputs)
    result.writes = dict(program.writes)
    for i in copied:
        result.nodes.append(_copy_of(program.writes[i]))
        result.writes[i] = result.nodes[-1].outputs[0]
    return result


def _copy_of(v: object) -> Node:
    assert isinstance(v, Value)
    maker = v.node
    location, module = (maker.location, maker.module) if maker is not None else (None, "")
    return Node(registry.get("contiguous"), (v,), {}, (v.type,), location, module)


class _Order:
    """Which nodes must precede which, as bit sets of node numbers."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.places = places(program)
        self.number = {node: i for i, node in enumerate(program.nodes)}
        self.direct: list[set[int]] = []
        self.before: list[int] = []
        for node in program.nodes:
            makers = {self.number[v.node] for v in node.values if v.node is not None}
            self.direct.append(makers)
            mask = 0
            for m in makers:
                mask |= self.before[m] | 1 << m
            self.before.append(mask)

    def require(self, first: int, then: int) -> bool:
        """Make `first` run before `then`; False when the order is already the other way round."""
        bit, target = 1 << first, 1 << then
        if first == then or self.before[first] & target:
            return False
        if not self.before[then] & bit:
            self.direct[then].add(first)
            added = self.before[first] | bit
            for i, mask in enumerate(self.before):
                if i == then or mask & target:
                    self.before[i] = mask | added
        return True

    def donate(self) -> list[int]:
        """Order the writes of state; returns the states that have to be copied in the end."""
        fallible = [i for i, node in enumerate(self.program.nodes) if can_fail(node)]
        copied = []
        for i in sorted(self.program.writes):
            new = self.program.writes[i]
            assert isinstance(new, Value)
            if not self._donate_one(self.program.state[i], new, fallible):
                copied.append(i)
        return copied

    def _donate_one(self, state: Value, new: Value, fallible: list[int]) -> bool:
        writer = new.node
        if writer is None or new.layout is not None or can_fail(writer):
            return False
        if not may_overwrite(writer, state, new, self.places):
            return False
        readers = [i for i, n in enumerate(self.program.nodes) if self._reads(n, state)]
        earlier = {*readers, *fallible} - {self.number[writer]}
        return all(self.require(i, self.number[writer]) for i in sorted(earlier))

    def _reads(self, node: Node, state: Value) -> bool:
        return any(self.places[v].root is state for v in node.values)

    def sorted(self, native: Test) -> list[int]:
        """A topological order: program order, but host nodes gathered between native ones."""
        kinds = [is_view(node, self.places) or native(node) for node in self.program.nodes]
        return in_order(self.direct, kinds)


def can_fail(node: Node) -> bool:
    """Whether a node may find at run time that it can't be computed."""
    if node.regions:
        return any(can_fail(inner) for region in node.regions for inner in region.nodes)
    return node.op.can_fail


def may_overwrite(node: Node, old: Value, new: Value, found: dict[Value, StridedView]) -> bool:
    """Whether the node may store its output `new` over `old`, as far as its own reads go.

    True when it doesn't read `old`, or reads it with the strides of `new` and in an order that lets
    no element be overwritten before it is read, by whichever of the node's results.
    """
    reads = [v for v in dict.fromkeys(node.values) if found[v].root is old]
    place = found[new]
    if not all(_same_place(v, found[v], new, place) for v in reads):
        return False
    if not reads:
        return True
    if not (node.op.is_fusion or isinstance(node.op, Elementwise)):
        return False  # it may run on the host, where nothing is promised
    from argand.kernels.match import may_overwrite as kernel_may_overwrite  # many modules

    return all(kernel_may_overwrite(node, v, new) for v in reads)


def _same_place(v: Value, a: StridedView, new: Value, b: StridedView) -> bool:
    """Whether two values would have the same strides at the beginning of the same memory."""
    return (
        same(a.offset, b.offset)
        and len(a.strides) == len(b.strides)
        and all(same(x, y) for x, y in zip(a.strides, b.strides, strict=True))
        and same_shape(v.shape, new.shape)
        and v.dtype is new.dtype
    )
