"""Activation checkpointing: forget what a function saved, and run it again in backward.

The first run is recorded only to learn which tensors from outside (parameters, say) the function
reads; that part of the tape is dropped, and one node takes its place. In backward the function runs
again, with the same random numbers, and its gradients are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from argand.base.tree import flatten, unflatten
from argand.ir.bind import tracing
from argand.tensor.core import Tensor
from argand.tensor.generators import default_generator
from argand.transform import tape
from argand.transform.mode import enable_grad, mode
from argand.transform.tape import Edge, GradientNode, Stand


class _Segment(Stand):
    """The op of a checkpointed call."""

    name = "checkpoint"

    def __init__(self, run: Callable[[Sequence[Any]], Any], random: Tensor | None) -> None:
        self.run = run
        self.random = random
        self.count = 0  # of the tensors among the arguments; the other edges are from outside
        self.outside: list[Edge] = []

    def saves_for(self, wants: Any, params: Any) -> tuple[Sequence[int], Sequence[int]]:
        return range(self.count), ()

    def adjoint_for(
        self, wants: Any, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]
    ) -> Any:
        create_graph = mode.enabled
        with enable_grad():
            barriers = [
                _barrier(x) if w else None
                for x, w in zip(inputs, wants[: self.count], strict=False)
            ]
            results = self._again(
                [b if b is not None else x for b, x in zip(barriers, inputs, strict=False)]
            )
        wanted: list[Edge] = [(b._node, b._index) for b in barriers if b is not None]
        places = [i for i, b in enumerate(barriers) if b is not None]
        places += range(self.count, self.count + len(self.outside))
        found: dict[int, Any] = {}
        roots = [(tape.edge_of(y), g) for y, g in zip(results, grads, strict=True) if g is not None]
        tape.backward(
            [(e, g) for e, g in roots if e[0] is not None],
            lambda leaf, g: None,
            retain_graph=create_graph,
            create_graph=create_graph,
            wanted=[*wanted, *self.outside],
            capture=lambda n, g: found.__setitem__(places[n], g),
            stop=True,
        )
        return [found.get(i) for i in range(self.count + len(self.outside))]

    def _again(self, inputs: Sequence[Any]) -> list[Any]:
        if self.random is None:
            return _tensors(self.run(inputs))
        before = default_generator.get_state()
        default_generator.set_state(self.random)
        try:
            return _tensors(self.run(inputs))
        finally:
            default_generator.set_state(before)


def _barrier(x: Any) -> Any:
    """`x` in a new place on the tape, whose gradient flows on to where `x` came from."""
    return tape.placed(x, tape.edge_of(x))


def _tensors(tree: Any) -> list[Any]:
    return [y for y in flatten(tree)[0] if isinstance(y, Tensor)]


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    determinism_check: str = "default",
    debug: bool = False,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)``, of which the tape keeps only the arguments.

    In backward the function runs again, with the same random numbers unless
    `preserve_rng_state=False`: memory is saved for time (Chen et al. 2016). It must compute the
    same each time. `use_reentrant`, `determinism_check` and `debug` are PyTorch's, without effect.
    Follows `torch.utils.checkpoint.checkpoint`.

    >>> x = ag.tensor([0.5, 1.5], requires_grad=True)
    >>> y = ag.utils.checkpoint.checkpoint(lambda x: (x.exp() + 1).log(), x)
    >>> y.sum().backward()
    >>> x.grad
    tensor([0.6225, 0.8176])
    """
    if not mode.enabled or tracing():
        return function(*args, **kwargs)  # what a program keeps, the compiler decides
    leaves, structure = flatten((args, kwargs))
    places = [i for i, x in enumerate(leaves) if isinstance(x, Tensor)]

    def run(inputs: Sequence[Any]) -> Any:
        filled = list(leaves)
        for i, x in zip(places, inputs, strict=True):
            filled[i] = x
        again_args, again_kwargs = unflatten(structure, filled)
        return function(*again_args, **again_kwargs)

    inputs = [leaves[i] for i in places]
    segment = _Segment(run, default_generator.get_state() if preserve_rng_state else None)
    for i in places:  # `run` must not keep the arguments alive beside the tape
        leaves[i] = None
    barriers = [_barrier(x) if tape.edge_of(x)[0] is not None else None for x in inputs]
    result = run([x if b is None else b for b, x in zip(barriers, inputs, strict=True)])
    return _placed(segment, inputs, barriers, result)


def _placed(segment: _Segment, inputs: list[Any], barriers: list[Any], result: Any) -> Any:
    """The results with one node in place of the tape that the first run made."""
    found, structure = flatten(result)
    outputs = [y for y in found if isinstance(y, Tensor) and y._tape() is not None]
    if not outputs:
        return result
    segment.count = len(inputs)
    segment.outside = _outside(outputs, {id(b._node) for b in barriers if b is not None})
    edges = (*map(tape.edge_of, inputs), *segment.outside)
    twins = [y.shadow() for y in outputs]
    all_outputs = [y for y in found if isinstance(y, Tensor)]
    node = GradientNode(segment, {}, inputs, edges, all_outputs)
    index = {id(y): i for i, y in enumerate(all_outputs)}
    replaced = {}
    for y, twin in zip(outputs, twins, strict=True):
        twin._node, twin._index = node, index[id(y)]
        replaced[id(y)] = twin
        _forget(y, segment)
    return unflatten(structure, [replaced.get(id(y), y) for y in found])


def _forget(y: Any, segment: _Segment) -> None:
    """Let go of the tape behind a result; its twin holds on to the result as the memory's owner."""
    for t in (y, y._root()):
        if t.is_leaf or any(t._node is target for target, _ in segment.outside):
            continue
        t._node = None


def _outside(outputs: Sequence[Any], barriers: set[int]) -> list[Edge]:
    """The leaves that the recorded part reads, apart from the arguments."""
    found: dict[tuple[int, int], Edge] = {}
    seen: set[int] = set()
    stack = [tape.edge_of(y)[0] for y in outputs]
    while stack:
        node = stack.pop()
        if id(node) in seen or id(node) in barriers or type(node) is not GradientNode:
            continue
        seen.add(id(node))
        for target, index in node.edges:
            if target is None or id(target) in barriers:
                continue
            if type(target) is GradientNode:
                stack.append(target)
            else:
                found[(id(target), index)] = (target, index)
    return list(found.values())


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **options: Any
) -> Any:
    """A chain of functions (or a Sequential) applied to `input`, in `segments` checkpointed parts.

    The last part is run as it is: its backward comes at once. Follows
    `torch.utils.checkpoint.checkpoint_sequential`.

    >>> chain = [lambda x: x * 2, ag.sin, ag.exp]
    >>> ag.utils.checkpoint.checkpoint_sequential(chain, 2, ag.tensor([0.0, 1.0]))
    tensor([1.0000, 2.4826])
    """
    chain = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = max(len(chain) // segments, 1)

    def part(layers: Sequence[Any]) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for layer in layers:
                x = layer(x)
            return x

        return run

    starts = list(range(0, len(chain), size))[:segments]
    for n, start in enumerate(starts):
        last = n + 1 == len(starts)
        run = part(chain[start:] if last else chain[start : start + size])
        input = run(input) if last else checkpoint(run, input)
    return input
