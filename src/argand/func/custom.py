"""Functions with a derivative of their own (`autograd.Function`) for several calls at once.

Around the calls such a function is one of the tensors of all calls, whose forward and backward are
those of the user, mapped. So gradients asked for there go through the user's backward as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from argand.ir.batching import Operand, moved
from argand.ir.bind import interpreting
from argand.ir.op import ops
from argand.tensor.core import Tensor
from argand.transform.custom import Function, FunctionCtx
from argand.transform.mode import mode, no_grad
from argand.transform.tape import edge_of

Level = Any
"""`Calls`, whose module imports this one."""


class VmapInfo(NamedTuple):
    """What the `vmap` of a custom function is told."""

    batch_size: Any
    randomness: str


def applied(level: Level, function: Any, args: Any, kwargs: Any) -> Any:
    """The result of a custom function at a level."""
    places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
    operands = {i: level.read(args[i]) for i in places}
    here = {i: edge_of(args[i]) if level.owns(args[i]) else (None, 0) for i in places}
    wants = [
        i in here and mode.enabled and (here[i][0] is not None or operands[i].value.requires_grad)
        for i in range(len(args))
    ]
    ctx = FunctionCtx(tuple(wants))
    if function.vmap is not None:
        result = _by_rule(level, function, args, operands)
        if function.setup_context is not None:
            function.setup_context(ctx, args, result)
    else:
        result = _mapped(level, function, ctx, args, kwargs, operands)
    if mode.enabled and any(e[0] is not None for e in here.values()):
        several = isinstance(result, tuple)
        outputs = result if several else (result,)
        edges = tuple(here[i] for i in places)
        mine = [a if i not in operands or level.owns(a) else level.bare(a) for i, a in
                enumerate(args)]  # fmt: skip
        outputs = function.recorded(ctx, mine, places, edges, outputs)
        return outputs if several else outputs[0]
    return result


def _by_rule(level: Level, function: Any, args: Any, operands: dict[int, Operand]) -> Any:
    """The result by the function's own `vmap`."""
    given = [operands[i].value if i in operands else a for i, a in enumerate(args)]
    dims = tuple(0 if i in operands and operands[i].many else None for i in range(len(args)))
    with interpreting(level.around):
        info = VmapInfo(level.size, level.randomness)
        found, out_dims = function.vmap(info, dims, *given)
        several = isinstance(found, tuple)
        ys = found if several else (found,)
        ds = out_dims if isinstance(out_dims, tuple) else (out_dims,) * len(ys)
        rows = [
            Operand(y if d is None else moved(y, d % y.ndim, 0), d is not None)
            for y, d in zip(ys, ds, strict=True)
        ]
    outputs = tuple([level.tensor(row) for row in rows])
    return outputs if several else outputs[0]


def _mapped(
    level: Level, function: Any, ctx: FunctionCtx, args: Any, kwargs: Any, operands: Any
) -> Any:
    """The result by the function's forward, with its backward on the tape around."""
    made: list[Any] = []

    class Mapped(Function):
        """The function, of the tensors of all calls."""

        @staticmethod
        def forward(around: Any, *values: Any) -> Any:
            with interpreting(level), no_grad():
                if function.setup_context is None:
                    result = function.forward(ctx, *args, **kwargs)
                else:
                    result = function.forward(*args, **kwargs)
                    function.setup_context(ctx, args, result)
            made.append(result)
            ys = result if isinstance(result, tuple) else (result,)
            around.many = [level.read(y).many for y in ys if isinstance(y, Tensor)]
            return tuple(level.read(y).value for y in ys if isinstance(y, Tensor))

        @staticmethod
        def backward(around: Any, *grads: Any) -> Any:
            with interpreting(level):
                given = [
                    level.tensor(Operand(g, many))
                    for g, many in zip(grads, around.many, strict=True)
                ]
                found = function.backward(ctx, *given)
            found = found if isinstance(found, tuple | list) else (found,)
            return tuple(_summed(level, found[i], x) for i, x in operands.items())

    Mapped.__name__ = Mapped.__qualname__ = function.__name__
    with interpreting(level.around):
        ys = Mapped.apply(*(x.value for x in operands.values()))
    (result,) = made
    return _again(level, result, ys)


def _summed(level: Level, g: Any, x: Operand) -> Any:
    """The gradient around of an operand, from that of each call."""
    if g is None:
        return None
    with interpreting(level.around):
        found = level.read(g)
        if x.many:
            return found.stacked(level.size)
        if found.many:
            return ops.sum(found.value, (0,))
        return ops.mul(found.value, level.size)


def _again(level: Level, result: Any, ys: Sequence[Any]) -> Any:
    """The outputs of forward, whose values are those that the tape around knows."""
    left = iter(ys)
    outputs = result if isinstance(result, tuple) else (result,)
    found = []
    for y in outputs:
        if isinstance(y, Tensor):
            value = next(left)
            same = level.owns(y) and level.read(y).value is value
            y = y if same else level.tensor(Operand(value, level.read(y).many))
            level.recorded |= value._node is not None
        found.append(y)
    return tuple(found) if isinstance(result, tuple) else found[0]
