"""Fuse: nodes that one kernel computes together become a `fusion` node.

Nodes are visited in order; each joins the unit of what it reads, where one kernel can compute
both: elementwise ops over one space ("loop"), reductions along rows with what surrounds them
("rows"), a contraction with its epilogue ("contract"). Views cost nothing: every unit that reads
one has its own. What is cheaper to compute again than to store, each of its readers computes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from argand.ir.families import View
from argand.ir.fusion import fusion_node
from argand.ir.program import Node, Operand, Program, Value, resolved
from argand.passes.fuse_cost import cheap_again, small_alone
from argand.passes.fuse_graph import Graph, Unit, numbers, units_in_order
from argand.passes.fuse_match import Matcher

__all__ = ["fuse"]

MOST_NODES = 96


def fuse(program: Program) -> Program:
    """Group nodes into kernels.

    %0 = mul(x, 2.0)                      %1 = fusion(x) {kind="loop"} with
    %1 = exp(%0)                   →        loop(x0) { %0 = mul(x0, 2.0); %1 = exp(%0) … }
    return %1                             return %1
    """
    ask = Matcher()
    graph = Graph(program, ask)
    return _Writer(program, graph, _Fuser(graph, ask).run()).run()


class _Fuser:
    """Parts the nodes of a graph, but the free ones, into units."""

    def __init__(self, graph: Graph, ask: Matcher) -> None:
        self.graph, self.ask = graph, ask
        self.units: list[Unit] = []
        self.owner: dict[int, Unit] = {}

    def run(self) -> list[Unit]:
        for i in range(len(self.graph.nodes)):
            if not self.graph.free(i):
                self._place(i)
        self._sink()
        self._beside()
        return self.units

    # joining what a node reads --------------------------------------------------------------------

    def _place(self, i: int) -> None:
        """Let a node join the units of what it reads, or be one."""
        unit = self.owner[i] = Unit(self.graph.kinds[i], 1 << i, self.graph.reads[i])
        self._set_before(unit)
        self.units.append(unit)
        if unit.kind == "alone" or not self._fuses(unit):
            unit.kind = "alone"
            return
        near = {self.owner[r] for r in numbers(unit.reads)}
        fused = sorted((u for u in near if u.kind != "alone"), key=lambda u: -u.nodes.bit_length())
        if len(fused) > 1 and self._join([*fused, unit]):
            return
        for u in fused:
            if self._join([u, unit]):
                return

    def _fuses(self, unit: Unit) -> bool:
        """Whether a fusion can leave out the results of a node that nobody needs."""
        (node,) = (self.graph.nodes[n] for n in numbers(unit.nodes))
        outputs = self.graph.outputs(unit.nodes)
        if len(outputs) == len(node.outputs):
            return True
        return self.ask(self.graph.with_free(unit.nodes), outputs) is not None

    def _join(self, units: Sequence[Unit]) -> bool:
        """Merge units if one kernel had better compute them; False where several had."""
        nodes = sum(u.nodes for u in units)
        if nodes.bit_count() > MOST_NODES or not self._closed(units):
            return False
        answer = self.ask(self.graph.with_free(nodes), self.graph.outputs(nodes))
        if answer is None or not answer.cost.pays:
            return False
        units[0].kind = answer.kind
        self._merge(units)
        return True

    # what is computed before what -----------------------------------------------------------------

    def _set_before(self, unit: Unit) -> None:
        for r in numbers(unit.reads & ~unit.nodes):
            unit.before |= self.owner[r].nodes | self.owner[r].before

    def _closed(self, units: Sequence[Unit]) -> bool:
        """Whether no way leads out of the units and back into them.

        It would come back from one that they read, and that one would have them before it.
        """
        nodes = reads = 0
        for u in units:
            nodes |= u.nodes
            reads |= u.reads
        return not any(self.owner[r].before & nodes for r in numbers(reads & ~nodes))

    def _merge(self, units: Sequence[Unit]) -> None:
        """Make the first of the units all of them."""
        first, *others = units
        for u in others:
            first.nodes |= u.nodes
            first.again |= u.again
            first.reads |= u.reads
            first.before |= u.before
            self.units.remove(u)
            for n in numbers(u.nodes):
                self.owner[n] = first
        first.before &= ~first.nodes
        for u in self.units:
            if u.before & first.nodes:
                u.before |= first.before

    # inline or store ------------------------------------------------------------------------------

    def _sink(self) -> None:
        """Give cheap nodes at the end of a unit to their readers, which compute them again."""
        for i in sorted(self.owner, reverse=True):
            node, unit = self.graph.nodes[i], self.owner[i]
            if self.graph.kinds[i] != "loop" or isinstance(node.op, View):
                continue  # a view here is stored on purpose
            users = self.graph.users_of(node.outputs)
            if not users or users & unit.every or not self.graph.kept.isdisjoint(node.outputs):
                continue
            takers = [u for u in self.units if u.every & users]
            if self._can_sink(i, unit, takers):
                self._give(i, takers)

    def _can_sink(self, i: int, unit: Unit, takers: Sequence[Unit]) -> bool:
        graph = self.graph
        for r in numbers(graph.reads[i]):
            if not graph.needed(r, self.owner[r].every):
                return False  # it would have to be stored for this
        if not cheap_again(graph.nodes[i], len(takers)):
            return False
        rest = unit.every & ~(1 << i)
        changed = [(u, u.every | 1 << i) for u in takers] + ([(unit, rest)] if rest else [])
        return all(self._still(u, nodes) for u, nodes in changed)

    def _still(self, unit: Unit, nodes: int) -> bool:
        """Whether a unit's kernel can as well compute its results by these nodes."""
        others = functools.reduce(int.__or__, (u.every for u in self.units if u is not unit), 0)
        outputs = self.graph.outputs(unit.nodes & nodes, others)
        answer = self.ask(self.graph.with_free(nodes), outputs)
        return answer is not None and answer.cost.pays and answer.kind == unit.kind

    def _give(self, i: int, takers: Sequence[Unit]) -> None:
        for u in takers:
            u.again |= 1 << i
        unit = self.owner.pop(i)
        unit.nodes &= ~(1 << i)
        if not unit.nodes:
            self.units.remove(unit)

    def _renew_reads(self) -> None:
        """What the units read, now that some nodes are computed again and again."""
        stored = sum(u.nodes for u in self.units)
        for u in self.units:
            u.reads = u.before = 0
            for n in numbers(u.every):
                u.reads |= self.graph.reads[n] & stored
        for u in units_in_order(self.units):
            self._set_before(u)

    # next to each other ---------------------------------------------------------------------------

    def _beside(self) -> None:
        """Small loops that don't depend on each other share a kernel."""
        self._renew_reads()
        merged: list[Unit] = []
        for u in [u for u in self.units if u.kind == "loop" and self._is_small(u)]:
            for other in merged:
                size = (other.every | u.every).bit_count()
                if size <= 2 * MOST_NODES and self._closed([other, u]) and self._shared(other, u):
                    self._merge([other, u])
                    break
            else:
                merged.append(u)

    def _shared(self, a: Unit, b: Unit) -> bool:
        """Whether one kernel computes two units, in a nest for each."""
        others = functools.reduce(int.__or__, (u.every for u in self.units if u not in (a, b)), 0)
        outputs = self.graph.outputs(a.nodes | b.nodes, others)
        answer = self.ask(self.graph.with_free(a.every | b.every), outputs)
        return answer is not None and answer.kind == "loop"

    def _is_small(self, u: Unit) -> bool:
        nodes = [self.graph.nodes[n] for n in numbers(u.every)]
        if any(n.op.can_fail for n in nodes):
            return False  # what may fail must not take others along
        return small_alone(nodes, self.graph.outputs(u.every))


class _Writer:
    """Writes the units as nodes of a new program, in an order that fits what they read."""

    def __init__(self, program: Program, graph: Graph, units: list[Unit]) -> None:
        self.program, self.graph, self.units = program, graph, units
        self.env: dict[Value, Operand] = {}

    def run(self) -> Program:
        old = self.program
        new = Program(old.name)
        for source, target in ((old.inputs, new.inputs), (old.state, new.state)):
            for v in source:
                copy = Value(v.dtype, v.shape, v.name)
                copy.layout = v.layout
                self.env[v] = copy
                target.append(copy)
        new.nodes = [self._node(unit) for unit in units_in_order([*self.units, *self._views()])]
        new.outputs = [self._resolve(o) for o in old.outputs]
        new.writes = {i: self._resolve(o) for i, o in old.writes.items()}
        return new

    def _resolve(self, o: Operand) -> Operand:
        return resolved(o, self.env)

    def _views(self) -> list[Unit]:
        """The free nodes that results and nodes outside all kernels read, each a unit."""
        results = [o for o in self.program.results if isinstance(o, Value)]
        _, wanted = self.graph.sources(results)
        for u in self.units:
            if u.kind == "alone":
                wanted |= self.graph.frees[u.nodes.bit_length() - 1]
        return [Unit("alone", 1 << i, self.graph.reads[i]) for i in numbers(wanted)]

    def _node(self, unit: Unit) -> Node:
        alone = unit.kind == "alone"
        nodes = [self.graph.nodes[n] for n in numbers(unit.nodes)]
        outputs = list(nodes[0].outputs) if alone else self._outputs(unit)
        if not alone:
            nodes = self.graph.with_free(unit.every)
        if len(nodes) == 1 and len(outputs) == len(nodes[0].outputs):
            node = nodes[0].on([self._resolve(i) for i in nodes[0].inputs])
        else:
            fused, reads = fusion_node(unit.kind, nodes, outputs)
            node = fused.on([self._resolve(v) for v in reads])
        self.env.update(zip(outputs, node.outputs, strict=True))
        return node

    def _outputs(self, unit: Unit) -> list[Value]:
        """What a unit leaves in memory: what results need, or units that don't compute it again."""
        return [
            o
            for n in numbers(unit.nodes)
            for o in self.graph.nodes[n].outputs
            if o in self.graph.kept or self._read_elsewhere(self.graph.users_of([o]), unit)
        ]

    def _read_elsewhere(self, users: int, unit: Unit) -> bool:
        return any(u is not unit and u.every & users for u in self.units)
