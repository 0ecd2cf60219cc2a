"""Fuse: nodes that one kernel computes together become a `fusion` node.

Nodes are visited in order; each joins the group of what it reads, where one kernel can compute
both: elementwise ops over one space ("loop"), reductions along rows with what surrounds them
("rows"), a contraction with its epilogue ("contract"). Views cost nothing: every group that reads
one has its own. What is cheaper to compute again than to store, each of its readers computes.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from argand.ir.fusion import copy_node, fusion_node
from argand.ir.program import Node, Operand, Program, Value
from argand.loops.element import GATHERS
from argand.loops.lower import SINGLE
from argand.passes.fuse_cost import cheap_again, small_alone
from argand.passes.fuse_fit import (
    CONTRACTIONS,
    FREE,
    LOOP,
    Shape,
    batch_dims,
    classify,
    fits,
    view_to_store,
)
from argand.passes.views import VIEWS

__all__ = ["fuse"]

MOST_NODES = 96


class Group:
    """Nodes of one kernel. `nodes` are numbers in program order; `kind` as the fusion op's."""

    __slots__ = ("kind", "nodes", "number")

    def __init__(self, number: int, kind: str, nodes: Iterable[int]) -> None:
        self.number, self.kind = number, kind
        self.nodes = set(nodes)


def fuse(program: Program) -> Program:
    """Group nodes into kernels.

    %0 = mul(x, 2.0)                      %1 = fusion(x) {kind="loop"} with
    %1 = exp(%0)                   →        loop(x0) { %0 = mul(x0, 2.0); %1 = exp(%0) … }
    return %1                             return %1
    """
    return _Fuser(program).run()


class _Fuser:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.nodes = program.nodes
        self.number = {node: i for i, node in enumerate(self.nodes)}
        self.kinds: list[Shape] = [classify(node) for node in self.nodes]
        self._store_views()
        self.readers = self._readers()
        self.results = {o for o in program.results if isinstance(o, Value)}
        self.owner: dict[int, Group] = {}
        self.groups: list[Group] = []
        self.direct = self._reads_directly()
        self.sunk = 0  # nodes that each of their readers computes again, as bits

    # the graph, with free nodes looked through ----------------------------------------------------

    def _store_views(self) -> None:
        """A contraction's operand whose view is no matter of strides is copied."""
        for node in self.nodes:
            if node.op.name not in CONTRACTIONS:
                continue
            for v in node.values:
                stored = view_to_store(v, batch_dims(node))
                if stored is not None:
                    self.kinds[self.number[stored]] = LOOP

    def _readers(self) -> dict[Value, list[int]]:
        found: dict[Value, list[int]] = {}
        for i, node in enumerate(self.nodes):
            for v in dict.fromkeys(node.values):
                found.setdefault(v, []).append(i)
        return found

    def _reads_directly(self) -> list[int]:
        """For each node the nodes that it reads, as bits; free nodes are looked through."""
        return [
            0 if self.free(i) else sum(1 << r for r in self.roots(i))
            for i in range(len(self.nodes))
        ]

    def free(self, i: int) -> bool:
        """Whether a node is repeated wherever it is read."""
        return self.kinds[i] is FREE

    def roots(self, i: int) -> list[int]:
        """The numbers of the nodes that a node reads, looking through free ones."""
        found: dict[int, None] = {}
        stack = list(self.nodes[i].values)
        while stack:
            v = stack.pop()
            if v.node is None:
                continue
            n = self.number[v.node]
            if self.free(n):
                stack.extend(self.nodes[n].values)
            else:
                found[n] = None
        return list(found)

    def users(self, i: int) -> list[int]:
        """The numbers of the nodes that read a node, looking through free ones."""
        found: dict[int, None] = {}
        for out in self.nodes[i].outputs:
            found.update(dict.fromkeys(self.users_of(out)))
        return list(found)

    def users_of(self, v: Value) -> list[int]:
        """The numbers of the nodes that read a value, looking through free ones."""
        found: dict[int, None] = {}
        stack = [v]
        while stack:
            for r in self.readers.get(stack.pop(), ()):
                if self.free(r):
                    stack.extend(self.nodes[r].outputs)
                else:
                    found[r] = None
        return list(found)

    def is_result(self, v: Value) -> bool:
        """Whether a result of the program, or a view that is one, needs the value in memory."""
        stack = [v]
        while stack:
            out = stack.pop()
            if out in self.results:
                return True
            for r in self.readers.get(out, ()):
                if self.free(r):
                    stack.extend(self.nodes[r].outputs)
        return False

    def seen_outside(self, i: int) -> bool:
        """Whether a result needs one of the node's values in memory."""
        return any(self.is_result(out) for out in self.nodes[i].outputs)

    # grouping -------------------------------------------------------------------------------------

    def run(self) -> Program:
        for i in range(len(self.nodes)):
            if self.kinds[i].joins:
                self._place(i)
        self._sink()
        self._beside()
        return self._emit()

    def _place(self, i: int) -> None:
        """Let a node join the groups of what it reads, or start one."""
        near = [self.owner[r] for r in self.roots(i) if r in self.owner]
        near = sorted(dict.fromkeys(near), key=lambda g: -max(g.nodes))
        if self.kinds[i].starts_only:
            near = []
        if len(near) > 1 and self._join(near, i):
            return
        if any(self._join([g], i) for g in near):
            return
        group = Group(len(self.groups), self.kinds[i].kind, (i,))
        self.groups.append(group)
        self.owner[i] = group

    def _join(self, groups: Sequence[Group], i: int | None) -> bool:
        """Merge groups, and a node, if one kernel can compute them; False when none can."""
        nodes = set().union(*(g.nodes for g in groups))
        if i is not None:
            nodes.add(i)
        contracts = [g for g in groups if g.kind == "contract"]
        if len(nodes) > MOST_NODES or len(contracts) > 1 or not self._convex(nodes):
            return False
        kind = fits(self._with_free(nodes), self._outputs(nodes))
        if kind is None:
            return False
        first, *others = groups
        first.kind = kind
        first.nodes = nodes
        for g in others:
            self.groups.remove(g)
        for n in nodes:
            self.owner[n] = first
        return True

    def _convex(self, nodes: set[int]) -> bool:
        """Whether no way leads out of the set and back into it, groups taken as wholes.

        A node that sank is computed by each group that holds it, so nobody waits for it.
        """
        stored = ~self.sunk
        inside = sum(1 << n for n in nodes)
        units = [(self._reads(g.nodes), g) for g in self.groups if not g.nodes <= nodes]
        grouped = 0
        for g in self.groups:
            grouped |= sum(1 << n for n in g.nodes)
        lone = [
            n
            for n in range(min(nodes), len(self.nodes))
            if not (grouped | inside) >> n & 1 and self.direct[n]
        ]
        others = [(reads, sum(1 << n for n in g.nodes) & stored) for reads, g in units]
        others += [(self.direct[n] & stored, 1 << n) for n in lone]
        reached, again = 0, True
        while again:
            again, waiting = False, []
            for reads, made in others:
                if reads & (inside & stored | reached):
                    reached |= made
                    again = True
                else:
                    waiting.append((reads, made))
            others = waiting
        return not self._reads(nodes) & reached

    def _reads(self, nodes: Iterable[int]) -> int:
        """What nodes read of others that has to be in memory, as bits."""
        found = 0
        for n in nodes:
            found |= self.direct[n]
        return found & ~self.sunk

    def _with_free(self, nodes: Iterable[int]) -> list[Node]:
        """The nodes in order, with the free ones that they read."""
        found = set(nodes)
        stack = list(found)
        while stack:
            for v in self.nodes[stack.pop()].values:
                if v.node is None:
                    continue
                n = self.number[v.node]
                if self.free(n) and n not in found:
                    found.add(n)
                    stack.append(n)
        return [self.nodes[n] for n in sorted(found)]

    def _outputs(self, nodes: set[int]) -> list[Value]:
        """The values of a set of nodes that others read."""
        return [
            o
            for n in sorted(nodes)
            for o in self.nodes[n].outputs
            if self.is_result(o) or any(u not in nodes for u in self.users_of(o))
        ]

    def _needed(self, n: int, nodes: set[int]) -> bool:
        return self.seen_outside(n) or any(u not in nodes for u in self.users(n))

    # inline or store ------------------------------------------------------------------------------

    def _sink(self) -> None:
        """Give cheap nodes at the end of a group to their readers, which compute them again."""
        for i in range(len(self.nodes) - 1, -1, -1):
            group = self.owner.get(i)
            if group is None or not self.kinds[i].pointwise or self.seen_outside(i):
                continue
            if self.nodes[i].op.name in VIEWS:
                continue  # stored on purpose
            users = self.users(i)
            targets = {u: self._holders(u) for u in users if u not in group.nodes}
            if not targets or any(u in group.nodes for u in users):
                continue
            if any(not held for held in targets.values()):
                continue
            takers = list(dict.fromkeys(g for held in targets.values() for g in held))
            if self._can_sink(i, group, takers):
                for g in takers:
                    g.nodes.add(i)
                self._leave(i, group)

    def _holders(self, u: int) -> list[Group]:
        return [g for g in self.groups if u in g.nodes]

    def _can_sink(self, i: int, group: Group, takers: Sequence[Group]) -> bool:
        stored = [r for r in self.roots(i) if r in self.owner]
        for r in stored:
            holder = self.owner[r]
            if not self._needed(r, holder.nodes) or (
                holder is group and not self._needed(r, group.nodes | {i})
            ):
                return False  # its operand would have to be stored for this
        if not cheap_again(self.nodes[i], len(takers)):
            return False
        for g in takers:
            if i in g.nodes:
                continue
            nodes = g.nodes | {i}
            if fits(self._with_free(nodes), self._outputs(nodes - {i})) != g.kind:
                return False
        return True

    def _leave(self, i: int, group: Group) -> None:
        group.nodes.discard(i)
        del self.owner[i]
        self.sunk |= 1 << i
        if not group.nodes:
            self.groups.remove(group)

    # side by side ---------------------------------------------------------------------------------

    def _beside(self) -> None:
        """Small loops that don't depend on each other share a kernel."""
        small = [g for g in self.groups if g.kind == "loop" and self._is_small(g)]
        merged: list[Group] = []
        for g in small:
            for other in merged:
                nodes = other.nodes | g.nodes
                if len(nodes) <= 2 * MOST_NODES and self._convex(nodes):
                    other.nodes = nodes
                    self.groups.remove(g)
                    for n in list(nodes):
                        if self.owner.get(n) is g:
                            self.owner[n] = other
                    break
            else:
                merged.append(g)

    def _is_small(self, g: Group) -> bool:
        nodes = [self.nodes[n] for n in g.nodes]
        if any(n.op.name in GATHERS | SINGLE for n in nodes):
            return False  # what may fail must not take others along
        return small_alone(nodes, self._outputs(g.nodes))

    # the new program ------------------------------------------------------------------------------

    def _emit(self) -> Program:
        groups = [(max(g.nodes), sorted(g.nodes), g) for g in self.groups]
        others = [(i, [i], None) for i in self._alone()]
        return _Writer(self, [*groups, *others]).run()

    def _alone(self) -> list[int]:
        """Nodes outside all groups: those without a kernel that fuses, and views that such nodes or
        results read."""
        wanted = [i for i in range(len(self.nodes)) if not self.free(i) and not self._grouped(i)]
        found = set(wanted)
        stack = [v for i in wanted for v in self.nodes[i].values] + list(self.results)
        while stack:
            v = stack.pop()
            if v.node is None:
                continue
            n = self.number[v.node]
            if self.free(n) and n not in found:
                found.add(n)
                stack.extend(self.nodes[n].values)
        return sorted(found)

    def _grouped(self, i: int) -> bool:
        return any(i in g.nodes for g in self.groups)


class _Writer:
    """Writes the groups as nodes of a new program, in an order that fits what they read."""

    def __init__(self, fuser: _Fuser, units: list[tuple[int, list[int], Group | None]]) -> None:
        self.fuser = fuser
        self.units = sorted(units, key=lambda u: u[0])
        self.env: dict[Value, Operand] = {}

    def run(self) -> Program:
        old = self.fuser.program
        new = Program(old.name)
        for source, target in ((old.inputs, new.inputs), (old.state, new.state)):
            for v in source:
                copy = Value(v.dtype, v.shape, v.name)
                copy.layout = v.layout
                self.env[v] = copy
                target.append(copy)
        for numbers, group in self._ordered():
            new.nodes.append(self._node(numbers, group))
        new.outputs = [self._resolve(o) for o in old.outputs]
        new.writes = {i: self._resolve(o) for i, o in old.writes.items()}
        return new

    def _resolve(self, o: Operand) -> Operand:
        return self.env[o] if isinstance(o, Value) else o

    def _node(self, numbers: list[int], group: Group | None) -> Node:
        fuser = self.fuser
        if group is None:
            node = fuser.nodes[numbers[0]]
            copy = copy_node(node, [self._resolve(i) for i in node.inputs])
            self.env.update(zip(node.outputs, copy.outputs, strict=True))
            return copy
        nodes = fuser._with_free(numbers)
        outputs = self.made[id(group)]
        if len(nodes) == 1 and len(outputs) == len(nodes[0].outputs):
            copy = copy_node(nodes[0], [self._resolve(i) for i in nodes[0].inputs])
            self.env.update(zip(nodes[0].outputs, copy.outputs, strict=True))
            return copy
        fused, reads = fusion_node(group.kind, nodes, outputs)
        node = copy_node(fused, [self._resolve(v) for v in reads])
        self.env.update(zip(outputs, node.outputs, strict=True))
        return node

    def _ordered(self) -> list[tuple[list[int], Group | None]]:
        """The units so that each comes after what it reads, else in the order of the program."""
        fuser = self.fuser
        units = self.units
        maker: dict[Value, int] = {}
        self.made: dict[int, list[Value]] = {}
        for u, (_, numbers, group) in enumerate(units):
            outputs = self._owned_outputs(numbers, group)
            if group is not None:
                self.made[id(group)] = outputs
            for o in outputs:
                maker[o] = u
        waiting: list[int] = []
        after: list[list[int]] = [[] for _ in units]
        for u, (_, numbers, group) in enumerate(units):
            nodes = fuser._with_free(numbers) if group is not None else [fuser.nodes[numbers[0]]]
            inside = {o for n in nodes for o in n.outputs}
            needs = {maker[v] for n in nodes for v in n.values if v in maker and v not in inside}
            needs.discard(u)
            waiting.append(len(needs))
            for m in needs:
                after[m].append(u)
        ready = [u for u, n in enumerate(waiting) if n == 0]
        heapq.heapify(ready)
        order: list[tuple[list[int], Group | None]] = []
        while ready:
            u = heapq.heappop(ready)
            order.append((units[u][1], units[u][2]))
            for v in after[u]:
                waiting[v] -= 1
                if waiting[v] == 0:
                    heapq.heappush(ready, v)
        assert len(order) == len(units), "groups depend on each other in a ring"
        return order

    def _owned_outputs(self, numbers: list[int], group: Group | None) -> list[Value]:
        """What a unit leaves in memory."""
        fuser = self.fuser
        if group is None:
            return list(fuser.nodes[numbers[0]].outputs)
        return [
            o
            for n in numbers
            if fuser.owner.get(n) is group
            for o in fuser.nodes[n].outputs
            if self._read_elsewhere(n, o, group)
        ]

    def _read_elsewhere(self, n: int, o: Value, group: Group) -> bool:
        fuser = self.fuser
        if fuser.is_result(o):
            return True
        for u in fuser.users_of(o):
            holders = fuser._holders(u)
            if not holders or any(h is not group and n not in h.nodes for h in holders):
                return True
        return False
