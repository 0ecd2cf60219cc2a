"""Functions around the gamma function that are compositions."""

from __future__ import annotations

import math
from typing import Any

from argand.base.errors import ArgumentError
from argand.ir.op import ops


def polygamma(n: int, input: Any) -> Any:
    """The derivative of order n of `digamma` at each element; n = 0 is `digamma` itself.

    From n = 2 on by `special.zeta`, which needs SciPy. Raises ArgumentError for n below 0. Follows
    `torch.polygamma`.

    >>> ag.polygamma(1, ag.tensor([1.0, 0.5]))
    tensor([1.6449, 4.9348])
    """
    if n < 0:
        raise ArgumentError(f"polygamma: n must not be below 0, got {n}")
    if n == 0:
        return ops.digamma(input)
    if n == 1:
        return ops.trigamma(input)
    return ops.mul(ops.zeta(n + 1.0, input), (-1.0) ** (n + 1) * math.factorial(n))


def polygamma_method(self: Any, n: int) -> Any:
    """The derivative of order n of `digamma` at each element: `ag.polygamma(n, x)`.

    >>> ag.tensor([1.0, 0.5]).polygamma(1)
    tensor([1.6449, 4.9348])
    """
    return polygamma(n, self)


def mvlgamma(input: Any, p: int) -> Any:
    """ln of the gamma function of p dimensions: p (p - 1) / 4 ln(pi) + sum of lgamma(x - j / 2).

    The sum is over j from 0 to p - 1; p is at least 1 (ArgumentError). Follows
    `torch.special.multigammaln`.

    >>> ag.mvlgamma(ag.tensor([2.0, 3.5]), 2)
    tensor([0.4516, 2.4665])
    """
    if p < 1:
        raise ArgumentError(f"mvlgamma: p must be at least 1, got {p}")
    total = ops.lgamma(input)
    for j in range(1, p):
        total = ops.add(total, ops.lgamma(ops.sub(input, j / 2)))
    return ops.add(total, p * (p - 1) / 4 * math.log(math.pi))
