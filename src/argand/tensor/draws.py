"""Random numbers whose distribution depends on tensors: Poisson, binomial, multinomial."""

from __future__ import annotations

import math
from typing import Any

from argand.base.dtype import float64
from argand.base.errors import ArgumentError, DTypeError
from argand.base.shape import broadcast_shapes
from argand.ir import bind as crossroads
from argand.ir.op import ops
from argand.tensor.core import Tensor
from argand.tensor.generators import source_of


def draw(kind: str, *parameters: Any, generator: Any = None) -> Any:
    """A draw of `ops/draws.py`, in float64, of parameters of one shape that need no gradient."""
    wide = [ops.cast(p.detach(), float64) for p in parameters]
    return source_of(generator).by_rejection(kind, wide)


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
    return ops.cast(draw("poisson", input, generator=generator), input.dtype)  # type: ignore[no-any-return]  # an op gives Any


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
    found = draw("binomial", count.expand(shape), prob.expand(shape), generator=generator)
    return ops.cast(found, count.dtype)  # type: ignore[no-any-return]  # an op gives Any


def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None
) -> Tensor:
    """`num_samples` indices (int64) drawn with the weights of the last dimension of `input`.

    (N,) gives (num_samples,), and (M, N) gives (M, num_samples). The weights needn't sum to 1;
    raises ArgumentError where one is negative or all are 0 (not looked at in compiled code), and
    where more than N are drawn without `replacement`. Follows `torch.multinomial`.

    >>> ag.multinomial(ag.tensor([0.0, 1.0, 0.0]), 3, replacement=True)
    tensor([1, 1, 1])
    """
    if input.ndim not in (1, 2):
        raise ArgumentError(f"multinomial: expected 1 or 2 dimensions, got {input.ndim}")
    if not input.dtype.is_floating_point:
        raise DTypeError(f"multinomial: the weights must be floats, got {input.dtype.name}")
    if num_samples < 1:
        raise ArgumentError(f"multinomial: num_samples must be over 0, got {num_samples}")
    count = input.shape[-1]
    if not replacement and num_samples > count:
        raise ArgumentError(f"multinomial: can't draw {num_samples} of {count} without replacement")
    weights = input.detach()
    if not crossroads.tracing():  # a program can't look at its values
        wide = ops.cast(weights, float64)
        total = ops.sum(wide, -1)
        fine = ops.ge(ops.amin(wide, -1), 0), ops.gt(total, 0), ops.lt(total, math.inf)
        if not all(bool(f.all()) for f in fine):
            raise ArgumentError("multinomial: expected finite weights >= 0, not all of them 0")
    source = source_of(generator)
    draws = source.choices if replacement else source.subsets
    return draws(weights, num_samples)  # type: ignore[no-any-return]  # an op gives Any
