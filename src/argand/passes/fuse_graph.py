"""What fusion sees of a program: nodes by number, views looked through, sets of nodes as bits.

A set of nodes is an int in which node number `i` is the bit ``1 << i``: unions and tests then cost
the same for a group of a hundred nodes as for one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from argand.base.shape import numel
from argand.ir.families import View
from argand.ir.program import Node, Program, Value
from argand.kernels.match import has_registers
from argand.passes.fuse_match import Matcher
from argand.passes.order import in_order

__all__ = ["Graph", "Unit", "numbers", "units_in_order"]


def numbers(bits: int) -> Iterator[int]:
    """The numbers of the nodes in a set, ascending."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


class Graph:
    """The nodes of a program, and who reads whom. *Free* nodes, views and constants, cost nothing
    and are looked through: each of their readers has them to itself.

    `kinds` gives for each node the kind of kernel that computes it, "alone" where none does;
    `reads` the nodes that it reads, `frees` the free nodes in between; `kept` are the values that
    results need in memory.
    """

    def __init__(self, program: Program, ask: Matcher) -> None:
        self.nodes = program.nodes
        self.number = {node: i for i, node in enumerate(self.nodes)}
        self._ask = ask
        self._free = [_costs_nothing(node) for node in self.nodes]
        self.kinds = [self._settle(node) for node in self.nodes]
        self.reads: list[int] = []
        self.frees: list[int] = []
        for node in self.nodes:
            reads, frees = self.sources(node.values)
            self.reads.append(reads)
            self.frees.append(frees)
        self.kept = {o for o in program.results if isinstance(o, Value)}
        self._users: dict[Value, int] = {}
        self._look_back()

    def free(self, i: int) -> bool:
        """Whether a node is repeated wherever it is read."""
        return self._free[i]

    # what is read through views -------------------------------------------------------------------

    def _settle(self, node: Node) -> str:
        """The kind of kernel that computes a node. What the kernel doesn't read through, or not
        well, is free no more: it is stored."""
        alone = self._ask([node], node.outputs)
        if alone is None:
            return "alone"
        if self.free(self.number[node]):
            return alone.kind
        while chains := [chain for v in dict.fromkeys(node.values) if (chain := self._chain(v))]:
            if self._reads_well(node, chains):
                break
            chain = next((c for c in chains if not self._reads_well(node, [c])), chains[0])
            self._store(self._best_stored(node, chain))
        return alone.kind

    def _chain(self, v: Value) -> list[Node]:
        """The free nodes between a value and what it is read from, the nearest first."""
        chain: list[Node] = []
        while v.node is not None and self.free(self.number[v.node]):
            chain.append(v.node)
            if not v.node.values:
                break
            (v,) = v.node.values
        return chain

    def _best_stored(self, node: Node, chain: Sequence[Node]) -> Node:
        """The smallest value of a chain that lets a kernel read through what is nearer to a node;
        among equals the furthest."""
        able = [j for j in range(len(chain)) if j == 0 or self._reads_well(node, [chain[:j]])]
        return chain[min(able, key=lambda j: (_elements(chain[j].outputs[0]), -j))]

    def _reads_well(self, node: Node, chains: Sequence[Sequence[Node]]) -> bool:
        """Whether a kernel computes the node and reads through these free nodes without loss."""
        through = sorted({self.number[n] for chain in chains for n in chain})
        answer = self._ask([*(self.nodes[i] for i in through), node], node.outputs)
        return answer is not None and answer.cost.pays

    def _store(self, view: Node) -> None:
        """Store a node that was free."""
        self._free[self.number[view]] = False
        self._settle(view)

    # who reads whom -------------------------------------------------------------------------------

    def sources(self, values: Iterable[Value]) -> tuple[int, int]:
        """The nodes that make values, and the free nodes in between."""
        reads = frees = 0
        for n in {self.number[v.node] for v in values if v.node is not None}:
            free = self.free(n)
            reads |= self.reads[n] if free else 1 << n
            frees |= self.frees[n] | 1 << n if free else 0
        return reads, frees

    def _look_back(self) -> None:
        """Who reads each value, from the last node to the first; a view is kept with its base."""
        for i in range(len(self.nodes) - 1, -1, -1):
            node = self.nodes[i]
            through, kept = 1 << i, False
            if self.free(i):
                through = self.users_of(node.outputs)
                kept = not self.kept.isdisjoint(node.outputs)
            for v in node.values:
                self._users[v] = self._users.get(v, 0) | through
            if kept:
                self.kept.update(node.values)

    def users_of(self, values: Iterable[Value]) -> int:
        """The nodes that read some of the values."""
        found = 0
        for v in values:
            found |= self._users.get(v, 0)
        return found

    def needed(self, i: int, nodes: int) -> bool:
        """Whether one of a node's values is needed by others than these nodes."""
        outputs = self.nodes[i].outputs
        return bool(self.users_of(outputs) & ~nodes) or not self.kept.isdisjoint(outputs)

    def outputs(self, nodes: int, readers: int | None = None) -> list[Value]:
        """The values of a set of nodes that results need, or some of the readers: all other nodes,
        unless given."""
        readers = ~nodes if readers is None else readers
        return [
            o
            for n in numbers(nodes)
            for o in self.nodes[n].outputs
            if o in self.kept or self._users.get(o, 0) & readers
        ]

    def with_free(self, nodes: int) -> list[Node]:
        """The nodes in order, with the free ones that they read."""
        found = nodes
        for n in numbers(nodes):
            found |= self.frees[n]
        return [self.nodes[n] for n in numbers(found)]


def _elements(v: Value) -> float:
    size = numel(v.shape)
    return size if isinstance(size, int) else math.inf


def _costs_nothing(node: Node) -> bool:
    """Whether every reader may have a node to itself: a view, or a constant."""
    free = isinstance(node.op, View) or node.op.constant(node.params) is not None
    return free and has_registers(node)


class Unit:
    """Nodes that are computed together, by a kernel of a fusion's `kind`, or "alone" for a node
    that is not fused.

    `nodes` are its own; `again` are others' that it computes again for itself. `reads` are the
    nodes that it needs in memory, `before` all that have to be computed before it.
    """

    __slots__ = ("again", "before", "kind", "nodes", "reads")

    def __init__(self, kind: str, nodes: int, reads: int) -> None:
        self.kind, self.nodes, self.reads = kind, nodes, reads
        self.again = self.before = 0

    @property
    def every(self) -> int:
        """All nodes that it computes."""
        return self.nodes | self.again


def units_in_order(units: Sequence[Unit]) -> list[Unit]:
    """The units so that each comes after those that it reads, else by their last nodes."""
    units = sorted(units, key=lambda u: u.nodes.bit_length())
    maker = {n: i for i, unit in enumerate(units) for n in numbers(unit.nodes)}
    needs = [{maker[n] for n in numbers(unit.reads & ~unit.nodes)} for unit in units]
    return [units[i] for i in in_order(needs, [True] * len(units))]
