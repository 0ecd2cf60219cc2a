"""The Wishart distribution."""

from __future__ import annotations

import math
import warnings
from typing import Any

from argand.base.errors import ArgumentError
from argand.base.shape import broadcast_shapes
from argand.distributions import constraints
from argand.distributions.exp_family import ExponentialFamily
from argand.distributions.multivariate_normal import (
    MATRICES,
    CovarianceParameter,
    factor_of,
    log_diagonal,
    one_matrix,
)
from argand.distributions.sampling import log_gamma, standard_normal
from argand.distributions.utils import all_true
from argand.ir import bind as crossroads
from argand.ir.op import ops
from argand.tensor.core import Tensor
from argand.tensor.elementary import finfo
from argand.tensor.factors import cholesky_solve
from argand.tensor.formulas import arange
from argand.tensor.gamma import mvlgamma


class Wishart(CovarianceParameter, ExponentialFamily):
    """Positive definite matrices: the sum of x x^T of `df` normal vectors x, for any df > N - 1.

    Of mean df C, where C is given by its matrix, its inverse or its Cholesky factor. Sampled by
    Bartlett's decomposition; a matrix that rounding has made singular is drawn again.

    >>> ag.distributions.Wishart(3.0, ag.eye(2)).mean
    tensor([[3., 0.],
            [0., 3.]])
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0
    _batched = ("df", *MATRICES)
    _shared = ("_unbroadcasted_scale_tril",)

    def __init__(
        self,
        df: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        name, matrix = one_matrix(covariance_matrix, precision_matrix, scale_tril)
        if not isinstance(df, Tensor):
            df = ops.full((), df, matrix.dtype)
        batch = broadcast_shapes(tuple(matrix.shape[:-2]), tuple(df.shape), op="batch")
        self.df = df.expand(batch)
        size = int(matrix.shape[-1])
        if not all_true(self.df > size - 1):
            raise ArgumentError(f"df must be above N - 1 = {size - 1}, got {df}")
        if not all_true(self.df >= size):
            warnings.warn(
                "low df values: singular samples are likely where N - 1 < df < N", stacklevel=2
            )
        setattr(self, name, matrix.expand((*batch, *matrix.shape[-2:])))
        super().__init__(batch, matrix.shape[-2:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = factor_of(name, matrix)

    @property
    def arg_constraints(self) -> Any:
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self._event_shape[-1] - 1),
        }

    @property
    def mean(self) -> Any:
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def mode(self) -> Any:
        factor = self.df - self._event_shape[-1] - 1
        factor = ops.where(factor <= 0, math.nan, factor)
        return factor[..., None, None] * self.covariance_matrix

    @property
    def variance(self) -> Any:
        diagonal = self.covariance_matrix.diagonal(dim1=-2, dim2=-1)
        products = diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self.df[..., None, None] * (self.covariance_matrix.pow(2) + products)

    def _drawn(self, sample_shape: Any) -> Any:
        """By a triangle of normal numbers, with roots of chi-squared ones on the diagonal."""
        shape, dtype = self._extended_shape(sample_shape), self.df.dtype
        freedom = self.df.unsqueeze(-1) - arange(self._event_shape[-1], dtype=dtype)
        roots = (0.5 * (log_gamma(0.5 * freedom, shape[:-1]) + math.log(2))).exp()
        roots = ops.cast(roots, dtype).clamp(min=finfo(dtype).eps)
        noise = standard_normal(shape, dtype).tril(-1) + roots.diag_embed()
        factor = self._unbroadcasted_scale_tril @ noise
        return factor @ factor.mT

    def rsample(self, sample_shape: Any = (), max_try_correction: int | None = None) -> Any:
        """Random matrices; those that rounding has made singular are drawn again."""
        sample = self._drawn(sample_shape)
        if crossroads.tracing():
            return sample
        for _ in range(10 if max_try_correction is None else max_try_correction):
            fine = self.support.check(sample.detach())
            if bool(fine.all()):
                break
            sample = ops.where(fine[..., None, None], sample, self._drawn(sample_shape))
        return sample

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        freedom, size = self.df, self._event_shape[-1]
        solved = cholesky_solve(value, self._unbroadcasted_scale_tril)
        _, log_determinant = ops.linalg_slogdet(value)
        return (
            (freedom - size - 1) / 2 * log_determinant
            - solved.diagonal(dim1=-2, dim2=-1).sum(-1) / 2
            - freedom * self._log_scale()
            - mvlgamma(freedom / 2, p=size)
        )

    def _log_scale(self) -> Any:
        """Half of ln|2 C|."""
        half = self._event_shape[-1] * math.log(2) / 2
        return log_diagonal(self._unbroadcasted_scale_tril) + half

    def entropy(self) -> Any:
        freedom, size = self.df, self._event_shape[-1]
        halves = (freedom / 2).unsqueeze(-1) - arange(size, dtype=freedom.dtype) / 2
        return (
            (size + 1) * self._log_scale()
            + mvlgamma(freedom / 2, p=size)
            - (freedom - size - 1) / 2 * halves.digamma().sum(-1)
            + freedom * size / 2
        )

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, *natural_params: Any) -> Any:
        x, y = natural_params
        size = self._event_shape[-1]
        half = y + (size + 1) / 2
        _, log_determinant = ops.linalg_slogdet(-2 * x)
        return half * (size * math.log(2) - log_determinant) + mvlgamma(half, p=size)
