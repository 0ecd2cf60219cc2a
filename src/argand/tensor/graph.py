"""The graph of gradients as users see it: its nodes, its edges, and hooks on several tensors."""

from __future__ import annotations

import functools
import threading
from abc import ABC
from collections.abc import Callable, Sequence
from typing import Any

from argand.base.errors import ArgumentError, AutogradError
from argand.tensor.autograd import register_hook
from argand.tensor.core import Tensor
from argand.transform import tape
from argand.transform.hooks import RemovableHandle
from argand.transform.mode import mode
from argand.transform.tape import AccumulateGrad, GradientEdge, GradientNode


class Node(ABC):  # noqa: B024  # what it stands for is registered
    """What every node of the graph is an instance of, as `torch.autograd.graph.Node`.

    >>> y = ag.ones(2, requires_grad=True) * 2
    >>> isinstance(y.grad_fn, ag.autograd.graph.Node)
    True
    """


Node.register(GradientNode)
Node.register(AccumulateGrad)


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Where the gradient of a tensor arrives; `backward` and `grad` take it for the tensor.

    Raises AutogradError for a tensor that doesn't require grad.

    >>> x = ag.tensor(3.0, requires_grad=True)
    >>> y = x * x
    >>> edge = ag.autograd.graph.get_gradient_edge(x)
    >>> ag.autograd.grad(y, edge)
    (tensor(6.),)
    """
    target, index = tape.edge_of(tensor)
    if target is None:
        raise AutogradError("a tensor that does not require grad has no gradient edge")
    return GradientEdge(tape.shown_node(target), index)


def increment_version(tensor: Any) -> None:
    """Note that the memory of a tensor, or of several, was written by other means.

    >>> x = ag.ones(2)
    >>> ag.autograd.graph.increment_version(x)
    >>> x._version
    1
    """
    for t in (tensor,) if isinstance(tensor, Tensor) else tensor:
        t._wrote()


class _Several:
    """The state of a hook on several tensors, for each run through the tape."""

    def __init__(self, tensors: Sequence[Tensor], fn: Callable[..., Any]) -> None:
        self.targets = [tape.edge_of(t)[0] for t in tensors]
        self.fn = fn
        self.lock = threading.Lock()
        self.run: Any = None
        self.left = 0
        self.found: list[Any] = []

    def arrived(self, place: int, gradient: Any) -> None:
        """Note a gradient; after the last one of the run call the function."""
        with self.lock:
            if mode.traversal is not self.run:
                self.run = mode.traversal
                self.left = sum(self.run.reaches(target) for target in self.targets)
                self.found = [None] * len(self.targets)
            self.found[place] = gradient
            self.left -= 1
            done = not self.left
            found, self.run = self.found, None if done else self.run
        if done:
            self.fn(found)

    def first(self, gradient: Any) -> None:
        """Call the function for the first gradient of a run."""
        with self.lock:
            is_first, self.run = mode.traversal is not self.run, mode.traversal
        if is_first:
            self.fn(gradient)


class _Handles(RemovableHandle):
    """Takes several hooks away."""

    def __init__(self, handles: Sequence[RemovableHandle]) -> None:
        super().__init__({})
        self._handles = handles

    def remove(self) -> None:
        """Take the hooks away; more than once is fine."""
        for handle in self._handles:
            handle.remove()


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable[..., Any], *, mode: str = "all"
) -> RemovableHandle:
    """Call ``fn(gradients)`` once a backward has the gradients of all tensors that it reaches, None
    for the others; with ``mode="any"``, ``fn(gradient)`` for the first one.

    Returns a handle whose `remove()` takes the hook away. Follows
    `torch.autograd.graph.register_multi_grad_hook`.

    >>> a, b = ag.ones(2, requires_grad=True), ag.ones(2, requires_grad=True)
    >>> handle = ag.autograd.graph.register_multi_grad_hook((a, b), print)
    >>> (a * 2 + b * 3).sum().backward()
    [tensor([2., 2.]), tensor([3., 3.])]
    """
    if mode not in ("all", "any"):
        raise ArgumentError(f"register_multi_grad_hook: mode is 'all' or 'any', not {mode!r}")
    several = _Several(tensors, fn)
    if mode == "any":
        return _Handles([register_hook(t, several.first) for t in tensors])
    hooks = [functools.partial(several.arrived, i) for i in range(len(tensors))]
    return _Handles([register_hook(t, hook) for t, hook in zip(tensors, hooks, strict=True)])


__all__ = [
    "GradientEdge",
    "Node",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
]
