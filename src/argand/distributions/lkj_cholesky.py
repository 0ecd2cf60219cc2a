"""The LKJ distribution of Cholesky factors of correlation matrices."""

from __future__ import annotations

import math
from typing import Any

from argand.base.errors import ArgumentError
from argand.distributions import constraints
from argand.distributions.beta import Beta
from argand.distributions.distribution import Distribution
from argand.distributions.sampling import standard_normal
from argand.distributions.utils import broadcast_all
from argand.ir.op import ops
from argand.tensor.core import Size
from argand.tensor.elementary import finfo
from argand.tensor.formulas import arange
from argand.tensor.gamma import mvlgamma
from argand.transform.mode import no_grad


class LKJCholesky(Distribution):
    """Cholesky factors (dim, dim) of correlation matrices M of a density ~ |M|^(concentration - 1).

    With concentration 1 all matrices are equally likely. Sampled by the onion method (Lewandowski,
    Kurowicka and Joe 2009).

    >>> d = ag.distributions.LKJCholesky(3, 0.5)
    >>> ag.allclose(d.sample().norm(dim=-1), ag.ones(3))
    True
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    _batched = ("concentration", "_beta")
    _shared = ("dim",)

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ArgumentError(f"expected dim to be an integer of at least 2, got dim={dim}")
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        dtype = self.concentration.dtype
        row = arange(dim, dtype=dtype)
        before = (row - 1).clamp(min=0)  # the first row has no number before its diagonal
        free = (self.concentration + 0.5 * (dim - 2)).unsqueeze(-1) - 0.5 * before
        self._beta = Beta(before + 0.5, free, validate_args=validate_args)
        super().__init__(self.concentration.shape, Size((dim, dim)), validate_args=validate_args)

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            length = self._beta.sample(sample_shape).unsqueeze(-1)
            noise = standard_normal(self._extended_shape(sample_shape), length.dtype).tril(-1)
            norm = noise.pow(2).sum(-1, keepdim=True).sqrt()
            # the first row has none
            direction = noise / ops.where(norm == 0, 1, norm)
            row = length.sqrt() * direction
            rest = (1 - row.pow(2).sum(-1)).clamp(min=finfo(row.dtype).tiny)
            return row + rest.sqrt().diag_embed()

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        size, eta = self.dim, self.concentration
        diagonal = value.diagonal(dim1=-2, dim2=-1)[..., 1:]
        order = size - arange(2, size + 1, dtype=eta.dtype)
        powers = (2 * (eta - 1)).unsqueeze(-1) + order
        alpha = eta + 0.5 * (size - 1)
        normalizer = (
            0.5 * (size - 1) * math.log(math.pi)
            + mvlgamma(alpha - 0.5, size - 1)
            - alpha.lgamma() * (size - 1)
        )
        return (powers * diagonal.log()).sum(-1) - normalizer
