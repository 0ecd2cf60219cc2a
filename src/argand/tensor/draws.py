"""Random numbers whose distribution depends on tensors: Poisson, binomial and others."""

from __future__ import annotations

from typing import Any

from argand.base.dtype import float64
from argand.base.errors import ArgumentError, DTypeError
from argand.base.shape import broadcast_shapes
from argand.ir import bind as crossroads
from argand.ir.op import ops
from argand.tensor.core import Tensor
from argand.tensor.random import default_generator


def draw(name: str, *parameters: Any, generator: Any = None) -> Any:
    """A draw of `ops/draws.py`, in float64, of parameters of one shape that need no gradient."""
    source = default_generator if generator is None else generator
    wide = [ops.cast(p.detach(), float64) for p in parameters]
    return source.draw(getattr(ops, name), *wide)


def _check(name: str, x: Any, rule: str, fine: Any) -> None:
    if not x.dtype.is_floating_point:
        raise DTypeError(f"{name}: not defined for {x.dtype.name}")
    if not crossroads.tracing() and not bool(fine.all()):  # a program can't look at its values
        raise ArgumentError(f"{name}: expected {rule}")


def poisson(input: Any, generator: Any = None) -> Tensor:
    """Poisson random numbers of the rates `input`, in its shape and dtype.

    The probability of k is rate^k exp(-rate) / k!. Raises ArgumentError for a rate below 0, which
    compiled code answers with NaN, and DTypeError unless the dtype is floating point. Follows
    `torch.poisson`.

    >>> ag.poisson(ag.tensor([0.0, 0.0]))
    tensor([0., 0.])
    """
    _check("poisson", input, "rates >= 0", input >= 0)
    return ops.cast(draw("draw_poisson", input, generator=generator), input.dtype)  # type: ignore[no-any-return]  # an op gives Any


def binomial(count: Any, prob: Any, generator: Any = None) -> Tensor:
    """How many of `count` trials succeed, each with probability `prob`; the two broadcast.

    In the dtype of `count`. Raises ArgumentError for a count below 0 or a probability outside
    [0, 1], which compiled code answers with NaN, and DTypeError unless the dtypes are floating
    point. Follows `torch.binomial`.

    >>> ag.binomial(ag.tensor([4.0, 7.0]), ag.tensor([0.0, 1.0]))
    tensor([0., 7.])
    """
    _check("binomial", count, "counts >= 0", count >= 0)
    _check("binomial", prob, "probabilities in [0, 1]", (prob >= 0) & (prob <= 1))
    shape = broadcast_shapes(tuple(count.shape), tuple(prob.shape), op="binomial")
    found = draw("draw_binomial", count.expand(shape), prob.expand(shape), generator=generator)
    return ops.cast(found, count.dtype)  # type: ignore[no-any-return]  # an op gives Any
