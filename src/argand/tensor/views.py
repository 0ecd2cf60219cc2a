"""Views: which tensor owns the memory, the moves that lead from it, and whose gradient it is.

A tensor that shares memory with another has a `View` in its slot `_view`; None says that it owns
its memory. A view of a view links to that one and states the one move that it adds.
"""

from __future__ import annotations

from typing import Any

from argand.ir import bind as crossroads
from argand.ir.op import Op
from argand.transform.mode import mode

Move = tuple[Op, dict[str, Any]]


class View:
    """The place of a tensor in another one's memory; never changed, only replaced."""

    __slots__ = ("base", "counter", "generation", "move", "parent", "root")

    def __init__(
        self,
        root: Any,
        parent: View | None,
        move: Move | None,
        base: Any,
        generation: int,
        counter: Any = None,
    ) -> None:
        self.root = root  # the tensor that owns the memory
        self.parent = parent  # the view that the move starts from; None: the root
        self.move = move  # None: the same elements as the parent
        # The tensor whose gradient the view is part of; None for an alias apart, such as detach()
        # gives. The moves that lead from it are the last ones.
        self.base = base
        # How often the base's node had been replaced by an in-place operation when the view's own
        # node was made.
        self.generation = generation
        # What counts writes through it, where that is not the root: of `data` and its views.
        self.counter = counter


def root_of(x: Any) -> Any:
    """The tensor that owns the memory."""
    view = x._view
    return x if view is None else view.root


def chain_of(x: Any) -> tuple[Move, ...]:
    """The moves that lead from the root to a tensor."""
    found: list[Move] = []
    view = x._view
    while view is not None:
        if view.move is not None:
            found.append(view.move)
        view = view.parent
    return tuple(found[::-1])


def moves_from(base: Any, x: Any) -> tuple[Move, ...]:
    """The moves that lead from a base to one of its views."""
    return chain_of(x)[len(chain_of(base)) :]


def follow(root: Any, chain: tuple[Move, ...]) -> Any:
    """The view that a chain of moves leads to."""
    x = root
    for op, params in chain:
        (x,) = crossroads.bind(op, (x,), params)
    return x


def link(out: Any, source: Any, move: Move, root: Any = None) -> None:
    """Make `out` the view of `source` that a move gives, and part of the same gradient.

    `root` is given where the memory counts as that of another tensor than the root of `source`.
    """
    before = source._view
    base = source if before is None or before.base is None else before.base
    parent = None if root is source else before
    owner = root_of(source) if root is None else root
    counter = None if before is None else before.counter
    out._view = View(owner, parent, move, base, generation_of(base), counter)


def alias(out: Any, source: Any) -> None:
    """Give `out` the memory of `source`, apart from its gradient."""
    view = source._view
    if view is None:
        out._view = View(source, None, None, None, 0)
    else:
        out._view = View(view.root, view.parent, view.move, None, 0, view.counter)


def generation_of(base: Any) -> int:
    """How often the node of a tensor was replaced by an in-place operation."""
    return 0 if base._cold is None else base._cold.generation


def base_of(x: Any) -> Any:
    """The tensor whose gradient a view is part of; None for what is no such view."""
    view = x._view
    return None if view is None else view.base


def node_of(x: Any) -> Any:
    """A tensor's node, made again first when an in-place write to its memory made it stale."""
    view = x._view
    if view is not None and view.base is not None and mode.enabled:
        base = view.base
        generation = generation_of(base)
        if view.generation != generation:
            fresh = follow(base, moves_from(base, x))
            x._node, x._index = fresh._node, fresh._index if fresh._node is not None else 0
            x._view = View(view.root, view.parent, view.move, base, generation, view.counter)
    return x._node
