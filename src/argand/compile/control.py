"""Control flow on tensor values that stays inside one program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from argand.base.errors import CallError, TraceError
from argand.base.misuse import FAILURES, explain
from argand.base.tree import flatten, tree_map, unflatten
from argand.compile.regions import Region, as_tensor
from argand.compile.tracer import Tracer
from argand.ir import bind as crossroads
from argand.ir.op import ops, registry
from argand.tensor.core import Tensor
from argand.transform import graph as _graph  # gives Control its derivative
from argand.transform.mode import no_grad

assert _graph is not None


def cond(
    pred: Any,
    true_fn: Callable[..., Any],
    false_fn: Callable[..., Any],
    operands: Any = (),
    *more: Any,
) -> Any:
    """`true_fn(*operands)` where `pred` is true, else `false_fn(*operands)`; as `torch.cond`.

    Outside of a compiled function this is a Python branch. Inside, both functions become part of
    the program and one of them runs at each call; they must return tensors of the same dtypes and
    shapes, nested alike. Tensors that they close over take part, in derivatives too. As in PyTorch
    the operands may be given as one tuple. Where `vmap` gives each example a condition of its own,
    both functions run, and each example takes one's results.

    >>> ag.cond(ag.tensor(True), lambda x: x + 1, lambda x: x - 1, ag.tensor(3.0))
    tensor(4.)
    """
    for function in (true_fn, false_fn):
        if not callable(function):
            raise CallError(f"cond takes two functions, got {type(function).__name__}")
    given = operands if isinstance(operands, tuple | list) and not more else (operands, *more)
    tracer = crossroads.current()
    if isinstance(pred, Tensor) and tracer.varies(pred):
        return _chosen(pred, true_fn(*given), false_fn(*given))
    if not isinstance(pred, Tensor) or not isinstance(tracer, Tracer):
        return (true_fn if pred else false_fn)(*given)
    try:
        return _Branches(tracer).run(as_condition(pred), true_fn, false_fn, given)
    except FAILURES as error:
        explain(error)
        raise


def _chosen(pred: Tensor, yes: Any, no: Any) -> Any:
    """Of the results of both branches, those of one; under `vmap`, which computes both."""
    (left, structure), (right, other) = flatten(yes), flatten(no)
    if structure != other:
        raise TraceError("cond: both branches must return tensors nested alike")
    condition = as_condition(pred)
    chosen = [ops.where(condition, a, b) for a, b in zip(left, right, strict=True)]
    return unflatten(structure, chosen)


def as_condition(pred: Tensor) -> Any:
    """A tensor of one element as a 0-d boolean."""
    if pred.ndim and pred.shape.numel() == 1:
        pred = ops.reshape(pred, ())
    return pred if pred.dtype.kind == "b" else ops.ne(pred, 0)


class Branches:
    """Two functions of no arguments, traced as the regions of a `cond`."""

    def __init__(self, outer: Tracer) -> None:
        self.outer = outer
        self.operands: dict[int, Tensor] = {}  # what either branch reads from outside, in order
        self.yes, self.no = (
            Region(outer, self.operands, name, "cond", "a branch") for name in ("then", "otherwise")
        )

    def bind(self, pred: Any) -> list[Any]:
        """The node, of regions that have their outputs; write what they wrote."""
        regions = self.yes, self.no
        written = [k for k in self.operands if any(r.writes_to(k) for r in regions)]
        for region in regions:
            region.close(list(self.operands), written)
        inputs = (pred, *self.operands.values())
        params = {"regions": tuple(r.program for r in regions)}
        outputs = crossroads.bind(registry.get("cond"), inputs, params)
        return _written(self.outer, outputs, [self.operands[k] for k in written])


class _Branches(Branches):
    def run(self, pred: Any, true_fn: Any, false_fn: Any, operands: Sequence[Any]) -> Any:
        """Trace both, bind the op."""
        leaves, structure = flatten(self.yes.run(true_fn, *operands))
        others, other = flatten(self.no.run(false_fn, *operands))
        if structure != other:
            raise TraceError("cond: both branches must return tensors nested alike")
        self.yes.give(leaves)
        self.no.give(others)
        return unflatten(structure, self.bind(pred))


def _written(outer: Tracer, outputs: Sequence[Any], targets: Sequence[Tensor]) -> list[Any]:
    """The outputs of a node, without what its functions wrote, which is written where it belongs:
    the last outputs are the new values of the targets."""
    count = len(outputs) - len(targets)
    for target, value in zip(targets, outputs[count:], strict=True):
        with no_grad():
            outer.write(target, value)
            target._wrote()
    return list(outputs[:count])


def while_loop(
    cond_fn: Callable[..., Any], body_fn: Callable[..., Any], carried_inputs: Any
) -> tuple[Any, ...]:
    """`carried = body_fn(*carried)` for as long as `cond_fn(*carried)` is true; as PyTorch's
    `while_loop` of `torch._higher_order_ops`.

    Outside of a compiled function this is a Python loop. Inside, both functions become part of the
    program, which runs as many rounds as each call needs (at most `ag.settings.loop_limit`).
    `cond_fn` gives a boolean of one element, `body_fn` as many values as it takes, of the same
    dtypes and shapes. Tensors that they close over take part, in first derivatives too; what
    `body_fn` writes in place is written.

    Args:
        cond_fn, body_fn: functions of the carried values.
        carried_inputs: a tuple of tensors and numbers, or of tuples, lists and dictionaries of
            them.

    >>> ag.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (ag.tensor(0), ag.ones(2)))
    (tensor(3), tensor([8., 8.]))
    """
    for function in (cond_fn, body_fn):
        if not callable(function):
            raise CallError(f"while_loop takes two functions, got {type(function).__name__}")
    if not isinstance(carried_inputs, tuple | list):
        raise CallError(
            f"while_loop takes what it carries in a tuple, got {type(carried_inputs).__name__}"
        )
    tracer = crossroads.current()
    if not isinstance(tracer, Tracer):
        return _eager_loop(cond_fn, body_fn, tuple(carried_inputs))
    try:
        return _traced_loop(tracer, cond_fn, body_fn, tuple(carried_inputs))
    except FAILURES as error:
        explain(error)
        raise


def _eager_loop(cond_fn: Any, body_fn: Any, carried: tuple[Any, ...]) -> tuple[Any, ...]:
    structure = flatten(carried)[1]
    carried = tree_map(as_tensor, carried)
    while True:
        pred = cond_fn(*carried)
        if isinstance(pred, Tensor) and crossroads.current().varies(pred):
            raise TraceError(
                "while_loop: the condition differs from example to example of a vmap; loop until "
                "all are done, and use ag.where for those that are"
            )
        if not pred:
            return carried
        carried = tree_map(as_tensor, _same_nesting(body_fn(*carried), structure))


def _same_nesting(returned: Any, structure: Any) -> tuple[Any, ...]:
    found = tuple(returned) if isinstance(returned, tuple | list) else (returned,)
    if flatten(found)[1] != structure:
        raise CallError("while_loop: body_fn must return as many values as it takes, nested alike")
    return found


def _traced_loop(
    tracer: Tracer, cond_fn: Any, body_fn: Any, carried: tuple[Any, ...]
) -> tuple[Any, ...]:
    leaves, structure = flatten(carried)
    loop = Loop(tracer, [as_tensor(x) for x in leaves])
    pred = loop.goes_on.run(cond_fn, *unflatten(structure, loop.at_condition))
    found = loop.body.run(body_fn, *unflatten(structure, loop.at_body))
    return tuple(unflatten(structure, loop.bind(pred, flatten(_same_nesting(found, structure))[0])))


class Loop:
    """Two functions traced as the regions of a `while_loop`.

    `at_condition` and `at_body` are the stand-ins of what is carried, for each of them.
    """

    def __init__(self, outer: Tracer, carried: Sequence[Tensor]) -> None:
        self.outer = outer
        self.carried = list(carried)
        self.operands: dict[int, Tensor] = {}
        self.goes_on = Region(outer, self.operands, "goes_on", "while_loop", "the condition")
        self.body = Region(outer, self.operands, "body", "while_loop", "the body")
        self.at_condition = [self.goes_on.enter(x) for x in self.carried]
        self.at_body = [self.body.enter(x) for x in self.carried]

    def bind(self, pred: Any, results: Sequence[Any]) -> list[Any]:
        """The node, from what the functions gave; write what the body wrote."""
        self.goes_on.give([self.goes_on.run(as_condition, self.goes_on.run(as_tensor, pred))])
        self.body.give(results)
        if any(self.goes_on.writes_to(k) for k in self.operands):
            raise TraceError("while_loop: the condition writes into a tensor from outside")
        written = [k for k in self.operands if self.body.writes_to(k)]
        order = [*written, *(k for k in self.operands if k not in written)]
        self.goes_on.close(order, [])
        self.body.close(order, written)
        inputs = (*self.carried, *(self.operands[k] for k in order))
        params = {
            "carried": len(self.carried) + len(written),
            "regions": (self.goes_on.program, self.body.program),
        }
        outputs = crossroads.bind(registry.get("while_loop"), inputs, params)
        return _written(self.outer, outputs, [self.operands[k] for k in written])


__all__ = ["Branches", "Loop", "as_condition", "cond", "while_loop"]
