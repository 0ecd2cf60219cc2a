"""The multivariate normal distribution with a covariance matrix of low rank and a diagonal."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError
from argand.distributions import constraints
from argand.distributions.distribution import Distribution
from argand.distributions.multivariate_normal import log_diagonal, mahalanobis, times_vector
from argand.distributions.sampling import standard_normal
from argand.distributions.utils import LOG_2PI, lazy_property
from argand.ir.op import ops
from argand.tensor.formulas import eye
from argand.tensor.shaping import broadcast_tensors


class LowRankMultivariateNormal(Distribution):
    """Normal vectors of mean `loc` and covariance W W^T + diag(d).

    W is `cov_factor` (..., N, rank), d `cov_diag` (..., N). Only matrices of the rank's size are
    factored: the capacitance I + W^T diag(d)^-1 W (Woodbury's identity, the determinant lemma).

    >>> D = ag.distributions
    >>> d = D.LowRankMultivariateNormal(ag.zeros(2), ag.tensor([[1.0], [0.0]]), ag.ones(2))
    >>> d.variance
    tensor([2., 1.])
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True
    _batched = ("loc", "cov_factor", "cov_diag")
    _shared = ("_unbroadcasted_cov_factor", "_unbroadcasted_cov_diag", "_capacitance_tril")

    def __init__(
        self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None
    ) -> None:
        _check_shapes(loc, cov_factor, cov_diag)
        try:
            wide = broadcast_tensors(loc.unsqueeze(-1), cov_factor, cov_diag.unsqueeze(-1))
        except RuntimeError as error:
            raise ArgumentError(
                f"the batches don't broadcast: loc {tuple(loc.shape)}, cov_factor "
                f"{tuple(cov_factor.shape)}, cov_diag {tuple(cov_diag.shape)}"
            ) from error
        self.loc, self.cov_factor, self.cov_diag = wide[0][..., 0], wide[1], wide[2][..., 0]
        self._unbroadcasted_cov_factor = cov_factor
        self._unbroadcasted_cov_diag = cov_diag
        super().__init__(self.loc.shape[:-1], loc.shape[-1:], validate_args=validate_args)
        rank = cov_factor.shape[-1]
        capacitance = self._scaled() @ cov_factor + eye(rank, dtype=cov_factor.dtype)
        self._capacitance_tril = ops.linalg_cholesky(capacitance)

    def _scaled(self) -> Any:
        """W^T diag(d)^-1."""
        return self._unbroadcasted_cov_factor.mT / self._unbroadcasted_cov_diag.unsqueeze(-2)

    def _half_inverse(self) -> Any:
        """A of the inverse covariance diag(d)^-1 - A^T A."""
        return ops.linalg_solve_triangular(self._capacitance_tril, self._scaled(), upper=False)

    def _log_determinant(self) -> Any:
        return 2 * log_diagonal(self._capacitance_tril) + self._unbroadcasted_cov_diag.log().sum(-1)

    def _mahalanobis(self, x: Any) -> Any:
        """x^T C^-1 x, with C the covariance."""
        inner = mahalanobis(self._capacitance_tril, times_vector(self._scaled(), x))
        return (x.pow(2) / self._unbroadcasted_cov_diag).sum(-1) - inner

    def _expanded(self, matrix: Any) -> Any:
        size = self._event_shape[0]
        return matrix.expand((*self._batch_shape, size, size))

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @lazy_property
    def variance(self) -> Any:
        """The diagonal of the covariance."""
        squares = self._unbroadcasted_cov_factor.pow(2).sum(-1) + self._unbroadcasted_cov_diag
        return squares.expand((*self._batch_shape, *self._event_shape))

    @lazy_property
    def scale_tril(self) -> Any:
        """The Cholesky factor of the covariance."""
        # that of I + V V^T, whose eigenvalues are at least 1
        root = self._unbroadcasted_cov_diag.sqrt().unsqueeze(-1)
        scaled = self._unbroadcasted_cov_factor / root
        inner = scaled @ scaled.mT + eye(self._event_shape[0], dtype=root.dtype)
        return self._expanded(root * ops.linalg_cholesky(inner))

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The covariance."""
        factor = self._unbroadcasted_cov_factor
        return self._expanded(factor @ factor.mT + self._unbroadcasted_cov_diag.diag_embed())

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance."""
        half = self._half_inverse()
        inverse = self._unbroadcasted_cov_diag.reciprocal().diag_embed()
        return self._expanded(inverse - half.mT @ half)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape, dtype = self._extended_shape(sample_shape), self.loc.dtype
        low = standard_normal((*shape[:-1], self.cov_factor.shape[-1]), dtype)
        own = self._unbroadcasted_cov_diag.sqrt() * standard_normal(shape, dtype)
        return self.loc + times_vector(self._unbroadcasted_cov_factor, low) + own

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        distance = self._mahalanobis(value - self.loc)
        return -0.5 * (distance + self._log_determinant() + self._event_shape[0] * LOG_2PI)

    def entropy(self) -> Any:
        found = 0.5 * (self._log_determinant() + self._event_shape[0] * (1.0 + LOG_2PI))
        return found.expand(tuple(self._batch_shape))


def _check_shapes(loc: Any, cov_factor: Any, cov_diag: Any) -> None:
    if loc.ndim < 1:
        raise ArgumentError("loc must be at least one-dimensional")
    if cov_factor.ndim < 2:
        raise ArgumentError("cov_factor must be at least two-dimensional")
    size = loc.shape[-1]
    if cov_factor.shape[-2] != size:
        raise ArgumentError(
            f"cov_factor must be matrices of {size} rows, got {tuple(cov_factor.shape)}"
        )
    if cov_diag.shape[-1:] != loc.shape[-1:]:
        raise ArgumentError(f"cov_diag must be vectors of {size}, got {tuple(cov_diag.shape)}")
