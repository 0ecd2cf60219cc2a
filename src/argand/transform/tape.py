"""The autograd tape: nodes of applied ops, and their traversal in reverse.

A node stores the op, what its adjoint reads, and an edge for every input: the node and output
number that the input came from, or the leaf tensor itself. The tape knows tensors only through a
few attributes (`_node`, `_index`, `_version`, `shadow`); a leaf's gradient goes to the caller's
callback.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from argand.base.errors import AutogradError
from argand.base.userstack import Place
from argand.ir import bind as crossroads
from argand.ir import entries, overrides
from argand.ir.op import Literal, Op, Params, Saves, Tensors, Wants, ops
from argand.transform.hooks import RemovableHandle, registered
from argand.transform.mode import mode
from argand.transform.saved import Packed, Saved, SavedOutput, StandIn, keep, keep_output

counter = itertools.count()
next_sequence = counter.__next__


class Leaf:
    """The mark that a leaf tensor carries in place of a node when it wants a gradient."""

    def __repr__(self) -> str:
        return "leaf"


LEAF = Leaf()


Edge = tuple[Any, int]
"""(a node, its output) or (a leaf tensor, 0); (None, 0) where no gradient goes."""


class Stand:
    """Base of what can take the place of an op on the tape: a custom function, say."""

    differentiable = True
    name = ""

    def saves_for(self, wants: Wants, params: Params) -> Saves:
        """The numbers of the inputs and outputs that the adjoint reads; none unless overridden."""
        return (), ()

    def adjoint_for(
        self, wants: Wants, grads: Tensors, inputs: Tensors, outputs: Tensors, params: Params
    ) -> Tensors:
        """The cotangents of the inputs that `wants` marks."""
        raise NotImplementedError


class Passing(Stand):
    """The op of a place on the tape through which a gradient passes as it is."""

    name = "passing"

    def adjoint_for(
        self, wants: Wants, grads: Tensors, inputs: Tensors, outputs: Tensors, params: Params
    ) -> Tensors:
        return grads


class Primal(Passing):
    """The op of a place by which a transform of functions differentiates (`argand.func`)."""

    name = "primal"
    active = True  # while the function runs


def placed(x: Any, edge: Edge) -> Any:
    """An alias of a tensor in a place of its own on the tape, whose gradient goes to `edge`."""
    twin = x.shadow()
    twin._node, twin._index = GradientNode(Passing(), {}, (x,), (edge,), (twin,)), 0
    return twin


def restored(packed: Packed, edge: Edge) -> Any:
    """A tensor that hooks kept, where it was on the tape."""
    x = packed.value()
    return placed(x, edge) if mode.enabled and edge[0] is not None else x


class AccumulateGrad:
    """What a leaf looks like among the nodes of the tape: where its `.grad` grows."""

    def __init__(self, variable: Any) -> None:
        self.variable = variable

    next_functions = ()

    def name(self) -> str:
        """The name that PyTorch shows."""
        return "AccumulateGrad"

    def __repr__(self) -> str:
        return f"<{self.name()}>"

    def __eq__(self, other: object) -> bool:
        return type(other) is AccumulateGrad and other.variable is self.variable

    def __hash__(self) -> int:
        return id(self.variable)


def shown_node(target: Any) -> Any:
    """A target of an edge as PyTorch shows it."""
    return target if target is None or type(target) is GradientNode else AccumulateGrad(target)


# Ops of another name in PyTorch's graphs.
_SHOWN = {
    "avg_pool2d": "AvgPool2D",
    "batch_norm": "NativeBatchNorm",
    "cast": "ToCopy",
    "contiguous": "Clone",
    "conv2d": "Convolution",
    "cross_entropy": "NllLoss",
    "layer_norm": "NativeLayerNorm",
    "linear": "Addmm",
    "matmul": "Mm",
    "max_pool2d": "MaxPool2DWithIndices",
    "reshape": "View",
    "square": "Pow",
}


@functools.cache
def _shown_name(op: str) -> str:
    """The name of an op's node: ``MulBackward0``, as in PyTorch."""
    words = re.split(r"[._]", _SHOWN.get(op, op))
    return "".join(word[:1].upper() + word[1:] for word in words) + "Backward0"


class GradientEdge(NamedTuple):
    """A place of the graph at which a gradient arrives: a node and the number of its output.

    >>> x = ag.ones(2, requires_grad=True)
    >>> ag.autograd.graph.get_gradient_edge(x * 2)
    GradientEdge(node=<MulBackward0>, output_nr=0, ownership_token=None)
    """

    node: Any
    output_nr: int
    ownership_token: Any = None


# Keys of the hooks of a node as a whole, beside the numbers of its outputs.
_BEFORE, _AFTER = -1, -2


class GradientNode:
    """One op applied to tensors, for backward."""

    __slots__ = (
        "_metadata",
        "edges",
        "hooks",
        "inputs",
        "op",
        "outputs",
        "params",
        "sequence",
        "wants",
    )

    def __init__(
        self,
        op: Any,
        params: dict[str, Any],
        inputs: Sequence[Any],
        edges: tuple[Edge, ...],
        outputs: Sequence[Any],
    ) -> None:
        self.op = op
        self.params = params
        self.edges = edges
        # By output, or when of the node as a whole, and key.
        self.hooks: dict[int, dict[int, Callable[..., Any]]] | None = None
        self.sequence = next_sequence()
        self.wants = tuple([e[0] is not None for e in edges])
        read_inputs, read_outputs = op.saves_for(self.wants, params)
        self.inputs: Sequence[Any] | None = [
            x if type(x) is Literal else keep(x) if i in read_inputs else StandIn(x.dtype, x.shape)
            for i, x in enumerate(inputs)
        ]
        self.outputs: Sequence[Any] = [
            keep_output(x) if i in read_outputs else StandIn(x.dtype, x.shape)
            for i, x in enumerate(outputs)
        ]

    def name(self) -> str:
        """The name that `grad_fn` shows."""
        return _shown_name(self.op.name)

    def __repr__(self) -> str:
        return f"<{self.name()}>"

    @property
    def next_functions(self) -> tuple[tuple[GradientNode | AccumulateGrad | None, int], ...]:
        """The nodes of the inputs, and which of their outputs these are; follows PyTorch."""
        return tuple([(shown_node(target), index) for target, index in self.edges])

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dict for whatever somebody wants to note at the node."""
        try:
            return self._metadata
        except AttributeError:  # the nodes that plans make have none yet
            self._metadata: dict[Any, Any] = {}
            return self._metadata

    def register_prehook(self, fn: Callable[[Any], Any]) -> RemovableHandle:
        """Call ``fn(grad_outputs)`` before the node's derivative; a tuple replaces them."""
        return self._register(_BEFORE, fn)

    def register_hook(self, fn: Callable[[Any, Any], Any]) -> RemovableHandle:
        """Call ``fn(grad_inputs, grad_outputs)`` after the derivative; a tuple replaces the
        first."""
        return self._register(_AFTER, fn)

    def _register(self, when: int, fn: Callable[..., Any]) -> RemovableHandle:
        self.hooks = self.hooks or {}
        return registered(self.hooks.setdefault(when, {}), fn)

    def backward(self, grads: list[Any]) -> Sequence[Any]:
        """The cotangents of the inputs."""
        if self.inputs is None:
            raise AutogradError(
                f"the saved values of {self.name()} have been freed: backward was already called "
                "through this part of the graph; pass retain_graph=True to the first call"
            )
        if crossroads.timer is not None:
            return crossroads.timed(self.name(), lambda: self._unwatched(grads))  # type: ignore[no-any-return]  # a function gives Any
        return self._unwatched(grads)

    def _unwatched(self, grads: list[Any]) -> Sequence[Any]:
        """The cotangents, by no function of the user's."""
        if overrides.tensor_classes and isinstance(self.op, Op):
            with overrides.without_any():  # a derivative is no call of the user's
                return self._pulled(grads)
        return self._pulled(grads)

    def _pulled(self, grads: list[Any]) -> Sequence[Any]:
        assert self.inputs is not None
        packed = Packed.made and Packed in map(type, (*self.inputs, *self.outputs))
        if entries.installed() and isinstance(self.op, Op) and not packed:
            return _adjoint(self, grads)  # type: ignore[no-any-return]  # an op gives Any
        edges = itertools.chain(self.edges, itertools.repeat((None, 0)))
        inputs = [self._read(x, edge) for x, edge in zip(self.inputs, edges, strict=False)]
        outputs = [self._read(x, (self, i)) for i, x in enumerate(self.outputs)]
        found: Sequence[Any] = self.op.adjoint_for(self.wants, grads, inputs, outputs, self.params)
        return found

    def _read(self, kept: Any, edge: Edge) -> Any:
        """What the adjoint gets of an input or an output, which is at `edge` of the tape."""
        if type(kept) is Packed:
            return restored(kept, edge)
        if type(kept) is SavedOutput:
            return kept.remade(self, edge[1])
        return kept.value(self) if type(kept) is Saved else kept

    def output_is_lost(self, index: int, where: Place | None) -> None:
        """Note that an output has been overwritten in place, at a line of the user's."""
        saved = self.outputs[index] if index < len(self.outputs) else None
        if type(saved) is SavedOutput and saved.lost is None:
            saved.lost = (where,)

    def free(self) -> None:
        """Forget the saved values."""
        self.inputs = None
        self.outputs = [None] * len(self.outputs)


class _Adjoint:
    """The adjoint of nodes that differ in their tensors only, as a function of these: the
    cotangents, the saved inputs, the saved outputs. So calls of it can have plans."""

    __slots__ = ("arity", "entry", "op", "params", "values", "wants")

    def __init__(self, node: GradientNode) -> None:
        assert node.inputs is not None
        self.op, self.params, self.wants = node.op, node.params, node.wants
        self.arity = len(node.inputs)
        self.values = [
            _SAVED if type(x) in (Saved, SavedOutput) else x for x in (*node.inputs, *node.outputs)
        ]
        self.entry = entries.made(self.apply)

    def apply(self, *tensors: Any) -> list[Any]:
        """The cotangents of the inputs."""
        left = iter(tensors)
        grads = list(itertools.islice(left, len(self.values) - self.arity))
        values = [next(left) if x is _SAVED else x for x in self.values]
        inputs, outputs = values[: self.arity], values[self.arity :]
        return list(self.op.adjoint_for(self.wants, grads, inputs, outputs, self.params))

    def tensors(self, node: GradientNode, grads: Sequence[Any]) -> list[Any] | None:
        """What `apply` takes for a node; None if it is of another kind. The nodes that one plan
        makes share what they are made of."""
        if self.op is not node.op or self.wants != node.wants:
            return None
        given = [*grads]
        assert node.inputs is not None
        count = len(node.inputs)
        for i, (mine, x) in enumerate(zip(self.values, (*node.inputs, *node.outputs), strict=True)):
            if type(x) is Saved:
                given.append(x.value(node))
                x = _SAVED
            elif type(x) is SavedOutput:
                given.append(x.remade(node, i - count))
                x = _SAVED
            if mine is not x:
                return None
        return given


_SAVED = object()
_MOST_ADJOINTS = 4096
_adjoints: dict[int, _Adjoint] = {}  # by the identity of the parameters, which they hold


def _adjoint(node: GradientNode, grads: Sequence[Any]) -> Any:
    """The cotangents of a node's inputs, by a plan where there is one."""
    key = id(node.params)
    known = _adjoints.get(key)
    given = None if known is None else known.tensors(node, grads)
    if known is None or given is None:
        if len(_adjoints) >= _MOST_ADJOINTS:
            _adjoints.clear()
        known = _adjoints[key] = _Adjoint(node)
        given = known.tensors(node, grads)
        assert given is not None
    return known.entry(*given)


def record(
    op: Op, params: dict[str, Any], inputs: Sequence[Any], outputs: Sequence[Any]
) -> GradientNode | None:
    """Put an applied op on the tape when gradients are on and an input wants one."""
    if not mode.enabled or not op.differentiable:
        return None
    for x in inputs:
        if type(x) is not Literal and (x._node if x._view is None else x._tape()) is not None:
            break
    else:
        return None
    edges = tuple([(None, 0) if type(x) is Literal else edge_of(x) for x in inputs])
    if not any(o.dtype.is_inexact for o in outputs):
        return None
    node = GradientNode(op, params, inputs, edges, outputs)
    for i, out in enumerate(outputs):
        if out.dtype.is_inexact:
            out._node, out._index = node, i
    return node


def edge_of(x: Any) -> Edge:
    """Where the gradient of a tensor goes, or of a place that the user named."""
    if type(x) is GradientEdge:
        leaf = type(x.node) is AccumulateGrad
        return (x.node.variable if leaf else x.node, x.output_nr)
    node = x._tape()
    if node is None:
        return (None, 0)
    return (x, 0) if node is LEAF else (node, x._index)


def backward(
    roots: Iterable[tuple[Edge, Any]],
    store: Callable[[Any, Any], None],
    *,
    retain_graph: bool,
    create_graph: bool,
    wanted: Sequence[Edge] | None = None,
    capture: Callable[[int, Any], None] | None = None,
    stop: bool = False,
) -> None:
    """Run the tape in reverse from `roots`, pairs of an edge and its gradient.

    `store(leaf, gradient)` receives the whole gradient of each leaf. With `wanted`, only what leads
    to these edges is computed, and `capture(number, gradient)` receives theirs; with `stop`
    nothing flows through them to one another.
    """
    roots = list(roots)
    run = _Traversal(store)
    if wanted is not None:
        for i, edge in enumerate(wanted):
            run.wanted.setdefault(_key(edge), []).append(i)
        run.targets = {id(e[0]) for e in wanted}
        nodes = _reachable([e[0] for e, _ in roots], run.targets if stop else set())
        run.needed = _leading_to(nodes, run.targets)
        run.capture = capture
    run.starts = [e[0] for e, _ in roots]
    before = mode.enabled, mode.traversal
    mode.enabled, mode.traversal = create_graph, run
    try:
        if crossroads.pushed:
            with crossroads.uncast():  # gradients have the dtypes of what they are gradients of
                run.go(roots, retain_graph)
        else:
            run.go(roots, retain_graph)
    finally:
        mode.enabled, mode.traversal = before


def _key(edge: Edge) -> tuple[int, int]:
    return (id(edge[0]), edge[1])


def _reachable(starts: Sequence[Any], stop: set[int]) -> list[GradientNode]:
    """The nodes reachable from some targets, without going through those of `stop`."""
    nodes = {id(n): n for n in starts if type(n) is GradientNode and id(n) not in stop}
    stack = list(nodes.values())
    while stack:
        for target, _ in stack.pop().edges:
            if type(target) is GradientNode and id(target) not in nodes and id(target) not in stop:
                nodes[id(target)] = target
                stack.append(target)
    return list(nodes.values())


def _leading_to(nodes: list[GradientNode], wanted: set[int]) -> set[int]:
    """The nodes from which a wanted target can be reached."""
    nodes.sort(key=_sequence_of)
    found: set[int] = set()
    for node in nodes:
        for target, _ in node.edges:
            if id(target) in found or id(target) in wanted:
                found.add(id(node))
                break
    return found


def _sequence_of(node: GradientNode) -> int:
    return node.sequence


class _Traversal:
    """One run through the tape, newest node first, so that a node has all its gradients in time."""

    def __init__(self, store: Callable[[Any, Any], None]) -> None:
        self.store = store
        self.needed: set[int] | None = None
        self.grads: dict[int, list[Any]] = {}  # of a waiting node, by its id: one for each output
        self.heap: list[tuple[int, GradientNode]] = []
        self.leaves: dict[int, tuple[Any, Any]] = {}  # leaves and their gradients so far
        self.wanted: dict[tuple[int, int], list[int]] = {}
        self.targets: set[int] = set()
        self.capture: Callable[[int, Any], None] | None = None
        self.starts: list[Any] = []

    def reaches(self, target: Any) -> bool:
        """Whether the run gives a node, or a leaf, a gradient."""
        if self.needed is not None and type(target) is GradientNode:
            return id(target) in self.needed or id(target) in self.targets
        nodes = _reachable(self.starts, set())
        return any(target is t for n in nodes for t in (n, *(e[0] for e in n.edges)))

    def go(self, roots: list[tuple[Edge, Any]], retain_graph: bool) -> None:
        for (target, index), gradient in roots:
            if target is not None:
                self.add(target, index, gradient)
        heap, grads = self.heap, self.grads
        while heap:
            node = heapq.heappop(heap)[1]
            self.step(node, grads.pop(id(node)))
            if not retain_graph and (self.needed is None or id(node) in self.needed):
                node.free()
        for leaf, gradient in self.leaves.values():
            if not self._captured(leaf, 0, gradient):
                self.store(leaf, gradient)

    def add(self, target: Any, index: int, gradient: Any) -> None:
        """Add to the gradient of an edge; the first one makes its node wait for its turn."""
        key = id(target)
        if type(target) is GradientNode:
            mine = self.grads.get(key)
            if mine is None:
                mine = self.grads[key] = [None] * len(target.outputs)
                heapq.heappush(self.heap, (-target.sequence, target))
            before = mine[index]
            mine[index] = gradient if before is None else ops.add(before, gradient)
        elif key in self.leaves:
            self.leaves[key] = (target, ops.add(self.leaves[key][1], gradient))
        else:
            self.leaves[key] = (target, gradient)

    def step(self, node: GradientNode, mine: list[Any]) -> None:
        """Take a node's gradients to what it was computed from."""
        if node.hooks:
            self._call_hooks(node.hooks, mine)
            for before in tuple(node.hooks.get(_BEFORE, {}).values()):
                mine[:] = before(tuple(mine)) or mine
        if id(node) in self.targets:
            for i, gradient in enumerate(mine):
                if gradient is not None:
                    self._captured(node, i, gradient)
        needed = self.needed
        if needed is not None and id(node) not in needed:
            return
        results = node.backward(mine)
        if node.hooks:
            for after in tuple(node.hooks.get(_AFTER, {}).values()):
                results = after(tuple(results), tuple(mine)) or results
        if mode.watch is not None:
            mode.watch(node, results)
        if len(results) != len(node.edges):
            raise AutogradError(
                f"{node.name()} gave {len(results)} gradients for {len(node.edges)} inputs"
            )
        for (target, index), gradient in zip(node.edges, results, strict=True):
            if gradient is None or target is None:
                continue
            if needed is None or id(target) in needed or id(target) in self.targets:
                self.add(target, index, gradient)

    @staticmethod
    def _call_hooks(hooks: dict[int, dict[int, Callable[[Any], Any]]], mine: list[Any]) -> None:
        for i, gradient in enumerate(mine):
            if gradient is None:
                continue
            for hook in tuple(hooks.get(i, {}).values()):
                changed = hook(gradient)
                gradient = gradient if changed is None else changed
            mine[i] = gradient

    def _captured(self, target: Any, index: int, gradient: Any) -> bool:
        """Hand out a wanted gradient; whether the run is for wanted ones only."""
        if self.capture is not None:
            for number in self.wanted.get((id(target), index), ()):
                self.capture(number, gradient)
        return bool(self.wanted)
