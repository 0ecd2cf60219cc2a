"""`backward` and `grad`: the tape's traversal, with gradients stored in leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.base import epoch
from argand.base.errors import AutogradError
from argand.base.late import resolve
from argand.base.shape import same_shape, shape_text
from argand.base.tree import is_composed
from argand.ir import bind as crossroads
from argand.ir import overrides
from argand.ir.op import ops
from argand.tensor.core import Tensor, wrap
from argand.tensor.meta import meta_aware
from argand.transform import tape
from argand.transform.hooks import RemovableHandle, registered
from argand.transform.mode import no_grad
from argand.transform.tape import LEAF, AccumulateGrad, GradientEdge


@meta_aware
def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of the sum of `tensors` to the `.grad` of the leaves that they depend on.

    `grad_tensors` are the cotangents, in their shapes; without them each must have one element.
    What the tape saved is freed unless `retain_graph`; with `create_graph` the gradients can be
    differentiated again. `inputs` limits the leaves. Raises AutogradError where there is no
    history. Follows `torch.autograd.backward`.

    >>> x = ag.tensor([1.0, 2.0], requires_grad=True)
    >>> ag.autograd.backward([x.sum(), (x * x).sum()])
    >>> x.grad
    tensor([3., 5.])
    """
    roots = _roots(_list(tensors), _list(grad_tensors))
    retain = create_graph if retain_graph is None else retain_graph
    store = _Store(create_graph, [g for _, g in roots])
    wanted: list[tape.Edge] | None = None
    targets: list[Tensor] = []
    if inputs is not None:
        targets = [_leaf_of(_on_tape(t)) for t in _list(inputs)]
        wanted = [_wanted_edge(t) for t in targets]
    tape.backward(
        roots,
        store,
        retain_graph=retain,
        create_graph=create_graph,
        wanted=wanted,
        capture=lambda i, g: store(targets[i], g),
    )


@meta_aware
def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of the sum of `outputs` by each of `inputs`, as a tuple; no `.grad` changes.

    The arguments are those of `backward`. For an input that the outputs don't depend on,
    AutogradError, or with `allow_unused` None, with `materialize_grads` zeros. `only_inputs` says
    what is always so: no other leaf gets a gradient. With `is_grads_batched` the cotangents, and so
    the gradients, have one more dimension in front: one run for each. Follows
    `torch.autograd.grad`.

    >>> x = ag.tensor(3.0, requires_grad=True)
    >>> (slope,) = ag.autograd.grad(x**3, x, create_graph=True)
    >>> slope, ag.autograd.grad(slope, x)
    (tensor(27., grad_fn=<PowD0Backward0>), (tensor(18.),))
    """
    if is_grads_batched:
        options = (retain_graph, create_graph, only_inputs, allow_unused, False, materialize_grads)
        return _grads_of_many(outputs, inputs, _list(grad_outputs), options)
    given = _list(inputs)
    targets = [_on_tape(t) for t in given]
    found: dict[int, Tensor] = {}
    tape.backward(
        _roots(_list(outputs), _list(grad_outputs)),
        lambda leaf, g: None,
        retain_graph=create_graph if retain_graph is None else retain_graph,
        create_graph=create_graph,
        wanted=[_wanted_edge(t) for t in targets],
        capture=found.__setitem__,
    )
    results = [found.get(i) for i in range(len(targets))]
    for i, t in enumerate(targets):
        if results[i] is None and materialize_grads:
            results[i] = ops.full(tuple(t.shape), 0, t.dtype)
        elif results[i] is None and not allow_unused:
            raise AutogradError(
                f"input {i} of grad was not used to compute the outputs; pass allow_unused=True "
                "to get None for it"
            )
    return tuple(
        t.gradient_of(g) if t is not on_tape and g is not None else g
        for t, on_tape, g in zip(given, targets, results, strict=True)
    )


def _on_tape(t: Any) -> Any:
    """The tensor itself, or the part of a composed one that is on the tape."""
    return t.part_on_tape() if is_composed(type(t)) else t


def _grads_of_many(
    outputs: Any, inputs: Any, cotangents: list[Any], options: Any
) -> tuple[Tensor | None, ...]:
    """The gradients for several cotangents of each output, stacked."""
    known: list[bool] = []

    def gradients(*given: Any) -> Any:
        left = iter(given)
        weights = [None if g is None else next(left) for g in cotangents]
        found = grad(outputs, inputs, weights, *options)
        known[:] = [g is not None for g in found]
        return tuple([g for g in found if g is not None])

    found = iter(resolve("func.vmap")(gradients)(*[g for g in cotangents if g is not None]))
    return tuple([next(found) if here else None for here in known])


class _Store:
    """Adds gradients to leaves. The first one is kept as it is when nobody else holds it."""

    def __init__(self, create_graph: bool, held: Sequence[Any]) -> None:
        self.create_graph = create_graph
        self.held = {id(g): g for g in held}

    def __call__(self, leaf: Tensor, gradient: Any) -> None:
        cold = leaf._cold
        if cold is not None and cold.hooks:
            for hook in list(cold.hooks.values()):
                changed = hook(gradient)
                gradient = gradient if changed is None else changed
        if overrides.tensor_classes:
            with overrides.without_any():  # no call of the user's
                self._add(leaf, gradient)
        else:
            self._add(leaf, gradient)
        cold = leaf._cold
        if cold is not None and cold.after:
            for after in tuple(cold.after.values()):
                after(leaf)

    def _add(self, leaf: Tensor, gradient: Any) -> None:
        before = leaf.grad
        if before is None:
            if gradient._view is not None or id(gradient) in self.held:
                gradient = ops.contiguous(gradient) if self.create_graph else _copy(gradient)
            self.held[id(gradient)] = gradient
            leaf.grad = gradient
        else:
            leaf.grad = ops.add(before, gradient)


def _copy(gradient: Any) -> Any:
    with no_grad():
        return ops.contiguous(gradient)


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    several = isinstance(value, list | tuple) and type(value) is not GradientEdge
    return list(value) if several else [value]


def _roots(tensors: list[Any], gradients: list[Any]) -> list[tuple[tape.Edge, Any]]:
    if gradients and len(gradients) != len(tensors):
        raise AutogradError(f"got {len(gradients)} gradients for {len(tensors)} tensors")
    roots = []
    for i, t in enumerate(tensors):
        edge = tape.edge_of(t)
        if edge[0] is None:
            raise AutogradError(
                "this tensor does not require grad and has no history, so there is nothing to "
                "differentiate; was it computed under no_grad, or detached?"
            )
        roots.append((edge, _root_gradient(t, gradients[i] if gradients else None)))
    return roots


def _root_gradient(t: Any, given: Any) -> Any:
    if type(t) is GradientEdge:
        if given is None:
            raise AutogradError("backward from a GradientEdge needs its gradient: pass it")
        return given
    if given is None:
        array = None if crossroads.pushed else t._array
        if array is not None and array.size == 1:
            return wrap(np.ones(array.shape, array.dtype))
        if t.shape.numel() != 1:
            raise AutogradError(
                f"grad can be created implicitly only for scalars, and this tensor has shape "
                f"{shape_text(t.shape)}; pass gradient=..."
            )
        return ops.full(tuple(t.shape), 1, t.dtype)
    if not same_shape(given.shape, t.shape):
        raise AutogradError(
            f"the gradient has shape {shape_text(given.shape)}, the tensor {shape_text(t.shape)}"
        )
    return given if given.dtype is t.dtype else ops.cast(given, t.dtype)


def _leaf_of(t: Any) -> Any:
    """The tensor whose `.grad` an input of `backward` names."""
    return t.node.variable if type(t) is GradientEdge and type(t.node) is AccumulateGrad else t


def _wanted_edge(t: Any) -> tape.Edge:
    edge = tape.edge_of(t)
    if edge[0] is None:
        raise AutogradError("one of the inputs does not require grad")
    return edge


def register_hook(t: Tensor, hook: Any) -> RemovableHandle:
    """Call `hook(gradient)` whenever the gradient of this tensor is known.

    What the hook returns, unless None, replaces it. Returns a handle whose `remove()` takes the
    hook away. Raises AutogradError for a tensor that doesn't require grad. Follows
    `torch.Tensor.register_hook`.

    >>> x = ag.tensor([1.0, 2.0], requires_grad=True)
    >>> handle = x.register_hook(lambda gradient: gradient * 10)
    >>> x.sum().backward()
    >>> x.grad
    tensor([10., 10.])
    """
    node = t._tape()
    if node is None:
        raise AutogradError("can't register a hook on a tensor that doesn't require grad")
    if node is LEAF:
        cold = t._cold_part()
        cold.hooks = hooks = cold.hooks or {}
    else:
        node.hooks = node.hooks or {}
        hooks = node.hooks.setdefault(t._index, {})
    handle = registered(hooks, hook)
    epoch.changed(t)
    return handle


def register_post_accumulate_grad_hook(t: Tensor, hook: Any) -> RemovableHandle:
    """Call `hook(tensor)` each time a gradient has been added to the `.grad` of a leaf.

    Returns a handle whose `remove()` takes the hook away. Raises AutogradError for results. Follows
    `torch.Tensor.register_post_accumulate_grad_hook`.

    >>> x = ag.tensor([1.0, 2.0], requires_grad=True)
    >>> handle = x.register_post_accumulate_grad_hook(lambda leaf: print(leaf.grad))
    >>> x.sum().backward()
    tensor([1., 1.])
    """
    if t._node is not LEAF:
        raise AutogradError("post-accumulate hooks are for leaves that require grad")
    cold = t._cold_part()
    cold.after = hooks = cold.after or {}
    handle = registered(hooks, hook)
    epoch.changed(t)
    return handle


def retain_grad(t: Tensor) -> None:
    """Keep the gradient of a result in its `.grad`, as leaves do.

    >>> x = ag.tensor([1.0, 2.0], requires_grad=True)
    >>> y = x * 3
    >>> y.retain_grad()
    >>> (y * y).sum().backward()
    >>> y.grad
    tensor([ 6., 12.])
    """
    cold = t._cold_part()
    if t.is_leaf or cold.retains_grad:
        return
    cold.retains_grad = True

    def keep(gradient: Any) -> None:
        t.grad = gradient if t.grad is None else ops.add(t.grad, gradient)

    register_hook(t, keep)
