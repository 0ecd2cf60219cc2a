"""Places on the tape that a transform makes for the tensors by which it differentiates.

A transform (`grad`, `vjp`, `jvp`) gives the function aliases of its arguments, each in a place of
its own on the tape, behind which the gradient flows on to where the argument itself is. So nested
transforms share one tape and differentiate by different places of it; what one of them asks is
never mixed up with what another one does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from argand.base.errors import AutogradError
from argand.ir import bind as crossroads
from argand.ir.op import ops
from argand.tensor.autograd import grad
from argand.tensor.core import Tensor
from argand.transform.mode import enable_grad, mode
from argand.transform.tape import GradientNode, Primal, edge_of


class Places:
    """The places of one use of a transform."""

    def __init__(self) -> None:
        self.records = mode.enabled  # whether the tape around is to go through the results
        self._nodes: list[GradientNode] = []

    def place(self, x: Tensor) -> Tensor:
        """An alias of a tensor in a new place."""
        if not x.dtype.is_inexact:
            raise AutogradError(
                f"only Tensors of floating point dtype can require gradients, got {x.dtype.name}"
            )
        here = crossroads.current()
        twin: Tensor = here.entered(x)
        edge = edge_of(x) if self.records and here.owns(x) else (None, 0)
        node = GradientNode(Primal(), {}, (twin,), (edge,), (twin,))
        twin._node, twin._index = node, 0
        self._nodes.append(node)
        return twin

    def now(self) -> Places:
        """The same places, for what is computed later: on the tape around, or not."""
        later = Places()
        later._nodes = self._nodes
        return later

    def close(self) -> None:
        """The function has run: what is differentiated by these places is known."""
        for node in self._nodes:
            node.op.active = False

    def reach_out(self, tensors: Sequence[Any]) -> bool:
        """Whether tensors depend on anything differentiable but these places."""
        waiting = [t._tape() for t in tensors if isinstance(t, Tensor)]
        seen: set[int] = set()
        while waiting:
            node = waiting.pop()
            if node is None or id(node) in seen:
                continue
            seen.add(id(node))
            if type(node) is not GradientNode:
                return True  # a leaf
            if type(node.op) is Primal and node.op.active and node not in self._nodes:
                return True  # another transform's
            waiting += [target for target, _ in node.edges]
        return False

    def goes_on(self, tensors: Sequence[Any]) -> bool:
        """Whether gradients of what depends on these tensors may be asked for around."""
        return self.records and (self.reach_out(tensors) or crossroads.current().differentiates())

    def left(self, tensors: Sequence[Any]) -> list[Any]:
        """Results as the code around sees them: on its tape, or on none."""
        return [
            t.shadow()
            if isinstance(t, Tensor)
            and t._node is not None
            and not (self.records and self.reach_out([t]))
            else t
            for t in tensors
        ]


@contextmanager
def differentiating() -> Iterator[Places]:
    """Record for gradients inside the block, also within `no_grad`."""
    places = Places()
    try:
        with enable_grad():
            yield places
    finally:
        places.close()


def pulled(
    outputs: Sequence[Any], inputs: Sequence[Any], cotangents: Sequence[Any], create_graph: bool
) -> list[Any]:
    """The sum of the cotangents times the derivatives of the outputs by each input; 0 where none
    depends on it. What the tape saved stays."""
    linked = [(y, g) for y, g in zip(outputs, cotangents, strict=True) if y._tape() is not None]
    found: Sequence[Any] = (None,) * len(inputs)
    if linked:
        roots, seeds = map(list, zip(*linked, strict=True))
        found = grad(
            roots, list(inputs), seeds, retain_graph=True, create_graph=create_graph,
            allow_unused=True,
        )  # fmt: skip
    return [zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True)]


def pushed(
    outputs: Sequence[Any], inputs: Sequence[Any], tangents: Sequence[Any], create_graph: bool
) -> list[Any]:
    """The derivatives of the outputs along tangents of the inputs: J t.

    u -> u^T J is linear, and its derivative by u along t is J t: two passes in reverse.
    """
    with differentiating() as places:
        dummies = [places.place(zeros_like(y)) if y.dtype.is_inexact else None for y in outputs]
    asked = [(y, u) for y, u in zip(outputs, dummies, strict=True) if u is not None]
    with enable_grad():
        back = pulled([y for y, _ in asked], inputs, [u for _, u in asked], True)
    found = iter(pulled(back, [u for _, u in asked], tangents, create_graph))
    return [
        zeros_like(y) if u is None else next(found) for y, u in zip(outputs, dummies, strict=True)
    ]


def zeros_like(x: Any) -> Any:
    """Zeros of the shape and dtype of a tensor."""
    return ops.full(tuple(x.shape), 0, x.dtype)
